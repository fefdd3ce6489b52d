"""`curate embed --import`: vectors that another tool made, for the pool or for a seed or reference set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curation.config import CurateConfig
from curation.embed.importing.import_vectors import Import, ImportReport, import_vectors
from curation.embed.importing.layout import find_vector_files
from curation.embed.importing.stored import imported_spec
from curation.embed.table import model_name
from curation.engine import Engine
from curation.retrieve.image_set import catalogue_image_set
from curation.retrieve_step import find_image_set
from curation.workspace import Workspace


@dataclass(frozen=True)
class ImportRequest:
    """`paths`: folders or files. `name`: what the vectors are called from now on, `imported:NAME`.

    `array`: which one of an .npz file. `of`: the seed or reference set whose vectors they are; None: the pool's.
    """

    paths: Sequence[str]
    name: str
    array: str | None = None
    of: str | None = None


def run_import(
    workspace: Workspace, config: CurateConfig, engine: Engine, request: ImportRequest, say: Callable[[str], None]
) -> ImportReport:
    """Import vectors. Errors: MissingInput, UserError (nothing matches, files that do not fit together)."""
    spec = imported_spec(request.name)
    files = find_vector_files(request.paths)
    if request.of is None:
        workspace.require_catalog()
        folder, catalog = workspace.root, workspace.catalog
    else:
        found = find_image_set(workspace, config, request.of)
        folder = workspace.image_set(found.name).root
        catalog = catalogue_image_set(folder, found, config.ingest, engine)
    asked = Import(files, spec, request.array, config.embed.part_rows)
    report = import_vectors(catalog, folder / "embeddings" / model_name(spec), asked)
    if report.images_without_row:
        say(f"{report.images_without_row:,} of {report.images:,} images have no row in the files, so no vector")
    return report
