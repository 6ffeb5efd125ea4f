"""Login sessions, which end when idle, and the throttle of failed logins. No sockets; the clock is an argument.

A session lives on the server. The browser holds a random token; the session's key is the SHA-256 of the token, and only
the key is stored. Times are seconds on a monotonic clock.
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
"""PCI DSS 8.2.8: log in again after 15 minutes without activity. A live call counts as activity."""
WATCH_S = 2 * 3600.0
"""So long after the person last did something, live calls on a board in front of them count as activity."""
LIFE_S = 14 * 3600.0
"""Longer than any shift."""
STORE_EVERY_S = 60.0
"""Activity is stored at most this often: after a restart a session may seem idle for this much longer than it was."""
MAX_FAILURES = 5
FAILURES_WITHIN_S = 15 * 60.0
"""After MAX_FAILURES failed logins of one user from one address within this time: status 429."""
MAX_FAILURES_OF_ADDRESS = 100
"""The limit for all users of one address: more than a site behind one address mistypes."""
MAX_COUNTED = 20_000
"""Counters kept; of more the oldest are forgotten, so that guessing cannot fill the memory."""


class Accounts(Protocol):
    """The users who may log in."""

    def look_up(self, who: str) -> tuple[Identity, int] | None:
        """The person, and a version that changes with their password or role; None if they may not log in (any more).

        Must be quick: from memory.
        """
        ...

    def verify(self, who: str, password: str) -> bool:
        """Whether that is the password. Slow on purpose (argon2id): call it in a thread."""
        ...


def login_name_of(accounts: Accounts, who: str) -> str:
    """Any spelling of a name -> the name that person logs in with; unchanged for somebody who cannot log in."""
    found = accounts.look_up(who)
    return who if found is None else found[0].who


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it is stored, to outlive a restart."""

    key: str
    """SHA-256 of the browser's token, hex."""
    who: str
    version: int
    age_s: float
    idle_s: float


class SessionStore(Protocol):
    """Where sessions are stored to outlive a restart."""

    def load(self) -> list[StoredSession]:
        """All stored sessions."""
        ...

    def keep(self, session: StoredSession) -> None:
        """Store it as it is now; must not block."""
        ...

    def forget(self, key: str) -> None:
        """Delete an ended session; must not block."""
        ...


@dataclass(slots=True)
class _Session:
    who: str
    version: int
    began_s: float
    active_s: float
    stored_s: float
    did_s: float
    """When the person last did something, or was on a call."""


@dataclass
class Sessions:
    """All open sessions."""

    accounts: Accounts
    store: SessionStore | None = None
    clock: Callable[[], float] = monotonic
    _open: dict[str, _Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock()
        for stored in self.store.load() if self.store is not None else []:
            began, active = now - stored.age_s, now - stored.idle_s
            self._open[stored.key] = _Session(stored.who, stored.version, began, active, now, active)
        self._sweep()

    def begin(self, who: str) -> str | None:
        """Begin a session after the password was right; returns the browser's token, None for an unknown user."""
        found = self.accounts.look_up(who)
        if found is None:
            return None
        self._sweep()
        token = secrets.token_urlsafe(32)
        now = self.clock()
        key = _key(token)
        self._open[key] = _Session(found[0].who, found[1], now, now, now, now)
        self._store(key, now)
        return token

    def who(self, token: str) -> Identity | None:
        """Whose session it is; None if it is unknown or over, or its user's password or role has changed."""
        return self.check(_key(token)) if token else None

    def key(self, token: str) -> str:
        """The session's key of a browser's token; empty for none."""
        return _key(token) if token else ""

    def check(self, key: str) -> Identity | None:
        """As `who`, by the session's key."""
        session = self._open.get(key)
        if session is None:
            return None
        now = self.clock()
        found = self.accounts.look_up(session.who)
        over = now - session.active_s >= IDLE_S or now - session.began_s >= LIFE_S
        if over or found is None or found[1] != session.version:
            self._end(key)
            return None
        return found[0]

    def touch(self, key: str, *, watching: bool = False) -> None:
        """Note activity: the person did something, or is on a call; `watching`: has a board with live calls open."""
        session = self._open.get(key)
        now = self.clock()
        if session is not None and not (watching and now - session.did_s >= WATCH_S):
            session.active_s = now
            if not watching:
                session.did_s = now
            if now - session.stored_s >= STORE_EVERY_S:
                self._store(key, now)

    def end(self, token: str) -> None:
        """Log out."""
        self._end(_key(token))

    def _sweep(self) -> None:
        """Remove sessions that are over and were not used since."""
        for key in list(self._open):
            self.check(key)

    def _store(self, key: str, now: float) -> None:
        session = self._open[key]
        session.stored_s = now
        if self.store is not None:
            self.store.keep(
                StoredSession(key, session.who, session.version, now - session.began_s, now - session.active_s)
            )

    def _end(self, key: str) -> None:
        if self._open.pop(key, None) is not None and self.store is not None:
            self.store.forget(key)


@dataclass
class Throttle:
    """Counts failed logins by user and address, and by address."""

    clock: Callable[[], float] = monotonic
    _failed: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def wait_s(self, who: str, address: str) -> float:
        """Seconds until this user may try again from there; 0: now."""
        now = self.clock()
        waits = []
        for counted_by, limit in (((who, address), MAX_FAILURES), (("", address), MAX_FAILURES_OF_ADDRESS)):
            times = self._failed.get(counted_by, deque[float]())
            while times and now - times[0] >= FAILURES_WITHIN_S:
                times.popleft()
            waits.append(times[-limit] + FAILURES_WITHIN_S - now if len(times) >= limit else 0.0)
        return max(waits)

    def failed(self, who: str, address: str) -> None:
        """Count a failure."""
        for counted_by in ((who, address), ("", address)):
            while counted_by not in self._failed and len(self._failed) >= MAX_COUNTED:
                del self._failed[next(iter(self._failed))]
            times = self._failed.setdefault(counted_by, deque(maxlen=MAX_FAILURES_OF_ADDRESS))
            times.append(self.clock())

    def passed(self, who: str, address: str) -> None:
        """The password was right: forget the user's failures from there and the one counted ahead for the address."""
        self._failed.pop((who, address), None)
        if times := self._failed.get(("", address)):
            times.pop()


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
