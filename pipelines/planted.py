"""What the demo found against what was planted in it: copies, broken files, off-topic pictures."""

from __future__ import annotations

from pathlib import Path

from contracts.tables import CATALOG, GROUPS, SELECTION, read_table
from curation import api as curation

Counts = dict[str, int | float]


def found_against_planted(images: Path, workspace: Path) -> Counts:
    """Counts over the pool of the built-in images. Paths of the truth are relative to its pool folder."""
    truth = curation.read_truth(images)
    place = curation.Workspace(workspace)
    rows = _catalogue(place.catalog, images / "pool")
    key = {file: row["key"] for file, row in rows.items()}
    groups = read_table(place.dedup / "groups.parquet", GROUPS, ["key", "group_id"]).to_pylist()
    group = {row["key"]: row["group_id"] for row in groups}
    selection = read_table(place.selection, SELECTION, ["key", "kept"]).to_pylist()
    kept = {row["key"] for row in selection if row["kept"]}
    family = {file: file for file in [*truth.on_topic, *truth.off_topic]}
    family |= {file: copy.original for file, copy in {**truth.exact_copies, **truth.edited_copies}.items()}
    on_topic = {key[file] for file, original in family.items() if original in truth.on_topic}
    return {
        "files": truth.pool_files(),
        "broken_planted": len(truth.broken),
        "broken_quarantined": sum(rows[file]["status"] == "quarantined" for file in truth.broken),
        "good_quarantined": sum(row["status"] == "quarantined" for file, row in rows.items() if file in family),
        "exact_planted": len(truth.exact_copies),
        "exact_found": sum(key[file] == key[copy.original] for file, copy in truth.exact_copies.items()),
        "edited_planted": len(truth.edited_copies),
        "edited_found": sum(
            group.get(key[file], file) == group.get(key[copy.original]) for file, copy in truth.edited_copies.items()
        ),
        "distinct_merged": _distinct_merged(family, key, group),
        "kept": len(kept),
        "on_topic_kept": len(kept & on_topic),
    }


def _catalogue(folder: Path, pool: Path) -> dict[str, dict[str, str]]:
    """File relative to the pool -> its row."""
    start = f"{pool.absolute()}/"
    rows = {}
    for part in sorted(folder.glob("part-*.parquet")):
        for row in read_table(part, CATALOG, ["uri", "key", "status"]).to_pylist():
            rows[str(row["uri"]).removeprefix(start)] = row
    return rows


def _distinct_merged(family: dict[str, str], key: dict[str, str], group: dict[str, str]) -> int:
    """Pictures that share a group with a picture that they were not made from."""
    members: dict[str, set[str]] = {}
    for file, original in family.items():
        if key[file] in group:
            members.setdefault(group[key[file]], set()).add(key[original])
    return sum(len(originals) - 1 for originals in members.values())
