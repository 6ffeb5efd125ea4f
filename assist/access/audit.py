"""The audit log: who looked at what, did what, changed what. Append-only and sealed in a chain.

Each row's seal is an HMAC-SHA256 over the row and the seal before it, the head's one over the length and the last seal.
The key lies beside the database, not in it: whoever can change the database alone cannot change, drop, add or reorder a
row without `verify` finding it. Retention takes out the oldest rows; where the log begins then is sealed too. Against
somebody who holds the key as well, or puts back an older copy of everything, note the printed head elsewhere from time
to time.
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
AT_ONCE = 1_000
"""Entries in one transaction: each by itself costs 20 ms of waiting for the disk, more costs other writers the wait."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole log came to."""

    rows: int
    """Entries ever made, those taken out since included."""
    head: str
    """Seal of the last row, to be noted elsewhere."""
    problem: str = ""
    """Empty when every seal holds; otherwise one line with the first place that does not."""


class Audit:
    """Writes the log of one installation."""

    def __init__(self, people: People, key: bytes, path: Path) -> None:
        self._people = people
        self._key = key
        self._path = path

    def put_key_back(self) -> bool:
        """Write the key again where its file is gone, and no other is in its place: without it nothing could open this
        log any more. Whether it was gone.

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
        """Append entries that are made already, in one transaction."""
        return self._people.note(entries, seals(self._key))

    def by_command(self, what: str, target: str = "", detail: str = "") -> None:
        """Something done on the command line, by the user of this system; on disk when this returns."""
        self.each_by_command(what, [target], detail)

    def each_by_command(self, what: str, targets: Iterable[str], detail: str = "") -> None:
        """The same done to many, an entry each."""
        who, left = system_user(), iter(targets)
        while some := list(islice(left, AT_ONCE)):
            self.append([AuditEntry(_now(), who, "command", what, target, detail) for target in some]).result()

    def shorten(self, before: str, held: Collection[str]) -> Future[None]:
        """Take out the entries before a time (ISO 8601, UTC), up to the first that is about a call on hold."""
        return self._people.shorten_audit(before, held, seals(self._key))

    def verify(self) -> Verdict:
        """Check every seal."""
        return verify(self._people.audit(), self._people.audit_head(), self._key, self._people.audit_cut())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def system_user() -> str:
    """The user of this system, whatever the environment says: the name, or the number where it has none, as in a
    container run under any user id.
    """
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def open_audit(people: People, data: Path) -> Audit:
    """The audit log of a data folder; its key is made on first use. Open it before what is to be noted is done.

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


def seals(key: bytes) -> Seals:
    """The seals of a key."""
    return Seals(
        lambda before, n, entry: _hmac(key, ["row", before, n, *astuple(entry)]),
        lambda n, last: _hmac(key, ["head", n, last]),
        lambda n, last: _hmac(key, ["cut", n, last]),
    )


def verify(
    rows: Iterable[AuditRow], head: tuple[int, str] | None, key: bytes, cut: tuple[int, str, str] | None = None
) -> Verdict:
    """Check a chain of rows against its head, from its beginning or from where it was shortened."""
    sealed = seals(key)
    count, before, seal = cut or (0, "", "")
    if cut is not None and not hmac.compare_digest(_ascii(seal), sealed.cut(count, before).encode()):
        return Verdict(count, before, "where the log begins was changed")
    for row in rows:
        count += 1
        if row.n != count:
            return Verdict(count, before, f"entry {count} is missing or out of order")
        if not hmac.compare_digest(_ascii(row.seal), sealed.row(before, row.n, row.entry).encode()):
            return Verdict(count, before, f"entry {count} was changed, or the one before it was")
        before = row.seal
    if head is None:
        return Verdict(count, before, "the head of the log is missing" if count else "")
    if head[0] != count:
        return Verdict(count, before, f"{head[0]} entries were written, {count} are there")
    if not hmac.compare_digest(_ascii(head[1]), sealed.head(count, before).encode()):
        return Verdict(count, before, "the head of the log was changed")
    return Verdict(count, before)


def _ascii(seal: str) -> bytes:
    return seal.encode("utf-8", "surrogatepass")


def _hmac(key: bytes, parts: list[object]) -> str:
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), "sha256").hexdigest()
