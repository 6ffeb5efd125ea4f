"""The event log and the incident records on SQLite: SQLAlchemy's only door.

One writer thread owns the one connection that writes (WAL, synchronous=FULL). Whatever has queued up while the last
commit ran goes into the next one (group commit), and a receipt is fulfilled only after COMMIT has returned: an event
acknowledged is an event on disk. When the disk refuses, nothing is dropped: the batch waits, `on_trouble` says so, and
writing is tried again on a fresh connection.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    Engine,
    case,
    create_engine,
    event,
    exists,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from assist.errors import AssistError
from assist.events import Event
from assist.store import schema
from assist.store.codec import decode, encode

RETRY_S = (0.2, 0.5, 1.0, 2.0)
"""Waits between tries while the disk refuses; the last one repeats."""
BATCH = 1_000
"""At most this many writes in one commit."""

_WORST = case({"escalated": 3, "tense": 2, "recovering": 1}, value=schema.records.c.level, else_=0)


@dataclass(frozen=True, slots=True)
class StoredCall:
    """One line of the list of calls."""

    call: str
    state: str
    started_at: str
    agent: str


@dataclass(frozen=True, slots=True)
class Review:
    """Something said about a finished call, or the note that somebody looked at it."""

    at: str
    who: str
    kind: str
    target: str = ""
    text: str = ""
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records; empty means any."""

    words: str = ""
    level: str = ""
    since: str = ""
    """ISO 8601: calls that began then or later."""
    agent: str = ""
    team: str = ""
    signal: str = ""
    outcome: str = ""
    contested: bool = False
    reviewed: bool | None = None
    wrong: bool = False
    """Only those with something marked wrong."""
    worst_first: bool = False
    offset: int = 0
    limit: int = 50


