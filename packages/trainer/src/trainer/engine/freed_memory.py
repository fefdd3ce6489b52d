"""Keep freed memory in the process, so that every step on a CPU reuses the pages of the step before.

By default the GNU C library hands large blocks back to the system and asks for zeroed pages anew each time, which costs
page faults for every activation and every chunk of logits (measured by benchmarks/training_step.py).
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD = -1
_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Ask the allocator not to return memory to the system; False where it cannot be asked (other C libraries)."""
    if platform.system() != "Linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, -1)) and bool(mallopt(_MMAP_MAX, 0))
