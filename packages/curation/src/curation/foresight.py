"""`--dry-run`: what a step would do and what it lacks, without decoding an image, fetching or writing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.embedding_store import HEADER, EmbeddingStore
from contracts.errors import MissingInput, UserError
from curation.catalog import part_numbers, unique_images
from curation.cluster.cluster_files import stored_clusters
from curation.cluster.growth import drift_of
from curation.cluster_pool import clusters_made, level_plans, pool_keys
from curation.config import CurateConfig
from curation.dedup.dedup_pool import plan_of
from curation.dedup.thresholds import thresholds_of
from curation.dedup_step import find_references
from curation.embed.importing.stored import is_imported, open_imported
from curation.embed.table import is_local, load_embedder, model_name
from curation.index.footprint import describe_device, describe_memory, footprint, machine_memory
from curation.index.plan import IndexPlan
from curation.recipe_step import settle
from curation.recipes.recipe import BuildStep, DedupStep, IngestStep, Recipe, RetrieveStep, SampleStep, Step
from curation.retrieve.known_sets import known_set
from curation.retrieve.retrieve_seeds import search_plan
from curation.retrieve.seed_lookup import FoundSet
from curation.retrieve.stored_vectors import identity_of
from curation.retrieve_step import find_image_set
from curation.workspace import Workspace

Values = dict[str, Any]


@dataclass
class Foresight:
    """What would happen, by name, and a sentence for everything that is missing."""

    step: str
    values: Values = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def as_dict(self) -> Values:
        """JSON-ready values."""
        return {"step": self.step, "dry_run": True, **self.values, "missing": self.missing}

    def lines(self) -> list[str]:
        """A line for everything that is missing."""
        return [f"missing: {sentence}" for sentence in self.missing]

    def require_complete(self) -> None:
        """Errors: MissingInput when something is missing."""
        if self.missing:
            things = "1 thing is missing" if len(self.missing) == 1 else f"{len(self.missing)} things are missing"
            raise MissingInput(f"{self.step} cannot run yet: {things}")


@dataclass(frozen=True)
class Vectors:
    """Images of the pool, how many have vectors of a model, its width, and its thresholds by name."""

    images: int
    stored: int
    dim: int
    known: Mapping[str, Any]


def foresee_dedup(workspace: Workspace, config: CurateConfig) -> Foresight:
    """Images to embed, index, thresholds, reference sets. Errors: MissingInput without a catalogue."""
    workspace.require_catalog()
    seen, settings = Foresight("dedup"), config.dedup
    vectors = _vectors(seen, workspace, config, settings.model)
    _references(seen, workspace, config)
    if vectors is not None:
        _index(seen, plan_of(settings.index, vectors.images, vectors.dim))
        try:
            limits = thresholds_of(settings, settings.model, vectors.known, bool(settings.against))
        except UserError as error:
            seen.missing.append(str(error))
        else:
            against = limits.against if settings.against else None
            seen.values |= {"threshold": limits.same, "against threshold": against, "maybe threshold": limits.maybe}
    seen.values["components"] = settings.components
    return seen


def foresee_retrieve(workspace: Workspace, config: CurateConfig, seeds: Sequence[str]) -> Foresight:
    """Seed sets and where they are, images to embed, index. Errors: MissingInput without a catalogue."""
    workspace.require_catalog()
    seen = Foresight("retrieve")
    _seeds(seen, workspace, config, seeds)
    vectors = _vectors(seen, workspace, config, config.retrieve.model)
    if vectors is not None:
        _index(seen, search_plan(config.retrieve.index, len(pool_keys(workspace)), vectors.dim), overlap=1)
    return seen


def foresee_cluster(workspace: Workspace, config: CurateConfig) -> Foresight:
    """Images to embed, levels, and whether centroids are trained. Errors: MissingInput without a catalogue."""
    workspace.require_catalog()
    seen, settings = Foresight("cluster"), config.cluster
    vectors, keys = _vectors(seen, workspace, config, settings.model), pool_keys(workspace)
    stored = None
    if vectors is not None and vectors.stored:
        store = EmbeddingStore.open(workspace.embeddings(model_name(settings.model)))
        stored = stored_clusters(workspace.clusters, clusters_made(store, identity_of(store, keys), settings))
    drift = drift_of(stored, keys) if stored else None
    if stored and drift and drift.share <= settings.retrain_above:
        counts = [len(level.centroids) for level in stored.levels]
        seen.values["centroids"] = f"those on disk: {drift.describe()}"
    else:
        counts = [min(plan.clusters, len(keys)) for plan in level_plans(settings, len(keys))]
        limit = f"cluster.retrain_above is {settings.retrain_above:g}"
        seen.values["centroids"] = f"trained anew: {drift.describe()}; {limit}" if drift else "trained: none on disk"
    seen.values |= {"clustered": len(keys), "clusters": ", ".join(f"{count:,}" for count in counts)}
    seen.values["device"] = describe_device()
    return seen


def _index(seen: Foresight, plan: IndexPlan, overlap: float | None = None) -> None:
    """How vectors are compared, what that takes, and where."""
    memory = describe_memory(footprint(plan, overlap), machine_memory())
    seen.values |= {"index": plan.describe(), "memory": memory, "device": describe_device()}


def foresee_recipe(workspace: Workspace, config: CurateConfig, recipe: Recipe) -> Foresight:
    """Every step with its sets and models; settings are checked as by a run. Errors: ConfigError."""
    seen = Foresight(f"recipe {recipe.name}")
    catalogued = bool(part_numbers(workspace.catalog))
    for number, step in enumerate(recipe.steps, 1):
        own = settle(config, step, f"{recipe.name}, step {number} ({step.step})")
        one = Foresight(step.step)
        if isinstance(step, RetrieveStep):
            _seeds(one, workspace, own, step.seeds)
        if isinstance(step, DedupStep):
            _references(one, workspace, own)
        models = {"dedup": own.dedup.model, "retrieve": own.retrieve.model, "cluster": own.cluster.model}
        model = getattr(step, "model", None) or models.get(step.step)
        if model is not None:
            _vectors(one, workspace, own, model, catalogued)
        one.values |= dict(_asked(step))
        told = "; ".join(f"{what} {value}" for what, value in one.values.items() if value)
        seen.values[f"{number}. {step.step}"] = told or "-"
        seen.missing += [sentence for sentence in one.missing if sentence not in seen.missing]
    return seen


def _asked(step: Step) -> Iterator[tuple[str, Any]]:
    """What a step itself says."""
    if isinstance(step, IngestStep):
        yield "sources", ", ".join(step.sources)
    if isinstance(step, SampleStep):
        yield "images", step.images
    if isinstance(step, BuildStep):
        yield "out", step.out
    yield "with", ", ".join(f"{name}={value}" for name, value in step.settings.items() if name != "model")


def _seeds(seen: Foresight, workspace: Workspace, config: CurateConfig, seeds: Sequence[str]) -> None:
    offline = config.model_copy(update={"retrieve": config.retrieve.model_copy(update={"hub": False})})
    seen.values["seeds"] = _places(seen, config, seeds, lambda text: find_image_set(workspace, offline, text))


def _references(seen: Foresight, workspace: Workspace, config: CurateConfig) -> None:
    def find(text: str) -> FoundSet:
        dedup = config.dedup.model_copy(update={"against": (text,)})
        retrieve = config.retrieve.model_copy(update={"hub": False})
        return find_references(workspace, config.model_copy(update={"dedup": dedup, "retrieve": retrieve}))[0]

    if config.dedup.against:
        seen.values["against"] = _places(seen, config, config.dedup.against, find)


def _places(seen: Foresight, config: CurateConfig, sets: Sequence[str], find: Callable[[str], FoundSet]) -> str:
    """Where each set is, or that a run would download it; every one that is nowhere is missing, not only the first."""
    places = []
    for text in sets:
        try:
            found = find(text)
        except UserError as error:
            entry = known_set(text) if config.retrieve.hub else None
            if entry is None or not entry.hub:
                seen.missing.append(str(error))
                continue
            places.append(f"{text} (not here; a run downloads {entry.hub} from the hub)")
        else:
            places.append(f"{found.name} ({found.source})")
    return ", ".join(places)


def _vectors(
    seen: Foresight, workspace: Workspace, config: CurateConfig, model: str, catalogued: bool = True
) -> Vectors | None:
    """Note the model and how many images it would embed; None when the model is not here to be asked."""
    folder = workspace.embeddings(model_name(model))
    seen.values["model"] = model
    images = unique_images(workspace.catalog, ()).num_rows if catalogued else 0
    try:
        found = _look(folder, config, model, images)
    except UserError as error:
        seen.missing.append(str(error))
        return None
    if found is None:
        seen.values["model"] = f"{model} (not here; a run downloads it from the hub)"
    if catalogued:
        seen.values |= {"images": images, "to embed": max(images - (found.stored if found else 0), 0)}
    return found


def _look(folder: Path, config: CurateConfig, model: str, images: int) -> Vectors | None:
    if is_imported(model) or (folder / HEADER).is_file():
        store = open_imported(folder, model) if is_imported(model) else EmbeddingStore.open(folder)
        return Vectors(images, store.rows, store.dim, store.settings)
    if not is_local(model):
        return None
    embedder = load_embedder(model, config.embed)
    known = {name: getattr(embedder, name) for name in ("default_threshold", "default_against_threshold")}
    return Vectors(images, 0, embedder.dim, known)
