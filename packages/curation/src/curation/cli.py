"""The command line of `curate`: parses, calls curation.api, prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contracts.errors import UserError
from curation import api
from curation.config import CurateConfig
from curation.dedup.options import dedup_overrides
from curation.engine import Engine

app = typer.Typer(
    name="curate",
    help="From a pool of raw images to a deduplicated, retrieved and explained dataset.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]
EngineOption = Annotated[str | None, typer.Option("--engine", help="ray | local (default: curate.yaml, else ray).")]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Parts worked on at once (default: all cores).")]
AddressOption = Annotated[str | None, typer.Option("--ray-address", help="Address of a Ray cluster.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable.")]

DEFAULT_WORKSPACE = Path("workspace")


def main() -> None:
    """Entry point: a UserError becomes one sentence and exit code 2; any other error is our bug, with traceback."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"curate: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("curate: stopped; the same command goes on where it was\n")
        sys.exit(130)


def say(text: str) -> None:
    """A line for the person who waits, on stderr."""
    sys.stderr.write(f"{text}\n")


def show(report: Mapping[str, Any], title: str, *, as_json: bool, lines: Sequence[str] = ()) -> None:
    """The report of a step: JSON, or a small table and some lines."""
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, default=str) + "\n")
        return
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in report.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {count}" for key, count in value.items()) or "-"
        elif isinstance(value, int) and not isinstance(value, bool):
            value = f"{value:,}"
        table.add_row(name.replace("_", " "), str(value))
    console = Console()
    console.print(table)
    for line in lines:
        console.print(line, highlight=False, markup=False)


@dataclass(frozen=True)
class Session:
    """An open workspace with its settings and an engine."""

    workspace: api.Workspace
    config: CurateConfig
    engine: Engine


@contextmanager
def open_session(
    workspace: Path, settings: list[str] | None, engine: str | None, workers: int | None, ray_address: str | None
) -> Iterator[Session]:
    """Open a workspace; command-line options go before curate.yaml."""
    place = api.Workspace(workspace)
    config = place.config(settings or ())
    kind = engine or config.engine.kind
    with api.open_engine(kind, workers or config.engine.workers, ray_address or config.engine.ray_address) as opened:
        yield Session(place, config, opened)


@app.command()
def init(
    pools: Annotated[list[str] | None, typer.Argument(help="Folders, tars, Parquet tables or file lists.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: Annotated[list[str] | None, typer.Option("--seed", help="NAME=PATH of a seed set, repeatable.")] = None,
    reference: Annotated[
        list[str] | None, typer.Option("--reference", help="NAME=PATH of a benchmark set, repeatable.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Write the small built-in image set and use it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write curate.yaml anew.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a workspace with a commented curate.yaml.

    Example: curate init photos crawl.parquet --seed imagenet=path/to/imagenet
    """
    place = api.init_from_options(workspace, pools or [], seed or [], reference or [], demo=demo, force=force)
    found = place.config()
    report = {
        "settings": str(place.settings),
        "sources": list(found.sources),
        "seeds": found.seeds,
        "references": found.references,
    }
    show(report, "workspace", as_json=as_json, lines=["next: curate ingest"])


@app.command()
def ingest(
    sources: Annotated[list[str] | None, typer.Argument(help="Sources (default: those of curate.yaml).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Catalogue images; what cannot be used goes to quarantine with a reason.

    Example: curate ingest
    """
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        report = api.ingest(session.workspace, session.config, session.engine, sources or [])
    show(report.as_dict(), "ingest", as_json=as_json, lines=["next: curate dedup --index faiss"])


@app.command()
def embed(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="descriptor | scene | Hugging Face folder or id | *.pt | run; repeatable."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Embed what is not embedded yet (default: with the models of dedup and retrieval).

    Example: curate embed --model facebook/dinov2-small
    """
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        reports = api.embed(session.workspace, session.config, session.engine, model or [])
    if as_json:
        show({"models": [report.as_dict() for report in reports]}, "embed", as_json=True)
        return
    for report in reports:
        show(report.as_dict(), f"embed {report.model}", as_json=False)


@app.command()
def dedup(
    index: Annotated[str | None, typer.Option("--index", help="faiss (chosen by size) | exact | ivf.")] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", help="Cosine above which two are copies.")] = None,
    neighbors: Annotated[int | None, typer.Option("--neighbors", help="Keep k nearest only (the paper: 64).")] = None,
    against: Annotated[
        list[str] | None, typer.Option("--against", help="Reference set, NAME | PATH | NAME=PATH, repeatable.")
    ] = None,
    against_threshold: Annotated[float | None, typer.Option("--against-threshold", help="Its own cosine.")] = None,
    components: Annotated[
        str | None, typer.Option("--components", help="connected | greedy | mutual-knn: how pairs become groups.")
    ] = None,
    max_component: Annotated[int | None, typer.Option("--max-component", help="Split larger groups.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Embedder (default: descriptor).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Group exact and near duplicates and keep one picture of each group.

    Example: curate dedup --index faiss --against imagenet-val=path/to/val
    """
    options = {
        "index": index,
        "threshold": threshold,
        "neighbors": neighbors,
        "against": against,
        "against_threshold": against_threshold,
        "components": components,
        "max_component": max_component,
        "model": model,
    }
    overrides = [*(settings or []), *dedup_overrides(options)]
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.dedup(session.workspace, session.config, session.engine, say)
    show(report.counts() if not as_json else report.as_dict(), "dedup", as_json=as_json, lines=report.lines())