class Store(Protocol):
    """What the program needs of a store; `open_store` picks the adapter by URL."""

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Enter a call as live."""
        ...

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n` of a call; the receipt is fulfilled when it is on disk."""
        ...

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Close a call with its incident record; writing it again replaces it."""
        ...

    def flush(self) -> Future[None]:
        """A receipt for everything put in so far."""
        ...

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        ...

    def calls(self, state: str | None = None) -> list[StoredCall]:
        """Calls, newest first."""
        ...

    def record(self, call: str) -> dict[str, Any] | None:
        """The incident record of a call."""
        ...

    def records(self, query: RecordQuery) -> list[dict[str, Any]]:
        """Incident records that fit, newest (or worst) first."""
        ...

    def review(self, call: str, review: Review) -> Future[None]:
        """Append what somebody said about a finished call, or that they looked."""
        ...

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        ...

    def close(self) -> None:
        """Write what is waiting, then let go."""
        ...


def open_store(url: str, on_trouble: Callable[[str | None], None] | None = None) -> Store:
    """Open the store behind a URL; `sqlite:///PATH` is built in.

    `on_trouble` is called from the writer thread with one line when writing fails, and with None when it works again.

    Raises:
        AssistError: codes data-folder (cannot be created or written), store-failed, store-newer, store-unknown.
    """
    if not url.startswith("sqlite:///"):
        raise AssistError("store-unknown", f"store URL {url!r}: expected sqlite:///PATH")
    return SqliteStore(Path(url.removeprefix("sqlite:///")), on_trouble)


@dataclass(slots=True)
class _Write:
    statement: Any
    receipt: Future[None]


class SqliteStore:
    """The built-in adapter."""

    def __init__(self, path: Path, on_trouble: Callable[[str | None], None] | None = None) -> None:
        self.path = path
        self._on_trouble = on_trouble or (lambda _: None)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab"):  # says at once and plainly whether the folder can be written
                pass
            path.chmod(0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise AssistError(
                "data-folder", f"cannot write {path}: {reason}; choose a writable folder with --data"
            ) from None
        self._writer = self._engine()
        self._reader = self._engine(read_only=True)
        try:
            with self._writer.begin() as connection:
                schema.prepare(connection, path)
        except SQLAlchemyError as error:
            raise AssistError("store-failed", f"cannot open {path}: {_reason(error)}") from None
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Enter a call as live."""
        row = {"call": call, "state": "live", "started_at": started_at, "agent": agent}
        return self._put(upsert(schema.calls).values(**row).on_conflict_do_nothing())

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n`; the same (call, n) twice is written once."""
        name, body = encode(event)
        return self._put(
            upsert(schema.events)
            .values(call=call, n=n, at_ms=getattr(event, "at_ms", getattr(event, "start_ms", 0)), type=name, body=body)
            .on_conflict_do_nothing()
        )

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Close a call with its incident record."""
        row = {
            "schema_version": record["schema_version"],
            "started_at": record["started_at"],
            "agent": record["agent"],
            "team": record["team"],
            "level": record["level_reached"],
            "outcome": record["outcome"],
            "contested": int(bool(record["contested"])),
            "signal_ids": f" {' '.join(sorted({signal['id'] for signal in record['signals']}))} ",
            "body": json.dumps(record, ensure_ascii=False, separators=(",", ":")),
        }
        words = " ".join(line["text"] for line in record["transcript"])
        self._put(
            upsert(schema.records).values(call=call, **row).on_conflict_do_update(index_elements=["call"], set_=row)
        )
        self._put(text("DELETE FROM spoken WHERE call = :call").bindparams(call=call))
        self._put(text("INSERT INTO spoken(call, words) VALUES (:call, :words)").bindparams(call=call, words=words))
        return self._put(update(schema.calls).where(schema.calls.c.call == call).values(state=state))

    def flush(self) -> Future[None]:
        """A receipt for everything put in so far: one writer, so what is queued last is written last."""
        return self._put(text("SELECT 1"))

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        query = (
            select(schema.events.c.n, schema.events.c.type, schema.events.c.body)
            .where(schema.events.c.call == call)
            .order_by(schema.events.c.n)
        )
        with self._reader.connect() as connection:
            return [(row.n, decode(row.type, row.body)) for row in connection.execute(query)]

    def calls(self, state: str | None = None) -> list[StoredCall]:
        """Calls, newest first."""
        query = select(schema.calls).order_by(schema.calls.c.started_at.desc())
        if state is not None:
            query = query.where(schema.calls.c.state == state)
        with self._reader.connect() as connection:
            return [StoredCall(*row) for row in connection.execute(query)]

    def record(self, call: str) -> dict[str, Any] | None:
        """The incident record of a call."""
        with self._reader.connect() as connection:
            body = connection.execute(select(schema.records.c.body).where(schema.records.c.call == call)).scalar()
        return None if body is None else json.loads(body)

    def records(self, query: RecordQuery) -> list[dict[str, Any]]:
        """Incident records that fit, newest (or worst) first."""
        wanted = select(schema.records.c.body)
        for column, value in (("level", query.level), ("agent", query.agent), ("team", query.team)):
            if value:
                wanted = wanted.where(schema.records.c[column] == value)
        if query.since:
            wanted = wanted.where(schema.records.c.started_at >= query.since)
        if query.outcome:
            wanted = wanted.where(schema.records.c.outcome.contains(query.outcome, autoescape=True))
        if query.signal:
            wanted = wanted.where(schema.records.c.signal_ids.contains(f" {query.signal} ", autoescape=True))
        if query.contested:
            wanted = wanted.where(schema.records.c.contested == 1)
        if query.reviewed is not None:
            said = exists().where(schema.reviews.c.call == schema.records.c.call, schema.reviews.c.kind != "looked")
            wanted = wanted.where(said if query.reviewed else ~said)
        if query.wrong:
            wanted = wanted.where(
                exists().where(schema.reviews.c.call == schema.records.c.call, schema.reviews.c.text == "wrong")
            )
        if query.words:
            phrase = '"' + query.words.replace('"', " ") + '"'  # a phrase, never the query language of FTS5
            found = text("records.call IN (SELECT call FROM spoken WHERE spoken MATCH :phrase)")
            wanted = wanted.where(found.bindparams(phrase=phrase))
        order = [_WORST.desc()] if query.worst_first else []
        wanted = wanted.order_by(*order, schema.records.c.started_at.desc()).offset(query.offset).limit(query.limit)
        with self._reader.connect() as connection:
            return [json.loads(body) for body in connection.execute(wanted).scalars()]

    def review(self, call: str, review: Review) -> Future[None]:
        """Append what somebody said about a finished call, or that they looked."""
        return self._put(insert(schema.reviews).values(call=call, **asdict(review)))

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        columns = [schema.reviews.c[field.name] for field in fields(Review)]
        query = select(*columns).where(schema.reviews.c.call == call).order_by(schema.reviews.c.n)
        with self._reader.connect() as connection:
            return [Review(*row) for row in connection.execute(query)]

    def close(self) -> None:
        """Write what is waiting, then let go. While the disk refuses, one last try is made."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()
        self._writer.dispose()
        self._reader.dispose()

    def _engine(self, *, read_only: bool = False) -> Engine:
        mode = "ro" if read_only else "rwc"
        engine = create_engine(
            f"sqlite:///file:{self.path}?mode={mode}&uri=true",
            poolclass=NullPool if read_only else None,
            connect_args={"check_same_thread": False, "timeout": 10},
        )

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _: Any) -> None:
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")

        return engine

    def _put(self, statement: Any) -> Future[None]:
        receipt: Future[None] = Future()
        self._queue.put(_Write(statement, receipt))
        return receipt

    def _write(self) -> None:
        failures = 0
        batch: list[_Write] = []
        closing = False
        while not (closing and not batch):
            if not batch:
                item = self._queue.get()
                closing = closing or item is None
                batch = [item] if item is not None else []
            while len(batch) < BATCH and not self._queue.empty():
                item = self._queue.get()
                closing = closing or item is None
                batch += [item] if item is not None else []
            if not batch:
                continue
            error = self._commit(batch)
            if error is None:
                if failures:
                    self._on_trouble(None)
                failures = 0
                for write in batch:
                    write.receipt.set_result(None)
                batch = []
                continue
            if failures == 0:
                self._on_trouble(f"cannot write {self.path.name}: {error}; nothing is lost yet, trying again")
            if closing and failures:
                failed = AssistError("store-failed", f"could not write {self.path}: {error}")
                for write in batch:
                    write.receipt.set_exception(failed)
                return
            self._closing.wait(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    def _commit(self, batch: list[_Write]) -> str | None:
        """One transaction; the reason where the disk refused. A connection that failed is never used again."""
        try:
            with self._writer.begin() as connection:
                for write in batch:
                    connection.execute(write.statement)
        except (OperationalError, OSError) as error:
            self._writer.dispose()
            return _reason(error)
        except SQLAlchemyError as error:
            if len(batch) > 1:  # one unwritable row must not keep the others from the disk
                return next((reason for write in list(batch) if (reason := self._single(write, batch))), None)
            batch.pop().receipt.set_exception(AssistError("store-failed", _reason(error)))
        return None

    def _single(self, write: _Write, batch: list[_Write]) -> str | None:
        alone = [write]
        reason = self._commit(alone)
        if reason is None:
            batch.remove(write)
            for done in alone:
                done.receipt.set_result(None)
        return reason


def _reason(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
