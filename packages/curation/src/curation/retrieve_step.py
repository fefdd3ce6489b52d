"""`curate retrieve`: find the seed sets, embed what is not embedded, retrieve, decide anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.embedding_store import EmbeddingStore
from contracts.errors import MissingInput, UserError, nearest_name
from curation.catalog import unique_images
from curation.config import CurateConfig
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filters.filter_files import filtered_keys
from curation.index.row_files import scratch_folder
from curation.retrieve.image_set import ImageSet, SetSettings, prepare_image_set
from curation.retrieve.retrieval_files import SeedReport, forget_retrieval, read_retrievals
from curation.retrieve.retrieve_seeds import RetrievalPool, retrieve_seed
from curation.retrieve.seed_lookup import FoundSet, LookupPlaces, find_set
from curation.retrieve.stored_vectors import deduplicated_keys, identity_of
from curation.select.selection import SelectionReport, read_groups, recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]


@dataclass(frozen=True)
class RetrieveReport:
    """What each seed set brought, and the decisions after it."""

    seeds: list[SeedReport]
    selection: SelectionReport

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        return {
            "images catalogued": self.selection.catalogued,
            "kept": self.selection.kept,
            "dropped": self.selection.dropped,
        }

    def lines(self) -> list[str]:
        """A line per seed set."""
        return [*(line_of(seed) for seed in self.seeds), "next: curate build, or trainer pretrain"]


def line_of(seed: SeedReport) -> str:
    """What a seed set brought, in a sentence."""
    rows = ", ".join(f"{count:,} {mode}" for mode, count in seed.rows.items())
    text = f"{seed.seed}: {seed.seed_images:,} seed images brought {seed.images:,} images ({rows})"
    if seed.collision_rate is not None:
        text += f"; {100 * seed.collision_rate:.1f} % of the nearest are wanted by several queries"
    if seed.short_queries:
        text += f"; {seed.short_queries:,} queries got fewer than asked"
    if seed.clusters is not None and seed.clusters_used is not None and seed.before_cap is not None:
        text += f"; {seed.clusters_used:,} of {seed.clusters:,} clusters, {seed.before_cap:,} images before the limit"
    return text


def retrieve_into(
    workspace: Workspace, config: CurateConfig, seeds: Sequence[str], engine: Engine, say: Say
) -> RetrieveReport:
    """Retrieve by seed sets (names, paths or NAME=PATH). Seeds of earlier calls stay; give one again to replace it.

    Errors: MissingInput (no catalogue; a seed that is nowhere), UserError (nothing brought).
    """
    workspace.require_catalog()
    if not seeds:
        raise UserError("no seed set was named: give one, `curate retrieve --seed imagenet` or `--seed path/to/images`")
    found = [find_image_set(workspace, config, text) for text in seeds]
    for one in found:
        say(f"{one.name}: {one.source} (from {one.found})")
    settings = SetSettings(config.retrieve.model, config.ingest, config.embed)
    if not workspace.dedup.is_dir():
        say("the pool has not been deduplicated: `curate dedup` before `curate retrieve` keeps copies out")
    store = embedded_pool(workspace, config, config.retrieve.model, engine)
    keys = deduplicated_keys(
        unique_images(workspace.catalog, ()), read_groups(workspace), filtered_keys(workspace.filters)
    )
    reports = []
    with scratch_folder(workspace.scratch) as scratch:
        pool = RetrievalPool(store, keys, config.retrieve, config.cluster, engine, scratch)
        for one in found:
            seed: ImageSet = prepare_image_set(workspace.image_set(one.name).root, one, settings, engine)
            reports.append(retrieve_seed(workspace.retrieval, pool, seed, say))
    return RetrieveReport(reports, recompute_selection(workspace))


def forget_seeds(workspace: Workspace, seeds: Sequence[str]) -> SelectionReport:
    """Take what seed sets brought out of the workspace and decide anew. Errors: MissingInput for an unknown one."""
    known = [found.report.seed for found in read_retrievals(workspace.retrieval)]
    for seed in seeds:
        if seed not in known:
            raise MissingInput(f"no seed set {seed!r} was retrieved ({nearest_name(seed, known)})")
    for seed in seeds:
        forget_retrieval(workspace.retrieval, seed)
    return recompute_selection(workspace)


def stale_seeds(workspace: Workspace) -> list[str]:
    """Seed sets that were retrieved from another pool than there is now: ingest, embed or dedup ran since."""
    keys = deduplicated_keys(
        unique_images(workspace.catalog, ()), read_groups(workspace), filtered_keys(workspace.filters)
    )
    now: dict[str, str] = {}
    stale = []
    for found in read_retrievals(workspace.retrieval):
        model = found.report.model
        if not (found.report.restricts and found.report.pool):
            continue
        if model not in now:
            now[model] = identity_of(EmbeddingStore.open(workspace.embeddings(model_name(model))), keys)
        if found.report.pool != now[model]:
            stale.append(found.report.seed)
    return stale


def find_image_set(workspace: Workspace, config: CurateConfig, text: str) -> FoundSet:
    """The set that a name or path of the command line means; names of seeds before names of references."""
    places = LookupPlaces(
        workspace=workspace.root,
        working_folder=Path.cwd(),
        configured={**config.references, **config.seeds},
        sources=config.sources,
        hub=config.retrieve.hub,
    )
    return find_set(text, places)


def embedded_pool(workspace: Workspace, config: CurateConfig, model: str, engine: Engine) -> EmbeddingStore:
    """The pool's vectors of a model; what has none yet is embedded first."""
    store = workspace.embeddings(model_name(model))
    embed(workspace.catalog, store, model, engine, config.embed)
    return EmbeddingStore.open(store)
