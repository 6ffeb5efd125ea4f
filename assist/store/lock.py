"""One process writes a store: a lock that it holds for as long as its store is open.

SQLite lets several processes write one file in turn, but up to 3.51.2 two that write and checkpoint can destroy it (the
WAL-reset bug, fixed in 3.51.3), and no process may change what another has in memory. These are locks of the operating
system, which ends them with the process. The lock file beside the store says which process has it; the lock on the
folder holds even where somebody has removed that file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from assist.errors import AssistError


class StoreInUse(AssistError):
    """Another process writes this store."""


class StoreLock:
    """The lock of a store, or of another file or folder beside it, held by this process."""

    def __init__(self, store: Path, *, lock_folder: bool = True) -> None:
        """Acquire it.

        Args:
            store: What is locked.
            lock_folder: Lock the folder too, as for the store itself; False for anything else in that folder.

        Raises:
            StoreInUse: code store-in-use, naming the process that has it.
            OSError: nothing can be locked there.
        """
        path = store.with_name(store.name + ".lock")
        self._files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600)]
        try:
            is_free = _try_lock(self._files[0]) and (not lock_folder or self._try_lock_folder(store.parent))
        except OSError:
            self.close()
            raise
        if not is_free:
            by = os.read(self._files[0], 20).decode(errors="replace").strip()
            self.close()
            raise StoreInUse(
                "store-in-use",
                f"{store} is being written by another assist program{f' (process {by})' if by.isdigit() else ''}: "
                "stop that one first, or choose another folder with --data",
            )
        os.truncate(self._files[0], 0)
        os.write(self._files[0], str(os.getpid()).encode())

    def _try_lock_folder(self, folder: Path) -> bool:
        if sys.platform == "win32":  # an open file cannot be removed there
            return True
        self._files.append(os.open(folder, os.O_RDONLY))
        try:
            return _try_lock(self._files[1])
        except OSError:  # a network file system that locks only files
            return True

    def close(self) -> None:
        """Release it."""
        while self._files:
            os.close(self._files.pop())

    def __del__(self) -> None:
        """Release the lock of a store that was never closed."""
        if hasattr(self, "_files"):
            self.close()


def check_not_in_use(store: Path) -> None:
    """Raise now what opening the store for writing would raise later, where another process has it; nothing else.

    Raises:
        StoreInUse: code store-in-use.
    """
    with contextlib.suppress(OSError):
        if store.exists():
            StoreLock(store).close()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        with contextlib.suppress(OSError):
            os.lseek(file, 1 << 20, os.SEEK_SET)  # a place far behind the process id, which stays readable
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
            return True
        os.lseek(file, 0, os.SEEK_SET)
        return False

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
