"""`curate filter`: values once, verdicts as often as wanted, the same bytes after a kill, and what follows of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image
from tests.curation.filters.pictures import FAILS, sharp, write_pool

from contracts.publish import sha256_file
from contracts.tables import SELECTION, read_table
from curation import api
from curation.build_step import flow_of
from curation.catalog import unique_images
from curation.cli import main
from curation.explain.in_words import explanation_lines
from curation.filters import filter_pool
from curation.filters.filter_files import FILTERS
from curation.filters.measure_part import measure_part
from curation.sources.image_part import ImagePart


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    pool = write_pool(tmp_path / "pool")
    (pool / "broken.png").write_bytes((pool / "0.png").read_bytes()[:200])
    made = api.init(tmp_path / "workspace", api.NewWorkspace([str(pool)]))
    with api.open_engine("local") as engine:
        api.ingest(made, made.config(), engine)
    return made


def run(workspace: api.Workspace, *overrides: str) -> api.FilterStepReport:
    with api.open_engine("local") as engine:
        return api.filter_images(workspace, workspace.config(overrides), engine)


def decisions(workspace: api.Workspace) -> dict[str, tuple[bool, str, str]]:
    """File name -> decision."""
    rows = {row["key"]: row for row in read_table(workspace.selection, SELECTION).to_pylist()}
    names = {Path(row["uri"]).stem: row["key"] for row in unique_images(workspace.catalog).to_pylist()}
    return {name: (rows[key]["kept"], rows[key]["step"], rows[key]["reason"]) for name, key in names.items()}


def test_faults_are_dropped_with_filter_value_and_bound(workspace: api.Workspace) -> None:
    report = run(workspace)
    assert (report.filters.images, report.filters.kept, report.filters.filtered) == (10, 6, 4)
    assert report.filters.by_filter == {
        "short_side_px": 1, "aspect_ratio": 1, "blur": 1, "dominant_share": 1, "entropy": 1
    }  # fmt: skip
    assert (report.selection.catalogued, report.selection.kept) == (11, 6)
    assert report.selection.dropped == {"filtered": 4, "quarantined": 1}
    found = decisions(workspace)
    assert found["tiny"] == (False, "filter", "filtered: short_side_px 40 below 64")
    assert found["long"] == (False, "filter", "filtered: aspect_ratio 5 above 4")
    for name, fails in FAILS.items():
        assert not found[name][0]
        assert {part.split()[0] for part in found[name][2].removeprefix("filtered: ").split(", ")} == fails
    assert all(found[str(number)] == (True, "ingest", "unique") for number in range(6))
    assert ("dropped: filtered", 4) in flow_of(workspace)


def test_other_bounds_are_judged_without_the_images(workspace: api.Workspace, tmp_path: Path) -> None:
    run(workspace)
    (tmp_path / "pool").rename(tmp_path / "away")
    report = run(workspace, "filters.short_side_px.min=30", "filters.blur.min=null")
    assert (report.filters.measured_now, report.filters.filtered) == (0, 2)
    assert decisions(workspace)["tiny"][0]
    assert decisions(workspace)["blurred"][0]


def test_only_new_images_are_measured_and_those_gone_are_told(workspace: api.Workspace, tmp_path: Path) -> None:
    run(workspace)
    for number in range(3):
        Image.fromarray(sharp(200 + number)).save(tmp_path / "pool" / f"new{number}.png")
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config(), engine)
    (tmp_path / "pool" / "new1.png").unlink()
    report = run(workspace)
    assert (report.filters.images, report.filters.measured_now, report.filters.unmeasured) == (13, 2, 1)
    assert report.filters.images == report.filters.kept + report.filters.filtered + report.filters.unmeasured


def test_a_rerun_and_a_run_after_a_kill_give_the_same_bytes(
    workspace: api.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_pool, "SMALLEST_PART", 3)
    run(workspace)
    first = sha256_file(workspace.filters)
    run(workspace)
    assert sha256_file(workspace.filters) == first
    workspace.filters.unlink()
    folder = workspace.filters.with_suffix("")
    parts = filter_pool.plan_parts(unique_images(workspace.catalog, ("width_px", "height_px")), 3)
    assert [len(part.keys) for part in parts] == [3, 3, 3, 1]
    folder.mkdir()
    limits = workspace.config().ingest.limits
    measure_part(parts[1], folder, limits)
    (folder / "part-00002.parquet").write_bytes(b"half")
    other = parts[3]
    elsewhere = pa.table({"key": other.keys[:1], "uri": ["nowhere.png"], "width_px": [1], "height_px": [1]})
    measure_part(ImagePart(3, elsewhere), folder, limits)
    (folder / "part-00003.parquet").rename(folder / "part-00003.parquet.draft-1-0")
    assert run(workspace).filters.measured_now == 10
    assert sha256_file(workspace.filters) == first
    assert not folder.exists()


def test_a_filtered_image_stands_for_no_group_and_its_copy_stays(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool")
    with Image.open(pool / "0.png") as image:
        image.resize((800, 600)).save(pool / "large.png")
    workspace = api.init(tmp_path / "workspace", api.NewWorkspace([str(pool)]))
    said: list[str] = []
    with api.open_engine("local") as engine:
        api.ingest(workspace, workspace.config(), engine)
        api.dedup(workspace, workspace.config(), engine)
        assert decisions(workspace)["large"][2] == "representative: of 2 images"
        config = workspace.config(["filters.long_side_px.max=640"])
        api.filter_images(workspace, config, engine, said.append)
        assert any("1 groups" in line and "curate dedup" in line for line in said)
        api.dedup(workspace, config, engine)
    found = decisions(workspace)
    assert found["large"][:2] == (False, "filter")
    assert found["large"][2].startswith("filtered: long_side_px 800 above 640")
    assert found["0"] == (True, "dedup", "representative: of 2 images")


def test_command_recipe_and_explanation(
    workspace: api.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["-w", str(workspace.root), "--engine", "local", "--json"]
    monkeypatch.setattr(sys, "argv", ["curate", "filter", "--set", "filters.entropy.min=7.9", *here])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    assert json.loads(capsys.readouterr().out)["filters"]["by_filter"]["entropy"] > 2
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: r\nsteps:\n- step: filter\n  settings: {blur: {}}\n- step: build\n")
    with api.open_engine("local") as engine:
        report = api.run_recipe(workspace, workspace.config(), recipe, engine)
    assert report.steps[0].report["filters"]["filtered"] == 3
    lines = "\n".join(explanation_lines(api.explain(workspace, str(tmp_path / "pool" / "tiny.png"))))
    assert "OUT: filtered: short_side_px 40 below 64 (step filter)" in lines
    assert "measured: short_side_px 40" in lines
    table = read_table(workspace.filters, FILTERS)
    assert pc.sum(table.column("kept")).as_py() == 7
