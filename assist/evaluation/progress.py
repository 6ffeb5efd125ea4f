"""Progress of a long measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

Progress = Callable[[int, int], None]
"""Called with the number of units done and of all."""


def no_progress(done: int, of: int) -> None:
    """Report nothing."""


def with_progress(items: Sequence[_Item], progress: Progress) -> Iterator[_Item]:
    """Iterate over items, reporting progress before each."""
    for done, item in enumerate(items):
        progress(done, len(items))
        yield item


class ProgressReporter:
    """Tells the progress of a long measurement: after 5 s, then at intervals that double up to a minute."""

    def __init__(self, tell: Callable[[str], None], what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._what, self._clock = tell, what, clock
        self._began = clock()
        self._said_s, self._wait_s = 0.0, 5.0

    def __call__(self, done: int, of: int) -> None:
        """Report that `done` units of `of` are done."""
        now_s = self._clock() - self._began
        if now_s - self._said_s >= self._wait_s:
            self._said_s, self._wait_s = now_s, min(2 * self._wait_s, 60.0)
            self._tell(f"{self._what}: {done:,} of {of:,} judged after {now_s:.0f} s")
