"""The request rate of each client; beyond the limit, status 429 until the second is over. No sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

REQUESTS_A_SECOND = 200
"""Of one person or, before the login, of one address. A page and all its files are about 15."""
MAX_COUNTED = 20_000
"""Counters kept; of more the oldest are forgotten, so that made-up addresses cannot fill the memory."""


@dataclass
class Rates:
    """Counts the requests of each client in its current second."""

    clock: Callable[[], float] = monotonic
    _counted: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Client -> (start of its current second, requests in it)."""

    def wait_s(self, client: str) -> float:
        """Count one more request; returns the seconds until this client may send again, 0: now."""
        now = self.clock()
        began, count = self._counted.get(client, (now, 0))
        if now - began >= 1:
            began, count = now, 0
        if client not in self._counted and len(self._counted) >= MAX_COUNTED:
            del self._counted[next(iter(self._counted))]
        self._counted[client] = (began, count + 1)
        return began + 1 - now if count >= REQUESTS_A_SECOND else 0.0
