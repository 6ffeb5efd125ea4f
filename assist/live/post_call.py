"""Work on calls after their end: late transcription, alerts about it, additions to their logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from assist.events import CallStarted, Event, SignalRaised, TranscribedLate
from assist.live.backfill import Backfill
from assist.live.call_setup import CallSetup
from assist.live.hearing import Hearing
from assist.live.late_words import add_late_event, add_late_words
from assist.screens.duty import Duty
from assist.screens.late import LateAlerts
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import Level, LevelChange
from overlay.hub import Hub

_T = TypeVar("_T")
_record_threads = ThreadPoolExecutor(4, thread_name_prefix="records")
"""Writes the records of ended calls: a disk that refuses must not block the threads that the pages read with."""


class PostCall:
    """Adds to the logs of ended calls, one addition at a time. Event loop only."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        duty: Duty,
        setup: CallSetup,
        hearing: Callable[[], Hearing],
        phrases: tuple[str, ...],
        turn_ms: int,
    ) -> None:
        """`hearing` returns the recogniser in use; `phrases` and `turn_ms` as for live calls."""
        self._store, self._setup, self._hearing = store, setup, hearing
        self._tasks: set[asyncio.Task[Any]] = set()
        self._log_lock = asyncio.Lock()
        """Held while the log of an ended call is amended."""
        self._filing: dict[str, asyncio.Future[Any]] = {}
        """Calls that have ended and whose record is being written: nothing is added to their logs before."""
        self.late = LateAlerts(hub, duty, turn_ms, self._append)
        self.backfill = Backfill(
            lambda *asked: hearing().decode_in_background(*asked),
            lambda: hearing().recogniser() is not None,
            self._add,
            phrases=phrases,
            budget=hearing().budget,
            wait_s=setup.settings.backfill_wait_s,
        )
        loop = asyncio.get_running_loop()

        def on_available() -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended
                loop.call_soon_threadsafe(self.backfill.start)

        hearing().on_available = on_available

    def forget(self, calls: Sequence[str]) -> None:
        """Drop everything about calls that are being erased from memory."""
        self.backfill.forget(calls)
        self.late.forget(calls)

    async def file(self, call: str, write: Callable[[], _T]) -> _T:
        """Write the record of a call that has ended, in a thread; what is added to its log waits for it."""
        loop = asyncio.get_running_loop()
        filing = self._filing[call] = loop.run_in_executor(_record_threads, write)
        filing.add_done_callback(lambda _: self._filing.pop(call, None))
        return await asyncio.shield(filing)

    async def flush(self) -> None:
        """Wait until all events so far are in the logs."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _add(self, call: str, said: Sequence[Utterance], after_s: int) -> None:
        """Add late utterances to a call's log and raise alerts about them."""
        present = self._setup.versions(self._hearing())
        versions = {name: present[name] for name in ("recogniser", "model", "rules")}
        async with self._log_lock:
            added = await add_late_words(
                self._store, self._setup.new_session, call, said, after_s, versions, lambda: self.backfill.closed
            )
        if added and isinstance(added[0], CallStarted):
            end_ms = max(event.at_ms for event in added if isinstance(event, TranscribedLate))
            levels = [event.level for event in added if isinstance(event, LevelChange)]
            found = [event for event in added if isinstance(event, SignalRaised)]
            self.late.heard(added[0], levels[-1] if levels else Level.CALM, end_ms + after_s * 1000, found)

    def _append(self, call: str, event: Event) -> None:
        async def append() -> None:
            if (filing := self._filing.get(call)) is not None:
                await asyncio.wait([filing])
            async with self._log_lock:
                await add_late_event(self._store, call, event)

        task = asyncio.create_task(append())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
