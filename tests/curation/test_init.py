"""A new workspace: its settings are valid, commented, and never overwritten by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import ConfigError, MissingInput, UserError
from curation.config import CurateConfig
from curation.init import NewWorkspace, init_workspace, named_paths
from curation.workspace import Workspace


def test_the_written_settings_are_the_defaults_with_the_given_sources(tmp_path: Path) -> None:
    pool, seed = tmp_path / "my pool", tmp_path / "seed"
    pool.mkdir()
    seed.mkdir()
    workspace = init_workspace(tmp_path / "w", NewWorkspace([str(pool)], {"imagenet": str(seed)}, remarks=["said"]))
    config = workspace.config()
    assert config.sources == (str(pool),)
    assert config.seeds == {"imagenet": str(seed)}
    assert config.model_copy(update={"sources": (), "seeds": {}}) == CurateConfig()
    assert "# said" in workspace.settings.read_text()


def test_an_existing_workspace_is_kept_unless_forced(tmp_path: Path) -> None:
    init_workspace(tmp_path / "w", NewWorkspace())
    with pytest.raises(UserError, match="--force"):
        init_workspace(tmp_path / "w", NewWorkspace())
    init_workspace(tmp_path / "w", NewWorkspace(), force=True)


def test_missing_pools_and_malformed_options(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="nowhere"):
        init_workspace(tmp_path / "w", NewWorkspace(["nowhere"]))
    assert not (tmp_path / "w").exists()
    assert named_paths(["a=b=c"], "--seed") == {"a": "b=c"}
    with pytest.raises(UserError, match="NAME=PATH"):
        named_paths(["imagenet"], "--seed")


def test_no_workspace_and_a_typing_mistake(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="curate init"):
        Workspace(tmp_path).config()
    workspace = init_workspace(tmp_path / "w", NewWorkspace())
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        workspace.config(["dedup.treshold=0.5"])
    with pytest.raises(MissingInput, match="curate ingest"):
        workspace.require_catalog()
