"""What the program needs of a store, and how one is opened."""

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
    """What the program needs of a store; `open_store` picks the adapter by URL."""

    def begin(self, call: str, started_at: str, agent: str) -> Future[None]:
        """Enter a call as live."""
        ...

    def reopen(self, call: str) -> Future[None]:
        """A call that was cut short is live again."""
        ...

    def append(self, call: str, n: int, event: Event) -> Future[None]:
        """Append event number `n` of a call; the receipt is fulfilled when it is on disk."""
        ...

    def finish(self, call: str, state: str, record: dict[str, Any]) -> Future[None]:
        """Close a call with its incident record; writing it again replaces it."""
        ...

    def amend(self, call: str, after: int, events: Sequence[tuple[int, Event]], record: dict[str, Any]) -> Future[None]:
        """Add to the log of a finished call behind event number `after`, and put a new record in the old one's place.

        Both at once; neither where the log has changed meanwhile: the call was erased, or goes on.
        """
        ...

    def flush(self) -> Future[None]:
        """A receipt for everything put in so far."""
        ...

    def events(self, call: str) -> list[tuple[int, Event]]:
        """All stored events of a call, in order."""
        ...

    def log(self, call: str) -> list[tuple[int, str, str]]:
        """The same as they stand on disk: number, type, JSON."""
        ...

    def logged(self) -> set[str]:
        """Calls of which there are events."""
        ...

    def calls(self, state: str | None = None) -> list[StoredCall]:
        """Calls, newest first."""
        ...

    def record(self, call: str) -> dict[str, Any] | None:
        """The incident record of a call."""
        ...

    def records(self, query: RecordQuery) -> list[dict[str, Any]]:
        """Incident records that fit, newest (or worst) first."""
        ...

    def digests(self, query: RecordQuery) -> Iterator[dict[str, Any]]:
        """The digests of the records that fit (assist/store/digest.py), newest (or worst) first, read as they are asked
        for: of a year there may be more than should be held in memory.
        """
        ...

    def count(self, query: RecordQuery) -> int:
        """How many records fit, whatever the query's limit and the record it begins after."""
        ...

    def review(self, call: str, review: Review) -> Future[None]:
        """Append what somebody said about a finished call, or that they looked."""
        ...

    def reviews(self, call: str) -> list[Review]:
        """All reviews of a call, oldest first."""
        ...

    def latch(self, call: str, gate: StoredGate) -> Future[None]:
        """Write what may be heard and kept of a call from now on; a pause is acknowledged after this receipt."""
        ...

    def gate(self, call: str) -> StoredGate | None:
        """What was last latched for a call."""
        ...

    def scrub(self, call: str, numbers: Sequence[int]) -> Future[None]:
        """Take single events out of a call's log; fulfilled when their bytes are gone."""
        ...

    def erase(self, calls: Sequence[str]) -> Future[None]:
        """Take calls out of every table, the full-text index and the write-ahead log; their gates stay."""
        ...

    def strip(self, call: str, record: dict[str, Any]) -> Future[None]:
        """Take a call's words out and put a record without them in the old one's place; both at once."""
        ...

    def forget(self, calls: Sequence[str]) -> Future[None]:
        """Take the gates of calls out."""
        ...

    def gates_before(self, at: str) -> list[str]:
        """Calls whose gate was last set before a time (ISO 8601, UTC) and of which nothing else is kept."""
        ...

    def hold(self, hold: Hold) -> Future[None]:
        """Keep a call from being erased."""
        ...

    def release(self, call: str) -> Future[None]:
        """End the hold of a call."""
        ...

    def holds(self) -> list[Hold]:
        """All holds."""
        ...

    def said(self, calls: Sequence[str] | None = None) -> dict[str, list[Review]]:
        """What was said about these calls (None: about any), oldest first; without mere looks."""
        ...

    @property
    def people(self) -> People:
        """Users, logins, saved searches and the audit log."""
        ...

    @property
    def behind(self) -> bool:
        """So much waits to be written that no new call should begin."""
        ...

    def backup(self, out: Path) -> None:
        """A consistent copy of everything acknowledged so far."""
        ...

    def close(self) -> None:
        """Write what is waiting, then let go."""
        ...


def open_store(url: str, on_trouble: Callable[[str | None], None] | None = None) -> Store:
    """Open the store behind a URL; `sqlite:///PATH` is built in.

    `on_trouble` is called from the writer thread with one line when writing fails, and with None when it works again.

    Raises:
        AssistError: codes data-folder (cannot be created or written), store-failed, store-newer, store-unknown;
            store-in-use (StoreInUse) where another program has it open.
    """
    return SqliteStore(path_of(url), on_trouble)


def open_reader(url: str) -> Store:
    """Open the store behind a URL for reading only, also while another program writes it.

    Raises:
        AssistError: codes store-unknown, store-missing, store-failed, store-other (its schema is not this version's);
            store-read-only from whatever would write.
    """
    return ReadOnlyStore(path_of(url))


def path_of(url: str) -> Path:
    """The file behind a store's URL.

    Raises:
        AssistError: code store-unknown.
    """
    if not url.startswith("sqlite:///"):
        raise AssistError("store-unknown", f"store URL {url!r}: expected sqlite:///PATH")
    return Path(url.removeprefix("sqlite:///"))
