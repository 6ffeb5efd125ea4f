"""Freed memory returned to the operating system, and no core dumps."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _malloc_trim() -> Any:
    """The C library's malloc_trim(3); None with another C library."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def release_free_memory() -> None:
    """Return free pages to the system: decoding leaves holes of many sizes in glibc's arenas, which glibc keeps."""
    trim = _malloc_trim()
    if trim is not None:
        trim(ctypes.c_size_t(0))


def disable_core_dumps() -> None:
    """No core files of this process, and of those it starts from now on: audio and words would be in them.

    Linux writes none into a file shorter than a page, and hands none to a program that collects them where the limit is
    1: where it is 0, it does.
    """
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 1 if sys.platform == "linux" and most != 0 else 0
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
