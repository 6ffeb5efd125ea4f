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
from typing import IO

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
        self._file: IO[str] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        if not _locked(self._file):
            by = self._file.read().strip()
            self._file.close()
            raise StoreInUse(
                "store-in-use",
                f"{store} is being written by another assist program{f' (process {by})' if by.isdigit() else ''}: "
                "stop that one first, or choose another folder with --data",
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def close(self) -> None:
        """Let go."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _locked(file: IO[str]) -> bool:
        with contextlib.suppress(OSError):
            file.seek(1 << 20)  # a place far behind the process id, which stays readable
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
            return True
        file.seek(0)
        return False

else:
    import fcntl

    def _locked(file: IO[str]) -> bool:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
