"""Per-call keys and the encryption of backups: a backup has a call's words only under a key that is not in it.

The keys are in `keys.db` beside the store, which no backup includes. With a call, or its words, its key is erased
(crypto-shredding): nobody can decrypt that call any more in any backup. The live store is not encrypted (its disk
should be): a copy is encrypted when a backup is made and decrypted when it is restored. AES-256-GCM; the only module
that imports `cryptography`.
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
ENCRYPTION_OVERHEAD_BYTES = NONCE_BYTES + 16
"""What encryption adds to the plain text: nonce and tag."""
ENCRYPTED_PREFIX = "~"
"""Begins an encrypted text; JSON and a reviewer's verdicts never begin so."""
TEMP_STORE_IN_MEMORY = "PRAGMA temp_store=MEMORY"
"""Else SQLite sorts, and keeps a statement's journal, in the system's temporary folder: erased words would stay in its
freed blocks."""
BUSY_S, BUSY_DESTROYING_S = 10, 1
"""So long another program that has the file is waited for; while keys are destroyed all other writes wait, too."""
RESTORE_ADVICE = "; put the newest copy of it back: without it no backup and no recording made so far can be read"
ENCRYPTED_COLUMNS = (("events", "body"), ("records", "body"), ("digests", "body"), ("reviews", "text"))
"""Columns with what was said in a call or written about it."""


class Keyring:
    """The keys of one installation, in a file of their own. Its methods raise AssistError, code keys-failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: dict[str, AESGCM] = {}

    @classmethod
    def beside(cls, store: Path) -> Keyring:
        """The keyring that belongs to this store."""
        return cls(keys_path(store.parent))

    def encrypt_text(self, call: str, text: str) -> str:
        """Encrypt a text as `encrypt` does, with the call's id as associated data."""
        return ENCRYPTED_PREFIX + base64.b64encode(self.encrypt(call, text.encode(), call.encode())).decode("ascii")

    def encrypt(self, call: str, data: bytes, associated_data: bytes) -> bytes:
        """Encrypt bytes under the call's key, which is created where it is missing: nonce, ciphertext, tag.

        They can be decrypted only with the same associated data.
        """
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key(call, create=True).encrypt(nonce, data, associated_data)  # type: ignore[union-attr]

    def decrypt(self, call: str, ciphertext: bytes, associated_data: bytes) -> bytes | None:
        """Decrypt what `encrypt` returned; None where its key is gone, or it or the associated data was changed."""
        key = self._key(call, create=False)
        if key is None:
            return None
        try:
            return key.decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], associated_data)
        except InvalidTag:  # also: encrypted under an earlier key of this call, which was destroyed
            return None

    def decrypt_text(self, call: str, text: str) -> str | None:
        """Decrypt what `encrypt_text` returned; None where its key is gone. Any other text is returned unchanged."""
        if not text.startswith(ENCRYPTED_PREFIX):
            return text
        plain = self.decrypt(call, base64.b64decode(text[len(ENCRYPTED_PREFIX) :]), call.encode())
        return None if plain is None else plain.decode()

    def load(self, calls: Iterable[str], *, create: bool) -> None:
        """Load the keys of many calls into memory; `create`: also create those that are missing."""
        missing = set(calls) - self._cache.keys()
        with self._database() as database:
            found = dict(database.execute("SELECT call, key FROM keys").fetchall())
            fresh = {call: AESGCM.generate_key(KEY_BITS) for call in missing - found.keys()} if create else {}
            database.executemany("INSERT INTO keys VALUES (?, ?)", fresh.items())
        self._cache |= {call: AESGCM(key) for call, key in (found | fresh).items() if call in missing}

    def calls(self) -> set[str]:
        """Ids of the calls that have a key."""
        if not self._path.exists():
            return set()
        with self._database() as database:
            return {call for (call,) in database.execute("SELECT call FROM keys")}

    def is_loaded(self, call: str) -> bool:
        """Whether the call's key is in memory; it is used as it was when it was loaded."""
        return call in self._cache

    def destroy(self, calls: Iterable[str]) -> None:
        """Delete the keys of calls; on disk they are overwritten before this returns.

        Raises:
            OSError: they could not be; the writer tries again.
        """
        if not self._path.exists():
            return
        try:
            with self._database(BUSY_DESTROYING_S) as database:
                for call in calls:
                    self._cache.pop(call, None)
                    database.execute("DELETE FROM keys WHERE call = ?", (call,))
        except AssistError as error:
            raise OSError(str(error)) from None

    def _key(self, call: str, *, create: bool) -> AESGCM | None:
        if call not in self._cache:
            with self._database() as database:
                row = database.execute("SELECT key FROM keys WHERE call = ?", (call,)).fetchone()
                if row is None:
                    if not create:
                        return None
                    row = (AESGCM.generate_key(KEY_BITS),)
                    database.execute("INSERT INTO keys VALUES (?, ?)", (call, row[0]))
            self._cache[call] = AESGCM(row[0])
        return self._cache[call]

    @contextmanager
    def _database(self, busy_s: float = BUSY_S) -> Iterator[sqlite3.Connection]:
        try:
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self._path, timeout=busy_s)) as database, database:
                database.execute("PRAGMA secure_delete=ON")
                database.execute("PRAGMA synchronous=FULL")
                database.execute("CREATE TABLE IF NOT EXISTS keys (call TEXT PRIMARY KEY, key BLOB NOT NULL)")
                yield database
        except (sqlite3.Error, OSError) as error:
            raise AssistError("keys-failed", f"{self._path}: {error}{_advice(error)}") from None


