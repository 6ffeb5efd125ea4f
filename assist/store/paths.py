"""Paths of the files in a data folder."""

from __future__ import annotations

from pathlib import Path


def store_path(data: Path) -> Path:
    """The store: event log, records, people."""
    return data / "assist.db"


def keys_path(data: Path) -> Path:
    """The keys of backups and recordings."""
    return data / "keys.db"


def audit_key_path(data: Path) -> Path:
    """The key that seals the audit log (HMAC)."""
    return data / "audit.key"


def gate_key_path(data: Path) -> Path:
    """The key with which other programs pause, resume and set consent (overlay/gate.py)."""
    return data / "gate-key"
