"""Rows taken out so that their bytes are gone: from the tables, the full-text index and the write-ahead log.

Everything here runs on the writer's connection, inside its transaction; the store empties the write-ahead log after the
commit. The connection has `secure_delete` on, so that freed cells are overwritten with zeros; a full-text index keeps
copies in its segments until it is merged, which `optimize` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, text

from assist.store import schema

OF_A_CALL = (schema.events, schema.records, schema.reviews, schema.calls)
"""Tables with rows of one call. Its gate stays: that consent was refused, and by whom, is no content."""


def erase(connection: Connection, calls: Sequence[str]) -> None:
    """Take whole calls out."""
    for call in calls:
        for table in OF_A_CALL:
            connection.execute(delete(table).where(table.c.call == call))
        connection.execute(text("DELETE FROM spoken WHERE call = :call").bindparams(call=call))
    connection.execute(text("INSERT INTO spoken(spoken) VALUES ('optimize')"))


def forget(connection: Connection, calls: Sequence[str]) -> None:
    """Take the last row of calls out: that they were, and what was known about consent."""
    for call in calls:
        connection.execute(delete(schema.gates).where(schema.gates.c.call == call))


def strip(connection: Connection, call: str) -> None:
    """Take a call's words out: its events and its place in the full-text index."""
    connection.execute(delete(schema.events).where(schema.events.c.call == call))
    connection.execute(text("DELETE FROM spoken WHERE call = :call").bindparams(call=call))
    connection.execute(text("INSERT INTO spoken(spoken) VALUES ('optimize')"))


def scrub(connection: Connection, call: str, numbers: Sequence[int]) -> None:
    """Take single events out of a call's log: what was said just before a pause."""
    for n in numbers:
        connection.execute(delete(schema.events).where(schema.events.c.call == call, schema.events.c.n == n))
