"""Per-call keys and sealed copies: a backup holds a call's words only under a key that is not in it.

The keys stand in `keys.db` beside the store, which no backup includes. A call that is erased, or whose words are, loses
its key, and with it every backup ever made loses that call: what was sealed under it cannot be opened by anybody. The
live store is not sealed (its disk should be encrypted): sealing happens on the way into a backup, opening on the way
back. The door to `cryptography`.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assist.errors import AssistError
from assist.store.paths import keys_path
from assist.store.schema import CREATE_FULL_TEXT_INDEX

KEY_BITS = 256
NONCE_BYTES = 12
SEAL_BYTES = NONCE_BYTES + 16
"""What sealing adds: nonce and tag."""
MARK = "~"
"""Begins a sealed text; JSON and a reviewer's verdicts never begin so."""
NO_FILES_ELSEWHERE = "PRAGMA temp_store=MEMORY"
"""Else SQLite sorts, and keeps what a statement changes until it is done, in files of the system's temporary folder:
erased words, too, would stay in what becomes free there."""
PUT_BACK = "; put the newest copy of it back: without it no backup and no recording made so far can be read"
SEALED = (("events", "body"), ("records", "body"), ("digests", "body"), ("reviews", "text"))
"""Columns that hold what was said or written about a call."""


class Keyring:
    """The keys of one installation, in a file of their own. Where it fails: AssistError, code keys-failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, AESGCM] = {}

    @classmethod
    def beside(cls, store: Path) -> Keyring:
        """The keyring of the store in this file."""
        return cls(keys_path(store.parent))

    def seal(self, call: str, text: str) -> str:
        """The text under the call's key, which is made where it is missing."""
        return MARK + base64.b64encode(self.lock(call, text.encode(), call.encode())).decode("ascii")

    def lock(self, call: str, data: bytes, about: bytes) -> bytes:
        """Bytes under the call's key, which is made where it is missing; they open only with the same `about`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key(call, make=True).encrypt(nonce, data, about)  # type: ignore[union-attr]

    def unlock(self, call: str, sealed: bytes, about: bytes) -> bytes | None:
        """The bytes as they were; None where their key is gone, or they are not those that were sealed."""
        key = self._key(call, make=False)
        if key is None:
            return None
        try:
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
        except InvalidTag:  # also: sealed under an earlier key of this call, which was destroyed
            return None

    def open(self, call: str, text: str) -> str | None:
        """The text as it was; None where its key is gone. A text that is not sealed is given back."""
        if not text.startswith(MARK):
            return text
        plain = self.unlock(call, base64.b64decode(text[len(MARK) :]), call.encode())
        return None if plain is None else plain.decode()

    def fetch(self, calls: Iterable[str], *, make: bool) -> None:
        """Have the keys of many calls at hand in one go; `make` those that are missing."""
        wanted = set(calls) - self._known.keys()
        with self._database() as database:
            found = dict(database.execute("SELECT call, key FROM keys").fetchall())
            fresh = {call: AESGCM.generate_key(KEY_BITS) for call in wanted - found.keys()} if make else {}
            database.executemany("INSERT INTO keys VALUES (?, ?)", fresh.items())
        self._known |= {call: AESGCM(key) for call, key in (found | fresh).items() if call in wanted}

    def calls(self) -> set[str]:
        """Those that have a key."""
        if not self._path.exists():
            return set()
        with self._database() as database:
            return {call for (call,) in database.execute("SELECT call FROM keys")}

    def at_hand(self, call: str) -> bool:
        """The call's key was fetched or made before; it is used as it was then."""
        return call in self._known

    def destroy(self, calls: Iterable[str]) -> None:
        """Forget the keys of calls; on disk they are overwritten before this returns.

        Raises:
            OSError: they could not be; to be tried again, as any write of the store is.
        """
        if not self._path.exists():
            return
        try:
            self._destroy(calls)
        except AssistError as error:
            raise OSError(str(error)) from None

    def _destroy(self, calls: Iterable[str]) -> None:
        with self._database() as database:
            for call in calls:
                self._known.pop(call, None)
                database.execute("DELETE FROM keys WHERE call = ?", (call,))

    def _key(self, call: str, *, make: bool) -> AESGCM | None:
        if call not in self._known:
            with self._database() as database:
                row = database.execute("SELECT key FROM keys WHERE call = ?", (call,)).fetchone()
                if row is None:
                    if not make:
                        return None
                    row = (AESGCM.generate_key(KEY_BITS),)
                    database.execute("INSERT INTO keys VALUES (?, ?)", (call, row[0]))
            self._known[call] = AESGCM(row[0])
        return self._known[call]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        try:
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
                database.execute("PRAGMA secure_delete=ON")
                database.execute("PRAGMA synchronous=FULL")
                database.execute("CREATE TABLE IF NOT EXISTS keys (call TEXT PRIMARY KEY, key BLOB NOT NULL)")
                yield database
        except (sqlite3.Error, OSError) as error:
            raise AssistError("keys-failed", f"{self._path}: {error}{_repair(error)}") from None


