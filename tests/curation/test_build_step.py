from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated, make_small_pool

from contracts.dataset_folder import CARD, read_dataset
from contracts.errors import BrokenArtifact, MissingInput, UserError
from curation import api
from curation.engine import Engine

THREE_PER_SHARD = "write.shard_samples=3"


def build(small: SmallPool, out: Path, *overrides: str, dry_run: bool = False) -> api.BuildReport:
    with api.open_engine("local") as engine:
        return api.build(small.workspace, small.config(*overrides), engine, api.BuildTarget(out, dry_run))


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    return curated(tmp_path_factory.mktemp("curated"), "retrieve.per_query=2", "retrieve.as_is=true")


@pytest.fixture(scope="module")
def dataset(small: SmallPool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "dataset"
    build(small, out, THREE_PER_SHARD)
    return out


def test_the_composition_adds_up_to_pool_and_seed_images(dataset: Path) -> None:
    header = read_dataset(dataset).header
    parts = {(row["origin"], row["mode"]): row["images"] for row in header.composition}
    assert parts == {("seed", "as_is"): 6, ("retrieved", "sample"): 12}
    assert header.samples == 18 == sum(header.sources.values())
    assert api.verify(dataset).problems == []


def test_card_tells_composition_flow_and_settings(dataset: Path) -> None:
    card = (dataset / CARD).read_text()
    assert "| warm | sample | 6 | 12 | 12 | 66.7 % |" in card
    assert "| **total** |  |  |  | **18** |  |" in card
    assert "| dropped: near duplicate | 2 |" in card
    assert "per_query: 2" in card


def test_samples_say_why_they_are_in(small: SmallPool, dataset: Path) -> None:
    rows = read_dataset(dataset).manifest().to_pylist()
    retrieved = [row for row in rows if row["origin"] == "retrieved"]
    seeds = {row["key"] for row in rows if row["origin"] == "seed"}
    assert {row["seed"] for row in rows} == {"warm"}
    assert {row["query_key"] for row in retrieved} <= seeds
    assert all(0 < row["cosine"] <= 1 for row in retrieved)
    assert any(row["group_id"] == row["key"] for row in retrieved), "the kept copy names its group"


def test_building_again_is_no_work_and_a_dry_run_writes_nothing(
    small: SmallPool, dataset: Path, tmp_path: Path
) -> None:
    before = {file: file.stat().st_mtime_ns for file in dataset.iterdir()}
    assert build(small, dataset, THREE_PER_SHARD).state == "unchanged"
    assert {file: file.stat().st_mtime_ns for file in dataset.iterdir()} == before
    assert build(small, tmp_path / "none", THREE_PER_SHARD, dry_run=True).state == "planned"
    assert list(tmp_path.iterdir()) == []


def test_the_same_inputs_give_the_same_bytes_and_another_seed_another_order(
    small: SmallPool, dataset: Path, tmp_path: Path
) -> None:
    build(small, tmp_path / "again", THREE_PER_SHARD)
    assert content(tmp_path / "again") == content(dataset)
    build(small, tmp_path / "other", THREE_PER_SHARD, "write.shuffle_seed=1")
    assert content(tmp_path / "other")["000000.tar"] != content(dataset)["000000.tar"]


def test_ray_writes_the_same_bytes(small: SmallPool, dataset: Path, tmp_path: Path, ray_engine: Engine) -> None:
    api.build(small.workspace, small.config(THREE_PER_SHARD), ray_engine, api.BuildTarget(tmp_path / "ray"))
    assert content(tmp_path / "ray") == content(dataset)


def test_a_build_that_broke_off_goes_on_and_ends_with_the_same_bytes(
    small: SmallPool, dataset: Path, tmp_path: Path
) -> None:
    last = json.loads(next(line for line in _json_members(dataset / "000005.tar")))
    lost = Path(last["uri"])
    data = lost.read_bytes()
    lost.unlink()
    out = tmp_path / "dataset"
    try:
        with pytest.raises(BrokenArtifact, match="is no longer there"):
            build(small, out, THREE_PER_SHARD)
    finally:
        lost.write_bytes(data)
    (staged,) = tmp_path.iterdir()
    finished = {file: file.stat().st_mtime_ns for file in staged.iterdir()}
    assert len(finished) >= 5
    assert not out.exists()
    (staged / "000005.tar.draft-1-a").write_bytes(b"torn")
    build(small, out, THREE_PER_SHARD)
    assert content(out) == content(dataset)
    assert {out / file.name: stamp for file, stamp in finished.items()}.items() <= {
        file: file.stat().st_mtime_ns for file in out.iterdir()
    }.items(), "finished shards are not written again"
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def _json_members(tar: Path) -> list[bytes]:
    import tarfile

    with tarfile.open(tar) as opened:
        return [opened.extractfile(m).read() for m in opened if m.name.endswith(".json")]  # type: ignore[union-attr]


@pytest.mark.faults
def test_sigkill_at_any_shard_and_again(small: SmallPool, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    command = [sys.executable, "-m", "curation.cli", "build", "--engine", "local", "--set", THREE_PER_SHARD]
    command += ["-w", str(small.workspace.root), "--out", str(out)]
    running = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while running.poll() is None and not list(tmp_path.glob("*/000001.tar")) and time.monotonic() < deadline:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert list(tmp_path.iterdir()), "it was killed after it had begun"
    build(small, out, THREE_PER_SHARD)
    assert content(out) == content(dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_new_inputs_replace_the_old_dataset(tmp_path: Path) -> None:
    small = curated(tmp_path, "retrieve.per_query=1")
    out = small.workspace.dataset
    assert build(small, out).samples == 6
    with api.open_engine("local") as engine:
        api.retrieve(small.workspace, small.config("retrieve.per_query=2"), ["warm"], engine)
    report = build(small, out)
    assert (report.state, report.samples) == ("written", 12)
    assert api.verify(out).problems == []
    (out / "000000.tar").unlink()
    assert build(small, out).state == "written", "a dataset that lost a shard is built again"


def test_without_retrieval_the_deduplicated_pool_is_the_dataset(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    with api.open_engine("local") as engine:
        with pytest.raises(MissingInput, match="curate ingest"):
            api.build(small.workspace, small.config(), engine)
        api.ingest(small.workspace, small.config(), engine)
        assert api.build(small.workspace, small.config(), engine, api.BuildTarget(dry_run=True)).samples == 38
        api.dedup(small.workspace, small.config(), engine)
        report = api.build(small.workspace, small.config("write.record_uri=false"), engine)
    assert report.samples == 36
    assert [(part.origin, part.images) for part in report.parts] == [("pool", 36)]
    assert not any(str(small.pool).encode() in data for data in content(small.workspace.dataset).values())


def test_nothing_kept_is_told(tmp_path: Path) -> None:
    small = curated(tmp_path)
    for file in small.workspace.retrieval.glob("warm.*"):
        file.rename(file.with_suffix(file.suffix + ".aside"))
    (small.workspace.dedup / "groups.parquet").unlink()
    assert build(small, small.workspace.dataset).samples == 38
    with pytest.raises(UserError, match="no image is kept"):
        _drop_everything(small)
        build(small, small.workspace.dataset)


def _drop_everything(small: SmallPool) -> None:
    import pyarrow as pa

    from contracts.tables import GROUPS, write_table
    from curation.catalog import unique_images

    keys = unique_images(small.workspace.catalog, ()).column("key").to_pylist()
    count = len(keys)
    columns = {
        "key": keys,
        "group_id": keys,
        "group_size": [1] * count,
        "kept": [False] * count,
        "reason": ["reference: x"] * count,
    }
    write_table(small.workspace.dedup / "groups.parquet", pa.table(columns, schema=GROUPS.schema), GROUPS)


def test_after_a_file_went_the_advice_of_the_sentence_works(tmp_path: Path) -> None:
    small = curated(tmp_path)
    (small.pool / "red/05.png").unlink()
    with pytest.raises(BrokenArtifact, match=r"05\.png is no longer there.*`curate ingest` and the steps after it"):
        build(small, small.workspace.dataset)
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, small.config(), engine)
        api.dedup(small.workspace, small.config(), engine)
        api.retrieve(small.workspace, small.config(), ["warm"], engine)
    build(small, small.workspace.dataset)
    assert api.verify(small.workspace.dataset).problems == []


def test_archives_read_in_place_give_the_bytes_of_archives_read_ahead(tmp_path: Path) -> None:
    pool = make_small_pool(tmp_path / "small").pool
    with tarfile.open(tmp_path / "pool.tar", "w") as tar:
        tar.add(pool, arcname="")
    workspace = api.init(tmp_path / "workspace", api.NewWorkspace([str(tmp_path / "pool.tar")], {}))
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config([THREE_PER_SHARD]), engine)
        for name, limit in {"in place": 1 << 30, "ahead": 0}.items():
            config = workspace.config([THREE_PER_SHARD, f"write.gather_above_bytes={limit}"])
            api.build(workspace, config, engine, api.BuildTarget(tmp_path / name))
    assert content(tmp_path / "in place") == content(tmp_path / "ahead")
    assert api.verify(tmp_path / "ahead").problems == []
