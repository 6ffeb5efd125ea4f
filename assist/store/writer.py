"""The one thread that writes: group commit, receipts only after COMMIT, a reserve for a full disk.

Whatever has queued up while the last commit ran goes into the next one. A receipt is fulfilled after COMMIT has
returned on a connection with synchronous=FULL: an event acknowledged is an event on disk. When the disk refuses,
nothing is dropped: the batch waits and is written again, whole, on a fresh connection, with a page that is dirty for
certain (after a failed fsync nothing that the old connection believed can be trusted, and a COMMIT that finds nothing
to write calls no fsync).

What was taken out for good leaves copies in the write-ahead log, which can be emptied only while nobody reads an older
state of the store. Its receipt waits until that was done; nothing else waits for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
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
"""Waits between tries while the disk refuses; the last one repeats."""
BATCH = 1_000
"""At most this many writes in one commit."""
RESERVE_BYTES = 4 << 20
"""Kept free beside the database: given up when the disk is full, so that running calls can still be written for a
while (an hour of 20 calls is about 4 MiB of events)."""
BACKLOG_BYTES = 16 << 20
"""So much waiting to be written means that no new call should begin."""
REFUSED = 20
"""After so many writes of a batch that fail by themselves it is the disk that refuses."""
WIPE_AGAIN_S = 0.2
"""Between tries to empty the write-ahead log while somebody reads the store."""
WIPE_BUSY_MS = 100
"""One try stands in the way of what is to be written for so long at most."""
WIPE_TOLD = 20
"""After so many tries it is told as trouble: receipts are waiting, a pause among them perhaps."""


DAMAGED = ("database disk image is malformed", "file is not a database", "vtable constructor failed")
"""What SQLite says of a file that is no longer whole."""


@dataclass(slots=True)
class Write:
    """One statement, or work to do with the writer's connection, and the receipt for it."""

    statement: Any
    receipt: Future[None]
    size: int
    wipe: bool = False
    """Empty the write-ahead log before the receipt: it holds copies of what this took out."""


class Reserve:
    """A file of zeros whose only use is to be removed when the disk is full."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    def keep(self) -> bool:
        """Have it in place; False where there is no room for it."""
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
            self.spend()
            return False
        return True

    def spend(self) -> bool:
        """Give it up; whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


class Writing(Protocol):
    """What a store puts its statements to."""

    @property
    def backlog_bytes(self) -> int:
        """About how much waits to be written."""
        ...

    def put(self, statement: Any, size: int = 200, *, wipe: bool = False) -> Future[None]:
        """Write this after everything put before; the receipt is fulfilled when it is on disk."""
        ...

    def close(self) -> None:
        """Write what is waiting, then stop."""
        ...


class NoWriter:
    """In the place of the writer where a store is open for reading only."""

    backlog_bytes = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, statement: Any, size: int = 200, *, wipe: bool = False) -> Future[None]:
        """Nothing is written: AssistError, code store-read-only."""
        raise AssistError(
            "store-read-only", f"{self._path} is open for reading only: stop the program that writes it, then do this"
        )

    def close(self) -> None:
        """Nothing waits."""


