"""Memory that was let go of, handed back to the system; and none of it written to disk where the process crashes."""

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


def keep_off_disk() -> None:
    """A crash of this process, or of one that it starts from now on, leaves no core file: sound and words are in it.

    Linux writes none into a file shorter than a page, and hands none to a program that collects them where the limit is
    1: where it is 0, it does.
    """
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 1 if sys.platform == "linux" and most != 0 else 0
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
