"""The interface of a store, and how one is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from assist.errors import AssistError
from assist.events import Event
from assist.store.people import People
from assist.store.rows import Hold, Review, StoredCall, StoredGate
from assist.store.searching import RecordQuery
from assist.store.sqlite import ReadOnlyStore, SqliteStore


class Store(Protocol):
    """What the program needs of a store; `open_store` picks the adapter by URL.

    Writes are queued and return a receipt: a Future that is done when the write is on disk, and fails with AssistError
    where it never will be.
    """

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Add a call as live."""
        ...

    def reopen(self, call: str) -> Future[None]:
        """Mark an interrupted call as live again."""
        ...

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n` of a call; the same (call, n) twice is written once."""
        ...

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Set a call's final state and write its incident record, in one transaction; a later one replaces it.

        Does nothing where the call has been erased.
        """
        ...

    def amend(self, call: str, after: int, events: Sequence[tuple[int, Event]], record: dict[str, Any]) -> Future[None]:
        """Append to the log of a finished call after event number `after`, and replace its record, in one transaction.

        Does nothing where the log has changed since: the call was erased or resumed.
        """
        ...

    def flush(self) -> Future[None]:
        """A receipt for everything queued so far, but for erasures that wait for damaged keys."""
        ...

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        ...

    def raw_events(self, call: str) -> list[tuple[int, str, str]]:
        """All stored events of a call in order, not decoded: (number, type name, JSON)."""
        ...

    def calls_with_events(self) -> set[str]:
        """Ids of the calls that have events."""
        ...

    def calls(self, state: str | None = None) -> list[StoredCall]:
        """Calls, newest first; only those in this state (live, ended, interrupted) if one is given."""
        ...

    def record(self, call: str) -> dict[str, Any] | None:
        """The incident record of a call; None where it has none."""
        ...

    def records(self, query: RecordQuery) -> list[dict[str, Any]]:
        """Incident records that match, newest (or worst) first."""
        ...

    def digests(self, query: RecordQuery) -> Iterator[dict[str, Any]]:
        """The digests (assist/store/digest.py) of the records that match, newest (or worst) first.

        Read one by one: those of a year may be too many to hold in memory.
        """
        ...

    def count(self, query: RecordQuery) -> int:
        """How many records match; `limit` and `after` of the query do not count."""
        ...

    def agents(self) -> list[str]:
        """The names of agents as the records spell them, each once."""
        ...

    def review(self, call: str, review: Review) -> Future[None]:
        """Append a review of a finished call, or the note that somebody looked at it."""
        ...

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        ...

    def set_gate(self, call: str, gate: StoredGate) -> Future[None]:
        """Write what may be transcribed and stored of a call from now on. A pause is acknowledged after the receipt."""
        ...

    def gate(self, call: str) -> StoredGate | None:
        """The gate that was last set for a call; None where none was."""
        ...

    def erase_events(self, call: str, numbers: Sequence[int]) -> Future[None]:
        """Erase single events of a call's log; the receipt waits until their bytes are gone."""
        ...

    def erase(self, calls: Sequence[str]) -> Future[None]:
        """Erase calls from every table but the gates, the full-text index, the write-ahead log and every backup.

        None of them where one is on hold: then the receipt fails with code on-hold, as those of the next two do.
        """
        ...

    def erase_words(self, call: str, record: dict[str, Any]) -> Future[None]:
        """Erase a call's events and replace its record by one without words, in one transaction."""
        ...

    def delete_gates(self, calls: Sequence[str]) -> Future[None]:
        """Delete the gates of calls: the last that is stored of them."""
        ...

    def gates_before(self, at: str) -> list[str]:
        """Ids of calls whose gate was last set before a time (ISO 8601, UTC) and of which nothing else is stored."""
        ...

    def hold(self, hold: Hold) -> Future[None]:
        """Protect a call from erasure; a later hold of the call replaces it."""
        ...

    def release(self, call: str) -> Future[None]:
        """End the hold of a call."""
        ...

    def holds(self) -> list[Hold]:
        """All holds."""
        ...

    def reviews_by_call(self, calls: Sequence[str] | None = None) -> dict[str, list[Review]]:
        """Call -> its reviews, oldest first, without the notes that somebody looked; None: of all calls."""
        ...

    @property
    def people(self) -> People:
        """Users, logins, saved searches and the audit log."""
        ...

    @property
    def backlog_full(self) -> bool:
        """Whether so much waits to be written that no new call should begin."""
        ...

    def backup(self, out: Path) -> None:
        """A consistent copy of everything acknowledged so far."""
        ...

    def close(self) -> None:
        """Write what is queued, then close."""
        ...


def open_store(url: str, on_trouble: Callable[[str | None], None] | None = None) -> Store:
    """Open the store behind a URL; `sqlite:///PATH` is built in.

    `on_trouble` is called from the writer thread with one line when writing fails, and with None when it works again.

    Raises:
        AssistError: codes data-folder (cannot be created or written), store-failed, store-newer, store-unknown;
            store-in-use (StoreInUse) where another program has it open.
    """
    return SqliteStore(path_from_url(url), on_trouble)


def open_reader(url: str) -> Store:
    """Open the store behind a URL for reading only, also while another program writes it.

    Raises:
        AssistError: codes store-unknown, store-missing, store-failed, store-other (its schema is not this version's);
            store-read-only from whatever would write.
    """
    return ReadOnlyStore(path_from_url(url))


def path_from_url(url: str) -> Path:
    """The file behind a store's URL.

    Raises:
        AssistError: code store-unknown.
    """
    if not url.startswith("sqlite:///"):
        raise AssistError("store-unknown", f"store URL {url!r}: expected sqlite:///PATH")
    return Path(url.removeprefix("sqlite:///"))