class Writer:
    """Takes statements from any thread, writes them in order from its own."""

    def __init__(self, engine: Engine, reserve: Reserve, name: str, on_trouble: Callable[[str | None], None]) -> None:
        self._engine = engine
        self._reserve = reserve
        self._name = name
        self._on_trouble = on_trouble
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._count = threading.Lock()
        self._waiting = 0
        self._unwiped: list[Write] = [Write(None, Future(), 0, wipe=True)]
        """Committed, but copies of what they took out are still in the write-ahead log. The first stands for what an
        earlier run took out and could not wipe."""
        self._wipes = 0
        reserve.keep()
        self._wipe()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """About how much waits to be written."""
        return self._waiting

    def put(self, statement: Any, size: int = 200, *, wipe: bool = False) -> Future[None]:
        """Write this after everything put before; the receipt is fulfilled when it is on disk, and fails if it never
        will be.
        """
        receipt: Future[None] = Future()
        receipt.set_running_or_notify_cancel()  # whoever stops waiting for it does not stop the write
        with self._count:
            if self._closing.is_set():  # nobody would ever write it, nor fulfil its receipt
                receipt.set_exception(AssistError("store-closed", f"{self._name} was closed before this was written"))
                return receipt
            self._waiting += size
            self._queue.put(Write(statement, receipt, size, wipe))
        return receipt

    def close(self) -> None:
        """Write what is waiting, then stop. While the disk refuses, one last try is made, of each write by itself."""
        with self._count:
            self._closing.set()
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._write_all()
        self._wipe()
        self._fail(self._unwiped, f"what was taken out is still in {self._name}-wal, which somebody reads")

    def _write_all(self) -> None:
        failures = 0
        batch: list[Write] = []
        closing = False
        while not (closing and not batch):
            closing = self._gather(batch) or closing
            if not batch:
                self._wipe()
                continue
            error = self._commit(batch, again=failures > 0)
            if error is None:
                self._acknowledge(batch)
                batch = []
                if failures:
                    failures = 0
                    self._reserve.keep()
                    self._on_trouble(None)
                continue
            spent = "full" in error and self._reserve.spend()
            if failures == 0:
                reserve = "its reserve is in use: make room now" if spent else "nothing is lost yet, trying again"
                self._on_trouble(f"cannot write {self._name}: {error}; {reserve}")
            failures += 1
            if self._closing.is_set() and failures > 1:
                self._one_by_one(batch)
                self._fail(batch, f"could not write {self._name}: {error}")
                batch = []
            elif not spent:
                self._closing.wait(RETRY_S[min(failures, len(RETRY_S)) - 1])

    def _gather(self, batch: list[Write]) -> bool:
        """Fill the batch with what waits; block only for an empty one, and not for long while something is to be wiped.

        Returns:
            Whether the end was seen.
        """
        closing = False
        while len(batch) < BATCH and (not batch or not self._queue.empty()):
            try:
                item = self._queue.get(timeout=WIPE_AGAIN_S if self._unwiped else None)
            except queue.Empty:
                break
            if item is None:
                closing = True
                break
            batch.append(item)
        return closing

    def _acknowledge(self, writes: list[Write]) -> None:
        with self._count:
            self._waiting -= sum(write.size for write in writes)
        self._unwiped += [write for write in writes if write.wipe]
        self._wipe()
        for write in writes:
            if not write.wipe:
                write.receipt.set_result(None)

    def _fail(self, writes: list[Write], why: str) -> None:
        for write in writes:
            write.receipt.set_exception(AssistError("store-failed", why))

    def _wipe(self) -> None:
        """Empty the write-ahead log where that is due and can be done now; then its receipts are fulfilled."""
        if not self._unwiped:
            return
        why = self._emptied()
        if why is not None:
            self._wipes += 1
            if self._wipes == WIPE_TOLD:
                self._on_trouble(f"what was taken out is still in {self._name}-wal: {why}; trying again")
            return
        wiped, self._unwiped = self._unwiped, []
        told, self._wipes = self._wipes >= WIPE_TOLD, 0
        if told:
            self._on_trouble(None)
        for write in wiped:
            write.receipt.set_result(None)

    def _emptied(self) -> str | None:
        """One try to empty the write-ahead log; the reason where it was not emptied."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                patience_ms = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
                connection.execute(text(f"PRAGMA busy_timeout={WIPE_BUSY_MS}"))
                busy, *_ = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
                connection.execute(text(f"PRAGMA busy_timeout={patience_ms}"))
        except (SQLAlchemyError, OSError) as error:
            with contextlib.suppress(SQLAlchemyError):
                self._engine.dispose()
            return reason(error)
        return "somebody reads it" if busy else None

    def _commit(self, batch: list[Write], *, again: bool = False) -> str | None:
        """One transaction; the reason where the disk refused. A connection that failed is never used again."""
        try:
            with self._engine.begin() as connection:
                if again:
                    connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
                for write in batch:
                    if callable(write.statement):
                        write.statement(connection)
                    else:
                        connection.execute(write.statement)
        except (OperationalError, OSError, MemoryError) as error:
            with contextlib.suppress(SQLAlchemyError):
                self._engine.dispose()
            return reason(error)
        except Exception as error:  # the driver's own too: a number or a text that no row takes is none of SQLAlchemy's
            if len(batch) > 1:  # one unwritable row must not keep the others from the disk
                return next((why for write in list(batch) if (why := self._single(write, batch))), None)
            bad = batch.pop()
            with self._count:
                self._waiting -= bad.size
            bad.receipt.set_exception(AssistError("store-failed", reason(error)))
        return None

    def _one_by_one(self, batch: list[Write]) -> None:
        """What cannot be done, as an erasure without the keys, takes nothing else with it; a full disk refuses all."""
        refused = 0
        for write in list(batch):
            refused += self._single(write, batch) is not None
            if refused > REFUSED:
                return

    def _single(self, write: Write, batch: list[Write]) -> str | None:
        alone = [write]
        why = self._commit(alone)
        if why is None:
            batch.remove(write)
            self._acknowledge(alone)
        return why


def reason(error: BaseException) -> str:
    """What the database said, as one line, and what helps where the file is damaged."""
    why = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
    said = (str(why) or type(error).__name__).splitlines()[0]
    damaged = any(sign in said for sign in DAMAGED) and not isinstance(error, OSError)  # that is of another file
    return f"{said}; put the last backup back: `assist restore FILE`" if damaged else said


Unreadable = SQLAlchemyError
"""What reading a store raises."""


def unreadable(error: BaseException) -> str:
    """One line where it is the database that failed, as a store read in part may; empty of any other error."""
    return f"the store cannot be read: {reason(error)}" if isinstance(error, SQLAlchemyError) else ""
