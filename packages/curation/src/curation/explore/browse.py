"""Which images a view shows: filters on columns give rows, rows give pages.

Dimensions: N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.errors import UserError, nearest_name
from curation.explore.pool_view import Catalogued, Coded, Decided

Rows = NDArray[np.int64]
DECISIONS = {"": None, "kept": 1, "dropped": 0}


@dataclass(frozen=True)
class Filter:
    """What is shown; an empty text asks for nothing. `why`: first words of the reason."""

    decision: str = ""
    why: str = ""
    source: str = ""
    cluster: str = ""
    by_hand: bool = False


def rows_shown(asked: Filter, catalogued: Catalogued, decided: Decided, clusters: Coded) -> Rows:
    """Rows that pass, ascending. Errors: UserError for a name that nothing has."""
    if asked.decision not in DECISIONS:
        raise UserError(f"{asked.decision!r} is no decision: choose kept or dropped")
    passes = np.ones(len(catalogued.keys), np.bool_)
    wanted = DECISIONS[asked.decision]
    if wanted is not None:
        passes &= decided.kept == wanted
    for name, column in ((asked.why, decided.why), (asked.source, catalogued.source), (asked.cluster, clusters)):
        if name:
            if name not in column.names:
                raise UserError(f"no image has {name!r} ({nearest_name(name, column.names)})")
            passes &= column.codes == column.names.index(name)
    if asked.by_hand:
        passes &= decided.by_hand
    return np.flatnonzero(passes)


def counts(column: Coded) -> list[dict[str, object]]:
    """How many images have each value, for menus."""
    found = np.bincount(column.codes[column.codes >= 0], minlength=len(column.names)).tolist()
    return [{"name": name, "count": count} for name, count in zip(column.names, found, strict=True)]
