"""Backups: one consistent, checked file; a restore keeps the store that it replaces."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assist.errors import AssistError
from assist.files import beside
from assist.store.keys import Keyring, decrypt_copy, delete_calls
from assist.store.lock import StoreLock
from assist.store.schema import (
    SCHEMA_VERSION,
    audit,
    audit_cut,
    audit_head,
    calls,
    create_table,
    digests,
    gates,
    holds,
    logins,
    records,
    reviews,
    users,
)
from assist.store.sqlite import RESTORE_COPY, remove_all_leftovers
from assist.store.store import Store, path_from_url

FORMER_TIME_FORMAT = "%Y%m%dT%H%M%S"
"""Time (UTC) in the name of a former store, which a restore has kept: assist.before-20261127T120000.db."""


def write_backup(store: Store, out: Path) -> int:
    """Copy the store to `out` and check the copy; returns its size in bytes.

    Raises:
        AssistError: codes backup-exists, backup-failed, backup-damaged.
    """
    if out.exists():
        raise AssistError("backup-exists", f"{out} exists already: expected a new file's name")
    part = beside(out)
    try:
        store.backup(part)
        check_backup(part)
        os.replace(part, out)
    except OSError as error:
        raise AssistError("backup-failed", f"cannot write {out}: {error.strerror or error}") from None
    except AssistError as error:  # told of the file that was asked for
        raise AssistError(error.code, str(error).replace(str(part), str(out))) from None
    finally:
        with suppress(OSError):
            part.unlink()
    return out.stat().st_size


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore."""

    former: Path | None
    """Where the store that was there is kept; None: there was none."""
    left_out: int
    """Number of calls of the backup that cannot be decrypted: their keys are gone, as those of erased calls are."""
    erased: int
    """Number of other calls of the backup that were erased since, as the store that was there shows."""
    people_of_backup: bool
    """Users and audit log are the backup's: the store that was there is damaged, or no later state of the backup's."""


def restore_backup(backup: Path, store_url: str, *, audit_log: bool = True) -> Restored:
    """Replace the store by a backup.

    Args:
        backup: The backup's file.
        store_url: The store.
        audit_log: False leaves the audit log out, which cannot be continued where its key is lost.

    Raises:
        AssistError: codes backup-missing, backup-damaged, store-newer, store-in-use, restore-failed.
    """
    if not backup.is_file():
        raise AssistError("backup-missing", f"there is no file {backup}: expected one that assist backup wrote")
    check_backup(backup)
    target = path_from_url(store_url)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(StoreLock(target)):
            return _replace_store(backup, target, audit_log)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise AssistError("restore-failed", f"cannot write {target}: {why}") from None


def _replace_store(backup: Path, target: Path, audit_log: bool) -> Restored:
    kept = None
    people_kept = True
    if target.exists():  # OSError now: an unreadable file must not be taken for a damaged one and lose users and holds
        target.open("rb").close()
    remove_all_leftovers(target)
    restored = target.with_name(target.name + RESTORE_COPY)
    try:
        shutil.copyfile(backup, restored)
        restored.chmod(0o600)
        keys = Keyring.beside(target)
        erased: list[str] = []
        if target.exists():
            _checkpoint(target)
            erased = _leave_out_erased(target, restored, keys)
        left_out = decrypt_copy(restored, keys)
        if target.exists():
            _drop_released_holds(target, restored)
            _carry_holds_and_gates(target, restored)
            people_kept = _carry_people(target, restored)
            left_out = _carry_calls_without_words(target, restored, left_out)
        if not audit_log:
            _clear_audit_log(restored)
        if target.exists():
            kept = _keep_former(target)
        for end in ("-wal", "-shm"):  # of the former store, not of the restored one
            target.with_name(target.name + end).unlink(missing_ok=True)
        os.replace(restored, target)
    finally:
        remove_all_leftovers(target)
    return Restored(kept, len(left_out), len(erased), not people_kept)


