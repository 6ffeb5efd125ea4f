"""What the store keeps about the people at the screens: users, logins, saved searches, the audit log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, Engine, delete, func, insert, inspect, select
from sqlalchemy.dialects.sqlite import insert as upsert

from assist.store import schema
from assist.store.writer import WriteQueue


@dataclass(frozen=True, slots=True)
class StoredUser:
    """One who may log in."""

    name: str
    role: str
    password: str
    """Hash with its salt and parameters."""
    version: int
    changed_at: str


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A session of a browser; times are epoch seconds."""

    key: str
    who: str
    version: int
    began_at: float
    active_at: float


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Somebody did or looked at something."""

    at: str
    """ISO 8601."""
    who: str
    role: str
    what: str
    target: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is kept."""

    n: int
    entry: AuditEntry
    seal: str


@dataclass(frozen=True, slots=True)
class Seals:
    """How rows and the head of the audit log are sealed."""

    row: Callable[[str, int, AuditEntry], str]
    """(seal of the row before, number, entry) -> seal."""
    head: Callable[[int, str], str]
    """(number, seal of the last row) -> seal."""
    cut: Callable[[int, str], str]
    """(number, seal of the last row taken out) -> seal."""


class People:
    """Rows of people: reads on the spot, writes through the one writer."""

    def __init__(self, writer: WriteQueue, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader

    # ---- users and logins ----

    def users(self) -> list[StoredUser]:
        """Everyone who may log in, by name."""
        with self._reader.connect() as connection:
            return [StoredUser(*row) for row in connection.execute(select(schema.users).order_by(schema.users.c.name))]

    def put_user(self, user: StoredUser) -> Future[None]:
        """Add or replace a user."""
        row = asdict(user)
        return self._writer.put(
            upsert(schema.users).values(**row).on_conflict_do_update(index_elements=["name"], set_=row)
        )

    def remove_user(self, name: str) -> Future[None]:
        """Take a user out, with their logins and saved searches."""

        def remove(connection: Connection) -> None:
            connection.execute(delete(schema.users).where(schema.users.c.name == name))
            connection.execute(delete(schema.logins).where(schema.logins.c.who == name))
            connection.execute(delete(schema.views).where(schema.views.c.who == name))

        return self._writer.put(remove)

    def logins(self) -> list[StoredLogin]:
        """All sessions kept."""
        with self._reader.connect() as connection:
            return [StoredLogin(*row) for row in connection.execute(select(schema.logins))]

    def keep_login(self, login: StoredLogin) -> Future[None]:
        """Keep a session as it is now."""
        row = asdict(login)
        return self._writer.put(
            upsert(schema.logins).values(**row).on_conflict_do_update(index_elements=["key"], set_=row)
        )

    def forget_login(self, key: str) -> Future[None]:
        """A session is over."""
        return self._writer.put(delete(schema.logins).where(schema.logins.c.key == key))

    # ---- saved searches ----

    def views(self, who: str) -> list[tuple[str, str]]:
        """(name, filters as JSON) of one person, by name."""
        wanted = select(schema.views.c.name, schema.views.c.filters).where(schema.views.c.who == who)
        with self._reader.connect() as connection:
            return [(row.name, row.filters) for row in connection.execute(wanted.order_by(schema.views.c.name))]

    def save_view(self, who: str, name: str, filters: str) -> Future[None]:
        """Save a search; one of the same name is replaced."""
        row = {"who": who, "name": name, "filters": filters}
        return self._writer.put(
            upsert(schema.views).values(**row).on_conflict_do_update(index_elements=["who", "name"], set_=row)
        )

    def delete_view(self, who: str, name: str) -> Future[None]:
        """Forget a saved search."""
        return self._writer.put(delete(schema.views).where(schema.views.c.who == who, schema.views.c.name == name))

    def spellings(self) -> list[str]:
        """Names by which something is theirs: agents, by their newest call, then whoever has saved a search."""
        agent, who = schema.calls.c.agent, schema.views.c.who
        wanted = select(agent).group_by(agent).order_by(func.max(schema.calls.c.started_at).desc())
        with self._reader.connect() as connection:
            return [*connection.execute(wanted).scalars(), *connection.execute(select(who).distinct()).scalars()]

    # ---- audit ----

    def note(self, entries: Sequence[AuditEntry], seals: Seals) -> Future[None]:
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

    def shorten_audit(self, before: str, held: Collection[str], seals: Seals) -> Future[None]:
        """Take the oldest entries out: those before a time (ISO 8601, UTC), up to the first about a call on hold.

        The newest entry always stays. Where the log begins now is sealed.
        """

        def shorten(connection: Connection) -> None:
            table = schema.audit
            stays = (table.c.at >= before) | table.c.target.in_(held)
            first = connection.execute(select(func.min(table.c.n)).where(stays)).scalar()
            last = connection.execute(select(func.max(table.c.n))).scalar()
            until = (last if first is None else first) or 0
            gone = connection.execute(select(table.c.n, table.c.seal).where(table.c.n == until - 1)).one_or_none()
            if gone is None:
                return
            connection.execute(delete(table).where(table.c.n <= gone.n))
            cut = {"one": 1, "n": gone.n, "before": gone.seal, "seal": seals.cut(gone.n, gone.seal)}
            connection.execute(
                upsert(schema.audit_cut).values(**cut).on_conflict_do_update(index_elements=["one"], set_=cut)
            )

        return self._writer.put(shorten, checkpoint=True)

    def audit_before(self, at: str) -> int:
        """How many entries were made before a time (ISO 8601, UTC)."""
        wanted = select(func.count()).select_from(schema.audit).where(schema.audit.c.at < at)
        with self._reader.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def audit_cut(self) -> tuple[int, str, str] | None:
        """Number and seal of the last entry taken out, and the seal over both; None where the log is whole."""
        table = schema.audit_cut
        with self._reader.connect() as connection:
            if table.name not in inspect(connection).get_table_names():  # of an earlier version, read only
                return None
            row = connection.execute(select(table.c.n, table.c.before, table.c.seal)).one_or_none()
        return None if row is None else (row.n, row.before, row.seal)

    def audit_head(self) -> tuple[int, str] | None:
        """Number and seal of the head; None where nothing was ever noted."""
        with self._reader.connect() as connection:
            row = connection.execute(select(schema.audit_head.c.n, schema.audit_head.c.seal)).one_or_none()
        return None if row is None else (row.n, row.seal)

    def last_noted(self, *what: str) -> AuditEntry | None:
        """The newest entry of these kinds."""
        columns = [schema.audit.c[field.name] for field in fields(AuditEntry)]
        wanted = select(*columns).where(schema.audit.c.what.in_(what)).order_by(schema.audit.c.n.desc()).limit(1)
        with self._reader.connect() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else AuditEntry(*row)

    def audit(self, *, newest: int | None = None) -> Iterator[AuditRow]:
        """The audit log, oldest first: all of it, or the newest so many."""
        names = [field.name for field in fields(AuditEntry)]
        wanted = select(schema.audit).order_by(schema.audit.c.n)
        with self._reader.connect() as connection:
            if newest is not None:
                count = connection.execute(select(func.count()).select_from(schema.audit)).scalar_one()
                wanted = wanted.offset(max(0, count - newest))
            for row in connection.execute(wanted):
                yield AuditRow(row.n, AuditEntry(*(getattr(row, name) for name in names)), row.seal)
