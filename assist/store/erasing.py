"""Erasure of rows and their bytes: from the tables, the full-text index and the write-ahead log.

Everything here runs on the writer's connection, inside its transaction; the writer truncates the write-ahead log after
the commit. The connection has `secure_delete` on, so that freed cells are overwritten with zeros; a full-text index
keeps copies in its segments until they are merged, which `optimize` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, select, text

from assist.errors import AssistError
from assist.store import schema

CALL_TABLES = (schema.events, schema.records, schema.reviews, schema.calls)
"""Tables with the content of a call. Its gate stays: that consent was refused, and by whom, is no content."""


def check_not_held(connection: Connection, calls: Sequence[str]) -> None:
    """Check, in the transaction that erases them, that no call is on hold.

    Raises:
        AssistError: code on-hold, naming the first one that is.
    """
    held = set(connection.execute(select(schema.holds.c.call)).scalars())
    for call in calls:
        if call in held:
            raise AssistError("on-hold", f"call {call} is on hold: what is kept of it stays until it is released")


def erase(connection: Connection, calls: Sequence[str]) -> None:
    """Erase whole calls."""
    _delete_rows(connection, calls, CALL_TABLES)


def delete_gates(connection: Connection, calls: Sequence[str]) -> None:
    """Delete the last row of calls: that there was a call, and what was known about consent."""
    for call in calls:
        connection.execute(delete(schema.gates).where(schema.gates.c.call == call))


def erase_words(connection: Connection, call: str) -> None:
    """Erase a call's events and its entry in the full-text index."""
    _delete_rows(connection, [call], (schema.events,))


def erase_events(connection: Connection, call: str, numbers: Sequence[int]) -> None:
    """Erase single events of a call's log: what was said just before a pause."""
    for n in numbers:
        connection.execute(delete(schema.events).where(schema.events.c.call == call, schema.events.c.n == n))


def _delete_rows(connection: Connection, calls: Sequence[str], tables: Sequence[Table]) -> None:
    """Delete the rows of calls from these tables, and their entries in the full-text index."""
    for call in calls:
        for table in tables:
            connection.execute(delete(table).where(table.c.call == call))
        connection.execute(text("DELETE FROM spoken WHERE call = :call").bindparams(call=call))
    connection.execute(text("INSERT INTO spoken(spoken) VALUES ('optimize')"))
