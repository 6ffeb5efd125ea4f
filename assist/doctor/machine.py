"""The checks of the machine and the store on it: folder, disk, database, clock."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from assist.doctor.finding import Finding, bad, ok, warning
from assist.errors import AssistError
from assist.hints import quoted
from assist.privacy.retention import EARLIEST_CALL
from assist.settings import Settings
from assist.store.backups import former_stores
from assist.store.checking import StoreState, check_store, is_disk_encrypted
from assist.store.keys import RESTORE_ADVICE, check_keys
from assist.store.paths import gate_key_path, keys_path, store_path
from assist.store.recordings import RATE, Recordings
from assist.store.store import open_reader

LOW_BYTES = 2 << 30
LEAST_BYTES = 200 << 20
"""A day of 20 calls is about 10 MB of events; a model is up to 3 GB."""
PRIVATE = ("assist.db*", "assist.before-*.db", "keys.db*", "*.key", "gate-key", "records", "recordings")
"""What nobody else may read in the data folder."""


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def folder(settings: Settings) -> Iterator[Finding]:
    """The data folder is there, can be written, and is its owner's only."""
    data = settings.data
    if not data.exists() and not data.is_symlink():
        parent = _standing(data)
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            yield bad("data folder", f"{data} is not there and {parent} cannot be written: choose one with --data")
        else:
            yield ok("data folder", f"{data} will be made at the first start")
        return
    if not data.is_dir():
        yield bad("data folder", f"{data} is no folder: choose another with --data")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield bad("data folder", f"{data} cannot be written: change its rights, or choose another with --data")
        return
    if sys.platform == "win32":
        yield ok("data folder", f"{data}; check by hand that only the program's user may read it")
        return
    kept = [data, *(path for pattern in PRIVATE for path in data.glob(pattern))]
    mine = os.getuid()
    keys = {*data.glob("*.key"), gate_key_path(data)}  # made once, then only read
    shut_out = [path for path in kept if not os.access(path, os.R_OK if path in keys else os.R_OK | os.W_OK)]
    foreign = [path for path in kept if path.stat().st_uid not in (mine, 0)]
    # A folder nobody else may enter keeps what is in it.
    shut = data.stat().st_mode & 0o077 == 0
    open_ = [path for path in kept if path.stat().st_mode & 0o077 and not (shut and path != data)]
    if shut_out:
        whose = f"{shut_out[0]} (of user {shut_out[0].stat().st_uid})"
        mend = f"chown -R {mine} {quoted(data)} && chmod -R u+rwX {quoted(data)}"
        yield bad("data folder", f"this user ({mine}) may not read and write {whose}: {mend}")
    elif foreign:
        yield bad("data folder", f"{foreign[0]} belongs to another user: chown it")
    elif any(path.is_file() for path in open_):
        names = ", ".join(path.name for path in open_ if path.is_file())
        yield bad("data folder", f"{names} in {data} can be read by others: chmod 700 {quoted(data)}")
    elif open_:
        yield warning("data folder", f"others may list {open_[0]}: chmod 700 {quoted(data)}")
    else:
        yield ok("data folder", f"{data}, its owner's only")


def disk(settings: Settings) -> Iterator[Finding]:
    """There is room."""
    place = _standing(settings.data)
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if free < LEAST_BYTES:
        yield bad("disk space", f"{text}: make room now, calls cannot be written for long")
    elif free < LOW_BYTES:
        yield warning("disk space", f"{text}: make room, or shorten what is kept ([keep] in the settings)")
    else:
        yield ok("disk space", text)


def encryption(settings: Settings) -> Iterator[Finding]:
    """The disk is encrypted."""
    place = _standing(settings.data)
    found = is_disk_encrypted(place)
    if found:
        yield ok("encryption", f"{place} is on an encrypted disk (dm-crypt)")
        return
    seen = "it cannot be seen whether the disk is encrypted" if found is None else "no encryption of the disk is seen"
    yield warning("encryption", f"{seen} under {place}: see by hand, for the database itself is not")


def store_state(settings: Settings) -> StoreState:
    """What stands on disk, read without opening it as the program does."""
    return check_store(store_path(settings.data))


