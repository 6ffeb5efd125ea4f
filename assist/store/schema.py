"""The tables of the store, and how a store written by an earlier version becomes one of today's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Column, Connection, Float, Integer, MetaData, String, Table, Text, insert, select, text
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from assist.errors import AssistError
from assist.store.digest import digest_of

TABLES = MetaData()
calls = Table(
    "calls",
    TABLES,
    Column("call", String, primary_key=True),
    Column("state", String, nullable=False),  # live, ended, interrupted
    Column("started_at", String, nullable=False),
    Column("agent", String, nullable=False),
)
events = Table(
    "events",
    TABLES,
    Column("call", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("at_ms", Integer, nullable=False),
    Column("type", String, nullable=False),
    Column("body", Text, nullable=False),
)
records = Table(
    "records",
    TABLES,
    Column("call", String, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("started_at", String, nullable=False, index=True),
    Column("agent", String, nullable=False, index=True),
    Column("team", String, nullable=False),
    Column("level", String, nullable=False, index=True),
    Column("outcome", String, nullable=False),
    Column("contested", Integer, nullable=False),
    Column("signal_ids", String, nullable=False),  # " swearing raised_voice ": LIKE finds whole ids
    Column("body", Text, nullable=False),
)
digests = Table(
    "digests",  # the small part of a record that lists and counts read (assist/store/digest.py)
    TABLES,
    Column("call", String, primary_key=True),
    Column("body", Text, nullable=False),
)
reviews = Table(
    "reviews",  # append-only: what people said about a finished call, and that they looked at it
    TABLES,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("call", String, nullable=False, index=True),
    Column("at", String, nullable=False),  # ISO 8601
    Column("who", String, nullable=False),
    Column("kind", String, nullable=False),  # looked, signal, prompt, comment, missed, contest, outcome, root-cause
    Column("target", String, nullable=False),
    Column("text", Text, nullable=False),  # a verdict (right, wrong, clear) or words
    Column("at_ms", Integer),
)
gates = Table(
    "gates",  # one row per call: what may be heard and kept of it; outlives the call's content
    TABLES,
    Column("call", String, primary_key=True),
    Column("policy", String, nullable=False),
    Column("consent", String, nullable=False),  # unknown, granted, refused
    Column("by", String, nullable=False),
    Column("paused_ms", Integer),  # call time of the pause that holds; NULL while listening
    Column("paused_by", String, nullable=False),
    Column("at", String, nullable=False, index=True),  # ISO 8601
)
holds = Table(
    "holds",  # calls that must not be erased, by whom and why
    TABLES,
    Column("call", String, primary_key=True),
    Column("by", String, nullable=False),
    Column("why", String, nullable=False),
    Column("at", String, nullable=False),  # ISO 8601
)
users = Table(
    "users",
    TABLES,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),  # agent, supervisor, qa, admin
    Column("password", String, nullable=False),  # argon2id, with its salt and parameters
    Column("version", Integer, nullable=False),  # grows with every change of password or role
    Column("changed_at", String, nullable=False),  # ISO 8601
)
logins = Table(
    "logins",  # sessions of browsers, so that a restart logs nobody out
    TABLES,
    Column("key", String, primary_key=True),  # SHA-256 of what the browser holds
    Column("who", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("began_at", Float, nullable=False),  # epoch seconds
    Column("active_at", Float, nullable=False),
)
views = Table(
    "views",  # searches people have saved for themselves
    TABLES,
    Column("who", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("filters", Text, nullable=False),  # JSON
)
audit = Table(
    "audit",  # append-only: who looked at what; each row is sealed together with the one before
    TABLES,
    Column("n", Integer, primary_key=True),
    Column("at", String, nullable=False),  # ISO 8601
    Column("who", String, nullable=False),
    Column("role", String, nullable=False),
    Column("what", String, nullable=False),
    Column("target", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("seal", String, nullable=False),
)
audit_head = Table(
    "audit_head",  # one row: how long the audit log is, sealed, so that its end cannot be cut off
    TABLES,
    Column("one", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("seal", String, nullable=False),
)
audit_cut = Table(
    "audit_cut",  # one row: where the audit log begins after its oldest entries were taken out
    TABLES,
    Column("one", Integer, primary_key=True),
    Column("n", Integer, nullable=False),  # number of the last entry taken out
    Column("before", String, nullable=False),  # its seal, on which the next entry's stands
    Column("seal", String, nullable=False),  # over both
)
SPOKEN = "CREATE VIRTUAL TABLE IF NOT EXISTS spoken USING fts5(call UNINDEXED, words)"
DIGEST_GONE = """CREATE TRIGGER IF NOT EXISTS digest_gone AFTER DELETE ON records
BEGIN DELETE FROM digests WHERE call = OLD.call; END"""

MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
"""Step n takes a store of schema n + 1 to n + 2. New tables need no step (they are created); changed ones do."""
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def ready(connection: sqlite3.Connection, table: Table) -> None:
    """Create a table where a store of an earlier version has none."""
    connection.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect())))


def _digest_old(connection: Connection) -> None:
    """Digests of records that have none: those of an earlier version."""
    missing = select(records.c.call).where(records.c.call.not_in(select(digests.c.call)))
    for call in connection.execute(missing).scalars().all():
        body = json.loads(connection.execute(select(records.c.body).where(records.c.call == call)).scalar_one())
        connection.execute(insert(digests).values(call=call, body=json.dumps(digest_of(body), ensure_ascii=False)))


def prepare(connection: Connection, path: Path) -> None:
    """Create what is missing and migrate what is old: all of it, or nothing where it is cut short.

    Raises:
        AssistError: code store-newer.
    """
    # By itself the driver begins no transaction before DDL: each ALTER TABLE would be committed on its own.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    found = connection.execute(text("PRAGMA user_version")).scalar() or 0
    if found > SCHEMA_VERSION:
        raise AssistError(
            "store-newer",
            f"{path} was written by a newer version (schema {found}, this one knows {SCHEMA_VERSION}); update",
        )
    if found:
        for step in MIGRATIONS[found - 1 :]:
            step(connection)
    TABLES.create_all(connection)
    connection.execute(text(SPOKEN))
    connection.execute(text(DIGEST_GONE))
    _digest_old(connection)
    connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
