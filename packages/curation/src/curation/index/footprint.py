"""What an index takes of memory and on which device it works, foretold from its plan.

Counted are the arrays: what the process itself and the pairs that are found take comes on top.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from curation.index.lists import TRAIN_ROWS_PER_LIST
from curation.index.plan import IndexPlan
from curation.index.threads import usable_cores

# A sampled coordinate as it is read (float16), as a unit row, and as the copy that Faiss trains on (float32).
TRAIN_BYTES = 2 + 4 + 4
ENTRY_BYTES = 8
VECTOR_BYTES = 2
EXACT_BYTES = 2 * 2048 * 2048 * 4
"""Two blocks of products of index.exact_join."""


@dataclass(frozen=True)
class Footprint:
    """Units: bytes. `vectors`: mapped from disk, dropped when memory is short. `training` is given back before the rows
    are put into lists; `lists`: while rows are compared."""

    vectors: int
    training: int
    lists: int

    @property
    def held(self) -> int:
        """The most that is held at once beside the vectors."""
        return max(self.training, self.lists)


def footprint(plan: IndexPlan, overlap: float | None = None) -> Footprint:
    """`overlap`: lists that a vector is in (default: that of a join; a search has it in one)."""
    vectors = plan.rows * plan.dim * VECTOR_BYTES
    if plan.kind == "exact":
        return Footprint(vectors, 0, EXACT_BYTES)
    sample = min(plan.rows, TRAIN_ROWS_PER_LIST * plan.lists)
    entries = plan.rows * (plan.overlap if overlap is None else overlap)
    return Footprint(vectors, sample * plan.dim * TRAIN_BYTES, round(entries * ENTRY_BYTES) + plan.lists * plan.dim * 4)


def describe_memory(needs: Footprint, machine_bytes: int | None) -> str:
    """One line for the plan that a command prints."""
    held = f"blocks {_size(needs.lists)}"
    if needs.training:
        held = f"lists {_size(needs.lists)}, training them {_size(needs.training)}"
    text = f"{held}; vectors {_size(needs.vectors)}, mapped from disk"
    if machine_bytes is None:
        return text
    if needs.held > machine_bytes:
        return f"{text}: more than this machine has ({_size(machine_bytes)}), so compare the pool in parts"
    beyond = ", so pages are read again" if needs.held + needs.vectors > machine_bytes else ""
    return f"{text}; this machine has {_size(machine_bytes)}{beyond}"


def describe_device() -> str:
    """Where vectors are compared: lists are trained by Faiss and rows are multiplied by BLAS, both on the CPU."""
    return f"CPU, {usable_cores()} cores"


def machine_memory() -> int | None:
    """Physical memory in bytes; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
