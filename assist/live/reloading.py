"""Loads the recogniser again when it could not be loaded or has failed; running calls then use it, too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from assist.live.hearing import Hearing
from audio.errors import AudioError
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler

log = logging.getLogger("assist")

FIRST_DELAY_S, MAX_DELAY_S = 1.0, 60.0
"""Seconds between attempts: doubled after each failure, up to the second."""


def missing_message(error: AudioError) -> str:
    """What people read while there is no recogniser."""
    return f"No words are heard; calls are taken all the same. {error}"


class RecogniserReloader:
    """A thread that watches one scheduler until closed."""

    def __init__(
        self,
        hearing: Hearing,
        scheduler: Scheduler,
        load: Callable[[], tuple[Recogniser, str]],
        *,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """Start the thread.

        `load` returns a recogniser and a line for people that names it, or raises. `wait` sleeps for so many seconds
        and returns whether to stop.
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
        delay = FIRST_DELAY_S
        while not self._wait(delay):
            if not self._scheduler.missing:
                delay = FIRST_DELAY_S
                continue
            try:
                recogniser, line = self._load()
            except Exception as error:
                if isinstance(error, AudioError):
                    self._scheduler.missing = missing_message(error)
                else:
                    log.error("the recogniser could not be loaded: %s", type(error).__name__)
                delay = min(2 * delay, MAX_DELAY_S)
                continue
            self._hearing.use(recogniser, line)
            self._scheduler.adopt(recogniser)
            self._hearing.on_available()
            log.warning("%s", line)
            delay = FIRST_DELAY_S
