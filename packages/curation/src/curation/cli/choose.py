"""Commands that decide which images are kept: filter, dedup, retrieve, cluster, sample."""

from __future__ import annotations

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
from curation.cluster.options import cluster_overrides
from curation.dedup.options import dedup_overrides
from curation.dedup.sweep import parse_sweep
from curation.retrieve.options import retrieve_overrides


def filter_images(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    settings: SetOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    ray_address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop images that are too small, too long, blurred or empty; values are kept, so other bounds need no decoding.

    Example: curate filter --set filters.blur.min=30
    """
    with open_session(workspace, settings, engine, workers, ray_address) as session:
        report = api.filter_images(session.workspace, session.config, session.engine, say)
    lines = ["next: curate dedup --index faiss"]
    show(report.counts() if not as_json else report.as_dict(), "filter", as_json=as_json, lines=lines)


def dedup(
    index: Annotated[str | None, typer.Option("--index", help="faiss (chosen by size) | exact | ivf.")] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", help="Cosine above which two are copies.")] = None,
    maybe_threshold: Annotated[
        float | None, typer.Option("--maybe-threshold", help="Cosine above which kept ones may be: told, not dropped.")
    ] = None,
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
    prepass: Annotated[
        str | None, typer.Option("--prepass", help="phash: one of each perceptual hash is compared | none.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="LOW:HIGH[:STEP]: only show what these thresholds would keep.")
    ] = None,
    dry_run: DryRunOption = False,
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
        "maybe_threshold": maybe_threshold,
        "neighbors": neighbors,
        "against": against,
        "against_threshold": against_threshold,
        "components": components,
        "max_component": max_component,
        "prepass": prepass,
        "model": model,
    }
    overrides = [*(settings or []), *dedup_overrides(options)]
    if dry_run:
        place = api.Workspace(workspace)
        show_foresight(api.foresee_dedup(place, place.config(overrides)), as_json=as_json)
        return
    thresholds = parse_sweep(sweep) if sweep is not None else None
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        if thresholds is not None:
            swept = api.dedup_sweep(session.workspace, session.config, thresholds, session.engine, say)
            show(swept.as_dict() if as_json else {}, "thresholds", as_json=as_json, lines=swept.lines())
            return
        report = api.dedup(session.workspace, session.config, session.engine, say)
    seed = next(iter(session.config.seeds), None)
    lines = [*report.lines(), f"next: curate retrieve --seed {seed}" if seed else "next: curate build"]
    show(report.counts() if not as_json else report.as_dict(), "dedup", as_json=as_json, lines=lines)


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
    dry_run: DryRunOption = False,
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
    if dry_run:
        place = api.Workspace(workspace)
        show_foresight(api.foresee_retrieve(place, place.config(overrides), seed or []), as_json=as_json)
        return
    if forget:
        left = api.forget_seeds(api.Workspace(workspace), forget)
        if not seed:
            show(left.as_dict(), "retrieve", as_json=as_json)
            return
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.retrieve(session.workspace, session.config, seed or [], session.engine, say)
    show(report.counts() if not as_json else report.as_dict(), "retrieve", as_json=as_json, lines=report.lines())


def cluster(
    levels: Annotated[
        str | None, typer.Option("--levels", help="Clusters per level, finest first: 10000,500,50.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Embedder (default: scene).")] = None,
    seed: Annotated[int | None, typer.Option("--random-seed", help="Seed of the clustering.")] = None,
    dry_run: DryRunOption = False,
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
    if dry_run:
        place = api.Workspace(workspace)
        show_foresight(api.foresee_cluster(place, place.config(overrides)), as_json=as_json)
        return
    with open_session(workspace, overrides, engine, workers, ray_address) as session:
        report = api.cluster(session.workspace, session.config, session.engine, say)
    show(report.as_dict(), "cluster", as_json=as_json, lines=["next: curate sample"])


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
    show(report.as_dict() if as_json else report.counts(), "sample", as_json=as_json, lines=["next: curate build"])
