"""The workspace folder: where every step of curation finds its input and leaves its output.

curate.yaml                 settings
catalog/                    one row per offered file
filters.parquet             values and verdicts of the filters, with filters.json
scores/                     values that model filters gave
faces/  derived.parquet     pictures with blurred faces, and what the dataset has of them
embeddings/<model>/         vectors of the pool
sets/<name>/                catalogue and embeddings of a seed or reference set
clusters/                   levels of hierarchical k-means
dedup/  retrieval/          pairs and groups; what each seed set brought
overrides.parquet           decisions by hand, of `curate explore`
selection.parquet           kept or dropped, and why
dataset/                    the dataset folder
scratch/                    what workers of the running step map; gone when it ends
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.config import load_config
from contracts.errors import MissingInput
from curation.catalog import part_numbers
from curation.config import CurateConfig

SETTINGS = "curate.yaml"


@dataclass(frozen=True)
class ImageSetFolder:
    """Catalogue and embeddings of one set of images: the pool itself, a seed set or a reference set."""

    root: Path

    @property
    def catalog(self) -> Path:
        """The catalogue's folder."""
        return self.root / "catalog"

    def embeddings(self, model_name: str) -> Path:
        """The store of one model; `model_name` is safe as a file name."""
        return self.root / "embeddings" / model_name


@dataclass(frozen=True)
class Workspace(ImageSetFolder):
    """The folder that a curation works in; the pool is its own image set."""

    @property
    def settings(self) -> Path:
        """curate.yaml."""
        return self.root / SETTINGS

    @property
    def filters(self) -> Path:
        """Values and verdicts of the filters."""
        return self.root / "filters.parquet"

    @property
    def scores(self) -> Path:
        """Values that model filters gave, a table each."""
        return self.root / "scores"

    @property
    def faces(self) -> Path:
        """Pictures with blurred faces, and what was looked at for them."""
        return self.root / "faces"

    @property
    def derived(self) -> Path:
        """The table of the dataset's images whose bytes are derived ones."""
        return self.root / "derived.parquet"

    @property
    def dedup(self) -> Path:
        """Folder of pairs and groups."""
        return self.root / "dedup"

    @property
    def retrieval(self) -> Path:
        """Folder of one table per seed set."""
        return self.root / "retrieval"

    @property
    def clusters(self) -> Path:
        """Folder of the cluster hierarchy."""
        return self.root / "clusters"

    @property
    def selection(self) -> Path:
        """The table of decisions."""
        return self.root / "selection.parquet"

    @property
    def overrides(self) -> Path:
        """The table of decisions by hand."""
        return self.root / "overrides.parquet"

    @property
    def dataset(self) -> Path:
        """The dataset folder that `curate build` writes unless told otherwise."""
        return self.root / "dataset"

    @property
    def scratch(self) -> Path:
        """Folder of what a running step shares with its workers."""
        return self.root / "scratch"

    def image_set(self, name: str) -> ImageSetFolder:
        """Catalogue and embeddings of a seed or reference set. `name` is safe as a file name."""
        return ImageSetFolder(self.root / "sets" / name)

    def config(self, overrides: Sequence[str] = ()) -> CurateConfig:
        """The settings: defaults < curate.yaml < overrides. Errors: MissingInput (no workspace), ConfigError."""
        if not self.settings.is_file():
            raise MissingInput(
                f"{self.root} has no {SETTINGS}, so it is not a workspace: make one with `curate init POOL` or name "
                "another with --workspace"
            )
        return load_config(CurateConfig, self.settings, overrides)

    def require_catalog(self) -> None:
        """Errors: MissingInput when nothing has been catalogued."""
        if not part_numbers(self.catalog):
            raise MissingInput(f"{self.root} has no catalogue yet: make it with `curate ingest`")
