"""Commands that look: explain, query, report, explore (which also writes decisions by hand)."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curation import api
from curation.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    SetOption,
    WorkspaceOption,
)
from curation.cli.session import say, show
from curation.explain.in_words import explanation_lines, query_lines


def explain(
    image: Annotated[str, typer.Argument(help="Key, path or uri of an image.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """Say why an image is in or out: its group, its neighbours, the seed that brought it.

    Example: curate explain photos/0007.jpg
    """
    found = api.explain(api.Workspace(workspace), image)
    if as_json:
        show({"images": [asdict(one) for one in found]}, "explain", as_json=True)
        return
    for line in explanation_lines(found):
        sys.stdout.write(f"{line}\n")


def query(
    image: Annotated[Path, typer.Argument(help="Any image file.")],
    answers: Annotated[int, typer.Option("--answers", min=1, max=1000, help="Images shown per model.")] = 10,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether an image, a copy of it, or its like is in the set.

    Example: curate query holiday.jpg
    """
    place = api.Workspace(workspace)
    report = api.query(place, place.config(settings or ()), image, answers, say)
    if as_json:
        show(asdict(report), "query", as_json=True)
        return
    for line in query_lines(report):
        sys.stdout.write(f"{line}\n")


def report(
    out: Annotated[Path | None, typer.Option("--out", help="File (default: WORKSPACE/report.html).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML page: counts, composition, duplicate groups, pairs around the threshold, what seeds brought.

    Example: curate report
    """
    place = api.Workspace(workspace)
    show(api.report(place, place.config(settings or ()), out).as_dict(), "report", as_json=as_json)


def explore(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine's own need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port (0: any free one).")] = 8642,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a web page over the workspace: search, neighbours, a map, duplicate groups, decisions by hand, exports.

    Example: curate explore
    """

    def tell(listening: api.Listening) -> None:
        if as_json:
            show(asdict(listening), "explore", as_json=True)
            sys.stdout.flush()
        for line in listening.lines():
            say(line)

    place = api.Workspace(workspace)
    api.explore(place, place.config(settings or ()), host, port, tell)
