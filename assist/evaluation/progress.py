"""How far a long measurement is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

Progress = Callable[[int, int], None]
"""Told how many units of how many are judged."""


def silent(done: int, of: int) -> None:
    """Progress that nobody is told of."""


def counted(items: Sequence[_Item], progress: Progress) -> Iterator[_Item]:
    """The items, of each of which it is told when it is taken up."""
    for done, item in enumerate(items):
        progress(done, len(items))
        yield item


class HowFar:
    """Says how far a long measurement is: first after 5 s, then each time after twice as long, at most a minute."""

    def __init__(self, tell: Callable[[str], None], what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._what, self._clock = tell, what, clock
        self._began = clock()
        self._said_s, self._wait_s = 0.0, 5.0

    def __call__(self, done: int, of: int) -> None:
        """So many units of so many are judged."""
        now_s = self._clock() - self._began
        if now_s - self._said_s >= self._wait_s:
            self._said_s, self._wait_s = now_s, min(2 * self._wait_s, 60.0)
            self._tell(f"{self._what}: {done:,} of {of:,} judged after {now_s:.0f} s")
