"""What still happens about calls that are over: their last words come, alerts about them go on, their logs grow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from assist.events import CallStarted, Event, SignalRaised, TranscribedLate
from assist.live.backfill import Arrears
from assist.live.hearing import Hearing
from assist.live.late_words import add_after, add_late
from assist.live.outset import Outset
from assist.screens.duty import Duty
from assist.screens.late import LateAlerts
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import Level, LevelChange
from overlay.hub import Hub


class Afterwards:
    """Event loop only. Everything that is added to the log of an ended call is added here, one thing at a time."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        duty: Duty,
        outset: Outset,
        hearing: Callable[[], Hearing],
        phrases: tuple[str, ...],
        turn_ms: int,
    ) -> None:
        """`hearing` gives what hears now; `phrases` and `turn_ms` as for live calls."""
        self._store, self._outset, self._hearing = store, outset, hearing
        self._tasks: set[asyncio.Task[Any]] = set()
        self._amending = asyncio.Lock()
        """Held while the log of an ended call grows."""
        self.late = LateAlerts(hub, duty, turn_ms, self._keep)
        self.arrears = Arrears(
            lambda *asked: hearing().later(*asked),
            lambda: hearing().recogniser() is not None,
            self._add,
            phrases=phrases,
            room=hearing().room,
            wait_s=outset.settings.backfill_wait_s,
        )
        loop = asyncio.get_running_loop()

        def arrived() -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended
                loop.call_soon_threadsafe(self.arrears.go)

        hearing().arrived = arrived

    def forget(self, calls: Sequence[str]) -> None:
        """These calls are being erased: nothing of them stays in memory."""
        self.arrears.forget(calls)
        self.late.forget(calls)

    async def written(self) -> None:
        """Wait until what has happened so far is in the logs."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _add(self, call: str, said: Sequence[Utterance], after_s: int) -> None:
        """Words of an ended call have come."""
        hearing = self._hearing()
        heard = {
            "recogniser": hearing.name,
            "model": hearing.version[:24],
            "rules": self._outset.rulebook.version,
        }
        async with self._amending:
            added = await add_late(
                self._store, self._outset.session, call, said, after_s, heard, lambda: self.arrears.closed
            )
        if added and isinstance(added[0], CallStarted):
            end_ms = max(event.at_ms for event in added if isinstance(event, TranscribedLate))
            levels = [event.level for event in added if isinstance(event, LevelChange)]
            found = [event for event in added if isinstance(event, SignalRaised)]
            self.late.heard(added[0], levels[-1] if levels else Level.CALM, end_ms + after_s * 1000, found)

    def _keep(self, call: str, event: Event) -> None:
        async def keep() -> None:
            async with self._amending:
                await add_after(self._store, call, event)

        task = asyncio.create_task(keep())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
