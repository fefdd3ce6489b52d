"""`curate run`: the steps of a recipe, in order. Each step finds out by itself what is done already."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from contracts.config import StrictModel
from curation.build_step import BuildTarget, build_into
from curation.cluster_step import run_cluster, run_sample
from curation.config import CurateConfig
from curation.dedup_step import run_dedup
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filter_step import run_filter
from curation.ingest.ingest import ingest
from curation.init import absolute
from curation.recipes.recipe import (
    BuildStep,
    ClusterStep,
    DedupStep,
    EmbedStep,
    FilterStep,
    IngestStep,
    Recipe,
    RetrieveStep,
    SampleStep,
    Step,
    with_settings,
)
from curation.retrieve_step import retrieve_into
from curation.workspace import Workspace

Say = Callable[[str], None]
Values = dict[str, Any]


@dataclass(frozen=True)
class StepReport:
    """What one step of a recipe reported."""

    step: str
    seconds: float
    report: Values


@dataclass(frozen=True)
class RecipeReport:
    """What every step reported, in order."""

    recipe: str
    steps: list[StepReport]

    def as_dict(self) -> Values:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> Values:
        """Seconds by step."""
        return {f"{number}. {one.step}": f"{one.seconds:.1f} s" for number, one in enumerate(self.steps, 1)}


def run_steps(workspace: Workspace, config: CurateConfig, recipe: Recipe, engine: Engine, say: Say) -> RecipeReport:
    """Run a recipe. All settings are checked before the first step runs.

    Errors: ConfigError names the step and the setting; those of the steps.
    """
    if recipe.description:
        say(f"{recipe.name}: {recipe.description}")
    settled = [settle(config, step, f"{recipe.name}, step {n} ({step.step})") for n, step in enumerate(recipe.steps, 1)]
    reports = []
    for number, (step, own) in enumerate(zip(recipe.steps, settled, strict=True), 1):
        say(f"step {number} of {len(settled)}: {step.step}")
        started = time.perf_counter()
        report = _run(workspace, own, step, engine, say)
        reports.append(StepReport(step.step, round(time.perf_counter() - started, 2), report))
    return RecipeReport(recipe.name, reports)


def settle(config: CurateConfig, step: Step, where: str) -> CurateConfig:
    """The settings of the workspace with those of one step over their section."""
    name = {"build": "write", "filter": "filters", "sample": "cluster"}.get(step.step, step.step)
    section: StrictModel = getattr(config, name)
    update = {name: with_settings(section, step.settings, where)}
    if isinstance(step, RetrieveStep):
        update["cluster"] = with_settings(config.cluster, step.cluster, f"{where}, cluster")
    return config.model_copy(update=update)


def _run(workspace: Workspace, config: CurateConfig, step: Step, engine: Engine, say: Say) -> Values:
    match step:
        case IngestStep():
            sources = [absolute(source) for source in step.sources or config.sources]
            return ingest(sources, workspace.catalog, config.ingest, engine).as_dict()
        case FilterStep():
            return run_filter(workspace, config, engine, say).as_dict()
        case EmbedStep():
            model = step.model or config.dedup.model
            store = workspace.embeddings(model_name(model))
            return embed(workspace.catalog, store, model, engine, config.embed).as_dict()
        case DedupStep():
            return run_dedup(workspace, config, engine, say).as_dict()
        case RetrieveStep():
            return retrieve_into(workspace, config, step.seeds, engine, say).as_dict()
        case ClusterStep():
            return run_cluster(workspace, config, engine, say).as_dict()
        case SampleStep():
            return run_sample(workspace, config, step.images, engine, say).as_dict()
        case BuildStep():
            return build_into(workspace, config, engine, BuildTarget(step.out), say).as_dict()
