"""Commands on datasets and whole recipes: build, verify, diff, run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation import api
from curation.cli.options import (
    DEFAULT_WORKSPACE,
    AddressOption,
    DryRunOption,
    EngineOption,
    JsonOption,
    SetOption,
    WorkersOption,
    WorkspaceOption,
)
from curation.cli.session import open_session, say, show, show_foresight
from curation.write.dataset_card import composition_lines


def build(
    out: Annotated[str | None, typer.Option("--out", help="Folder, or s3://... (default: WORKSPACE/dataset).")] = None,
    datacomp_subset: Annotated[
        Path | None, typer.Option("--datacomp-subset", help="Also write the uids of the images as a u8,u8 .npy file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the kept images as a WebDataset folder with its composition table.

    Example: curate build --out datasets/birds
    """
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        target = api.BuildTarget(out, dry_run, datacomp_subset)
        report = api.build(session.workspace, session.config, session.engine, target, say)
    lines = [*composition_lines(report.parts, report.samples), "next: trainer pretrain"]
    show(report.as_dict() if as_json else report.counts(), "build", as_json=as_json, lines=lines)


def verify(
    dataset: Annotated[Path | None, typer.Argument(help="Dataset folder (default: WORKSPACE/dataset).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Read every byte of a dataset folder and check every checksum, count and invariant.

    Example: curate verify workspace/dataset
    """
    report = api.verify(dataset or api.Workspace(workspace).dataset)
    show(report.as_dict() if as_json else report.counts(), "verify", as_json=as_json, lines=report.problems)
    report.require_sound()


def diff(
    a: Annotated[Path, typer.Argument(help="A dataset folder.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two datasets: images in both, in one only, and what they are made of.

    Example: curate diff old/dataset workspace/dataset
    """
    report = api.diff(a, b)
    show(report.as_dict() if as_json else report.counts(), "diff", as_json=as_json, lines=report.lines())


def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe: a YAML file with steps.")],
    dry_run: DryRunOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run all steps of a recipe; what is done and has not changed is not done again.

    Example: curate run pipelines/lvd142m.yaml
    """
    if dry_run:
        place = api.Workspace(workspace)
        show_foresight(api.foresee_recipe_file(place, place.config(settings or ()), recipe), as_json=as_json)
        return
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        report = api.run_recipe(session.workspace, session.config, recipe, session.engine, say)
    show(report.as_dict() if as_json else report.counts(), f"recipe {report.recipe}", as_json=as_json)