def _keep_former(target: Path) -> Path:
    """Give the store a second name, which is returned: a process killed now leaves it in its place, too."""
    when = datetime.now(UTC)
    while (kept := target.with_name(f"{target.stem}.before-{when:{FORMER_TIME_FORMAT}}{target.suffix}")).exists():
        when += timedelta(seconds=1)
    try:
        os.link(target, kept)
    except OSError:  # a file system without hard links
        os.replace(target, kept)
    return kept


def _leave_out_erased(former: Path, restored: Path, keys: Keyring) -> list[str]:
    """Delete from the copy what was erased since the backup, with its keys, which an older copy of them has.

    That is what the former store has not, and its audit log or its gate names erased or refused. A call that it only
    lacks may never have been in it.
    """
    try:
        with closing(_open_immutable(former)) as reader:
            erased = {call for (call,) in reader.execute("SELECT target FROM audit WHERE what = 'erase'")}
            erased |= {call for (call,) in reader.execute("SELECT call FROM gates WHERE consent = 'refused'")}
            erased -= {call for (call,) in reader.execute("SELECT call FROM calls")}
    except sqlite3.Error:
        return []  # not readable: nothing is known
    with closing(sqlite3.connect(restored)) as copy, copy:
        found = [call for (call,) in copy.execute("SELECT call FROM calls") if call in erased]
        delete_calls(copy, found)
    if erased:
        keys.destroy(erased & keys.calls())
    return found


def _drop_released_holds(former: Path, restored: Path) -> None:
    """Delete the holds of the backup that were released since, by the former store's audit log."""
    released = "SELECT max(at) FROM audit WHERE what = 'release' AND target = ?"
    try:
        with closing(_open_immutable(former)) as reader, closing(sqlite3.connect(restored)) as writer, writer:
            held = {call for (call,) in reader.execute("SELECT call FROM holds")}
            for call, since in writer.execute("SELECT call, at FROM holds").fetchall():
                [last] = reader.execute(released, (call,)).fetchone()
                if call not in held and last is not None and last >= since:
                    writer.execute("DELETE FROM holds WHERE call = ?", (call,))
    except sqlite3.DatabaseError:
        return  # not readable: one hold more is safe


def _carry_holds_and_gates(former: Path, restored: Path) -> None:
    """Take over what was decided since the backup: holds, and the newest gate of each call."""
    for table in (holds, gates):
        try:
            with closing(_open_immutable(former)) as reader, closing(_open_immutable(restored)) as backup:
                known = _columns(reader, table.name) & _columns(backup, table.name)  # of two versions, perhaps
                names = [f'"{column.name}"' for column in table.columns if column.name in known]
                rows = reader.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
        except sqlite3.Error:
            continue  # not readable: there is nothing to carry over
        with closing(sqlite3.connect(restored)) as writer, writer:
            newer = ", ".join(f"{name} = excluded.{name}" for name in names)
            writer.executemany(
                f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
                f"ON CONFLICT (call) DO UPDATE SET {newer} WHERE excluded.at >= {table.name}.at",
                rows,
            )


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}


def _carry_calls_without_words(former: Path, restored: Path, left_out: Sequence[str]) -> list[str]:
    """Take over the calls whose words, and so keys, were erased since the backup; returns the other calls."""
    kept: list[tuple[str, str, list[tuple[object, ...]]]] = []
    try:
        with closing(_open_immutable(former)) as reader:
            with_events = {call for (call,) in reader.execute("SELECT DISTINCT call FROM events")}
            with_record = {call for (call,) in reader.execute("SELECT call FROM records")}
            without_words = [call for call in left_out if call in with_record - with_events]
            for table in (calls, records, digests, reviews):
                names = ", ".join(f'"{column.name}"' for column in table.columns if column is not reviews.c.n)
                chosen = f"SELECT {names} FROM {table.name} WHERE call = ? ORDER BY rowid"
                rows = [row for call in without_words for row in reader.execute(chosen, (call,))]
                kept.append((table.name, names, rows))
    except sqlite3.Error:
        return list(left_out)  # not readable: there is nothing to carry over
    with closing(sqlite3.connect(restored)) as writer, writer:
        for name, names, rows in kept:
            places = ", ".join("?" * len(names.split(", ")))
            writer.executemany(f"INSERT INTO {name} ({names}) VALUES ({places})", rows)
    return [call for call in left_out if call not in without_words]


