from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.curation.small_pool import curated

from contracts.dataset_folder import CARD, HEADER, INDEX, MANIFEST_FILE
from contracts.errors import BrokenArtifact, MissingInput
from contracts.publish import sha256_file
from curation import api, progress
from curation.write.verify import verify


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = curated(tmp_path_factory.mktemp("curated"), "retrieve.per_query=2")
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config("write.shard_samples=5"), engine)
    return small.workspace.dataset


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


def test_a_sound_dataset_has_no_problems(dataset: Path) -> None:
    report = verify(dataset)
    assert (report.samples, report.shards, report.problems) == (12, 3, [])
    report.require_sound()
    (dataset / CARD).write_text("edited by hand")
    assert verify(dataset).problems == []


def test_who_waits_sees_the_shards_go_by(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    verify(dataset)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"verify: {number}/3 shards" for number in (1, 2, 3)
    ]


def test_a_changed_byte_is_found_and_named(dataset: Path) -> None:
    shard = dataset / "000001.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    report = verify(dataset)
    assert report.problems == ["000001.tar does not have the sha256 that index.json says"]
    with pytest.raises(BrokenArtifact, match=r"1 problems, the first: 000001\.tar"):
        report.require_sound()


def test_a_tampered_image_is_found_even_with_mended_checksums(dataset: Path) -> None:
    shard = dataset / "000001.tar"
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    index = json.loads((dataset / INDEX).read_text())
    index["shardlist"][1]["sha256"] = sha256_file(shard)
    (dataset / INDEX).write_text(json.dumps(index))
    assert any("holds other bytes than its key says" in problem for problem in verify(dataset).problems)


def test_a_composition_that_does_not_add_up_is_found(dataset: Path) -> None:
    header = json.loads((dataset / HEADER).read_text())
    header["composition"][0]["images"] -= 1
    (dataset / HEADER).write_text(json.dumps(header))
    assert verify(dataset).problems == ["the composition says 11 images of retrieved warm, the manifest has 12"]


@pytest.mark.parametrize("name", ["000002.tar", HEADER, INDEX, MANIFEST_FILE])
def test_a_missing_file_is_one_sentence(dataset: Path, name: str) -> None:
    (dataset / name).unlink()
    with pytest.raises((BrokenArtifact, MissingInput), match=name.partition(".")[0]):
        verify(dataset)
