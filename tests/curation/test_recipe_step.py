from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, make_small_pool

from contracts.errors import ConfigError
from curation import api
from curation.config import CurateConfig
from curation.recipe_step import settle
from curation.recipes.recipe import read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "pipelines"

RECIPE = """
name: small
steps:
  - step: ingest
  - step: dedup
    settings: {threshold: 0.7}
  - step: retrieve
    seeds: [warm]
    settings: {mode: sample, per_query: 2, as_is: true}
  - step: build
    settings: {shard_samples: 5}
"""


def run(small: SmallPool, recipe: Path) -> api.RecipeReport:
    with api.open_engine("local") as engine:
        return api.run_recipe(small.workspace, small.config(), recipe, engine)


def written(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_a_recipe_runs_its_steps_and_again_only_what_changed(tmp_path: Path) -> None:
    small, recipe = make_small_pool(tmp_path), tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    report = run(small, recipe)
    assert [step.step for step in report.steps] == ["ingest", "dedup", "retrieve", "build"]
    assert (report.steps[-1].report["samples"], report.steps[-1].report["shards"]) == (18, 4)
    assert report.steps[1].report["threshold"] == 0.7
    before = written(small.workspace.root)
    assert run(small, recipe).steps[-1].report["state"] == "unchanged"
    again = written(small.workspace.root)
    heavy = [f for f in before if f.suffix in (".tar", ".npy") or f.parent.name in ("catalog", "retrieval", "dataset")]
    assert len(heavy) > 10
    assert all(before[file] == again[file] for file in heavy)
    recipe.write_text(RECIPE.replace("per_query: 2", "per_query: 1"))
    assert run(small, recipe).steps[-1].report["samples"] == 12


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "per_query: 2",
            "per_qeury: 2",
            r"small, step 3 \(retrieve\): unknown setting 'per_qeury' .did you mean 'per_query'",
        ),
        ("step: build", "step: biuld", "biuld"),
        ("seeds: [warm]", "seeds: []", "seeds"),
        ("seeds: [warm]", "seed: warm", r"unknown setting 'steps\.2\.seed' .did you mean 'seeds'"),
        ("name: small", "name: small\nauthor: me", "unknown setting 'author'"),
    ],
)
def test_a_wrong_recipe_is_refused_before_the_first_step(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    small, recipe = make_small_pool(tmp_path), tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace(old, new))
    with pytest.raises(ConfigError, match=sentence):
        run(small, recipe)
    assert not small.workspace.catalog.exists()


# Recipes with pretraining are whole ones, which pipelines.recipe reads.
CURATION_ONLY = sorted(file for file in RECIPES.glob("*.yaml") if "pretrain:" not in file.read_text())


@pytest.mark.parametrize("file", CURATION_ONLY, ids=lambda file: file.stem)
def test_the_recipes_of_the_repository_are_valid(file: Path) -> None:
    recipe = read_recipe(file)
    for number, step in enumerate(recipe.steps):
        settle(CurateConfig(), step, f"step {number}")
    assert recipe.name == file.stem
