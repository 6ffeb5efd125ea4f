"""The built-in store: the event log and the incident records in one SQLite file.

One thread (assist/store/writer.py) of one process (assist/store/lock.py) writes, on one connection; readers open the
file read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, fields
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from assist.errors import AssistError
from assist.events import Event
from assist.store import erasing, schema
from assist.store.codec import decode, encode
from assist.store.digest import digest_of
from assist.store.keys import TEMP_STORE_IN_MEMORY, Keyring, encrypt_copy, load_keys
from assist.store.lock import StoreInUse, StoreLock
from assist.store.people import People
from assist.store.rows import Hold, Review, StoredCall, StoredGate
from assist.store.searching import RecordQuery, select_count, select_records
from assist.store.writer import BACKLOG_BYTES, ReadOnlyWriter, ReserveFile, WriteQueue, Writer, error_line

BACKUP_COPY, RESTORE_COPY = ".copying", ".restoring"
"""Suffixes of copies beside the store that are not encrypted: a backup in the making, a restore under way."""
BACKTEST_FOLDER = ".backtest-"
"""In the names of temporary folders beside the store, for calls that a back-test transcribes again."""
MIN_FREE_BYTES = 1 << 20
"""With less free disk space no store can be opened: SQLite needs files beside it."""
COPY_MARGIN_BYTES = 64 << 20
"""Disk space that a backup leaves free: live calls are written there too."""


class SqliteStore:
    """A `Store` (assist/store/store.py) in a file that only this process writes."""

    def __init__(self, path: Path, on_trouble: Callable[[str | None], None] | None = None) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "ab"):  # fails at once where the folder cannot be written
                pass
            path.chmod(0o600)
            self._lock = StoreLock(path)
            remove_all_leftovers(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise AssistError(
                "data-folder", f"cannot write {error.filename or path}: {why}; choose a writable folder with --data"
            ) from None
        self._engine = _engine(path)
        self._reader = _engine(path, read_only=True)
        try:
            with self._engine.begin() as connection:
                schema.create_or_migrate(connection, path)
        except SQLAlchemyError as error:
            self._lock.close()
            full = shutil.disk_usage(path.parent).free < MIN_FREE_BYTES  # SQLite says "disk I/O error"
            why = f"the disk is full ({error_line(error)}): make room there" if full else error_line(error)
            if not os.access(path.parent, os.W_OK):  # nor is there room for the log beside it
                why = f"nothing may be written in {path.parent}: choose a writable folder with --data"
            raise AssistError("store-failed", f"cannot open {path}: {why}") from None
        except AssistError:
            self._lock.close()
            raise
        reserve = ReserveFile(path.with_name(path.name + ".reserve"))
        self._writer: WriteQueue = Writer(self._engine, reserve, path.name, on_trouble or (lambda _: None))

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Add a call as live."""
        row = {"call": call, "state": "live", "started_at": started_at, "agent": agent}
        return self._writer.put(upsert(schema.calls).values(**row).on_conflict_do_nothing())

    def reopen(self, call: str) -> Future[None]:
        """Mark an interrupted call as live again."""
        return self._writer.put(update(schema.calls).where(schema.calls.c.call == call).values(state="live"))

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n`; the same (call, n) twice is written once."""
        row = _event_row(call, n, event)
        return self._writer.put(
            upsert(schema.events).values(**row).on_conflict_do_nothing(), len(str(row["body"])) + 100
        )

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Set a call's final state and write its incident record, in one transaction."""

        def write(connection: Connection) -> None:
            ended = update(schema.calls).where(schema.calls.c.call == call).values(state=state)
            if connection.execute(ended).rowcount:
                for statement in _record_statements(call, record):
                    connection.execute(statement)

        return self._writer.put(write)

    def amend(self, call: str, after: int, events: Sequence[tuple[int, Event]], record: dict[str, Any]) -> Future[None]:
        """Append to the log of a finished call and replace its record, in one transaction."""
        rows = [_event_row(call, n, event) for n, event in events]
        last = select(func.max(schema.events.c.n)).where(schema.events.c.call == call)
        state = select(schema.calls.c.state).where(schema.calls.c.call == call)

        def write(connection: Connection) -> None:
            if connection.execute(last).scalar() != after or connection.execute(state).scalar() in (None, "live"):
                return
            connection.execute(insert(schema.events), rows)
            for statement in _record_statements(call, record):
                connection.execute(statement)

        return self._writer.put(write, sum(len(str(row["body"])) + 100 for row in rows))

    def flush(self) -> Future[None]:
        """A receipt for everything queued so far: writes are done in order."""
        return self._writer.put(text("SELECT 1"))

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        return [(n, decode(name, body)) for n, name, body in self.raw_events(call)]

    def raw_events(self, call: str) -> list[tuple[int, str, str]]:
        """All stored events of a call in order, not decoded: (number, type name, JSON)."""
        query = (
            select(schema.events.c.n, schema.events.c.type, schema.events.c.body)
            .where(schema.events.c.call == call)
            .order_by(schema.events.c.n)
        )
        with self._reader.connect() as connection:
            return [(row.n, row.type, row.body) for row in connection.execute(query)]

    def calls_with_events(self) -> set[str]:
        """Ids of the calls that have events."""
        with self._reader.connect() as connection:
            return set(connection.execute(select(schema.events.c.call).distinct()).scalars())

    def calls(self, state: str | None = None) -> list[StoredCall]:
        """Calls, newest first."""
        query = select(schema.calls).order_by(func.datetime(schema.calls.c.started_at).desc())
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
        """Incident records that match, newest (or worst) first."""
        statement = select_records(schema.records.c.body, query)
        with self._reader.connect() as connection:
            return [json.loads(body) for body in connection.execute(statement).scalars()]

    def digests(self, query: RecordQuery) -> Iterator[dict[str, Any]]:
        """The digests of the records that match, newest (or worst) first, read one by one."""
        with self._reader.connect() as connection:
            for body in connection.execute(select_records(schema.digests.c.body, query)).scalars():
                yield json.loads(body)

    def count(self, query: RecordQuery) -> int:
        """How many records match; `limit` and `after` of the query do not count."""
        with self._reader.connect() as connection:
            return int(connection.execute(select_count(query)).scalar_one())

    def agents(self) -> list[str]:
        """The names of agents as the records spell them, each once."""
        with self._reader.connect() as connection:
            return list(connection.execute(select(schema.records.c.agent).distinct()).scalars())

    def review(self, call: str, review: Review) -> Future[None]:
        """Append a review of a finished call, or the note that somebody looked at it."""
        return self._writer.put(insert(schema.reviews).values(call=call, **asdict(review)))

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        columns = [schema.reviews.c[field.name] for field in fields(Review)]
        query = select(*columns).where(schema.reviews.c.call == call).order_by(schema.reviews.c.n)
        with self._reader.connect() as connection:
            return [Review(*row) for row in connection.execute(query)]

    def set_gate(self, call: str, gate: StoredGate) -> Future[None]:
        """Write what may be transcribed and stored of a call from now on."""
        row = asdict(gate)
        return self._writer.put(
            upsert(schema.gates).values(call=call, **row).on_conflict_do_update(index_elements=["call"], set_=row)
        )

    def gate(self, call: str) -> StoredGate | None:
        """The gate that was last set for a call."""
        columns = [schema.gates.c[field.name] for field in fields(StoredGate)]
        with self._reader.connect() as connection:
            row = connection.execute(select(*columns).where(schema.gates.c.call == call)).one_or_none()
        return None if row is None else StoredGate(*row)

    def erase_events(self, call: str, numbers: Sequence[int]) -> Future[None]:
        """Erase single events of a call's log; the receipt waits until their bytes are gone."""
        return self._writer.put(lambda connection: erasing.erase_events(connection, call, numbers), checkpoint=True)

    def erase(self, calls: Sequence[str]) -> Future[None]:
        """Erase calls from every table but the gates, the full-text index, the write-ahead log and every backup."""
        keys = Keyring.beside(self.path)

        def write(connection: Connection) -> None:
            erasing.check_not_held(connection, calls)
            keys.destroy(calls)
            erasing.erase(connection, calls)

        return self._writer.put(write, checkpoint=True, destroys_keys=True)

    def erase_words(self, call: str, record: dict[str, Any]) -> Future[None]:
        """Erase a call's events and replace its record by one without words, in one transaction."""
        keys = Keyring.beside(self.path)

        def write(connection: Connection) -> None:
            erasing.check_not_held(connection, [call])
            keys.destroy([call])
            for statement in _record_statements(call, record):
                connection.execute(statement)
            erasing.erase_words(connection, call)

        return self._writer.put(write, checkpoint=True, destroys_keys=True)

    def delete_gates(self, calls: Sequence[str]) -> Future[None]:
        """Delete the gates of calls."""

        def write(connection: Connection) -> None:
            erasing.check_not_held(connection, calls)
            erasing.delete_gates(connection, calls)

        return self._writer.put(write, checkpoint=True)

    def gates_before(self, at: str) -> list[str]:
        """Ids of calls whose gate was last set before a time (ISO 8601, UTC) and of which nothing else is stored."""
        stored = select(schema.calls.c.call)
        query = select(schema.gates.c.call).where(schema.gates.c.at < at, schema.gates.c.call.not_in(stored))
        with self._reader.connect() as connection:
            return list(connection.execute(query).scalars())

    def hold(self, hold: Hold) -> Future[None]:
        """Protect a call from erasure."""
        row = asdict(hold)
        return self._writer.put(
            upsert(schema.holds).values(**row).on_conflict_do_update(index_elements=["call"], set_=row)
        )

    def release(self, call: str) -> Future[None]:
        """End the hold of a call."""
        return self._writer.put(delete(schema.holds).where(schema.holds.c.call == call))

    def holds(self) -> list[Hold]:
        """All holds."""
        with self._reader.connect() as connection:
            return [Hold(*row) for row in connection.execute(select(schema.holds).order_by(schema.holds.c.call))]

    def reviews_by_call(self, calls: Sequence[str] | None = None) -> dict[str, list[Review]]:
        """Call -> its reviews, oldest first, without the notes that somebody looked; None: of all calls."""
        columns = [schema.reviews.c[field.name] for field in fields(Review)]
        query = select(schema.reviews.c.call, *columns).where(schema.reviews.c.kind != "looked")
        if calls is not None:
            query = query.where(schema.reviews.c.call.in_(calls))
        found: dict[str, list[Review]] = {}
        with self._reader.connect() as connection:
            for call, *row in connection.execute(query.order_by(schema.reviews.c.n)):
                found.setdefault(call, []).append(Review(*row))
        return found

    @property
    def people(self) -> People:
        """Users, logins, saved searches and the audit log."""
        return People(self._writer, self._reader)

    @property
    def backlog_full(self) -> bool:
        """Whether so much waits to be written that no new call should begin."""
        return self._writer.backlog_bytes > BACKLOG_BYTES

    def backup(self, out: Path) -> None:
        """A consistent copy of everything acknowledged so far, made while calls go on (VACUUM INTO).

        The words of a call are encrypted under that call's own key, which stays in `keys.db` beside the store. Until
        they are, the copy lies beside the store: no other disk ever holds plain text.

        Raises:
            AssistError: codes backup-failed, keys-failed.
        """
        keys = Keyring.beside(self.path)
        load_keys(self.path, keys)
        copy = self.path.with_name(self.path.name + BACKUP_COPY)
        try:
            lock = StoreLock(copy, lock_folder=False)
        except StoreInUse:
            raise AssistError("backup-failed", f"another backup of {self.path} is being made: wait for it") from None
        except OSError as error:
            raise AssistError("backup-failed", f"cannot write {copy}: {error.strerror or error}") from None
        try:
            free = shutil.disk_usage(copy.parent).free
            needed = 2 * self.path.stat().st_size + COPY_MARGIN_BYTES
            if free < needed:
                raise AssistError(
                    "backup-failed",
                    f"{needed >> 20} MiB are needed for the copy in {copy.parent}, {free >> 20} are free: make room",
                )
            copy.unlink(missing_ok=True)
            os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
            with self._reader.connect() as connection:
                connection.execute(text("VACUUM INTO :copy").bindparams(copy=str(copy)))
            encrypt_copy(copy, keys)
            shutil.move(copy, out)
            with open(out, "rb+") as written:
                os.fsync(written.fileno())
        except (SQLAlchemyError, OSError) as error:
            raise AssistError("backup-failed", f"cannot write {out}: {error_line(error)}") from None
        finally:
            copy.unlink(missing_ok=True)
            lock.close()

    def close(self) -> None:
        """Write what is queued, then close. While the disk refuses, one last attempt is made."""
        self._writer.close()
        self._engine.dispose()
        self._reader.dispose()
        self._lock.close()


class ReadOnlyStore(SqliteStore):
    """The same store, open for reading only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _engine(path, read_only=True)
        self._writer = ReadOnlyWriter(path)
        if not path.exists():
            raise AssistError("store-missing", f"there is no store {path} yet: it is made at the first call")
        try:
            with self._reader.connect() as connection:
                found = connection.execute(text("PRAGMA user_version")).scalar()
        except SQLAlchemyError as error:
            raise AssistError("store-failed", f"cannot read {path}: {error_line(error)}") from None
        if found != schema.SCHEMA_VERSION:
            raise AssistError(
                "store-other",
                f"{path} has schema {found}, this version reads {schema.SCHEMA_VERSION}: use the version that wrote it",
            )

    def close(self) -> None:
        """Close the connections."""
        self._reader.dispose()


def remove_all_leftovers(store: Path) -> None:
    """Remove what killed backups, restores and back-tests have left beside a store; only with its lock held."""
    for left in store.parent.glob(f"{store.name}{RESTORE_COPY}*"):
        left.unlink(missing_ok=True)
    remove_leftovers(store)


@contextlib.contextmanager
def temporary_folder(store: Path) -> Iterator[Path]:
    """A folder beside the store, removed after the block, or by `remove_leftovers` where the process was killed."""
    path = store.with_name(f"{store.name}{BACKTEST_FOLDER}{token_hex(4)}")
    lock = StoreLock(path, lock_folder=False)
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        _remove_folder(path, lock)


def _remove_folder(path: Path, lock: StoreLock) -> None:
    with contextlib.closing(lock):
        if path.exists():
            shutil.rmtree(path)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def remove_leftovers(store: Path) -> None:
    """Remove what killed backups and back-tests have left beside a store, and nothing of running ones."""
    for name in {each.name.removesuffix(".lock") for each in store.parent.glob(f"{store.name}{BACKTEST_FOLDER}*")}:
        path = store.with_name(name)
        with contextlib.suppress(StoreInUse):
            _remove_folder(path, StoreLock(path, lock_folder=False))
    lock_name = f"{store.name}{BACKUP_COPY}.lock"
    if copies := [each for each in store.parent.glob(f"{store.name}{BACKUP_COPY}*") if each.name != lock_name]:
        with (
            contextlib.suppress(StoreInUse),
            contextlib.closing(StoreLock(store.with_name(store.name + BACKUP_COPY), lock_folder=False)),
        ):
            for left in copies:
                left.unlink(missing_ok=True)


def _event_row(call: str, n: int, event: Event) -> dict[str, Any]:
    name, body = encode(event)
    at_ms = getattr(event, "at_ms", getattr(event, "start_ms", 0))
    return {"call": call, "n": n, "at_ms": at_ms, "type": name, "body": body}


def _record_statements(call: str, record: dict[str, Any]) -> list[Any]:
    """The statements that write a record, its digest and its full-text index entry, or replace them."""
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
    digest = json.dumps(digest_of({**record, "call": call}), ensure_ascii=False, separators=(",", ":"))
    words = " ".join(line["text"] for line in record["transcript"])
    return [
        upsert(schema.records).values(call=call, **row).on_conflict_do_update(index_elements=["call"], set_=row),
        upsert(schema.digests)
        .values(call=call, body=digest)
        .on_conflict_do_update(index_elements=["call"], set_={"body": digest}),
        text("DELETE FROM spoken WHERE call = :call").bindparams(call=call),
        text("INSERT INTO spoken(call, words) VALUES (:call, :words)").bindparams(call=call, words=words),
    ]


def _engine(path: Path, *, read_only: bool = False) -> Engine:
    mode = "ro" if read_only else "rwc"
    engine = create_engine(
        URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": mode, "uri": "true"}),
        poolclass=NullPool if read_only else None,
        connect_args={"check_same_thread": False, "timeout": 10},
        hide_parameters=True,  # else an error message would quote callers' words
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        connection.execute(TEMP_STORE_IN_MEMORY)
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")  # deleted content is overwritten with zeros

    return engine
