"""The writer thread: group commit, a receipt for every write, a reserve file for a full disk.

Whatever has queued up while the last commit ran goes into the next one. A receipt is a Future that is done after COMMIT
has returned on a connection with synchronous=FULL: an event acknowledged is an event on disk. When the disk refuses,
nothing is dropped: the whole batch is written again, on a new connection, with a page that is certainly dirty (after a
failed fsync the state of the old connection cannot be trusted, and a COMMIT with nothing to write calls no fsync).

Copies of erased rows stay in the write-ahead log until a checkpoint truncates it, which is possible only while nobody
reads an older state of the store. The receipt of an erasure waits for that checkpoint; other receipts do not.

An erasure first destroys keys, in a file of their own. Where that cannot be, it is set aside and tried again, and no
other write waits for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from assist.errors import AssistError
from assist.store.schema import SCHEMA_VERSION

RETRY_S = (0.2, 0.5, 1.0, 2.0)
"""Waits between attempts while the disk refuses; the last one repeats."""
MAX_BATCH = 1_000
"""At most this many writes in one commit."""
RESERVE_BYTES = 4 << 20
"""Size of the file that is deleted when the disk is full, so that live calls can still be written for a while (an hour
of 20 calls is about 4 MiB of events)."""
BACKLOG_BYTES = 16 << 20
"""With more than this waiting to be written, no new call should begin."""
MAX_REFUSED = 20
"""After so many writes of a batch that fail one by one it is the disk that refuses."""
CHECKPOINT_RETRY_S = 0.2
"""Between attempts to truncate the write-ahead log while somebody reads the store."""
KEYS_RETRY_S = 2.0
"""Between attempts at erasures whose keys cannot be destroyed."""
CHECKPOINT_BUSY_MS = 100
"""At most so long one attempt delays the next commit."""
REPORT_AFTER_CHECKPOINTS = 20
"""After so many failed attempts trouble is reported: receipts are waiting, a pause among them perhaps."""
DAMAGE_MESSAGES = ("database disk image is malformed", "file is not a database", "vtable constructor failed")
"""Error texts by which SQLite says that a file is damaged."""


@dataclass(slots=True)
class Write:
    """A statement, or a function of the writer's connection, and the receipt for it."""

    statement: Any
    receipt: Future[None]
    size: int
    checkpoint: bool = False
    """The receipt waits for a checkpoint: the write-ahead log holds copies of what this write erases."""
    destroys_keys: bool = False
    """A function that begins with destroying keys, and raises OSError where it cannot, with nothing written yet."""


class ReserveFile:
    """A file of zeros that is deleted to make room when the disk is full."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    def allocate(self) -> bool:
        """Create it where it is missing; False where there is no room for it."""
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                return True
            with open(self._path, "wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self._size)
                else:
                    file.write(bytes(self._size))
            self._path.chmod(0o600)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Delete it; whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


class WriteQueue(Protocol):
    """Where a store puts its statements."""

    @property
    def backlog_bytes(self) -> int:
        """About how much waits to be written."""
        ...

    def put(
        self, statement: Any, size: int = 200, *, checkpoint: bool = False, destroys_keys: bool = False
    ) -> Future[None]:
        """Write this after everything put before; the receipt is fulfilled when it is on disk."""
        ...

    def close(self) -> None:
        """Write what is waiting, then stop."""
        ...


class ReadOnlyWriter:
    """Takes the writer's place in a store that is open for reading only."""

    backlog_bytes = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(
        self, statement: Any, size: int = 200, *, checkpoint: bool = False, destroys_keys: bool = False
    ) -> Future[None]:
        """Raises AssistError, code store-read-only."""
        raise AssistError(
            "store-read-only", f"{self._path} is open for reading only: stop the program that writes it, then do this"
        )

    def close(self) -> None:
        """Do nothing."""


