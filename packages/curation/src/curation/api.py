"""One function per command of `curate`. The command line only parses and prints; programs call these.

Example:
    from pathlib import Path
    from curation import api

    workspace = api.init(Path("workspace"), api.NewWorkspace(sources=["photos"]))
    config = workspace.config()
    with api.open_engine("local") as engine:
        api.ingest(workspace, config, engine)
        api.dedup(workspace, config, engine)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.errors import UserError, nearest_name
from curation.build_step import BuildReport, BuildTarget, build_into
from curation.cluster_step import ClusterReport, SampleReport, run_cluster, run_sample
from curation.config import CurateConfig
from curation.dedup.group_report import DedupReport
from curation.dedup.sweep import SweepReport
from curation.dedup_step import run_dedup, run_sweep
from curation.demo.make_demo_images import make_demo_images
from curation.demo.truth import read_truth
from curation.embed.embed_catalog import EmbedReport
from curation.embed.embed_catalog import embed as _embed
from curation.embed.importing.import_vectors import ImportReport
from curation.embed.table import model_name
from curation.engine import Engine, open_engine
from curation.explain.explain import Explanation
from curation.explain.query import QueryReport
from curation.explore_step import Listening, explore_workspace
from curation.filter_step import FilterStepReport, run_filter
from curation.foresight import Foresight, foresee_cluster, foresee_dedup, foresee_recipe, foresee_retrieve
from curation.import_step import ImportRequest, run_import
from curation.ingest.ingest import IngestReport
from curation.ingest.ingest import ingest as _ingest
from curation.ingest.retry import RetryReport
from curation.ingest.retry import retry_failed as _retry
from curation.init import NewWorkspace, absolute, init_workspace, named_paths
from curation.look_up import explain, query_set
from curation.plan_step import PlanAsked
from curation.plan_step import plan_pool as plan
from curation.recipe_step import RecipeReport, run_steps
from curation.recipes.recipe import read_recipe
from curation.report.diff import DiffReport, diff
from curation.report_step import ReportReport, report_into
from curation.retrieve_step import RetrieveReport, forget_seeds, retrieve_into
from curation.workspace import Workspace
from curation.write.verify import VerifyReport, verify

__all__ = [
    "BuildReport",
    "BuildTarget",
    "ClusterReport",
    "DedupReport",
    "DiffReport",
    "EmbedReport",
    "Explanation",
    "FilterStepReport",
    "Foresight",
    "ImportReport",
    "ImportRequest",
    "Listening",
    "NewWorkspace",
    "PlanAsked",
    "QueryReport",
    "RecipeReport",
    "ReportReport",
    "RetrieveReport",
    "RetryReport",
    "SampleReport",
    "VerifyReport",
    "Workspace",
    "build",
    "cluster",
    "dedup",
    "dedup_sweep",
    "diff",
    "embed",
    "explain",
    "explore",
    "filter_images",
    "foresee_cluster",
    "foresee_dedup",
    "foresee_recipe_file",
    "foresee_retrieve",
    "forget_seeds",
    "import_embeddings",
    "ingest",
    "init",
    "init_from_options",
    "make_demo_images",
    "open_engine",
    "plan",
    "query",
    "read_truth",
    "report",
    "retrieve",
    "retry_failed",
    "run_recipe",
    "sample",
    "verify",
]

DEMO_FOLDER = "demo-images"
DEMO_DEDUP_THRESHOLD = 0.68

Say = Callable[[str], None]
_WORKSPACE_DATASET = BuildTarget()


def _silent(_told: object) -> None:
    """The default of programs: nothing is said."""


def init(root: Path, new: NewWorkspace, *, force: bool = False) -> Workspace:
    """Make a workspace. Errors: UserError (it exists), MissingInput (a path is not there)."""
    return init_workspace(root, new, force=force)


def init_from_options(
    root: Path,
    pools: Sequence[str],
    seeds: Sequence[str],
    references: Sequence[str],
    *,
    demo: bool,
    force: bool = False,
) -> Workspace:
    """Make a workspace from what the command line says: NAME=PATH texts, and the built-in images with `demo`.

    Errors: UserError, MissingInput.
    """
    new = NewWorkspace(pools, named_paths(seeds, "--seed"), named_paths(references, "--reference"))
    if demo:
        folder = root.parent / DEMO_FOLDER
        made = make_demo_images(folder)
        new = NewWorkspace(
            sources=[*pools, str(folder / "pool")],
            seeds={"imagenet": str(folder / "seed"), **new.seeds},
            references={"probe": str(folder / "probe" / "test"), **new.references},
            remarks=(
                f"Written by `curate init --demo`: {made.images} procedural pictures in {folder.name}/.",
                "The name `imagenet` stands here for the demo's own seed set, so that the commands of the README work",
                "as they are typed. Put the path of your ImageNet folder in its place. The demo's textures",
                "are more alike than photographs, so the threshold of copies is higher than the default.",
            ),
            dedup_threshold=DEMO_DEDUP_THRESHOLD,
        )
    return init_workspace(root, new, force=force)


def ingest(workspace: Workspace, config: CurateConfig, engine: Engine, sources: Sequence[str] = ()) -> IngestReport:
    """Catalogue the given sources, or those of curate.yaml. Errors: UserError when there are none."""
    chosen = [absolute(source) for source in sources or config.sources]
    if not chosen:
        raise UserError(
            f"{workspace.settings} names no sources: write them there, or give them: `curate ingest path/to/images`"
        )
    strange = {absolute(source) for source in config.ingest.subsets} - {*map(absolute, config.sources), *chosen}
    if strange:
        raise UserError(
            f"ingest.subsets names {min(strange)}, which is no source: {nearest_name(min(strange), config.sources)}"
        )
    return _ingest(chosen, workspace.catalog, config.ingest, engine)


def retry_failed(workspace: Workspace, config: CurateConfig, engine: Engine) -> RetryReport:
    """Read what is in quarantine once more. Errors: MissingInput when nothing is catalogued."""
    workspace.require_catalog()
    return _retry(workspace.catalog, config.ingest, engine)


def embed(workspace: Workspace, config: CurateConfig, engine: Engine, models: Sequence[str] = ()) -> list[EmbedReport]:
    """Embed what is not embedded yet, with the given models or those that dedup and retrieval use."""
    workspace.require_catalog()
    chosen = list(dict.fromkeys(models or (config.dedup.model, config.retrieve.model)))
    return [
        _embed(workspace.catalog, workspace.embeddings(model_name(model)), model, engine, config.embed)
        for model in chosen
    ]


def import_embeddings(
    workspace: Workspace, config: CurateConfig, engine: Engine, request: ImportRequest, say: Say = _silent
) -> ImportReport:
    """Vectors that another tool made (.npy or .npz beside Parquet) as a store called `imported:NAME`."""
    return run_import(workspace, config, engine, request, say)


def filter_images(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say = _silent) -> FilterStepReport:
    """Measure size, sharpness and emptiness of every image and drop what is out of bounds."""
    return run_filter(workspace, config, engine, say)


def dedup(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say = _silent) -> DedupReport:
    """Find exact and near duplicates and keep one of each group; embeds what is missing. `say` gets progress lines."""
    return run_dedup(workspace, config, engine, say)


def dedup_sweep(
    workspace: Workspace, config: CurateConfig, thresholds: Sequence[float], engine: Engine, say: Say = _silent
) -> SweepReport:
    """What other thresholds would keep, from the pairs on disk; decides nothing."""
    return run_sweep(workspace, config, thresholds, engine, say)


def cluster(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say = _silent) -> ClusterReport:
    """Hierarchical k-means of the deduplicated pool; embeds what is missing."""
    return run_cluster(workspace, config, engine, say)


def sample(
    workspace: Workspace, config: CurateConfig, engine: Engine, images: int | None = None, say: Say = _silent
) -> SampleReport:
    """A balanced sample of the clustered pool (default: a tenth of it), with or without seed sets beside it."""
    return run_sample(workspace, config, images, engine, say)


def retrieve(
    workspace: Workspace, config: CurateConfig, seeds: Sequence[str], engine: Engine, say: Say = _silent
) -> RetrieveReport:
    """Bring from the pool what resembles seed sets (names, paths, NAME=PATH); embeds what is missing."""
    return retrieve_into(workspace, config, seeds, engine, say)


def build(
    workspace: Workspace,
    config: CurateConfig,
    engine: Engine,
    target: BuildTarget = _WORKSPACE_DATASET,
    say: Say = _silent,
) -> BuildReport:
    """Write the dataset folder of the kept images, unless it is there already."""
    return build_into(workspace, config, engine, target, say)


def query(
    workspace: Workspace, config: CurateConfig, image: Path, answers: int = 10, say: Say = _silent
) -> QueryReport:
    """Whether an image file, a copy of it, or its like is in the set."""
    return query_set(workspace, config, image, answers, say)


def run_recipe(
    workspace: Workspace, config: CurateConfig, recipe: Path, engine: Engine, say: Say = _silent
) -> RecipeReport:
    """Run the steps of a recipe file; what is done already and has not changed is not done again."""
    return run_steps(workspace, config, read_recipe(recipe), engine, say)


def foresee_recipe_file(workspace: Workspace, config: CurateConfig, recipe: Path) -> Foresight:
    """What the steps of a recipe file would do, and which sets and models are missing; nothing is run."""
    return foresee_recipe(workspace, config, read_recipe(recipe))


def report(workspace: Workspace, config: CurateConfig, out: Path | None = None) -> ReportReport:
    """Write one HTML page over a workspace: counts, composition, duplicates, doubtful pairs, retrievals."""
    return report_into(workspace, config, out)


def explore(
    workspace: Workspace,
    config: CurateConfig,
    host: str = "127.0.0.1",
    port: int = 8642,
    tell: Callable[[Listening], None] = _silent,
) -> None:
    """Serve a web page over a workspace until stopped; `tell` hears where once it listens. Errors: UserError."""
    explore_workspace(workspace, config, host, port, tell)
