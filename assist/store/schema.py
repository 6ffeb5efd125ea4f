"""The tables of the store, and the migration of a store that an earlier version wrote."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, String, Table, Text, insert, select, text
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from assist.errors import AssistError
from assist.store.digest import digest_of

METADATA = MetaData()
calls = Table(
    "calls",
    METADATA,
    Column("call", String, primary_key=True),
    Column("state", String, nullable=False),  # live, ended, interrupted
    Column("started_at", String, nullable=False),
    Column("agent", String, nullable=False),
)
events = Table(
    "events",
    METADATA,
    Column("call", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("at_ms", Integer, nullable=False),
    Column("type", String, nullable=False),
    Column("body", Text, nullable=False),
)
records = Table(
    "records",
    METADATA,
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
    METADATA,
    Column("call", String, primary_key=True),
    Column("body", Text, nullable=False),
)
reviews = Table(
    "reviews",  # append-only: reviews of finished calls, and notes that somebody looked at one
    METADATA,
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
    "gates",  # one row per call: what may be transcribed and stored of it; outlives the call's content
    METADATA,
    Column("call", String, primary_key=True),
    Column("policy", String, nullable=False),
    Column("consent", String, nullable=False),  # unknown, granted, refused
    Column("by", String, nullable=False),
    Column("paused_ms", Integer),  # call time of the current pause; NULL while listening
    Column("paused_by", String, nullable=False),
    Column("at", String, nullable=False, index=True),  # ISO 8601
    Column("ended", Boolean, nullable=False, server_default="0"),  # by itself, with nothing else kept of it
)
holds = Table(
    "holds",  # calls that must not be erased, who holds them and why
    METADATA,
    Column("call", String, primary_key=True),
    Column("by", String, nullable=False),
    Column("why", String, nullable=False),
    Column("at", String, nullable=False),  # ISO 8601
)
users = Table(
    "users",
    METADATA,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),  # agent, supervisor, qa, admin
    Column("password", String, nullable=False),  # argon2id, with its salt and parameters
    Column("version", Integer, nullable=False),  # increases with every change of password or role
    Column("changed_at", String, nullable=False),  # ISO 8601
)
logins = Table(
    "logins",  # browser sessions, so that a restart logs nobody out
    METADATA,
    Column("key", String, primary_key=True),  # SHA-256 of the session token
    Column("who", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("began_at", Float, nullable=False),  # epoch seconds
    Column("active_at", Float, nullable=False),
)
views = Table(
    "views",  # saved searches
    METADATA,
    Column("who", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("filters", Text, nullable=False),  # JSON
)
audit = Table(
    "audit",  # append-only: who looked at what; each row is sealed together with the one before
    METADATA,
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
    "audit_head",  # one row: the length of the audit log, sealed, so that its end cannot be cut off
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("seal", String, nullable=False),
)
audit_cut = Table(
    "audit_cut",  # one row: where the audit log begins since its oldest entries were removed
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("n", Integer, nullable=False),  # number of the last entry removed
    Column("before", String, nullable=False),  # its seal, which the next entry's seal covers
    Column("seal", String, nullable=False),  # over both
)
BEGAN = "strftime('%Y-%m-%dT%H:%M:%S', records.started_at)"
"""When a recorded call began, in UTC."""
CREATE_ORDER_INDEX = f"CREATE INDEX IF NOT EXISTS records_in_order ON records ({BEGAN.replace('records.', '')}, call)"
CREATE_FULL_TEXT_INDEX = "CREATE VIRTUAL TABLE IF NOT EXISTS spoken USING fts5(call UNINDEXED, words)"
CREATE_DIGEST_TRIGGER = """CREATE TRIGGER IF NOT EXISTS digest_gone AFTER DELETE ON records
BEGIN DELETE FROM digests WHERE call = OLD.call; END"""


def _add_ended_gates(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE gates ADD COLUMN ended BOOLEAN NOT NULL DEFAULT '0'"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_add_ended_gates,)
"""MIGRATIONS[n] turns a store of schema n + 1 into one of n + 2. Only changed tables need one: new ones are created."""
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def create_table(connection: sqlite3.Connection, table: Table) -> None:
    """Create a table that is missing in a store of an earlier version."""
    connection.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect())))


def _add_missing_digests(connection: Connection) -> None:
    """Write the digests of records that have none: an earlier version wrote them."""
    missing = select(records.c.call).where(records.c.call.not_in(select(digests.c.call)))
    for call in connection.execute(missing).scalars().all():
        body = json.loads(connection.execute(select(records.c.body).where(records.c.call == call)).scalar_one())
        connection.execute(insert(digests).values(call=call, body=json.dumps(digest_of(body), ensure_ascii=False)))


def create_or_migrate(connection: Connection, path: Path) -> None:
    """Create what is missing and migrate what is old, in one transaction.

    Raises:
        AssistError: code store-newer.
    """
    # The driver itself begins no transaction before DDL: each ALTER TABLE would be committed on its own.
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
    METADATA.create_all(connection)
    connection.exec_driver_sql(CREATE_ORDER_INDEX)
    connection.execute(text(CREATE_FULL_TEXT_INDEX))
    connection.execute(text(CREATE_DIGEST_TRIGGER))
    _add_missing_digests(connection)
    connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
