"""What the page is told: rows of columns as JSON-ready values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.publish import read_json
from curation.embed.text_side import without_text
from curation.explain.in_words import explanation_lines
from curation.explore.browse import counts
from curation.explore.duplicate_groups import inner_cosine
from curation.explore.explorer import Explorer
from curation.explore.keys import texts
from curation.explore.projection import methods
from curation.look_up import explain
from curation.select.overrides import read_overrides

Rows = NDArray[np.int64]
Answer = dict[str, Any]
SHOWN_MEMBERS = 12


def images(explorer: Explorer, rows: Rows, cosines: Sequence[float] | None = None) -> list[Answer]:
    """What a tile shows of each image."""
    catalogued, decided = explorer.catalogued, explorer.decided
    found = []
    for place, (row, key) in enumerate(zip(rows.tolist(), texts(catalogued.keys, rows), strict=True)):
        tile: Answer = {
            "key": key,
            "kept": int(decided.kept[row]),
            "reason": decided.reason[row].as_py(),
            "width": int(catalogued.width_px[row]),
            "height": int(catalogued.height_px[row]),
            "grouped": bool(decided.group[row] >= 0),
            "by_hand": bool(decided.by_hand[row]),
        }
        if cosines is not None:
            tile["cosine"] = round(float(cosines[place]), 4)
        found.append(tile)
    return found


def overview(explorer: Explorer) -> Answer:
    """Counts, menus and models."""
    decided = explorer.decided
    grouped = decided.group[decided.group >= 0]
    return {
        "name": explorer.workspace.root.resolve().name,
        "images": len(explorer),
        "kept": int((decided.kept == 1).sum()),
        "dropped": int((decided.kept == 0).sum()),
        "groups": len(np.unique(grouped)),
        "by_hand": int(decided.by_hand.sum()),
        "why": counts(decided.why),
        "sources": counts(explorer.catalogued.source),
        "clusters": counts(explorer.clusters),
        "models": [{"name": model, "no_text": without_text(model)} for model in explorer.models],
        "maps": methods(),
        "threshold": _threshold(explorer.workspace.dedup / "report.json"),
    }


def _threshold(report: Path) -> float | None:
    return float(read_json(report)["threshold"]) if report.is_file() else None


def image(explorer: Explorer, key: str) -> Answer:
    """One image: the words of `curate explain`, its group, what was said of it by hand."""
    row = explorer.row(key)
    decided = explorer.decided
    told = explain(explorer.workspace, key.lower())
    group = np.flatnonzero(decided.group == decided.group[row]) if decided.group[row] >= 0 else np.array([], np.int64)
    said = read_overrides(explorer.workspace.overrides)
    said = said.filter(pc.equal(said.column("key"), key.lower()))
    return {
        **images(explorer, np.array([row]))[0],
        "uri": explorer.catalogued.uris[row].as_py(),
        "source": explorer.catalogued.source.names[explorer.catalogued.source.codes[row]],
        "lines": explanation_lines(told),
        "retrieved": [row for one in told for row in one.retrieved][:20],
        "group": images(explorer, group[:200]),
        "group_size": len(group),
        "group_name": texts(explorer.catalogued.keys, [int(decided.group[row])])[0] if len(group) else None,
        "overrides": said.to_pylist(),
    }


def groups_page(explorer: Explorer, by: str, first: int, count: int) -> Answer:
    """Some groups in an order, each with its first images, the naming one in front."""
    found = explorer.groups()
    index = explorer.index(explorer.config.dedup.model) if explorer.config.dedup.model in explorer.models else None
    order = found.order(by)
    page = []
    for place in order[first : first + count].tolist():
        rows = found.members_of(place)
        name = int(found.names[place])
        shown = np.concatenate([[name], rows[rows != name]])[:SHOWN_MEMBERS]
        inner = inner_cosine(rows, index)
        page.append(
            {
                "name": texts(explorer.catalogued.keys, [name])[0],
                "size": len(rows),
                "inner": None if inner is None else round(inner, 4),
                "images": images(explorer, shown),
            }
        )
    return {"total": len(order), "groups": page}


def map_points(explorer: Explorer, model: str, method: str, most: int) -> Answer:
    """Points and what colours them, as columns."""
    found = explorer.map(model, method, most)
    rows = found.rows
    columns: dict[str, tuple[NDArray[Any], Sequence[str]]] = {
        "decision": (explorer.decided.kept, ["dropped", "kept"]),
        "why": (explorer.decided.why.codes, explorer.decided.why.names),
        "source": (explorer.catalogued.source.codes, explorer.catalogued.source.names),
        "cluster": (explorer.clusters.codes, explorer.clusters.names),
    }
    return {
        "keys": texts(explorer.catalogued.keys, rows),
        "x": np.round(found.points[:, 0], 4).tolist(),
        "y": np.round(found.points[:, 1], 4).tolist(),
        "images": len(explorer),
        "columns": {
            name: {"codes": codes[rows].tolist(), "names": list(names)} for name, (codes, names) in columns.items()
        },
    }


def said_by_hand(explorer: Explorer) -> Answer:
    """All decisions by hand, the newest first, each with its image."""
    rows = read_overrides(explorer.workspace.overrides).sort_by([("at", "descending"), ("key", "ascending")])
    return {"total": rows.num_rows, "overrides": rows.slice(0, 1000).to_pylist()}
