"""Dry runs: what would happen, everything that is missing at once, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated

from contracts.errors import ConfigError, MissingInput
from curation import api


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    return curated(tmp_path_factory.mktemp("foreseen"), "retrieve.per_query=1")


def files_of(small: SmallPool) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in small.workspace.root.rglob("*") if path.is_file()}


def test_dedup_tells_index_thresholds_and_what_is_left_to_embed(small: SmallPool) -> None:
    before = files_of(small)
    seen = api.foresee_dedup(small.workspace, small.config("dedup.maybe_threshold=0.3"))
    assert seen.values["to embed"] == 0 and seen.values["images"] > 0
    assert seen.values["index"].startswith("exact") and "mapped from disk" in seen.values["memory"]
    assert seen.values["device"].startswith("CPU")
    assert 0.3 == seen.values["maybe threshold"] < seen.values["threshold"]
    seen.require_complete()
    fresh = api.foresee_dedup(small.workspace, small.config("dedup.model=phash"))
    assert fresh.values["to embed"] == fresh.values["images"] == seen.values["images"]
    assert files_of(small) == before


def test_everything_that_is_missing_is_said_at_once(small: SmallPool) -> None:
    seen = api.foresee_dedup(
        small.workspace, small.config('dedup.against=["nowhere","elsewhere"]', "dedup.model=no/such.pt")
    )
    assert [any(word in line for line in seen.lines()) for word in ("nowhere", "elsewhere", "no/such.pt")] == [True] * 3
    with pytest.raises(MissingInput, match="3 things are missing"):
        seen.require_complete()


def test_what_the_hub_has_is_named_and_not_fetched(small: SmallPool) -> None:
    config = small.config("retrieve.model=some/model-of-the-hub")
    seen = api.foresee_retrieve(small.workspace, config, [f"warm={small.seed}", "imagenet"])
    assert str(small.seed) in seen.values["seeds"] and "a run downloads ILSVRC/imagenet-1k" in seen.values["seeds"]
    assert "a run downloads it from the hub" in seen.values["model"]
    seen.require_complete()
    here = api.foresee_retrieve(small.workspace, small.config(), [f"warm={small.seed}"])
    assert here.values["index"].startswith("exact") and {"memory", "device"} <= here.values.keys()


def test_a_recipe_is_checked_to_its_end(small: SmallPool, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: mine\nsteps:\n  - step: ingest\n  - step: dedup\n    settings: {{threshold: 0.8}}\n"
        f"  - step: retrieve\n    seeds: [nowhere, warm={small.seed}]\n  - step: build\n"
    )
    seen = api.foresee_recipe_file(small.workspace, small.config(), recipe)
    assert list(seen.values) == ["1. ingest", "2. dedup", "3. retrieve", "4. build"]
    assert "threshold=0.8" in seen.values["2. dedup"] and "scene" in seen.values["3. retrieve"]
    assert len(seen.missing) == 1 and "nowhere" in seen.missing[0]
    recipe.write_text("name: mine\nsteps:\n  - step: dedup\n    settings: {treshold: 0.8}\n")
    with pytest.raises(ConfigError, match="treshold"):
        api.foresee_recipe_file(small.workspace, small.config(), recipe)
