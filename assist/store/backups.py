"""Backups: one consistent file, checked before it is believed, put back without losing what it replaces."""

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
from assist.store.keys import Keyring, open_copy
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

ASIDE = "%Y%m%dT%H%M%S"
"""When a store was put aside (UTC), in its name: assist.before-20261127T120000.db."""


def write_backup(store: Store, out: Path) -> int:
    """Copy the store to `out` and check the copy; its size in bytes.

    Raises:
        AssistError: codes backup-exists, backup-failed, backup-damaged.
    """
    if out.exists():
        raise AssistError("backup-exists", f"{out} exists already: expected a new file's name")
    part = out.with_name(out.name + ".part")
    try:
        part.unlink(missing_ok=True)
        store.backup(part)
        check_backup(part)
        os.replace(part, out)
    except OSError as error:
        raise AssistError("backup-failed", f"cannot write {out}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return out.stat().st_size


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to."""

    former: Path | None
    """Under this name the store that was there is kept, if there was one."""
    left_out: int
    """Calls of the backup that cannot be opened: their keys are gone, as those of erased ones are."""
    people_of_backup: bool
    """Who may log in is as it was then: the store that was there is damaged, or no later state of the backup's."""


def restore_backup(backup: Path, store_url: str, *, audit_log: bool = True) -> Restored:
    """Put a backup in the store's place.

    `audit_log`: False leaves the audit log out, which cannot go on where its key is lost.

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
            return _put_back(backup, target, audit_log)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise AssistError("restore-failed", f"cannot write {target}: {why}") from None


def _put_back(backup: Path, target: Path, audit_log: bool) -> Restored:
    kept = None
    carried = True
    if target.exists():  # one that this user may not read is not damaged: its holds would be lost, and who may log in
        target.open("rb").close()
    remove_all_leftovers(target)
    fresh = target.with_name(target.name + RESTORE_COPY)
    try:
        shutil.copyfile(backup, fresh)
        fresh.chmod(0o600)
        left_out = open_copy(fresh, Keyring.beside(target))
        if target.exists():
            _fold(target)
            _carry_over(target, fresh)
            carried = _carry_people(target, fresh)
            left_out = _without_kept(target, fresh, left_out)
        if not audit_log:
            _leave_out_audit(fresh)
        if target.exists():
            kept = _keep_former(target)
        for end in ("-wal", "-shm"):  # of a store that was taken away: not of the one that comes
            target.with_name(target.name + end).unlink(missing_ok=True)
        os.replace(fresh, target)
    finally:
        remove_all_leftovers(target)
    return Restored(kept, len(left_out), not carried)


def _keep_former(target: Path) -> Path:
    """Keep the store under another name as well: killed now, the next start still finds it in its place. That name."""
    when = datetime.now(UTC)
    while (kept := target.with_name(f"{target.stem}.before-{when:{ASIDE}}{target.suffix}")).exists():
        when += timedelta(seconds=1)
    try:
        os.link(target, kept)
    except OSError:  # a file system without hard links
        os.replace(target, kept)
    return kept


def _carry_over(former: Path, fresh: Path) -> None:
    """What was decided since the backup still holds: holds, and the newest word about consent of each call."""
    for table in (holds, gates):
        names = [f'"{column.name}"' for column in table.columns]
        try:
            with closing(_unchanged(former)) as reading:
                rows = reading.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchall()
        except sqlite3.Error:
            continue  # not readable: there is nothing to carry over
        with closing(sqlite3.connect(fresh)) as writing, writing:
            newer = ", ".join(f"{name} = excluded.{name}" for name in names)
            writing.executemany(
                f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
                f"ON CONFLICT (call) DO UPDATE SET {newer} WHERE excluded.at >= {table.name}.at",
                rows,
            )


def _without_kept(former: Path, fresh: Path, left_out: Sequence[str]) -> list[str]:
    """Which of these calls stay out: of those whose words went since, and their keys with them, the record is kept."""
    kept: list[tuple[str, str, list[tuple[object, ...]]]] = []
    try:
        with closing(_unchanged(former)) as reading:
            begun = {call for (call,) in reading.execute("SELECT DISTINCT call FROM events")}
            filed = {call for (call,) in reading.execute("SELECT call FROM records")}
            stripped = [call for call in left_out if call in filed - begun]
            for table in (calls, records, digests, reviews):
                names = ", ".join(f'"{column.name}"' for column in table.columns if column is not reviews.c.n)
                chosen = f"SELECT {names} FROM {table.name} WHERE call = ? ORDER BY rowid"
                kept.append((table.name, names, [row for call in stripped for row in reading.execute(chosen, (call,))]))
    except sqlite3.Error:
        return list(left_out)  # not readable: there is nothing to carry over
    with closing(sqlite3.connect(fresh)) as writing, writing:
        for name, names, rows in kept:
            places = ", ".join("?" * len(names.split(", ")))
            writing.executemany(f"INSERT INTO {name} ({names}) VALUES ({places})", rows)
    return [call for call in left_out if call not in stripped]


def _carry_people(former: Path, fresh: Path) -> bool:
    """Who may log in and who did what stay as they are: a user taken out since the backup is not let in again by it.

    Only where the former store's audit log goes on from the backup's, or the backup knows nobody: any other is another
    installation's, or a store begun anew, and what the backup says about people is all there is: then False.
    """
    kept = []
    try:
        with closing(_unchanged(former)) as reading, closing(_unchanged(fresh)) as backup:
            if not _goes_on(reading, backup):
                return False
            for table in (users, logins, audit, audit_head, audit_cut):
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                found = reading.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone()
                rows = reading.execute(f"SELECT {names} FROM {table.name}").fetchall() if found else []
                kept.append((table, names, rows))
    except sqlite3.DatabaseError:
        return False  # not readable: there is nothing to carry over
    with closing(sqlite3.connect(fresh)) as writing, writing:
        for table, names, rows in kept:
            create_table(writing, table)
            writing.execute(f"DELETE FROM {table.name}")
            places = ", ".join("?" * len(table.columns))
            writing.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({places})", rows)
    return True


def _leave_out_audit(fresh: Path) -> None:
    with closing(sqlite3.connect(fresh)) as writing, writing:
        for table in (audit, audit_head, audit_cut):
            create_table(writing, table)
            writing.execute(f"DELETE FROM {table.name}")


def _goes_on(former: sqlite3.Connection, backup: sqlite3.Connection) -> bool:
    """Whether the newest entry of the backup's audit log is, or was before its oldest went, one of the former's.

    A backup from before the first entry says nothing about people: the former's are all there are.
    """
    last = backup.execute("SELECT n, seal FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    if last is None:
        return backup.execute("SELECT 1 FROM users").fetchone() is None
    if former.execute("SELECT 1 FROM audit WHERE n = ? AND seal = ?", last).fetchone():
        return True
    [begins] = former.execute("SELECT coalesce(min(n), 0) FROM audit").fetchone()
    return bool(begins > last[0])


def put_aside(data: Path) -> list[tuple[Path, datetime]]:
    """Stores that restores have put aside in this folder, with when; oldest first."""
    found = []
    for path in data.glob("*.before-*.db"):
        with suppress(ValueError):  # a name that no restore has given
            when = datetime.strptime(path.stem.rpartition(".before-")[2], ASIDE)
            found.append((path, when.replace(tzinfo=UTC)))
    return sorted(found, key=lambda each: each[1])


def holds_a_call(path: Path) -> bool:
    """Whether a call in this store is on hold; one that cannot be read holds none."""
    try:
        with closing(_unchanged(path)) as connection:
            return connection.execute("SELECT 1 FROM holds LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False


def check_backup(path: Path) -> None:
    """Whether this file is a whole store that this version can read.

    Raises:
        AssistError: codes backup-damaged, store-newer.
    """
    try:
        with closing(_unchanged(path)) as connection:
            [[verdict]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            [[found]] = connection.execute("PRAGMA user_version").fetchall()
            connection.execute("SELECT 1 FROM events, calls, records LIMIT 1").close()
    except sqlite3.Error as error:
        raise AssistError("backup-damaged", f"{path} is no whole store: {error}") from None
    if verdict != "ok":
        raise AssistError("backup-damaged", f"{path} is damaged: {verdict}")
    if found > SCHEMA_VERSION:
        raise AssistError("store-newer", f"{path} was written by a newer version (schema {found}); update first")


def _unchanged(path: Path) -> sqlite3.Connection:
    """Opened to be read, leaving nothing beside the file."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _fold(path: Path) -> None:
    """Write the log of a store back into its file, so that moving the file moves everything; refuse one being read."""
    try:
        with closing(sqlite3.connect(path, timeout=0.5)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE").close()
            connection.rollback()
            [[busy, *_]] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError as error:
        if "locked" not in str(error):
            if path.with_name(path.name + "-wal").exists():  # as on a full disk: what was written last is in there
                raise
            return  # not readable at all: moved aside as it is
        busy = 1
    if busy:
        raise AssistError("store-in-use", f"{path} is in use: stop assist serve and every call first")
