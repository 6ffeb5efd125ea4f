"""How much one client may ask: so many requests a second, then 429 until it is over. No sockets; the clock is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

REQUESTS_A_SECOND = 200
"""Of one person or, before the login, of one address. A page and all its files are about 15."""
PLACES = 20_000
"""Counted clients: beyond it the oldest are forgotten, so that made-up addresses cannot fill the memory."""


@dataclass
class Rates:
    """Requests of each client in its present second."""

    clock: Callable[[], float] = monotonic
    _counted: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Client -> when its second began, and how many requests it has seen."""

    def wait_s(self, client: str) -> float:
        """Count one more request; seconds until this client may ask again, 0: now."""
        now = self.clock()
        began, count = self._counted.get(client, (now, 0))
        if now - began >= 1:
            began, count = now, 0
        if client not in self._counted and len(self._counted) >= PLACES:
            del self._counted[next(iter(self._counted))]
        self._counted[client] = (began, count + 1)
        return began + 1 - now if count >= REQUESTS_A_SECOND else 0.0
