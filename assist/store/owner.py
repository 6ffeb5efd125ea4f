"""One program writes a store: a lock that the process holds for as long as its store is open.

SQLite lets several processes write one file in turn, but up to 3.51.2 two that write and empty the write-ahead log can
destroy it (the WAL-reset bug, mended in 3.51.3), and what one program holds in memory another must not change under it.
The lock is the operating system's: it goes with the process, however that ends.
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

    def __init__(self, store: Path) -> None:
        """Take it.

        Raises:
            StoreInUse: code store-in-use, naming the process that has it.
        """
        path = store.with_name(store.name + ".lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(self._file):
            by = os.read(self._file, 20).decode(errors="replace").strip()
            self.close()
            raise StoreInUse(
                "store-in-use",
                f"{store} is being written by another assist program{f' (process {by})' if by.isdigit() else ''}: "
                "stop that one first, or choose another folder with --data",
            )
        os.truncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def close(self) -> None:
        """Let go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        """A store that was never closed lets go as well."""
        if hasattr(self, "_file"):
            self.close()


def check_unowned(store: Path) -> None:
    """Tell at once that another program has it, as opening it for writing would; whatever else is wrong tells that.

    Raises:
        StoreInUse: code store-in-use.
    """
    with contextlib.suppress(OSError):
        if store.with_name(store.name + ".lock").exists():
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
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
