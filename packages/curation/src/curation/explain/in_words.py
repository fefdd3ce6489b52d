"""Explanations and answers in plain words, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from curation.explain.explain import Explanation, Row
from curation.explain.query import NearImage, QueryReport


def explanation_lines(found: Sequence[Explanation]) -> list[str]:
    """Lines for a person: the verdict first, then what led to it, image by image."""
    return [line for one in found for line in dict.fromkeys(_in_words(one))]


def query_lines(report: QueryReport) -> list[str]:
    """Lines for a person: the verdict first, then the nearest images by each model."""
    lines = [f"{report.key}  {_answer(report)}"]
    for found in report.by_model:
        bar = "" if found.threshold is None else f" (copies: above {found.threshold:g})"
        lines.append(f"  nearest by {found.model}{bar}:")
        for near in found.nearest:
            mark = "copy" if near in found.copies else "    "
            lines.append(f"    {near.cosine:.4f}  {mark}  {near.key}  {_near_state(near)}  ({near.uri})")
    return lines


def _answer(report: QueryReport) -> str:
    if report.known:
        return f"these very bytes are catalogued, {'IN' if report.kept else 'OUT'}: {report.reason}"
    copies = {near.key: near for found in report.by_model for near in found.copies}
    inside = sum(1 for near in copies.values() if near.kept)
    if copies:
        count = "1 copy is" if len(copies) == 1 else f"{len(copies)} copies are"
        return f"not catalogued; {count}, {inside} of them in the set"
    return "not catalogued, and no copy of it is; the nearest images show what is like it"


def _near_state(near: NearImage) -> str:
    return "" if near.kept is None else f"{'kept' if near.kept else 'dropped'}: {near.reason}"


def _in_words(found: Explanation) -> list[str]:
    lines = [f"{found.key}  {_verdict(found)}"]
    for row in found.occurrences:
        size = f"{row['width_px']} x {row['height_px']} px" if row["width_px"] else "size unknown"
        state = "" if row["status"] == "ok" else f", quarantined ({row['error']})"
        lines.append(f"  found at {row['uri']} (source {row['source']}, {size}, {row['byte_count']:,} bytes){state}")
    if found.measured:
        values = [f"{name} {value:.4g}" for name, value in found.measured.items() if isinstance(value, float)]
        lines.append(f"  measured: {', '.join(values)}")
    if found.group:
        kept = [row["key"] for row in found.group if row["kept"]]
        lines.append(f"  in a group of {found.group[0]['group_size']} alike; kept of it: {kept[0] if kept else 'none'}")
    lines += [f"  {_said(row)}" for row in found.by_hand]
    if found.neighbors:
        lines.append("  nearest pairs:")
        lines += [f"    {row['cosine']:.4f}  {row['key']}  {_state(row)}{_doubt(row)}" for row in found.neighbors]
    lines += [f"  {_brought(row)}" for row in found.retrieved]
    if found.derived:
        count = found.derived["faces"]
        what = "1 face" if count == 1 else f"{count} faces"
        lines.append(f"  {what} blurred: in the dataset it is the derived image {found.derived['key']}")
    if found.sample:
        where = f"shard {found.sample['shard']}, row {found.sample['row']}"
        lines.append(f"  in the dataset: {where}, counted as {found.sample['origin']}{_of(found.sample['seed'])}")
    return lines


def _verdict(found: Explanation) -> str:
    if found.decision is None:
        if found.occurrences and all(row["status"] == "quarantined" for row in found.occurrences):
            return "OUT: quarantined (step ingest)"
        return "IN (a seed image as it is)" if found.sample else "not decided yet: run `curate dedup` or `curate build`"
    return f"{'IN' if found.decision['kept'] else 'OUT'}: {found.decision['reason']} (step {found.decision['step']})"


def _state(row: Row) -> str:
    return "" if row["kept"] is None else f"{'kept' if row['kept'] else 'dropped'}: {row['reason']}"


def _doubt(row: Row) -> str:
    return " (may be the same)" if row["maybe"] else ""


def _brought(row: Row) -> str:
    seed = row["seed"]
    if row["mode"] == "sample":
        return (
            f"seed {seed}: neighbour number {row['rank'] + 1} of the seed image {row['query_key']}, "
            f"cosine {row['cosine']:.4f}"
        )
    if row["mode"] == "cluster":
        return f"seed {seed}: drawn from cluster {row['cluster_id']}, cosine to its centre {row['cosine']:.4f}"
    if row["mode"] == "as_is":
        return f"seed {seed}: one of its own images, taken as it is"
    return f"{seed}: {row['mode']}"


def _said(row: Row) -> str:
    what = f"merged with the group of {row['into']}" if row["into"] else _SAID[row["action"]]
    return f"by hand, {row['at'][:16].replace('T', ' ')} UTC: {what}" + (f" ({row['note']})" if row["note"] else "")


_SAID = {"keep": "kept", "drop": "dropped", "split": "split from its group"}


def _of(seed: str | None) -> str:
    return f" by seed {seed}" if seed else ""
