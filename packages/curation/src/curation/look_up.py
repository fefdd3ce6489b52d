"""`curate explain` and `curate query`: questions about one image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contracts.dataset_folder import MANIFEST_FILE
from contracts.embedding_store import EmbeddingStore
from contracts.errors import MissingInput, UserError
from contracts.keys import is_key, key_of_bytes
from curation.catalog import part_file, part_numbers
from curation.config import CurateConfig
from curation.decode import BadImage
from curation.embed.embedder import Embedder
from curation.embed.importing.stored import is_imported
from curation.embed.table import load_embedder, model_name
from curation.explain.explain import Explanation, WorkspaceFiles, explain_key, rows_where
from curation.explain.query import QueryReport, query_image
from curation.select.overrides import read_overrides
from curation.select.regroup import regroups
from curation.select.selection import read_groups
from curation.sources.uri import file_uri
from curation.workspace import Workspace


def explain(workspace: Workspace, image: str) -> list[Explanation]:
    """Why an image, named by key, path or uri, is in or out; several when a file's bytes changed since.

    Errors: MissingInput when the catalogue does not know it.
    """
    workspace.require_catalog()
    files = files_of(workspace)
    found = [explain_key(key, files) for key in keys_named(workspace, image)]
    known = [one for one in found if one.occurrences or one.decision or one.sample]
    if not known:
        raise MissingInput(
            f"{image} is not in the catalogue of {workspace.root}: give a key, a path or a uri of it, or ask for any "
            "image file with `curate query`"
        )
    return known


def files_of(workspace: Workspace) -> WorkspaceFiles:
    """The tables that explanations read."""
    return WorkspaceFiles(
        catalog=workspace.catalog,
        sets=workspace.root / "sets",
        filters=workspace.filters,
        derived=workspace.derived,
        selection=workspace.selection,
        groups=workspace.dedup / "groups.parquet",
        pairs=workspace.dedup / "pairs.parquet",
        maybe=workspace.dedup / "maybe.parquet",
        retrieval=workspace.retrieval,
        manifest=workspace.dataset / MANIFEST_FILE,
        overrides=workspace.overrides,
        regrouped=read_groups(workspace) if regroups(read_overrides(workspace.overrides)).num_rows else None,
    )


def keys_named(workspace: Workspace, image: str) -> list[str]:
    """Keys that a key, path or uri stands for: that of the file's bytes, and that under which its uri is catalogued."""
    if is_key(image.lower()):
        return [image.lower()]
    keys = []
    path = Path(image).expanduser()
    if path.is_file():
        keys.append(key_of_bytes(path.read_bytes()))
    container, _, member = image.rpartition("#")
    inside = f"{file_uri(Path(container).absolute())}#{member}"  # a member of an archive, or a row of a table
    uris = [uri for uri in (image, file_uri(path.absolute()), file_uri(path), inside) if _is_text(uri)]
    for number in part_numbers(workspace.catalog):
        keys += [row["key"] for row in rows_where(part_file(workspace.catalog, number), "uri", uris) if row["key"]]
    return list(dict.fromkeys(keys))


def _is_text(name: str) -> bool:
    """Whether a name can stand in a table; the raw name of a file that is not UTF-8 cannot, its uri can."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def query_set(
    workspace: Workspace, config: CurateConfig, image: Path, answers: int, say: Callable[[str], None]
) -> QueryReport:
    """Whether an image file, a copy of it, or its like is in the set. Errors: MissingInput, UserError (no image)."""
    workspace.require_catalog()
    if not image.is_file():
        raise MissingInput(f"there is no image file {image}")
    embedders: list[tuple[Embedder, EmbeddingStore, float | None]] = []
    for model, asked in ((config.dedup.model, config.dedup.threshold), (config.retrieve.model, None)):
        folder = workspace.embeddings(model_name(model))
        if not (folder / "embeddings.json").is_file():
            say(f"no vectors of {model} yet, so it was not asked: make them with `curate embed --model {model}`")
            continue
        if is_imported(model):
            say(f"{model} stands for imported vectors, which say nothing of a new image, so it was not asked")
            continue
        embedder = load_embedder(model, config.embed)
        threshold = asked if asked is not None else embedder.default_threshold
        embedders.append((embedder, EmbeddingStore.open(folder), threshold))
    try:
        return query_image(image.read_bytes(), embedders, workspace.catalog, workspace.selection, answers)
    except BadImage as bad:
        raise UserError(f"{image} is not a usable image ({bad}): give another file") from None