class Writer:
    """Takes statements from any thread, writes them in order from its own."""

    def __init__(
        self, engine: Engine, reserve: ReserveFile, name: str, on_trouble: Callable[[str | None], None]
    ) -> None:
        self._engine = engine
        self._reserve = reserve
        self._name = name
        self._on_trouble = on_trouble
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._backlog_bytes = 0
        self._uncheckpointed: list[Write] = [Write(None, Future(), 0, checkpoint=True)]
        """Committed erasures whose rows are still in the write-ahead log; the first one stands for those of an earlier
        run."""
        self._failed_checkpoints = 0
        self._set_aside: list[Write] = []
        """Erasures whose keys could not be destroyed."""
        self._try_again_at = 0.0
        self._troubles: dict[str, str] = {}
        """What was reported and still holds, by its kind."""
        reserve.allocate()
        self._checkpoint()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """About how much waits to be written."""
        return self._backlog_bytes

    def put(
        self, statement: Any, size: int = 200, *, checkpoint: bool = False, destroys_keys: bool = False
    ) -> Future[None]:
        """Write this after everything put before; the receipt is fulfilled when it is on disk, and fails if it never
        will be.
        """
        receipt: Future[None] = Future()
        receipt.set_running_or_notify_cancel()  # whoever stops waiting for it does not stop the write
        with self._lock:
            if self._closing.is_set():  # nobody would ever write it, nor fulfil its receipt
                receipt.set_exception(AssistError("store-closed", f"{self._name} was closed before this was written"))
                return receipt
            self._backlog_bytes += size
            self._queue.put(Write(statement, receipt, size, checkpoint, destroys_keys))
        return receipt

    def close(self) -> None:
        """Write what is waiting, then stop. While the disk refuses, one last try is made, of each write by itself."""
        with self._lock:
            self._closing.set()
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._write_all()
        self._checkpoint()
        self._fail(self._set_aside, self._troubles.get("keys", ""))
        self._fail(self._uncheckpointed, f"what was taken out is still in {self._name}-wal, which somebody reads")

    def _write_all(self) -> None:
        failures = 0
        batch: list[Write] = []
        closing = False
        while not (closing and not batch):
            closing = self._fill_batch(batch) or closing
            if closing or time.monotonic() >= self._try_again_at:
                batch[:0], self._set_aside = self._set_aside, []
            if not batch:
                self._checkpoint()
                continue
            error = self._commit(batch, is_retry=failures > 0)
            if error is None:
                self._acknowledge(batch)
                batch = []
                if failures:
                    failures = 0
                    self._reserve.allocate()
                    self._report("disk", "")
                continue
            released = "full" in error and self._reserve.release()
            if failures == 0:
                reserve = "its reserve is in use: make room now" if released else "nothing is lost yet, trying again"
                self._report("disk", f"cannot write {self._name}: {error}; {reserve}")
            failures += 1
            if self._closing.is_set() and failures > 1:
                self._commit_singly(batch)
                self._fail(batch, f"could not write {self._name}: {error}")
                batch = []
            elif not released:
                self._closing.wait(RETRY_S[min(failures, len(RETRY_S)) - 1])

    def _fill_batch(self, batch: list[Write]) -> bool:
        """Fill the batch from the queue. Blocks only for an empty batch, and only briefly while a checkpoint or an
        erasure is due.

        Returns:
            Whether the writer is closing.
        """
        closing = False
        while len(batch) < MAX_BATCH and (not batch or not self._queue.empty()):
            try:
                waits = CHECKPOINT_RETRY_S if self._uncheckpointed else KEYS_RETRY_S if self._set_aside else None
                item = self._queue.get(timeout=waits)
            except queue.Empty:
                break
            if item is None:
                closing = True
                break
            batch.append(item)
        return closing

    def _acknowledge(self, writes: list[Write]) -> None:
        with self._lock:
            self._backlog_bytes -= sum(write.size for write in writes)
        self._uncheckpointed += [write for write in writes if write.checkpoint]
        self._checkpoint()
        for write in writes:
            if not write.checkpoint:
                write.receipt.set_result(None)

    def _report(self, kind: str, line: str) -> None:
        """Tell of trouble of one kind, or (empty) that it is over, and then of what still holds."""
        if self._troubles.get(kind, "") == line:
            return
        self._troubles.pop(kind, None)
        if line:
            self._troubles[kind] = line
        self._on_trouble(line or next(iter(self._troubles.values()), None))

    def _fail(self, writes: list[Write], why: str) -> None:
        for write in writes:
            write.receipt.set_exception(AssistError("store-failed", why))

    def _checkpoint(self) -> None:
        """Truncate the write-ahead log where that is due and possible; then fulfil the receipts that wait for it."""
        if not self._uncheckpointed:
            return
        why = self._truncate_log()
        if why is not None:
            self._failed_checkpoints += 1
            if self._failed_checkpoints == REPORT_AFTER_CHECKPOINTS:
                self._report("log", f"what was taken out is still in {self._name}-wal: {why}; trying again")
            return
        done, self._uncheckpointed = self._uncheckpointed, []
        self._failed_checkpoints = 0
        self._report("log", "")
        for write in done:
            write.receipt.set_result(None)

    def _truncate_log(self) -> str | None:
        """One attempt to truncate the write-ahead log; why it failed, or None."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                timeout_ms = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
                connection.execute(text(f"PRAGMA busy_timeout={CHECKPOINT_BUSY_MS}"))
                busy, *_ = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
                connection.execute(text(f"PRAGMA busy_timeout={timeout_ms}"))
        except (SQLAlchemyError, OSError) as error:
            with contextlib.suppress(SQLAlchemyError):
                self._engine.dispose()
            return error_line(error)
        return "somebody reads it" if busy else None

    def _commit(self, batch: list[Write], *, is_retry: bool = False) -> str | None:
        """One transaction; why the disk refused, or None. A connection that failed is never used again.

        Erasures whose keys cannot be destroyed leave the batch.
        """
        waiting: list[Write] = []
        keys_error = ""
        try:
            with self._engine.begin() as connection:
                if is_retry:
                    connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
                for write in batch:
                    if waiting and write.destroys_keys:  # their file is the same
                        waiting.append(write)
                    elif not callable(write.statement):
                        connection.execute(write.statement)
                    else:
                        try:
                            write.statement(connection)
                        except OSError as error:
                            if not write.destroys_keys:
                                raise
                            waiting, keys_error = [write], error_line(error)
        except (OperationalError, OSError, MemoryError) as error:
            with contextlib.suppress(SQLAlchemyError):
                self._engine.dispose()
            return error_line(error)
        except Exception as error:  # also the driver's: SQLAlchemy does not wrap those for values that no column takes
            if len(batch) > 1:  # one unwritable row must not keep the others from the disk
                return next((why for write in list(batch) if (why := self._commit_single(write, batch))), None)
            bad = batch.pop()
            with self._lock:
                self._backlog_bytes -= bad.size
            known = isinstance(error, AssistError)
            bad.receipt.set_exception(error if known else AssistError("store-failed", error_line(error)))
            return None
        if waiting:
            batch[:] = [write for write in batch if not any(write is each for each in waiting)]
            self._set_aside += waiting
            self._try_again_at = time.monotonic() + KEYS_RETRY_S
            self._report("keys", f"what is to be erased is still there: {keys_error}; trying again")
        elif any(write.destroys_keys for write in batch):
            self._report("keys", "")
        return None

    def _commit_singly(self, batch: list[Write]) -> None:
        """Commit each write by itself, so that an impossible one (an erasure without the keys) fails alone.

        Gives up after MAX_REFUSED failures: then it is the disk.
        """
        refused = 0
        for write in list(batch):
            refused += self._commit_single(write, batch) is not None
            if refused > MAX_REFUSED:
                return

    def _commit_single(self, write: Write, batch: list[Write]) -> str | None:
        alone = [write]
        why = self._commit(alone)
        if why is None:
            batch.remove(write)
            self._acknowledge(alone)
        return why


def error_line(error: BaseException) -> str:
    """A database error as one line, with what to do where the file is damaged."""
    why = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
    line = (str(why) or type(error).__name__).splitlines()[0]
    is_damaged = any(each in line for each in DAMAGE_MESSAGES) and not isinstance(error, OSError)  # of another file
    return f"{line}; put the last backup back: `assist restore FILE`" if is_damaged else line


StoreReadError = SQLAlchemyError
"""The exception that reading a store raises."""


def read_error_line(error: BaseException) -> str:
    """A StoreReadError as one line; empty for any other error."""
    return f"the store cannot be read: {error_line(error)}" if isinstance(error, StoreReadError) else ""