def check_keys(path: Path, needed: Collection[str] = ()) -> str:
    """What is wrong with a keyring and what to do, in one line; empty where it is sound or not there yet.

    `needed`: calls whose keys must be in it.
    """
    if not path.exists() and not needed:
        return ""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            [[found]] = database.execute("PRAGMA integrity_check(1)").fetchall()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'keys'").fetchone():
                return f"emptied, or its first use was cut short{PUT_BACK}"  # SQLite takes 0 bytes for a new database
            missing = set(needed).difference(call for (call,) in database.execute("SELECT call FROM keys"))
    except sqlite3.Error as error:
        return f"{error}{_repair(error) if path.exists() else PUT_BACK}"
    return f"the keys of {len(missing)} recordings are not in it{PUT_BACK}" if missing else ""


def _repair(error: Exception) -> str:
    if isinstance(error, OSError | sqlite3.OperationalError):  # as on a full disk: the file is whole
        return ""
    return PUT_BACK


def fetch_keys(store: Path, keys: Keyring) -> None:
    """Have the keys of every call in a store at hand, made where they are missing.

    Raises:
        AssistError: codes keys-failed, backup-failed.
    """
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as reading:
            calls = {call for table, _ in SEALED for (call,) in reading.execute(f"SELECT DISTINCT call FROM {table}")}
    except sqlite3.Error as error:
        raise AssistError("backup-failed", f"cannot read {store}: {error}") from None
    keys.fetch(calls, make=True)


def seal_copy(path: Path, keys: Keyring) -> None:
    """Seal every call in a copy of the store, and take the full-text index out of it.

    The keys are those at hand since before the copy was made (`fetch_keys`): under a key made now, a call that was
    erased since would stay readable. A call that has none began since, and is taken out.

    Raises:
        AssistError: codes keys-failed, backup-failed.
    """
    try:
        with closing(sqlite3.connect(path)) as copy:
            # A journal would hold what is sealed here; a copy that fails is thrown away, not rolled back.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA secure_delete=ON")
            with copy:
                for table, _ in SEALED:
                    calls = [call for (call,) in copy.execute(f"SELECT DISTINCT call FROM {table}")]
                    _take_out(copy, (call for call in calls if not keys.at_hand(call)))
                for table, column in SEALED:
                    rows = copy.execute(f"SELECT rowid, call, {column} FROM {table}").fetchall()
                    copy.executemany(
                        f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
                        [(keys.seal(call, text), row) for row, call, text in rows],
                    )
                copy.execute("DROP TABLE spoken")
            copy.execute("VACUUM")
    except sqlite3.Error as error:
        raise AssistError("backup-failed", f"cannot seal {path}: {error}") from None


def open_copy(path: Path, keys: Keyring) -> list[str]:
    """Open a sealed copy and make its full-text index again; calls whose keys are gone are taken out of it.

    One that has its index was never sealed, as a store that a restore has put aside: it stays as it is.

    Returns:
        Those calls.

    Raises:
        AssistError: codes keys-failed, backup-damaged.
    """
    gone: set[str] = set()
    try:
        with closing(sqlite3.connect(path)) as copy, copy:
            copy.execute(NO_FILES_ELSEWHERE)
            if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'spoken'").fetchone():
                return []
            keys.fetch((call for (call,) in copy.execute("SELECT DISTINCT call FROM events")), make=False)
            for table, column in SEALED:
                for row, call, text in copy.execute(f"SELECT rowid, call, {column} FROM {table}").fetchall():
                    plain = keys.open(call, text)
                    if plain is None:
                        gone.add(call)
                    else:
                        copy.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (plain, row))
            _take_out(copy, gone)
            copy.execute(CREATE_FULL_TEXT_INDEX)
            for call, body in copy.execute("SELECT call, body FROM records").fetchall():
                words = " ".join(line["text"] for line in json.loads(body)["transcript"])
                copy.execute("INSERT INTO spoken(call, words) VALUES (?, ?)", (call, words))
    except sqlite3.Error as error:
        raise AssistError("backup-damaged", f"{path} cannot be opened: {error}") from None
    return sorted(gone)


def _take_out(copy: sqlite3.Connection, calls: Iterable[str]) -> None:
    for call in calls:
        for table in (*(name for name, _ in SEALED), "calls"):
            copy.execute(f"DELETE FROM {table} WHERE call = ?", (call,))
