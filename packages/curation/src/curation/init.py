"""`curate init`: a workspace with a commented curate.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from contracts.config import validate_config
from contracts.errors import MissingInput, UserError
from contracts.publish import publish_text
from curation.config import CurateConfig
from curation.workspace import Workspace

_HEAD = """\
# What `curate` does in this workspace. Every setting may also be given on the command line: --set section.key=value.
# Paths: folders (recursive), *.tar (WebDataset), *.parquet with image bytes, *.txt lists of files.

"""
_SETTINGS = """
# What follows are the defaults that people change most; all settings with their units: docs/configuration.md

engine:
  kind: ray                 # ray | local (this process: debugging, small pools)
  workers: null             # null: all cores

ingest:
  limits:
    min_side_px: 8          # a shorter side goes to quarantine, as does a picture above max_pixels
    max_pixels: 178956970

dedup:
  model: descriptor         # offline copy descriptor | SSCD TorchScript file (*.pt) | Hugging Face model | RUN/export
  threshold: {dedup_threshold}           # null: the model's own calibrated value (0.6 for SSCD, as in the paper)
  against: []               # names of `references` whose look-alikes leave the pool
  against_threshold: null   # null: the model's own (0.45 for SSCD, as in the paper)

retrieve:
  model: scene              # offline look-alike descriptor | Hugging Face model (DINOv2, ...) | RUN/export
  mode: auto                # sample | cluster | auto (by the size of the seed set, as in the paper)
  per_query: 4              # sample mode: pool images per seed image

write:
  shard_samples: 10000
  shuffle_seed: 0
"""


@dataclass(frozen=True)
class NewWorkspace:
    """What a new workspace knows. Names of seeds and references map to sources; `remarks` become comments.

    `dedup_threshold`: cosine (default: the embedder's own).
    """

    sources: Sequence[str] = ()
    seeds: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    dedup_threshold: float | None = None


def init_workspace(root: Path, new: NewWorkspace, *, force: bool = False) -> Workspace:
    """Write curate.yaml. Errors: UserError (there is one already), MissingInput (a path is not there)."""
    workspace = Workspace(root)
    if workspace.settings.exists() and not force:
        raise UserError(f"{workspace.settings} exists already: edit it, or write it anew with --force")
    for path in [*new.sources, *new.seeds.values(), *new.references.values()]:
        _check_source(path)
    publish_text(workspace.settings, settings_text(new))
    return workspace


def settings_text(new: NewWorkspace) -> str:
    """curate.yaml as text; it is checked against the schema before it is given away."""
    named = {
        "sources": [absolute(source) for source in new.sources],
        "seeds": {name: absolute(path) for name, path in new.seeds.items()},
        "references": {name: absolute(path) for name, path in new.references.items()},
    }
    explained = {
        "sources": "the pool",
        "seeds": "curated sets: `curate retrieve --seed NAME` brings what resembles them",
        "references": "benchmark sets: `curate dedup --against NAME` removes what resembles them",
    }
    lines = [f"# {remark}\n" for remark in new.remarks]
    for key, value in named.items():
        lines.append(f"# {explained[key]}\n{yaml.safe_dump({key: value}, allow_unicode=True, sort_keys=False)}")
    threshold = "null" if new.dedup_threshold is None else f"{new.dedup_threshold:g}"
    text = _HEAD + "".join(lines) + _SETTINGS.replace("{dedup_threshold}", threshold)
    validate_config(CurateConfig, yaml.safe_load(text), where="curate.yaml")
    return text


def absolute(source: str) -> str:
    """A local path as an absolute one, so that the workspace works from every folder; other uris as they are."""
    return source if "://" in source else str(Path(source).expanduser().absolute())


def _check_source(source: str) -> None:
    path = Path(source).expanduser()
    if "://" not in source and "{" not in source and not path.exists():
        raise MissingInput(f"there is no {source}: name a folder, a tar, a Parquet table or a list of files")


def named_paths(options: Sequence[str], option: str) -> dict[str, str]:
    """NAME=PATH options as a mapping. Errors: UserError for another form."""
    pairs = {}
    for text in options:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"{option} {text!r} does not have the form NAME=PATH")
        pairs[name] = path
    return pairs
