"""`curate filter`: measure, judge, renew the selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.embedding_store import HEADER, EmbeddingStore
from curation.catalog import unique_images
from curation.config import CurateConfig
from curation.embed.embed_catalog import embed
from curation.embed.table import model_name
from curation.engine import Engine
from curation.filters.config import ClassifierFilter, HeadFilter
from curation.filters.filter_files import filtered_keys
from curation.filters.filter_pool import FilterInputs, FilterReport, filter_pool
from curation.filters.scores.classifier import classifier_score
from curation.filters.scores.face_count import face_score
from curation.filters.scores.linear_head import head_score, read_head
from curation.filters.scores.score import Score
from curation.filters.scores.score_pool import score_pool
from curation.select.selection import SelectionReport, read_groups, recompute_selection
from curation.workspace import Workspace

Say = Callable[[str], None]


@dataclass(frozen=True)
class FilterStepReport:
    """What the filters found, and the decisions after it."""

    filters: FilterReport
    selection: SelectionReport

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        found = self.filters.as_dict()
        if not any(self.filters.unscored.values()):
            del found["unscored"]
        if not self.filters.scored_now:
            del found["scored_now"]
        return {name: value for name, value in found.items() if name != "bounds"}


def run_filter(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> FilterStepReport:
    """Filter the pool of a workspace. Errors: MissingInput (no catalogue)."""
    workspace.require_catalog()
    scores = prepare_scores(workspace, config, engine, say)
    images = unique_images(workspace.catalog, ())
    scored = [score_pool(images, score, workspace.scores, engine) for score in scores]
    inputs = FilterInputs(workspace.catalog, workspace.filters, scored)
    found = filter_pool(inputs, config.filters, config.ingest.limits, engine)
    if found.unmeasured:
        say(f"{found.unmeasured:,} images could not be read again and were not measured")
    for name, count in found.unscored.items():
        if count:
            say(f"{count:,} images have no value of the filter {name} and were not judged by it")
    if lost := _groups_to_decide_again(workspace):
        say(f"{lost:,} groups of copies kept an image that is filtered out now: run `curate dedup` again")
    return FilterStepReport(found, recompute_selection(workspace))


def prepare_scores(workspace: Workspace, config: CurateConfig, engine: Engine, say: Say) -> list[Score]:
    """Every model filter, checked before any image is opened; embeds what a linear head reads.

    Errors: MissingInput, UserError (model, label, head), BrokenArtifact.
    """
    heads = [asked for asked in config.filters.models if isinstance(asked, HeadFilter)]
    for asked in heads:
        read_head(asked)
    scores = {
        asked.name: classifier_score(asked, config.embed, config.filters.part_images)
        for asked in config.filters.models
        if isinstance(asked, ClassifierFilter)
    }
    for asked in heads:
        scores[asked.name] = head_score(asked, _vectors(workspace, config, asked.embeddings, engine, say))
    chosen = [scores[asked.name] for asked in config.filters.models]
    if config.filters.faces.mode == "drop":
        chosen.append(face_score(config.filters.faces, config.filters.part_images))
    return chosen


def _vectors(workspace: Workspace, config: CurateConfig, spec: str, engine: Engine, say: Say) -> EmbeddingStore:
    """The stored vectors of an embedder, made where they are missing, or a store that is there under that very name."""
    given = workspace.embeddings(spec)
    if model_name(spec) != spec and (given / HEADER).is_file() and "/" not in spec:
        return EmbeddingStore.open(given)
    folder = workspace.embeddings(model_name(spec))
    made = embed(workspace.catalog, folder, spec, engine, config.embed)
    if made.embedded_now:
        say(f"{made.embedded_now:,} images embedded with {spec}")
    return EmbeddingStore.open(folder)


def _groups_to_decide_again(workspace: Workspace) -> int:
    """Groups whose representative is filtered out while another of their images is not."""
    groups = read_groups(workspace)
    if groups is None:
        return 0
    out = pc.is_in(groups.column("key"), value_set=filtered_keys(workspace.filters))
    lost: pa.Array = groups.filter(pc.and_(groups.column("kept"), out)).column("group_id").combine_chunks()
    copies = groups.filter(
        pc.and_(pc.match_substring_regex(groups.column("reason"), "^(near_duplicate|same_hash): "), pc.invert(out))
    ).filter(pc.field("group_id").isin(lost))
    return int(pc.count_distinct(copies.column("group_id")).as_py())
