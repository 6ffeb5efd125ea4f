"""Which file of a data folder is which: whoever opens, looks at or removes one asks here."""

from __future__ import annotations

from pathlib import Path


def store_in(data: Path) -> Path:
    """The store: event log, records, people."""
    return data / "assist.db"


def keys_in(data: Path) -> Path:
    """The keys of backups and recordings."""
    return data / "keys.db"


def audit_key_in(data: Path) -> Path:
    """The key that seals the audit log."""
    return data / "audit.key"


def gate_key_in(data: Path) -> Path:
    """The key with which other programs pause, resume and set consent."""
    return data / "gate-key"
