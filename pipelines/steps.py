"""The steps of a whole recipe, through the packages' public functions. Each goes on where a killed run was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.config import dump_yaml
from contracts.publish import publish_text
from curation import api as curation
from distill import api as distillation
from pipelines.recipe import WholeRecipe
from trainer import api as training

Say = Callable[[str], None]
Report = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """Where a recipe's parts lie below its output folder."""

    out: Path

    @property
    def images(self) -> Path:
        """The built-in images, where the recipe uses them."""
        return self.out / "images"

    @property
    def workspace(self) -> Path:
        """Workspace of the curation."""
        return self.out / "workspace"

    @property
    def pretrained(self) -> Path:
        """The pretraining run."""
        return self.out / "runs" / "pretrain"

    @property
    def distilled(self) -> Path:
        """The distillation run."""
        return self.out / "runs" / "distill"

    def place(self, path: str) -> str:
        """A path of the recipe, absolute; addresses with :// stay."""
        return path if "://" in path else str((self.out / path).absolute())


def make_images(recipe: WholeRecipe, folders: Folders, _say: Say) -> Report:
    """Write the built-in images, unless they are there."""
    wanted = recipe.demo_images
    if wanted is None:
        return {}
    made = curation.make_demo_images(folders.images, seed=wanted.seed, images=wanted.images, image_px=wanted.image_px)
    return {"pool_files": made.pool_files(), "seed_images": made.seed_images}


def curate(recipe: WholeRecipe, folders: Folders, say: Say) -> Report:
    """All steps of curation in one engine session."""
    new = curation.NewWorkspace(
        [folders.place(source) for source in recipe.sources],
        {name: folders.place(path) for name, path in recipe.seeds.items()},
        {name: folders.place(path) for name, path in recipe.references.items()},
    )
    workspace = curation.init(folders.workspace, new, force=True)
    config = workspace.config()
    steps = folders.out / "curate-recipe.yaml"
    publish_text(steps, dump_yaml({"name": recipe.name, "steps": recipe.curate.steps}))
    with curation.open_engine(recipe.curate.engine) as engine:
        report = curation.run_recipe(workspace, config, steps, engine, say)
    problems = curation.verify(workspace.dataset).problems
    if problems:
        raise RuntimeError(f"the dataset that was just written is not sound: {problems[0]}")
    return report.as_dict()


def pretrain(recipe: WholeRecipe, folders: Folders, say: Say) -> Report:
    """Pretrain on the dataset; the probe set is watched during training."""
    wanted = recipe.pretrain
    overrides = [*wanted.settings]
    if recipe.probe_train and recipe.probe_test:
        overrides.append(f"probe.data={folders.place(recipe.probe_train)}")
        overrides.append(f"probe.test={folders.place(recipe.probe_test)}")
    return training.pretrain(
        wanted.config,
        data=str(folders.workspace / "dataset"),
        out=folders.pretrained,
        steps=wanted.steps,
        overrides=overrides,
        say=say,
    )


def distill(recipe: WholeRecipe, folders: Folders, say: Say) -> Report:
    """Distil the pretrained run into the recipe's students."""
    wanted = recipe.distill
    if wanted is None:
        return {}
    return distillation.run(
        wanted.students,
        teacher=str(folders.pretrained),
        data=str(folders.workspace / "dataset"),
        config=wanted.config,
        out=folders.distilled,
        steps=wanted.steps,
        overrides=wanted.settings,
        say=say,
    )


def evaluate(recipe: WholeRecipe, folders: Folders, _say: Say) -> Report:
    """k-NN accuracy of every model and its baselines on the probe set."""
    if not (recipe.probe_train and recipe.probe_test):
        return {}
    train, test = folders.place(recipe.probe_train), folders.place(recipe.probe_test)
    report = {"pretrained": training.evaluate(str(folders.pretrained), train, test=test)}
    if recipe.distill is not None:
        report["distilled"] = training.evaluate(str(folders.distilled), train, test=test)
    return report


STEPS: dict[str, Callable[[WholeRecipe, Folders, Say], Report]] = {
    "images": make_images,
    "curate": curate,
    "pretrain": pretrain,
    "distill": distill,
    "evaluate": evaluate,
}
