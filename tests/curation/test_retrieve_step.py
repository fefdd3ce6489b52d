from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated, make_small_pool, picture

from contracts.errors import MissingInput, UserError
from contracts.tables import RETRIEVAL, SELECTION, read_table
from curation import api
from curation.catalog import read_catalog
from curation.retrieve.retrieval_files import read_report


def retrieve(small: SmallPool, seeds: list[str], *overrides: str) -> api.RetrieveReport:
    with api.open_engine("local") as engine:
        return api.retrieve(small.workspace, small.config(*overrides), seeds, engine)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    return curated(tmp_path_factory.mktemp("curated"), "retrieve.per_query=2")


def colours_of(small: SmallPool, keys: set[str]) -> set[str]:
    catalog = read_catalog(small.workspace.catalog, ["key", "uri"]).to_pylist()
    return {Path(row["uri"]).parent.name for row in catalog if row["key"] in keys} - {"pool"}


def kept_keys(small: SmallPool) -> set[str]:
    return {row["key"] for row in read_table(small.workspace.selection, SELECTION).to_pylist() if row["kept"]}


def test_a_red_seed_brings_red_pictures(small: SmallPool) -> None:
    report = retrieve(small, ["warm"], "retrieve.per_query=2").seeds[0]
    assert (report.mode, report.seed_images, report.images, report.short_queries) == ("sample", 6, 12, 0)
    assert colours_of(small, kept_keys(small)) == {"red"}


def test_every_catalogued_image_is_kept_or_dropped_for_a_reason(small: SmallPool) -> None:
    selection = read_table(small.workspace.selection, SELECTION)
    catalog = read_catalog(small.workspace.catalog, ["key"])
    assert selection.column("key").to_pylist() == sorted(set(catalog.column("key").to_pylist()))
    assert all(reason for reason in selection.column("reason").to_pylist())
    report = retrieve(small, ["warm"], "retrieve.per_query=2").selection
    assert report.catalogued == selection.num_rows == report.kept + sum(report.dropped.values())
    assert report.dropped == {"near_duplicate": 2, "not_retrieved": 24, "quarantined": 2}


def test_retrieving_again_changes_nothing_and_a_setting_does(small: SmallPool) -> None:
    file = small.workspace.retrieval / "warm.parquet"
    retrieve(small, ["warm"], "retrieve.per_query=2")
    before = file.stat().st_mtime_ns, file.read_bytes()
    retrieve(small, ["warm"], "retrieve.per_query=2")
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    retrieve(small, ["warm"], "retrieve.per_query=1")
    assert read_table(file, RETRIEVAL).num_rows == 6
    (small.workspace.retrieval / "warm.json").unlink()
    retrieve(small, ["warm"], "retrieve.per_query=2")
    assert file.read_bytes() == before[1], "a run that was killed before its header ends with the same bytes"


def test_cluster_mode_brings_the_clusters_of_the_seed(tmp_path: Path) -> None:
    small = curated(tmp_path, "retrieve.mode=cluster", "cluster.clusters=3")
    report = read_report(small.workspace.retrieval, "warm")
    assert (report.mode, report.clusters, report.clusters_used) == ("cluster", 3, 1)
    assert colours_of(small, kept_keys(small)) == {"red"}
    with pytest.raises(UserError, match="use --mode sample, or lower --min-seed-images"):
        retrieve(small, ["warm"], "retrieve.mode=cluster", "cluster.clusters=3", "retrieve.min_seed_images=7")


def test_a_seed_as_it_is_without_retrieval_leaves_the_pool_whole(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, small.config(), engine)
    report = retrieve(small, ["warm"], "retrieve.mode=none", "retrieve.as_is=true")
    assert report.selection.dropped == {"quarantined": 2}
    assert report.seeds[0].rows == {"as_is": 6}
    with pytest.raises(UserError, match="mode none brings nothing"):
        retrieve(small, ["warm"], "retrieve.mode=none")


def test_two_paths_of_one_name_are_told_apart(tmp_path: Path, small: SmallPool) -> None:
    for place in ("a", "b"):
        (tmp_path / place / "photos").mkdir(parents=True)
        for file in small.seed.iterdir():
            (tmp_path / place / "photos" / file.name).write_bytes(file.read_bytes())
    retrieve(small, [str(tmp_path / "a/photos")])
    with pytest.raises(UserError, match=r"already stands for .*a/photos"):
        retrieve(small, [str(tmp_path / "b/photos")])
    retrieve(small, [f"others={tmp_path / 'b/photos'}"])
    for name in ("photos", "others"):
        for file in small.workspace.retrieval.glob(f"{name}.*"):
            file.unlink()


def test_without_catalogue_or_seed_the_next_command_is_named(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    with pytest.raises(MissingInput, match="curate ingest"):
        retrieve(small, ["warm"])
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, small.config(), engine)
    with pytest.raises(UserError, match="curate retrieve --seed"):
        retrieve(small, [])


def test_a_forgotten_seed_restricts_no_more(tmp_path: Path) -> None:
    small = curated(tmp_path)
    with pytest.raises(MissingInput, match="did you mean 'warm'"):
        api.forget_seeds(small.workspace, ["warn"])
    assert api.forget_seeds(small.workspace, ["warm"]).dropped == {"near_duplicate": 2, "quarantined": 2}
    assert list(small.workspace.retrieval.rglob("*.*")) == []


def test_a_pool_that_grew_since_the_retrieval_is_told(tmp_path: Path) -> None:
    small = curated(tmp_path)
    said: list[str] = []
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config(), engine, say=said.append)
        assert not any("another pool" in line for line in said)
        picture("red", 50).save(small.pool / "new.png")
        api.ingest(small.workspace, small.config(), engine)
        api.build(small.workspace, small.config(), engine, say=said.append)
    assert any("warm was retrieved from another pool" in line for line in said)
    retrieve(small, ["warm"])
    assert "new" in {Path(row["uri"]).stem for row in _kept_rows(small)}


def _kept_rows(small: SmallPool) -> list[dict[str, str]]:
    kept = kept_keys(small)
    return [row for row in read_catalog(small.workspace.catalog, ["key", "uri"]).to_pylist() if row["key"] in kept]
