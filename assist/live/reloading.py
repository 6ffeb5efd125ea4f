"""A recogniser that could not be loaded, or was given up, is tried again; when it comes, running calls get it too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from assist.live.hearing import Hearing
from audio.errors import AudioError
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler

log = logging.getLogger("assist")

FIRST_S, LONGEST_S = 1.0, 60.0
"""Seconds between tries: doubled after each."""


def missing(error: AudioError) -> str:
    """The line people see while there is no recogniser."""
    return f"No words are heard; calls are taken all the same. {error}"


class Reloading:
    """Watches over one scheduler, on a thread of its own, until closed."""

    def __init__(
        self,
        hearing: Hearing,
        scheduler: Scheduler,
        load: Callable[[], tuple[Recogniser, str]],
        *,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`load` gives a recogniser and the line that tells of it, or raises: an AudioError has its own line.

        `wait` sleeps for so many seconds and says whether to stop.
        """
        self._hearing, self._scheduler, self._load = hearing, scheduler, load
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._thread = threading.Thread(target=self._watch, name="recogniser-loading", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop trying."""
        self._closed.set()

    def _watch(self) -> None:
        delay = FIRST_S
        while not self._wait(delay):
            if not self._scheduler.missing:
                delay = FIRST_S
                continue
            try:
                recogniser, line = self._load()
            except Exception as error:
                if isinstance(error, AudioError):
                    self._scheduler.missing = missing(error)
                else:
                    log.error("the recogniser could not be loaded: %s", type(error).__name__)
                delay = min(2 * delay, LONGEST_S)
                continue
            self._hearing.take(recogniser, line)
            self._scheduler.adopt(recogniser)
            self._hearing.arrived()
            log.warning("%s", line)
            delay = FIRST_S
