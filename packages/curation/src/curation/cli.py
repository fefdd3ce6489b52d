"""The command line of `curate`: parses, calls curation.api, prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contracts.errors import UserError
from curation import api
from curation.cluster.options import cluster_overrides
from curation.config import CurateConfig
from curation.dedup.options import dedup_overrides
from curation.dedup.sweep import parse_sweep
from curation.engine import Engine
from curation.explain.in_words import explanation_lines, query_lines
from curation.retrieve.options import retrieve_overrides
from curation.write.dataset_card import composition_lines

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
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="LOW:HIGH[:STEP]: only show what these thresholds would keep.")
    ] = None,
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
    thresholds = parse_sweep(sweep) if sweep is not None else None
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        if thresholds is not None:
            swept = api.dedup_sweep(session.workspace, session.config, thresholds, session.engine, say)
            show(swept.as_dict() if as_json else {}, "thresholds", as_json=as_json, lines=swept.lines())
            return
        report = api.dedup(session.workspace, session.config, session.engine, say)
    show(report.counts() if not as_json else report.as_dict(), "dedup", as_json=as_json, lines=report.lines())


@app.command()
def retrieve(
    seed: Annotated[list[str] | None, typer.Option("--seed", help="NAME | PATH | NAME=PATH, repeatable.")] = None,
    forget: Annotated[
        list[str] | None, typer.Option("--forget", help="Take out what a seed set brought, repeatable.")
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="auto (by seed size) | sample | cluster | none.")] = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="The seed's own images join the dataset too.")] = False,
    per_query: Annotated[int | None, typer.Option("--per-query", help="sample: images per seed image.")] = None,
    collisions: Annotated[str | None, typer.Option("--collisions", help="sample: keep | replace | drop.")] = None,
    min_seed_images: Annotated[int | None, typer.Option("--min-seed-images", help="cluster: needed in it.")] = None,
    per_cluster: Annotated[int | None, typer.Option("--per-cluster", help="cluster: images of each.")] = None,
    max_per_seed: Annotated[int | None, typer.Option("--max-per-seed", help="cluster: images per seed set.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Embedder (default: scene).")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring from the pool what resembles seed sets; the rest leaves the selection.

    Example: curate retrieve --seed imagenet
    """
    options = {
        "mode": mode,
        "as_is": as_is,
        "per_query": per_query,
        "collisions": collisions,
        "min_seed_images": min_seed_images,
        "per_cluster": per_cluster,
        "max_per_seed": max_per_seed,
        "model": model,
    }
    overrides = [*(settings or []), *retrieve_overrides(options)]
    if forget:
        left = api.forget_seeds(api.Workspace(workspace), forget)
        if not seed:
            show(left.as_dict(), "retrieve", as_json=as_json)
            return
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.retrieve(session.workspace, session.config, seed or [], session.engine, say)
    show(report.counts() if not as_json else report.as_dict(), "retrieve", as_json=as_json, lines=report.lines())


@app.command()
def cluster(
    levels: Annotated[
        str | None, typer.Option("--levels", help="Clusters per level, finest first: 10000,500,50.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Embedder (default: scene).")] = None,
    seed: Annotated[int | None, typer.Option("--random-seed", help="Seed of the clustering.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hierarchical k-means of the deduplicated pool, for curation without seed sets.

    Example: curate cluster --model facebook/dinov2-small --levels 10000,500,50
    """
    overrides = [*(settings or []), *cluster_overrides({"level_clusters": levels, "model": model, "seed": seed})]
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.cluster(session.workspace, session.config, session.engine, say)
    show(report.as_dict(), "cluster", as_json=as_json, lines=["next: curate sample"])


@app.command()
def sample(
    images: Annotated[int | None, typer.Option("--images", help="Size of the sample (default: a tenth).")] = None,
    draw: Annotated[str | None, typer.Option("--draw", help="random | closest, within the finest clusters.")] = None,
    prune_above: Annotated[
        float | None, typer.Option("--prune-above", help="First leave out images nearer than this cosine (SemDeDup).")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw as many images from every part of the pool, however common it is (clusters first if needed).

    Example: curate sample --images 100000
    """
    overrides = [*(settings or []), *cluster_overrides({"draw": draw, "prune_above": prune_above})]
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.sample(session.workspace, session.config, session.engine, images, say)
    show(report.as_dict(), "sample", as_json=as_json, lines=["next: curate build"])


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe: a YAML file with steps.")],
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
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        report = api.run_recipe(session.workspace, session.config, recipe, session.engine, say)
    show(report.as_dict() if as_json else report.counts(), f"recipe {report.recipe}", as_json=as_json)


if __name__ == "__main__":
    main()
