"""The dataset folder that curate writes is the one that trainer reads: same images, same order, same bytes."""

from __future__ import annotations

import pytest
from tests.curation.small_pool import SmallPool, curated

from contracts.dataset_folder import read_dataset
from contracts.errors import BrokenArtifact
from contracts.keys import key_of_bytes
from curation import api
from trainer.data.open_source import open_source


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    small = curated(tmp_path_factory.mktemp("curated"), "retrieve.as_is=true")
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config("write.shard_samples=5"), engine)
    return small


def test_trainer_reads_every_sample_of_the_manifest_in_order(small: SmallPool) -> None:
    dataset = small.workspace.dataset
    source = open_source(str(dataset))
    manifest = read_dataset(dataset).manifest(["key", "shard", "row", "byte_count"]).to_pylist()
    assert len(source) == len(manifest) > 15
    for place, row in enumerate(manifest):
        sample = source.read(place)
        assert sample.key == row["key"] == key_of_bytes(sample.data)
        assert len(sample.data) == row["byte_count"]


def test_trainer_refuses_a_dataset_that_lost_a_shard(small: SmallPool) -> None:
    shard = small.workspace.dataset / "000001.tar"
    aside = shard.rename(shard.with_suffix(".aside"))
    try:
        with pytest.raises(BrokenArtifact, match=r"lacks the shard 000001\.tar"):
            open_source(str(small.workspace.dataset))
    finally:
        aside.rename(shard)


def test_webdataset_reads_the_same_samples(small: SmallPool) -> None:
    import webdataset

    dataset = small.workspace.dataset
    shards = [str(file) for file in sorted(dataset.glob("*.tar"))]
    found = [sample["__key__"] for sample in webdataset.WebDataset(shards, shardshuffle=False)]
    assert found == read_dataset(dataset).manifest(["key"]).column("key").to_pylist()
