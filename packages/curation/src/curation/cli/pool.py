"""Commands on the pool: init, ingest, embed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from contracts.errors import UserError
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
from curation.cli.session import open_session, say, show
from curation.config import CurateConfig


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
    subset: Annotated[
        str | None, typer.Option("--subset", help="DataComp subset (u8,u8 .npy): only its uids of the SOURCES given.")
    ] = None,
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
    with open_session(workspace, settings, engine, workers, ray_address) as opened:
        session = replace(opened, config=with_subset(opened.config, sources, subset))
        if retry_failed:
            again = api.retry_failed(session.workspace, session.config, session.engine)
            show(again.as_dict(), "retry", as_json=as_json)
            return
        report = api.ingest(session.workspace, session.config, session.engine, sources or [])
    lines = [*(one.line() for one in report.subsets), "next: curate dedup --index faiss"]
    told = report.as_dict()
    show(told if as_json else {k: v for k, v in told.items() if k != "subsets"}, "ingest", as_json=as_json, lines=lines)


def with_subset(config: CurateConfig, sources: list[str] | None, subset: str | None) -> CurateConfig:
    """The settings with a subset for the sources of the command line. Errors: UserError when none are given."""
    if subset is None:
        return config
    if not sources:
        raise UserError("--subset needs the sources that it belongs to: curate ingest datacomp/shards --subset FILE")
    ingest = config.ingest.model_copy(update={"subsets": {**config.ingest.subsets, **dict.fromkeys(sources, subset)}})
    return config.model_copy(update={"ingest": ingest})


def embed(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="descriptor | scene | Hugging Face folder or id | *.pt | run; repeatable."),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--import", help="Vectors to import: .npy or .npz beside Parquet, or their folder; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Their name: then --model imported:NAME.")] = None,
    of: Annotated[str | None, typer.Option("--of", help="The seed or reference set that they belong to.")] = None,
    array: Annotated[str | None, typer.Option("--array", help="Which array of .npz files, such as l14_img.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Embed what is not embedded yet (default: with the models of dedup and retrieval), or import vectors.

    Example: curate embed --model facebook/dinov2-small

    Example: curate embed --import clip-embeddings --name clip
    """
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        if files or name or of or array:
            request = import_request(files, name, array, of, model)
            found = api.import_embeddings(session.workspace, session.config, session.engine, request, say)
            next_line = f"next: curate dedup --model {found.model} --threshold 0.95"
            show(found.as_dict(), "import", as_json=as_json, lines=[] if of else [next_line])
            return
        reports = api.embed(session.workspace, session.config, session.engine, model or [])
    if as_json:
        show({"models": [report.as_dict() for report in reports]}, "embed", as_json=True)
        return
    for report in reports:
        show(report.as_dict(), f"embed {report.model}", as_json=False)


def import_request(
    files: list[str] | None, name: str | None, array: str | None, of: str | None, model: list[str] | None
) -> api.ImportRequest:
    """What to import. Errors: UserError for options that do not go together."""
    if not files or not name:
        raise UserError("vectors are imported with both --import FILES and --name NAME (--array, --of go with them)")
    if model:
        raise UserError("--import takes vectors as they are and --model computes them: give one of the two")
    return api.ImportRequest(files, name, array, of)
