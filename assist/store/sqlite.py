"""The built-in store: the event log and the incident records in one SQLite file.

One writer (assist/store/writer.py) owns the one connection that writes, and one process may have it
(assist/store/owner.py); readers open the file read-only.
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
from assist.store.keys import NO_FILES_ELSEWHERE, Keyring, fetch_keys, seal_copy
from assist.store.owner import Owner, StoreInUse
from assist.store.people import People
from assist.store.rows import Hold, Review, StoredCall, StoredGate
from assist.store.searching import RecordQuery, counting, matching
from assist.store.writer import BACKLOG_BYTES, NoWriter, Reserve, Writer, Writing, reason

COPYING, RESTORING = ".copying", ".restoring"
"""Ends of the names of copies beside the store whose words are not sealed yet, or no longer."""
TRYING = ".backtest-"
"""In the names of folders beside the store for words that are heard only to be judged."""
FULL_BYTES = 1 << 20
"""With less room no store can be opened: readers and the writer share files beside it."""
ROOM_BYTES = 64 << 20
"""Left free by a copy beside the store: live calls are written there too."""


class SqliteStore:
    """A `Store` (assist/store/store.py) on a file that this program alone writes."""

    def __init__(self, path: Path, on_trouble: Callable[[str | None], None] | None = None) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "ab"):  # says at once and plainly whether the folder can be written
                pass
            path.chmod(0o600)
            self._owner = Owner(path)
            remove_copies(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise AssistError(
                "data-folder", f"cannot write {error.filename or path}: {why}; choose a writable folder with --data"
            ) from None
        self._engine = _engine(path)
        self._reader = _engine(path, read_only=True)
        try:
            with self._engine.begin() as connection:
                schema.prepare(connection, path)
        except SQLAlchemyError as error:
            self._owner.close()
            full = shutil.disk_usage(path.parent).free < FULL_BYTES  # SQLite says "disk I/O error"
            why = f"the disk is full ({reason(error)}): make room there" if full else reason(error)
            if not os.access(path.parent, os.W_OK):  # nor is there room for the log beside it
                why = f"nothing may be written in {path.parent}: choose a writable folder with --data"
            raise AssistError("store-failed", f"cannot open {path}: {why}") from None
        except AssistError:
            self._owner.close()
            raise
        reserve = Reserve(path.with_name(path.name + ".reserve"))
        self._writer: Writing = Writer(self._engine, reserve, path.name, on_trouble or (lambda _: None))

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Enter a call as live."""
        row = {"call": call, "state": "live", "started_at": started_at, "agent": agent}
        return self._writer.put(upsert(schema.calls).values(**row).on_conflict_do_nothing())

    def reopen(self, call: str) -> Future[None]:
        """A call that was cut short is live again."""
        return self._writer.put(update(schema.calls).where(schema.calls.c.call == call).values(state="live"))

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n`; the same (call, n) twice is written once."""
        row = _row(call, n, event)
        return self._writer.put(
            upsert(schema.events).values(**row).on_conflict_do_nothing(), len(str(row["body"])) + 100
        )

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Close a call with its incident record."""
        for statement in _filing(call, record):
            self._writer.put(statement)
        return self._writer.put(update(schema.calls).where(schema.calls.c.call == call).values(state=state))

    def amend(self, call: str, after: int, events: Sequence[tuple[int, Event]], record: dict[str, Any]) -> Future[None]:
        """Add to the log of a finished call, and put a new record in the old one's place."""
        rows = [_row(call, n, event) for n, event in events]
        last = select(func.max(schema.events.c.n)).where(schema.events.c.call == call)
        state = select(schema.calls.c.state).where(schema.calls.c.call == call)

        def write(connection: Connection) -> None:
            if connection.execute(last).scalar() != after or connection.execute(state).scalar() in (None, "live"):
                return
            connection.execute(insert(schema.events), rows)
            for statement in _filing(call, record):
                connection.execute(statement)

        return self._writer.put(write, sum(len(str(row["body"])) + 100 for row in rows))

    def flush(self) -> Future[None]:
        """A receipt for everything put in so far: one writer, so what is queued last is written last."""
        return self._writer.put(text("SELECT 1"))

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        return [(n, decode(name, body)) for n, name, body in self.log(call)]

    def log(self, call: str) -> list[tuple[int, str, str]]:
        """The same as they stand on disk: number, type, JSON."""
        query = (
            select(schema.events.c.n, schema.events.c.type, schema.events.c.body)
            .where(schema.events.c.call == call)
            .order_by(schema.events.c.n)
        )
        with self._reader.connect() as connection:
            return [(row.n, row.type, row.body) for row in connection.execute(query)]

    def logged(self) -> set[str]:
        """Calls of which there are events."""
        with self._reader.connect() as connection:
            return set(connection.execute(select(schema.events.c.call).distinct()).scalars())

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
        wanted = matching(schema.records.c.body, query)
        with self._reader.connect() as connection:
            return [json.loads(body) for body in connection.execute(wanted).scalars()]

    def digests(self, query: RecordQuery) -> Iterator[dict[str, Any]]:
        """The digests of the records that fit, newest (or worst) first, one by one."""
        with self._reader.connect() as connection:
            for body in connection.execute(matching(schema.digests.c.body, query)).scalars():
                yield json.loads(body)

    def count(self, query: RecordQuery) -> int:
        """How many records fit, whatever the query's limit and the record it begins after."""
        with self._reader.connect() as connection:
            return int(connection.execute(counting(query)).scalar_one())

    def review(self, call: str, review: Review) -> Future[None]:
        """Append what somebody said about a finished call, or that they looked."""
        return self._writer.put(insert(schema.reviews).values(call=call, **asdict(review)))

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        columns = [schema.reviews.c[field.name] for field in fields(Review)]
        query = select(*columns).where(schema.reviews.c.call == call).order_by(schema.reviews.c.n)
        with self._reader.connect() as connection:
            return [Review(*row) for row in connection.execute(query)]

    def latch(self, call: str, gate: StoredGate) -> Future[None]:
        """Write what may be heard and kept of a call from now on."""
        row = asdict(gate)
        return self._writer.put(
            upsert(schema.gates).values(call=call, **row).on_conflict_do_update(index_elements=["call"], set_=row)
        )

    def gate(self, call: str) -> StoredGate | None:
        """What was last latched for a call."""
        columns = [schema.gates.c[field.name] for field in fields(StoredGate)]
        with self._reader.connect() as connection:
            row = connection.execute(select(*columns).where(schema.gates.c.call == call)).one_or_none()
        return None if row is None else StoredGate(*row)

    def scrub(self, call: str, numbers: Sequence[int]) -> Future[None]:
        """Take single events out of a call's log; fulfilled when their bytes are gone."""
        return self._writer.put(lambda connection: erasing.scrub(connection, call, numbers), wipe=True)

    def erase(self, calls: Sequence[str]) -> Future[None]:
        """Take calls out of every table, the full-text index and the write-ahead log, and out of every backup."""
        keys = Keyring.beside(self.path)

        def gone(connection: Connection) -> None:
            keys.destroy(calls)
            erasing.erase(connection, calls)

        return self._writer.put(gone, wipe=True)

    def strip(self, call: str, record: dict[str, Any]) -> Future[None]:
        """Take a call's words out and put a record without them in the old one's place."""
        keys = Keyring.beside(self.path)

        def gone(connection: Connection) -> None:
            keys.destroy([call])
            for statement in _filing(call, record):
                connection.execute(statement)
            erasing.strip(connection, call)

        return self._writer.put(gone, wipe=True)

    def forget(self, calls: Sequence[str]) -> Future[None]:
        """Take the gates of calls out."""
        return self._writer.put(lambda connection: erasing.forget(connection, calls), wipe=True)

    def gates_before(self, at: str) -> list[str]:
        """Calls whose gate was last set before a time (ISO 8601, UTC) and of which nothing else is kept."""
        kept = select(schema.calls.c.call)
        query = select(schema.gates.c.call).where(schema.gates.c.at < at, schema.gates.c.call.not_in(kept))
        with self._reader.connect() as connection:
            return list(connection.execute(query).scalars())

    def hold(self, hold: Hold) -> Future[None]:
        """Keep a call from being erased."""
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

    def said(self, calls: Sequence[str] | None = None) -> dict[str, list[Review]]:
        """What was said about these calls (None: about any), oldest first; without mere looks."""
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
    def behind(self) -> bool:
        """So much waits to be written that no new call should begin."""
        return self._writer.backlog_bytes > BACKLOG_BYTES

    def backup(self, out: Path) -> None:
        """A consistent copy of everything acknowledged so far, made while calls go on (VACUUM INTO).

        What was said in a call stands in it under that call's own key, which stays in `keys.db` beside the store. Until
        it is sealed the copy lies beside the store as well, so that no other disk ever holds words in the clear.

        Raises:
            AssistError: codes backup-failed, keys-failed.
        """
        keys = Keyring.beside(self.path)
        fetch_keys(self.path, keys)
        copy = self.path.with_name(self.path.name + COPYING)
        try:
            maker = Owner(copy, folder=False)
        except StoreInUse:
            raise AssistError("backup-failed", f"another backup of {self.path} is being made: wait for it") from None
        except OSError as error:
            raise AssistError("backup-failed", f"cannot write {copy}: {error.strerror or error}") from None
        try:
            room = shutil.disk_usage(copy.parent).free
            needed = 2 * self.path.stat().st_size + ROOM_BYTES
            if room < needed:
                raise AssistError(
                    "backup-failed",
                    f"{needed >> 20} MiB are needed for the copy in {copy.parent}, {room >> 20} are free: make room",
                )
            copy.unlink(missing_ok=True)
            os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
            with self._reader.connect() as connection:
                connection.execute(text("VACUUM INTO :copy").bindparams(copy=str(copy)))
            seal_copy(copy, keys)
            shutil.move(copy, out)
            with open(out, "rb+") as written:
                os.fsync(written.fileno())
        except (SQLAlchemyError, OSError) as error:
            raise AssistError("backup-failed", f"cannot write {out}: {reason(error)}") from None
        finally:
            copy.unlink(missing_ok=True)
            maker.close()

    def close(self) -> None:
        """Write what is waiting, then let go. While the disk refuses, one last try is made."""
        self._writer.close()
        self._engine.dispose()
        self._reader.dispose()
        self._owner.close()


class ReadOnlyStore(SqliteStore):
    """The same store where nothing can be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _engine(path, read_only=True)
        self._writer = NoWriter(path)
        if not path.exists():
            raise AssistError("store-missing", f"there is no store {path} yet: it is made at the first call")
        try:
            with self._reader.connect() as connection:
                found = connection.execute(text("PRAGMA user_version")).scalar()
        except SQLAlchemyError as error:
            raise AssistError("store-failed", f"cannot read {path}: {reason(error)}") from None
        if found != schema.SCHEMA_VERSION:
            raise AssistError(
                "store-other",
                f"{path} has schema {found}, this version reads {schema.SCHEMA_VERSION}: use the version that wrote it",
            )

    def close(self) -> None:
        """Let go."""
        self._reader.dispose()


def remove_copies(store: Path) -> None:
    """Remove what a backup or a restore that was killed has left beside a store; for whoever owns it."""
    for left in store.parent.glob(f"{store.name}{RESTORING}*"):
        left.unlink(missing_ok=True)
    remove_left(store)


@contextlib.contextmanager
def folder_beside(store: Path) -> Iterator[Path]:
    """A folder for words that nobody keeps, gone with the block; what a killed program leaves `remove_left` finds."""
    path = store.with_name(f"{store.name}{TRYING}{token_hex(4)}")
    owner = Owner(path, folder=False)
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        _remove_folder(path, owner)


def _remove_folder(path: Path, owner: Owner) -> None:
    with contextlib.closing(owner):
        if path.exists():
            shutil.rmtree(path)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def remove_left(store: Path) -> None:
    """Remove what backups and back-tests that were killed have left beside a store; those at work keep theirs."""
    for name in {each.name.removesuffix(".lock") for each in store.parent.glob(f"{store.name}{TRYING}*")}:
        path = store.with_name(name)
        with contextlib.suppress(StoreInUse):
            _remove_folder(path, Owner(path, folder=False))
    lock = f"{store.name}{COPYING}.lock"
    if copies := [each for each in store.parent.glob(f"{store.name}{COPYING}*") if each.name != lock]:
        with (
            contextlib.suppress(StoreInUse),
            contextlib.closing(Owner(store.with_name(store.name + COPYING), folder=False)),
        ):
            for left in copies:
                left.unlink(missing_ok=True)


def _row(call: str, n: int, event: Event) -> dict[str, Any]:
    name, body = encode(event)
    at_ms = getattr(event, "at_ms", getattr(event, "start_ms", 0))
    return {"call": call, "n": n, "at_ms": at_ms, "type": name, "body": body}


def _filing(call: str, record: dict[str, Any]) -> list[Any]:
    """The statements that put a record, its digest and its words in the place of what was there."""
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
        hide_parameters=True,  # else an error says the words that were to be written or looked for
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        connection.execute(NO_FILES_ELSEWHERE)
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")  # what is taken out is overwritten, not just unlinked

    return engine
