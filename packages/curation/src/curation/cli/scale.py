"""The command that looks ahead: plan."""

from __future__ import annotations

from typing import Annotated

import typer

from curation import api
from curation.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption
from curation.cli.session import show, show_projection


def plan(
    images: Annotated[float | None, typer.Option("--images", min=1, help="1.2e9 (default: this workspace's).")] = None,
    image_bytes: Annotated[
        float | None, typer.Option("--image-bytes", min=1, help="Bytes of a mean image (default: the workspace's).")
    ] = None,
    megapixels: Annotated[float | None, typer.Option("--megapixels", min=0, help="Of a mean image.")] = None,
    model: Annotated[str, typer.Option("--model", help="descriptor | phash: what dedup compares by.")] = "descriptor",
    cores: Annotated[
        int | None, typer.Option("--cores", min=1, help="Cores in all (default: of this machine).")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say what curating a pool of any size takes: time, memory, disk and index of every step.

    Example: curate plan --images 1.2e9 --cores 512
    """
    asked = api.PlanAsked(images, image_bytes, megapixels, model, cores)
    found = api.plan(api.Workspace(workspace), asked)
    if as_json:
        show(found.as_dict(), "plan", as_json=True)
        return
    show_projection(found)
