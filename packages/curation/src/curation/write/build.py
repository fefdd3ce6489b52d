"""The build step: the planned shards, their index, manifest, card and header.

All of it goes to a folder that takes the final name when it is whole. A rerun after a kill goes on with the shards that
are missing; a rerun of a finished plan does nothing. Shards that are kept (write.earlier_shards) are linked first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.config import config_sha256
from contracts.dataset_folder import (
    CARD,
    MANIFEST_FILE,
    DatasetHeader,
    ShardEntry,
    read_dataset,
    shard_name,
    write_dataset_header,
    write_dataset_index,
)
from contracts.errors import UserError
from contracts.publish import publish_text, remove_drafts, sha256_file
from contracts.tables import MANIFEST, write_table
from curation.engine import Engine
from curation.write.config import WriteConfig
from curation.write.dataset_card import CardFacts, dataset_card
from curation.write.earlier_shards import link_shard
from curation.write.gather import GATHERED, LOCATED, make_gatherer, plan_blocks
from curation.write.plan import BuildPlan, manifest_table
from curation.write.shard_worker import ShardTask, make_shard_worker
from curation.write.staging import recover, staging_folder, take_place


@dataclass(frozen=True)
class CardSettings:
    """What the card tells beside the plan: counts from offered to written, and the settings of the steps."""

    flow: Sequence[tuple[str, int]]
    settings: dict[str, Any]


def is_built(out: Path, plan: BuildPlan) -> bool:
    """Whether the dataset folder is whole (sizes, no checksums) and made from this plan."""
    recover(out)
    try:
        return read_dataset(out).header.inputs.get("plan") == plan.plan_id
    except UserError:
        return False


def build_dataset(out: Path, plan: BuildPlan, card: CardSettings, settings: WriteConfig, engine: Engine) -> None:
    """Write the dataset folder of a plan; the folder that had the name before stays whole until the new one is."""
    folder = staging_folder(out, plan.plan_id)
    paths = [folder / shard_name(number) for number in range(len(plan.shards))]
    entries = dict(_linked(plan, paths))
    written = [shard.slice(0, 0) if number in entries else shard for number, shard in enumerate(plan.shards)]
    blocks = [] if all(path.is_file() for path in paths) else plan_blocks(written, folder, settings.gather_above_bytes)
    for _ in engine.map_parts(make_gatherer, blocks, label="gather"):
        pass
    files = [block.index_file for block in blocks]
    tasks = [
        ShardTask(number, path, samples, files, settings.record_uri)
        for number, (path, samples) in enumerate(zip(paths, plan.shards, strict=True))
        if number not in entries
    ]
    for place, entry in engine.map_parts(make_shard_worker, tasks, label="build"):
        entries[tasks[place].number] = entry
    shards = [entries[number] for number in range(len(paths))]
    write_table(folder / MANIFEST_FILE, manifest_table(plan.shards), MANIFEST)
    write_dataset_index(folder, shards)
    facts = CardFacts(plan.samples, len(shards), plan.image_bytes, plan.parts, plan.sources, card.flow, card.settings)
    publish_text(folder / CARD, dataset_card(facts))
    header = DatasetHeader(
        samples=plan.samples,
        shards=len(shards),
        sources=plan.sources,
        composition=[part.as_dict() for part in plan.parts],
        manifest_sha256=sha256_file(folder / MANIFEST_FILE),
        config_sha256=config_sha256(settings.told()),
        inputs={"plan": plan.plan_id},
        shard_samples=plan.held,
    )
    remove_drafts(folder)  # of workers that were lost on the way
    for gathered in (GATHERED, LOCATED):
        shutil.rmtree(folder / gathered, ignore_errors=True)
    write_dataset_header(folder, header)
    take_place(folder, out)


def _linked(plan: BuildPlan, paths: Sequence[Path]) -> Iterator[tuple[int, ShardEntry]]:
    """Number and entry of the shards that an earlier dataset holds already."""
    if plan.earlier:
        for number, (held, path) in enumerate(zip(plan.held, paths, strict=False)):
            entry = link_shard(plan.earlier, held, path)
            if entry is not None:
                yield number, entry