def database(settings: Settings) -> Iterator[Finding]:
    """The store is whole and of this version."""
    path, state = store_path(settings.data), store_state(settings)
    if state.problem and not (os.access(path, os.R_OK | os.W_OK) and os.access(settings.data, os.W_OK)):
        yield bad("database", f"this user may not read and write {path}: change its rights, and its folder's")
    elif state.problem:
        yield bad("database", f"assist.db {state.problem}; put the last backup back: `assist restore FILE`")
    elif state.schema > state.supported:
        yield bad(
            "database", f"schema {state.schema} is newer than this program's {state.supported}: update the program"
        )
    elif not state.schema and keys_path(settings.data).exists():
        lost = "assist.db is not there, though calls were kept here"
        yield bad(
            "database", f"{lost}: put it back, or the last backup (`assist restore FILE`), before serve begins anew"
        )
    elif not state.schema:
        yield ok("database", "none yet; it is made at the first call")
    else:
        older = f", brought to {state.supported} at the next start" if state.schema < state.supported else ""
        live = f"; {state.live} marked live" if state.live else ""
        version = f"SQLite {sqlite3.sqlite_version}"
        yield ok("database", f"sound: {state.calls} calls{live}, schema {state.schema}{older}, {version}")


def keys(settings: Settings) -> Iterator[Finding]:
    """The keys of backups and recordings are whole: erasure waits for them."""
    recordings = Recordings(settings.data)
    recorded = [call for call in recordings.calls() if recordings.path(call).stat().st_size > RATE]  # a second of sound
    if recorded:  # of one without its words only the file is left, and that is retention's
        with suppress(AssistError), closing(open_reader(settings.store_url)) as store:
            recorded = sorted(store.calls_with_events().intersection(recorded))
    path = keys_path(settings.data)
    if problem := check_keys(path, recorded):
        yield bad("keys", f"keys.db: {problem}")
    elif not path.exists() and _was_backed_up(settings):
        yield bad("keys", f"keys.db is not there, though backups were made{RESTORE_ADVICE}")


def _was_backed_up(settings: Settings) -> bool:
    state = store_state(settings)
    if state.schema != state.supported:  # none yet that this version reads
        return False
    with closing(open_reader(settings.store_url)) as store:
        return store.people.last_audit_entry("backup") is not None


def put_aside(settings: Settings) -> Iterator[Finding]:
    """No store that a restore has put aside lies there with calls that erasure does not reach."""
    if settings.data.is_dir():
        os.listdir(settings.data)  # of one that is shut a search finds nothing, and says no more
    found = former_stores(settings.data)
    if not found:
        yield ok("put aside", "no store that a restore has put aside")
        return
    path, since = found[0]
    days = (datetime.now(UTC) - since).days
    names = " ".join(quoted(each) for each, _ in found)
    yield warning(
        "put aside",
        f"{len(found)} former stores, put aside by assist restore, the oldest {days} days ago ({path.name}): erasure "
        f"does not reach them, and retention removes one only after {settings.keep.transcript_days} days, never one "
        f"with a call on hold; delete them when you are sure: rm {names}",
    )


def clock(settings: Settings) -> Iterator[Finding]:
    """The clock is right."""
    now = datetime.now(UTC)
    program = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    state = store_state(settings)
    latest, earliest = state.latest, state.earliest
    if latest and datetime.fromisoformat(latest) > now + timedelta(minutes=5):
        text = f"the newest call began {latest}, after now ({now:%Y-%m-%d %H:%M} UTC): set the clock; where it is right"
        yield bad("clock", f"{text}, that call was heard under a wrong one, and is yours to erase in time")
    elif earliest and datetime.fromisoformat(earliest) < EARLIEST_CALL:
        text = f"the oldest call began {earliest}, by a clock that had lost the time: nobody knows when it is past its"
        yield warning("clock", f"{text}, and it is yours to erase")
    elif program > now + timedelta(days=1):
        yield bad("clock", f"it says {now:%Y-%m-%d %H:%M} UTC, before this program was installed: set the clock")
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC; retention and audit go by it")