def check_keys(path: Path, needed: Collection[str] = ()) -> str:
    """What is wrong with a keyring and what to do, in one line; empty where nothing is or it is not there yet.

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
                # SQLite opens an empty file as a new database.
                return f"emptied, or its first use was cut short{RESTORE_ADVICE}"
            missing = set(needed).difference(call for (call,) in database.execute("SELECT call FROM keys"))
    except sqlite3.Error as error:
        return f"{error}{_advice(error) if path.exists() else RESTORE_ADVICE}"
    return f"the keys of {len(missing)} recordings are not in it{RESTORE_ADVICE}" if missing else ""


def _advice(error: Exception) -> str:
    if isinstance(error, OSError | sqlite3.OperationalError):  # such as a full disk: the file is not damaged
        return ""
    return RESTORE_ADVICE


def load_keys(store: Path, keys: Keyring) -> None:
    """Load the keys of every call in a store into memory; missing ones are created.

    Raises:
        AssistError: codes keys-failed, backup-failed.
    """
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            calls = {
                call for table, _ in ENCRYPTED_COLUMNS for (call,) in db.execute(f"SELECT DISTINCT call FROM {table}")
            }
    except sqlite3.Error as error:
        raise AssistError("backup-failed", f"cannot read {store}: {error}") from None
    keys.load(calls, create=True)


def encrypt_copy(path: Path, keys: Keyring) -> None:
    """Encrypt every call in a copy of the store and drop its full-text index.

    The keys are those loaded before the copy was made (`load_keys`): under a key created now, a call that was erased
    since would stay readable. A call without one began since, and is deleted from the copy.

    Raises:
        AssistError: codes keys-failed, backup-failed.
    """
    try:
        with closing(sqlite3.connect(path)) as copy:
            # A journal would hold plain text; a copy that fails is discarded, not rolled back.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA secure_delete=ON")
            with copy:
                for table, _ in ENCRYPTED_COLUMNS:
                    calls = [call for (call,) in copy.execute(f"SELECT DISTINCT call FROM {table}")]
                    delete_calls(copy, (call for call in calls if not keys.is_loaded(call)))
                for table, column in ENCRYPTED_COLUMNS:
                    rows = copy.execute(f"SELECT rowid, call, {column} FROM {table}").fetchall()
                    copy.executemany(
                        f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
                        [(keys.encrypt_text(call, text), row) for row, call, text in rows],
                    )
                copy.execute("DROP TABLE spoken")
            copy.execute("VACUUM")
    except sqlite3.Error as error:
        raise AssistError("backup-failed", f"cannot seal {path}: {error}") from None


def decrypt_copy(path: Path, keys: Keyring) -> list[str]:
    """Decrypt a copy of the store and rebuild its full-text index; calls whose keys are gone are deleted from it.

    A copy that has its index was never encrypted (a former store that a restore has kept): it is left unchanged.

    Returns:
        Ids of the deleted calls.

    Raises:
        AssistError: codes keys-failed, backup-damaged.
    """
    gone: set[str] = set()
    try:
        with closing(sqlite3.connect(path)) as copy, copy:
            copy.execute(TEMP_STORE_IN_MEMORY)
            if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'spoken'").fetchone():
                return []
            keys.load((call for (call,) in copy.execute("SELECT DISTINCT call FROM events")), create=False)
            for table, column in ENCRYPTED_COLUMNS:
                for row, call, text in copy.execute(f"SELECT rowid, call, {column} FROM {table}").fetchall():
                    plain = keys.decrypt_text(call, text)
                    if plain is None:
                        gone.add(call)
                    else:
                        copy.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (plain, row))
            delete_calls(copy, gone)
            copy.execute(CREATE_FULL_TEXT_INDEX)
            for call, body in copy.execute("SELECT call, body FROM records").fetchall():
                words = " ".join(line["text"] for line in json.loads(body)["transcript"])
                copy.execute("INSERT INTO spoken(call, words) VALUES (?, ?)", (call, words))
    except sqlite3.Error as error:
        raise AssistError("backup-damaged", f"{path} cannot be opened: {error}") from None
    return sorted(gone)


def delete_calls(copy: sqlite3.Connection, calls: Iterable[str]) -> None:
    """Delete calls from a copy of the store, also from its full-text index where it has one."""
    tables = [name for name, _ in ENCRYPTED_COLUMNS] + ["calls"]
    tables += [name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE name = 'spoken'")]
    copy.execute("PRAGMA secure_delete=ON")
    for call in calls:
        for table in tables:
            copy.execute(f"DELETE FROM {table} WHERE call = ?", (call,))
    if "spoken" in tables:
        copy.execute("INSERT INTO spoken(spoken) VALUES ('optimize')")
