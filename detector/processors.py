"""The processors of this machine: how many this process may use, and what they can do."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


def processors() -> int:
    """How many processors this process may run on: containers and batch systems often give fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


@lru_cache(maxsize=1)
def has_vnni() -> bool:
    """Whether the processor multiplies 8-bit integers without loss (VNNI); others may overflow 16 bits on the way."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