def _carry_people(former: Path, restored: Path) -> bool:
    """Take over users, logins and audit log: a user removed since the backup must not be let in again.

    Only where the former store's audit log continues the backup's, or the backup has no users. Otherwise the former
    store is another installation's, or new, and the backup's users are the ones to keep: then False.
    """
    kept = []
    try:
        with closing(_open_immutable(former)) as reader, closing(_open_immutable(restored)) as backup:
            if not _continues_audit_log(reader, backup):
                return False
            for table in (users, logins, audit, audit_head, audit_cut):
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                found = reader.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone()
                rows = reader.execute(f"SELECT {names} FROM {table.name}").fetchall() if found else []
                kept.append((table, names, rows))
    except sqlite3.DatabaseError:
        return False  # not readable: there is nothing to carry over
    with closing(sqlite3.connect(restored)) as writer, writer:
        for table, names, rows in kept:
            create_table(writer, table)
            writer.execute(f"DELETE FROM {table.name}")
            places = ", ".join("?" * len(table.columns))
            writer.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({places})", rows)
    return True


def _clear_audit_log(restored: Path) -> None:
    with closing(sqlite3.connect(restored)) as writer, writer:
        for table in (audit, audit_head, audit_cut):
            create_table(writer, table)
            writer.execute(f"DELETE FROM {table.name}")


def _continues_audit_log(former: sqlite3.Connection, backup: sqlite3.Connection) -> bool:
    """Whether the newest entry of the backup's audit log is in the former store's, or was before that was shortened.

    A backup without entries matches if it has no users either.
    """
    last = backup.execute("SELECT n, seal FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    if last is None:
        return backup.execute("SELECT 1 FROM users").fetchone() is None
    if former.execute("SELECT 1 FROM audit WHERE n = ? AND seal = ?", last).fetchone():
        return True
    [begins] = former.execute("SELECT coalesce(min(n), 0) FROM audit").fetchone()
    return bool(begins > last[0])


def former_stores(data: Path) -> list[tuple[Path, datetime]]:
    """The stores that restores have kept in this folder, each with the time of its restore; oldest first."""
    found = []
    for path in data.glob("*.before-*.db"):
        with suppress(ValueError):  # not a name that a restore gives
            when = datetime.strptime(path.stem.rpartition(".before-")[2], FORMER_TIME_FORMAT)
            found.append((path, when.replace(tzinfo=UTC)))
    return sorted(found, key=lambda each: each[1])


def has_holds(path: Path) -> bool:
    """Whether a call in this store is on hold; False where it cannot be read."""
    try:
        with closing(_open_immutable(path)) as connection:
            return connection.execute("SELECT 1 FROM holds LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False


def check_backup(path: Path) -> None:
    """Check that this file is a complete store that this version can read.

    Raises:
        AssistError: codes backup-damaged, store-newer.
    """
    try:
        with closing(_open_immutable(path)) as connection:
            [[verdict]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            [[found]] = connection.execute("PRAGMA user_version").fetchall()
            connection.execute("SELECT 1 FROM events, calls, records LIMIT 1").close()
    except sqlite3.Error as error:
        raise AssistError("backup-damaged", f"{path} is no whole store: {error}") from None
    if verdict != "ok":
        raise AssistError("backup-damaged", f"{path} is damaged: {verdict}")
    if found > SCHEMA_VERSION:
        raise AssistError("store-newer", f"{path} was written by a newer version (schema {found}); update first")


def _open_immutable(path: Path) -> sqlite3.Connection:
    """Open for reading without creating files beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _checkpoint(path: Path) -> None:
    """Move the write-ahead log into the database file, so that renaming the file moves everything.

    Raises:
        AssistError: code store-in-use, where somebody reads it.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0.5)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE").close()
            connection.rollback()
            [[busy, *_]] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError as error:
        if "locked" not in str(error):
            if path.with_name(path.name + "-wal").exists():  # such as on a full disk: it has the latest writes
                raise
            return  # not a readable database: kept unchanged
        busy = 1
    if busy:
        raise AssistError("store-in-use", f"{path} is in use: stop assist serve and every call first")
