"""The key with which other programs pause, resume and set consent (overlay/gate.py)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from assist.errors import AssistError
from assist.files import make_secret
from assist.store.paths import gate_key_path

MIN_KEY_CHARS = 16
"""With an empty key no other program could ever pause a call."""


def gate_key(data: Path) -> str:
    """The key of this installation, created on first use; readable by its owner only.

    Raises:
        AssistError: code data-folder, or gate-key where others may read it or the file holds no key.
    """
    path = gate_key_path(data)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            make_secret(path, f"{secrets.token_urlsafe(32)}\n".encode())
        if os.name != "nt" and path.stat().st_mode & 0o077:
            raise AssistError("gate-key", f"{path} can be read by others: chmod 600 it, or remove it")
        key = path.read_bytes().strip()
    except OSError as error:
        raise AssistError("data-folder", f"cannot keep {path}: {error.strerror or error}") from None
    if len(key) < MIN_KEY_CHARS or not key.isascii():
        raise AssistError("gate-key", f"{path} holds no key: remove it, and a new one is made")
    return key.decode("ascii")
