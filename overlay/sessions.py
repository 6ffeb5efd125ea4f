"""Logged in: sessions that lock when idle, and failed logins counted. No sockets; the clock is an argument.

A session lives on the server; the browser holds a random key of which only the SHA-256 is kept. Times are seconds on a
clock that never goes back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from overlay.identity import Identity

IDLE_S = 15 * 60.0
"""PCI DSS 8.2.8: log in again after 15 minutes without activity. An active call counts as activity."""
LIFE_S = 14 * 3600.0
"""Longer than any shift."""
KEEP_EVERY_S = 60.0
"""Activity is written down at most this often: after a restart an idle time may be this much too long."""
FAILURES = 5
FAILURES_S = 15 * 60.0
"""So many failed logins of one user from one address in so long, then 429."""
FAILURES_OF_ADDRESS = 100
"""Of all users from one address: a site behind one address mistypes less than this."""
PLACES = 20_000
"""Counted places: beyond it the oldest are forgotten, so that guessing cannot fill the memory."""


class Accounts(Protocol):
    """Who may log in."""

    def standing(self, who: str) -> tuple[Identity, int] | None:
        """The person as of now and a number that changes with their password or role; None: not (or no more) known.

        Quick, from memory.
        """
        ...

    def verify(self, who: str, password: str) -> bool:
        """Whether that is the password. Slow on purpose: call it in a thread."""
        ...


def known_as(accounts: Accounts, who: str) -> str:
    """The name under which somebody logs in, of any way to spell it; as it is given where nobody does."""
    standing = accounts.standing(who)
    return who if standing is None else standing[0].who


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it is kept over a restart."""

    key: str
    """SHA-256 of the browser's key, hex."""
    who: str
    version: int
    age_s: float
    idle_s: float


class Shelf(Protocol):
    """Where sessions outlive a restart."""

    def load(self) -> list[Kept]:
        """All that were kept."""
        ...

    def keep(self, session: Kept) -> None:
        """Keep it as it is now; must not block."""
        ...

    def forget(self, key: str) -> None:
        """It is over; must not block."""
        ...


@dataclass(slots=True)
class _Session:
    who: str
    version: int
    began_s: float
    active_s: float
    kept_s: float


@dataclass
class Sessions:
    """All who are logged in."""

    accounts: Accounts
    shelf: Shelf | None = None
    clock: Callable[[], float] = monotonic
    _open: dict[str, _Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock()
        for kept in self.shelf.load() if self.shelf is not None else []:
            self._open[kept.key] = _Session(kept.who, kept.version, now - kept.age_s, now - kept.idle_s, now)
        self._sweep()

    def begin(self, who: str) -> str | None:
        """A new session of somebody whose password was right: the browser's key; None where they are not known."""
        standing = self.accounts.standing(who)
        if standing is None:
            return None
        self._sweep()
        token = secrets.token_urlsafe(32)
        now = self.clock()
        key = _key(token)
        self._open[key] = _Session(standing[0].who, standing[1], now, now, now)
        self._keep(key, now)
        return token

    def who(self, token: str) -> Identity | None:
        """Whose session it is; None where it is unknown, locked, over, or its user's password or role has changed."""
        return self.check(_key(token)) if token else None

    def key(self, token: str) -> str:
        """What stands for the session on the server."""
        return _key(token) if token else ""

    def check(self, key: str) -> Identity | None:
        """As `who`, by the server's own key."""
        session = self._open.get(key)
        if session is None:
            return None
        now = self.clock()
        standing = self.accounts.standing(session.who)
        over = now - session.active_s >= IDLE_S or now - session.began_s >= LIFE_S
        if over or standing is None or standing[1] != session.version:
            self._end(key)
            return None
        return standing[0]

    def touch(self, key: str) -> None:
        """The person did something, or is on a call."""
        session = self._open.get(key)
        if session is not None:
            session.active_s = now = self.clock()
            if now - session.kept_s >= KEEP_EVERY_S:
                self._keep(key, now)

    def end(self, token: str) -> None:
        """Log out."""
        self._end(_key(token))

    def _sweep(self) -> None:
        """Let go of sessions that are over and that nobody has come back with."""
        for key in list(self._open):
            self.check(key)

    def _keep(self, key: str, now: float) -> None:
        session = self._open[key]
        session.kept_s = now
        if self.shelf is not None:
            self.shelf.keep(Kept(key, session.who, session.version, now - session.began_s, now - session.active_s))

    def _end(self, key: str) -> None:
        if self._open.pop(key, None) is not None and self.shelf is not None:
            self.shelf.forget(key)


@dataclass
class Throttle:
    """Failed logins by user and address, and by address."""

    clock: Callable[[], float] = monotonic
    _failed: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def wait_s(self, who: str, address: str) -> float:
        """Seconds until this user may try again from there; 0: now."""
        now = self.clock()
        waits = []
        for place, limit in (((who, address), FAILURES), (("", address), FAILURES_OF_ADDRESS)):
            times = self._failed.get(place, deque[float]())
            while times and now - times[0] >= FAILURES_S:
                times.popleft()
            waits.append(times[-limit] + FAILURES_S - now if len(times) >= limit else 0.0)
        return max(waits)

    def failed(self, who: str, address: str) -> None:
        """Count a failure."""
        for place in ((who, address), ("", address)):
            while place not in self._failed and len(self._failed) >= PLACES:
                del self._failed[next(iter(self._failed))]
            times = self._failed.setdefault(place, deque(maxlen=FAILURES_OF_ADDRESS))
            times.append(self.clock())

    def passed(self, who: str, address: str) -> None:
        """A right password clears that user's failures from there, and was none of the address."""
        self._failed.pop((who, address), None)
        if times := self._failed.get(("", address)):
            times.pop()


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
