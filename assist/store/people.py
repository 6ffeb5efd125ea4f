"""Tables about users: accounts, login sessions, saved searches, the audit log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, Engine, Select, delete, func, insert, inspect, select
from sqlalchemy.dialects.sqlite import insert as upsert

from assist.store import schema
from assist.store.writer import WriteQueue


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user who may log in."""

    name: str
    role: str
    password: str
    """Hash with its salt and parameters."""
    version: int
    changed_at: str


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login session of a browser; times are epoch seconds."""

    key: str
    who: str
    version: int
    began_at: float
    active_at: float


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did or looked at."""

    at: str
    """ISO 8601."""
    who: str
    role: str
    what: str
    target: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is stored."""

    n: int
    entry: AuditEntry
    seal: str


@dataclass(frozen=True, slots=True)
class Seals:
    """The functions that seal the audit log (assist/access/audit.py)."""

    row: Callable[[str, int, AuditEntry], str]
    """(seal of the row before, number, entry) -> seal."""
    head: Callable[[int, str], str]
    """(number, seal of the last row) -> seal."""
    cut: Callable[[int, str], str]
    """(number, seal of the last row removed) -> seal."""


class People:
    """Reads and writes these tables; writes are queued and return a receipt, as those of a store."""

    def __init__(self, writer: WriteQueue, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader

    # ---- users and logins ----

    def users(self) -> list[StoredUser]:
        """All users, by name."""
        with self._reader.connect() as connection:
            return [StoredUser(*row) for row in connection.execute(select(schema.users).order_by(schema.users.c.name))]

    def put_user(self, user: StoredUser) -> Future[None]:
        """Add or replace a user."""
        row = asdict(user)
        return self._writer.put(
            upsert(schema.users).values(**row).on_conflict_do_update(index_elements=["name"], set_=row)
        )

    def remove_user(self, name: str) -> Future[None]:
        """Delete a user with their logins and saved searches."""

        def remove(connection: Connection) -> None:
            connection.execute(delete(schema.users).where(schema.users.c.name == name))
            connection.execute(delete(schema.logins).where(schema.logins.c.who == name))
            connection.execute(delete(schema.views).where(schema.views.c.who == name))

        return self._writer.put(remove)

    def logins(self) -> list[StoredLogin]:
        """All login sessions."""
        with self._reader.connect() as connection:
            return [StoredLogin(*row) for row in connection.execute(select(schema.logins))]

    def save_login(self, login: StoredLogin) -> Future[None]:
        """Add or replace a login session."""
        row = asdict(login)
        return self._writer.put(
            upsert(schema.logins).values(**row).on_conflict_do_update(index_elements=["key"], set_=row)
        )

    def delete_login(self, key: str) -> Future[None]:
        """Delete a login session."""
        return self._writer.put(delete(schema.logins).where(schema.logins.c.key == key))

    # ---- saved searches ----

    def views(self, who: str) -> list[tuple[str, str]]:
        """(name, filters as JSON) of one user's saved searches, by name."""
        query = select(schema.views.c.name, schema.views.c.filters).where(schema.views.c.who == who)
        with self._reader.connect() as connection:
            return [(row.name, row.filters) for row in connection.execute(query.order_by(schema.views.c.name))]

    def save_view(self, who: str, name: str, filters: str) -> Future[None]:
        """Save a search; one of the same name is replaced."""
        row = {"who": who, "name": name, "filters": filters}
        return self._writer.put(
            upsert(schema.views).values(**row).on_conflict_do_update(index_elements=["who", "name"], set_=row)
        )

    def delete_view(self, who: str, name: str) -> Future[None]:
        """Delete a saved search."""
        return self._writer.put(delete(schema.views).where(schema.views.c.who == who, schema.views.c.name == name))

    def spellings(self) -> list[str]:
        """Names as they are stored: of agents, by their newest call, then of those who have saved a search."""
        agent, who = schema.calls.c.agent, schema.views.c.who
        query = select(agent).group_by(agent).order_by(func.max(schema.calls.c.started_at).desc())
        with self._reader.connect() as connection:
            return [*connection.execute(query).scalars(), *connection.execute(select(who).distinct()).scalars()]

    # ---- audit ----

    def append_audit(self, entries: Sequence[AuditEntry], seals: Seals) -> Future[None]:
        """Append to the audit log, at least one entry; rows and head change in one transaction."""

        def append(connection: Connection) -> None:
            last = select(schema.audit.c.n, schema.audit.c.seal).order_by(schema.audit.c.n.desc()).limit(1)
            before = connection.execute(last).one_or_none()
            n, seal = (before.n, before.seal) if before is not None else (0, "")
            rows = []
            for entry in entries:
                n += 1
                seal = seals.row(seal, n, entry)
                rows.append({"n": n, **asdict(entry), "seal": seal})
            connection.execute(insert(schema.audit), rows)
            head = {"one": 1, "n": n, "seal": seals.head(n, seal)}
            connection.execute(
                upsert(schema.audit_head).values(**head).on_conflict_do_update(index_elements=["one"], set_=head)
            )

        return self._writer.put(append, 200 * len(entries))

    def shorten_audit(self, before: str, now: str, held: Collection[str], seals: Seals) -> Future[None]:
        """Delete the oldest entries: those before a time (ISO 8601, UTC), up to the first about a call on hold.

        What is dated after `now` was written by a clock set ahead: it goes with the first old entry after it. The
        newest entry always stays. The new beginning of the log is sealed.
        """

        def shorten(connection: Connection) -> None:
            table = schema.audit
            until = connection.execute(_last_old_entry(before, now, held)).scalar()
            removed = connection.execute(select(table.c.n, table.c.seal).where(table.c.n == until)).one_or_none()
            if removed is None:
                return
            connection.execute(delete(table).where(table.c.n <= removed.n))
            cut = {"one": 1, "n": removed.n, "before": removed.seal, "seal": seals.cut(removed.n, removed.seal)}
            connection.execute(
                upsert(schema.audit_cut).values(**cut).on_conflict_do_update(index_elements=["one"], set_=cut)
            )

        return self._writer.put(shorten, checkpoint=True)

    def count_old_audit(self, before: str, now: str, held: Collection[str]) -> int:
        """Number of audit entries that `shorten_audit` would delete."""
        until = _last_old_entry(before, now, held).scalar_subquery()
        query = select(func.count()).select_from(schema.audit).where(schema.audit.c.n <= until)
        with self._reader.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def audit_targets(self, what: str) -> set[str]:
        """The targets of all audit entries of this kind."""
        query = select(schema.audit.c.target).where(schema.audit.c.what == what).distinct()
        with self._reader.connect() as connection:
            return set(connection.execute(query).scalars())

    def audit_cut(self) -> tuple[int, str, str] | None:
        """Number and seal of the last entry removed, and the seal over both; None where the log is complete."""
        table = schema.audit_cut
        with self._reader.connect() as connection:
            if table.name not in inspect(connection).get_table_names():  # an earlier version's, read only
                return None
            row = connection.execute(select(table.c.n, table.c.before, table.c.seal)).one_or_none()
        return None if row is None else (row.n, row.before, row.seal)

    def audit_head(self) -> tuple[int, str] | None:
        """Number and seal of the head; None where the log is empty."""
        with self._reader.connect() as connection:
            row = connection.execute(select(schema.audit_head.c.n, schema.audit_head.c.seal)).one_or_none()
        return None if row is None else (row.n, row.seal)

    def last_audit_entry(self, *what: str) -> AuditEntry | None:
        """The newest entry of these kinds."""
        columns = [schema.audit.c[field.name] for field in fields(AuditEntry)]
        query = select(*columns).where(schema.audit.c.what.in_(what)).order_by(schema.audit.c.n.desc()).limit(1)
        with self._reader.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else AuditEntry(*row)

    def audit(self, *, newest: int | None = None) -> Iterator[AuditRow]:
        """The audit log, oldest entry first; `newest`: only so many of the newest entries."""
        names = [field.name for field in fields(AuditEntry)]
        query = select(schema.audit).order_by(schema.audit.c.n)
        with self._reader.connect() as connection:
            if newest is not None:
                count = connection.execute(select(func.count()).select_from(schema.audit)).scalar_one()
                query = query.offset(max(0, count - newest))
            for row in connection.execute(query):
                yield AuditRow(row.n, AuditEntry(*(getattr(row, name) for name in names)), row.seal)


def _last_old_entry(before: str, now: str, held: Collection[str]) -> Select[tuple[int]]:
    """The number of the last audit entry to be deleted; NULL for none."""
    table = schema.audit
    is_kept = ((table.c.at >= before) & (table.c.at <= now)) | table.c.target.in_(held)
    first = select(func.min(table.c.n)).where(is_kept).scalar_subquery()
    newest = select(func.max(table.c.n)).scalar_subquery()
    return select(func.max(table.c.n)).where(table.c.at < before, table.c.n < func.coalesce(first, newest))
