"""Faiss with a stated number of threads, imported when a step needs it."""

from __future__ import annotations

import os
from types import ModuleType

from contracts.errors import UserError


def load_faiss(threads: int | None = None) -> ModuleType:
    """Import Faiss and set its threads (default: OMP_NUM_THREADS, else the cores that this process may use).

    Waiting threads sleep instead of spinning (OMP_WAIT_POLICY=PASSIVE unless the variable is set): on a shared machine
    spinning multiplies the CPU time of short parallel sections.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import faiss
    except ImportError:
        raise UserError(
            "this step needs Faiss and it is not installed: install faiss-cpu or faiss-gpu (exactly one), "
            "or choose the index `exact`"
        ) from None
    asked = os.environ.get("OMP_NUM_THREADS", "")
    faiss.omp_set_num_threads(threads or (int(asked) if asked.isdigit() and int(asked) > 0 else usable_cores()))
    module: ModuleType = faiss
    return module


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
