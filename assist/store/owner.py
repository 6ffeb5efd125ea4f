"""One program writes a store: a lock that the process holds for as long as its store is open.

SQLite lets several processes write one file in turn, but up to 3.51.2 two that write and empty the write-ahead log can
destroy it (the WAL-reset bug, mended in 3.51.3), and what one program holds in memory another must not change under it.
The locks are the operating system's: they go with the process, however that ends. The one on a file beside the store
says which process has it; the one on its folder stands as well where somebody has removed that file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from assist.errors import AssistError


class StoreInUse(AssistError):
    """Another program writes this store."""


class Owner:
    """That this process alone writes the store in a file."""

    def __init__(self, store: Path, *, folder: bool = True) -> None:
        """Take it; `folder`: as the store of its folder, beside which nothing else is locked so.

        Raises:
            StoreInUse: code store-in-use, naming the process that has it.
            OSError: nothing can be locked there.
        """
        path = store.with_name(store.name + ".lock")
        self._held = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600)]
        try:
            free = _locked(self._held[0]) and (not folder or self._locks(store.parent))
        except OSError:
            self.close()
            raise
        if not free:
            by = os.read(self._held[0], 20).decode(errors="replace").strip()
            self.close()
            raise StoreInUse(
                "store-in-use",
                f"{store} is being written by another assist program{f' (process {by})' if by.isdigit() else ''}: "
                "stop that one first, or choose another folder with --data",
            )
        os.truncate(self._held[0], 0)
        os.write(self._held[0], str(os.getpid()).encode())

    def _locks(self, folder: Path) -> bool:
        if sys.platform == "win32":  # there no file that is open can be removed
            return True
        self._held.append(os.open(folder, os.O_RDONLY))
        try:
            return _locked(self._held[1])
        except OSError:  # a network's file system, which locks files alone
            return True

    def close(self) -> None:
        """Let go."""
        while self._held:
            os.close(self._held.pop())

    def __del__(self) -> None:
        """A store that was never closed lets go as well."""
        if hasattr(self, "_held"):
            self.close()


def check_unowned(store: Path) -> None:
    """Tell at once that another program has it, as opening it for writing would; whatever else is wrong tells that.

    Raises:
        StoreInUse: code store-in-use.
    """
    with contextlib.suppress(OSError):
        if store.exists():
            Owner(store).close()


if sys.platform == "win32":
    import msvcrt

    def _locked(file: int) -> bool:
        with contextlib.suppress(OSError):
            os.lseek(file, 1 << 20, os.SEEK_SET)  # a place far behind the process id, which stays readable
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
            return True
        os.lseek(file, 0, os.SEEK_SET)
        return False

else:
    import fcntl

    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
