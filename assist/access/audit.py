"""The audit log: who looked at what, did what, changed what. Append-only and sealed in a chain.

Each row's seal is an HMAC-SHA256 over the row and the seal before it, the head's over the number of rows and the last
seal. The key is beside the database, not in it: who can change only the database cannot change, drop, add or reorder a
row without `verify` finding it. Retention deletes the oldest rows; the new beginning of the log is sealed too. Against
somebody who has the key as well, or restores an older copy of everything, note the printed head elsewhere from time to
time.
"""

from __future__ import annotations

import getpass
import hmac
import json
import os
import secrets
import sys
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from assist.errors import AssistError
from assist.files import make_secret
from assist.store.paths import audit_key_path
from assist.store.people import AuditEntry, AuditRow, People, Seals

KEY_BYTES = 32
BATCH_SIZE = 1_000
"""Entries in one transaction: one by one each waits 20 ms for the disk; larger batches delay other writes."""


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of checking the whole log."""

    rows: int
    """Number of entries ever made, including those removed since."""
    head: str
    """Seal of the last row."""
    problem: str = ""
    """Empty when every seal holds; otherwise one line with the first place that does not."""


class Audit:
    """The audit log of one installation."""

    def __init__(self, people: People, key: bytes, path: Path) -> None:
        self._people = people
        self._key = key
        self._path = path

    def restore_key_file(self) -> bool:
        """Write the key file again where it was removed: without it this log could not be continued or verified.

        Returns:
            Whether it was missing.

        Raises:
            OSError: it cannot be written.
        """
        gone = not self._path.exists()
        if gone:
            make_secret(self._path, self._key)
        return gone

    def note(self, who: str, role: str, what: str, target: str = "", detail: str = "") -> Future[None]:
        """Append an entry.

        `what`: look, export, sound, read-along, search (of records), backtest, backup; login, login-failed, logout;
        user-added, user-removed, user-role, user-password; erase, settings, and whatever else people do to what is
        kept.
        """
        return self.append([AuditEntry(_now(), who, role, what, target, detail)])

    def append(self, entries: Sequence[AuditEntry]) -> Future[None]:
        """Append entries in one transaction."""
        return self._people.append_audit(entries, seals_of(self._key))

    def note_command(self, what: str, target: str = "", detail: str = "") -> None:
        """Note a command that the system's user ran; on disk when this returns."""
        self.note_command_for_each(what, [target], detail)

    def note_command_for_each(self, what: str, targets: Iterable[str], detail: str = "") -> None:
        """Note a command that was run on several targets, one entry each; on disk when this returns."""
        who, left = system_user(), iter(targets)
        while some := list(islice(left, BATCH_SIZE)):
            self.append([AuditEntry(_now(), who, "command", what, target, detail) for target in some]).result()

    def shorten(self, before: str, now: str, held: Collection[str]) -> Future[None]:
        """Delete the entries before a time (ISO 8601, UTC), up to the first about a call on hold (`held`)."""
        return self._people.shorten_audit(before, now, held, seals_of(self._key))

    def verify(self) -> AuditCheck:
        """Check every seal."""
        return verify(self._people.audit(), self._people.audit_head(), self._key, self._people.audit_cut())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def system_user() -> str:
    """Name of the process's user, not from the environment; "uid N" for one without a name, as in some containers."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def open_audit(people: People, data: Path) -> Audit:
    """The audit log of a data folder; its key is created on first use. Open it before doing what is to be noted.

    Raises:
        AssistError: codes data-folder, key-readable, key-weak, key-missing.
    """
    path = audit_key_path(data)
    try:
        if not path.exists():
            if people.audit_head() is not None:
                raise AssistError(
                    "key-missing", f"{path} is missing, and the audit log cannot go on without it: put it back"
                )
            make_secret(path, secrets.token_bytes(KEY_BYTES))
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            raise AssistError("key-readable", f"{path} can be read by others: chmod 600 it")
        key = path.read_bytes()
    except OSError as error:
        raise AssistError("data-folder", f"cannot keep {path}: {error.strerror or error}") from None
    if len(key) < KEY_BYTES or len(set(key)) < 8:
        raise AssistError("key-weak", f"{path} is no key: expected {KEY_BYTES} random bytes; put the right one back")
    return Audit(people, key, path)


def seals_of(key: bytes) -> Seals:
    """The sealing functions for a key."""
    return Seals(
        lambda before, n, entry: _hmac(key, ["row", before, n, *astuple(entry)]),
        lambda n, last: _hmac(key, ["head", n, last]),
        lambda n, last: _hmac(key, ["cut", n, last]),
    )


def verify(
    rows: Iterable[AuditRow], head: tuple[int, str] | None, key: bytes, cut: tuple[int, str, str] | None = None
) -> AuditCheck:
    """Check a chain of rows, from its beginning or from the `cut` (number, seal, seal over both), up to its head."""
    seals = seals_of(key)
    count, before, seal = cut or (0, "", "")
    if cut is not None and not hmac.compare_digest(_encoded(seal), seals.cut(count, before).encode()):
        return AuditCheck(count, before, "where the log begins was changed")
    for row in rows:
        count += 1
        if row.n != count:
            return AuditCheck(count, before, f"entry {count} is missing or out of order")
        if not hmac.compare_digest(_encoded(row.seal), seals.row(before, row.n, row.entry).encode()):
            return AuditCheck(count, before, f"entry {count} was changed, or the one before it was")
        before = row.seal
    if head is None:
        return AuditCheck(count, before, "the head of the log is missing" if count else "")
    if head[0] != count:
        return AuditCheck(count, before, f"{head[0]} entries were written, {count} are there")
    if not hmac.compare_digest(_encoded(head[1]), seals.head(count, before).encode()):
        return AuditCheck(count, before, "the head of the log was changed")
    return AuditCheck(count, before)


def _encoded(seal: str) -> bytes:
    return seal.encode("utf-8", "surrogatepass")


def _hmac(key: bytes, parts: list[object]) -> str:
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), "sha256").hexdigest()
