"""Checks of a store on disk; read only, with connections of their own, also while a server runs."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from assist.store.schema import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class StoreState:
    """What `check_store` found."""

    schema: int = 0
    """Its version; 0: there is no store yet, or it cannot be read."""
    supported: int = SCHEMA_VERSION
    calls: int = 0
    live: int = 0
    """Calls marked live: of a running server, or interrupted."""
    latest: str = ""
    """When the newest call began, ISO 8601."""
    earliest: str = ""
    """When the oldest call began, ISO 8601."""
    problem: str = ""
    """One line; empty where nothing is wrong."""


def check_store(path: Path) -> StoreState:
    """Check every page and index of the database file; its schema version and how many calls it holds."""
    if not path.exists():
        return StoreState()
    connection = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            return StoreState(schema, problem=f"damaged: {found[0]}")
        calls, live, latest, earliest = connection.execute(
            "SELECT count(*), coalesce(sum(state = 'live'), 0), coalesce(max(started_at), ''), "
            "coalesce(min(started_at), '') FROM calls"
        ).fetchone()
    except sqlite3.Error as error:
        return StoreState(problem=f"cannot be read: {error}")
    finally:
        if connection is not None:
            connection.close()
    return StoreState(schema, calls=calls, live=live, latest=latest, earliest=earliest)


def is_disk_encrypted(folder: Path, devices: Path = Path("/sys/dev/block")) -> bool | None:
    """Whether the disk of a folder is encrypted with dm-crypt; None where that is unknown (not Linux, a network disk, a
    file system with its own encryption).
    """
    number = folder.stat().st_dev
    device = devices / f"{os.major(number)}:{os.minor(number)}" if hasattr(os, "major") else devices / "none"
    if not device.exists():
        return None
    layers = [device]
    while layers:
        layer = layers.pop()
        kind = layer / "dm" / "uuid"
        if kind.exists() and kind.read_text().startswith("CRYPT-"):
            return True
        under = layer / "slaves"
        layers += sorted(under.iterdir()) if under.is_dir() else []
    return False
