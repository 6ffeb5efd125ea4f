"""Memory that was let go of, handed back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """The C library's malloc_trim(3); None with another C library."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Hand free pages back. Decoding leaves holes of many sizes in glibc's arenas, which keeps them otherwise."""
    trim = _trim()
    if trim is not None:
        trim(ctypes.c_size_t(0))
