"""The key with which other programs pause, resume and set consent (overlay/gate.py)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from assist.errors import AssistError

KEY_FILE = "gate-key"


def gate_key(data: Path) -> str:
    """The key of this installation, made at first use; readable by its owner only.

    Raises:
        AssistError: code data-folder, or gate-key where others may read it.
    """
    path = data / KEY_FILE
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if os.name != "nt" and path.stat().st_mode & 0o077:
                raise AssistError("gate-key", f"{path} can be read by others: chmod 600 it, or remove it") from None
            return path.read_text(encoding="ascii").strip()
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise AssistError("data-folder", f"cannot keep {path}: {error.strerror or error}") from None
