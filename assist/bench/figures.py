"""Figures that several benches give: how late the middle and the slowest were, and memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio.measuring import peak_mib


def at_share(times_ms: Sequence[float], share: float) -> str:
    """The time within which this share of them was, such as "12 ms"; a dash where nothing was measured."""
    return f"{np.quantile(times_ms, share):.0f} ms" if times_ms else "–"


def resident_mib() -> float:
    """Memory of this process in RAM now; where the system does not say, its peak so far."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return peak_mib()
