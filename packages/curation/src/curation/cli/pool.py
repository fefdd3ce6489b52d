"""Commands on the pool: init, ingest, embed."""

from __future__ import annotations

from typing import Annotated

import typer

from curation import api
from curation.cli.options import (
    DEFAULT_WORKSPACE,
    AddressOption,
    EngineOption,
    JsonOption,
    SetOption,
    WorkersOption,
    WorkspaceOption,
)
from curation.cli.session import open_session, show


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


def ingest(
    sources: Annotated[list[str] | None, typer.Argument(help="Sources (default: those of curate.yaml).")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Read what is in quarantine once more, and nothing else.")
    ] = False,
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
        if retry_failed:
            again = api.retry_failed(session.workspace, session.config, session.engine)
            show(again.as_dict(), "retry", as_json=as_json)
            return
        report = api.ingest(session.workspace, session.config, session.engine, sources or [])
    show(report.as_dict(), "ingest", as_json=as_json, lines=["next: curate dedup --index faiss"])


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
