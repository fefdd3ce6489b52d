from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from contracts.errors import UserError
from curation import api
from curation.cli import app


@pytest.fixture
def workspace(tmp_path: Path) -> api.Workspace:
    (tmp_path / "pool").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (100, 200, 3), dtype=np.uint8)).save(tmp_path / "pool" / f"{number}.png")
    found = api.init(tmp_path / "workspace", api.NewWorkspace([str(tmp_path / "pool")]))
    with api.open_engine("local") as engine:
        api.ingest(found, found.config(), engine)
    return found


def test_a_workspace_is_planned_by_its_own_images(workspace: api.Workspace) -> None:
    pool = api.plan(workspace, api.PlanAsked()).pool
    assert (pool.images, pool.megapixels) == (4, pytest.approx(0.02))
    assert pool.image_bytes == pytest.approx(60_000, rel=0.1)
    larger = api.plan(workspace, api.PlanAsked(images=1.2e9)).pool
    assert (larger.images, larger.megapixels) == (1_200_000_000, pytest.approx(0.02))


def test_without_images_or_measured_costs_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    nothing = api.Workspace(tmp_path / "none")
    with pytest.raises(UserError, match="--images"):
        api.plan(nothing, api.PlanAsked())
    with pytest.raises(UserError, match="choose one of descriptor, phash"):
        api.plan(nothing, api.PlanAsked(images=10, model="facebook/dinov2-small"))


def test_the_command_prints_every_step_and_json(tmp_path: Path) -> None:
    words = ["plan", "--images", "1.2e9", "--cores", "512", "-w", str(tmp_path / "none")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0
    for step in ("ingest", "embed", "join", "components", "build", "verify", "512 cores"):
        assert step in told.stdout
    report = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert report["pool"]["images"] == 1_200_000_000
    assert report["hours"] == pytest.approx(report["core_seconds"] / 512 / 3600)
    assert report["bottleneck"] in [step["step"] for step in report["steps"]]
