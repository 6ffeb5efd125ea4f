"""What the pages see of all live calls, and of the agents who wait for one."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from assist.events import CallStarted, Event, PromptEnded, PromptShown
from assist.screens.advice import Advice
from assist.screens.call_pages import CallPages
from assist.screens.cards import Cards
from assist.screens.listening import Hears, recogniser_of
from assist.screens.rooms import Rooms, room_of
from assist.screens.transcript import Transcript
from detectors.signals import Level, LevelChange
from overlay import messages
from overlay.hub import Hub

log = logging.getLogger("assist")

OVER = 100
"""Calls that are over and whose end is still told to whoever read them along."""


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    """What cannot be shown is logged; the call that it is of goes on."""
    try:
        yield
    except Exception as error:
        # The error's own text may hold what a caller said; its type and place do not.
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error("pages were not drawn: %s at %s:%s", type(error).__name__, place.filename, place.lineno)


@dataclass
class Screens:
    """Keeps the rooms of all live calls up to date. Event loop only."""

    hub: Hub
    supervisor: str
    hearing: Hears
    method: str
    steps: tuple[tuple[str, str], ...]
    """(step id, title) of the method that the next call begins with, in order."""
    turn_ms: int = 20_000
    """How long one supervisor is asked about an alert before the next one is."""
    _calls: dict[str, CallPages] = field(default_factory=dict)
    replays: set[str] = field(default_factory=set)
    """Live calls that are recordings: the page of an agent who is in a call stays with that."""
    _over: deque[str] = field(default_factory=deque)
    _agents: set[str] = field(default_factory=set)
    """Everybody who has had a call."""
    _shown: int = 0
    _wrong: int = 0
    _delays_ms: deque[int] = field(default_factory=lambda: deque(maxlen=1000))
    """From the end of what a prompt answers to its card, of the last prompts."""

    def waiting(self, agent: str) -> None:
        """An agent's page while no call is on."""
        self.hub.clear(room_of(agent))
        call = messages.Call.model_validate({"agent": agent, "state": "waiting", **recogniser_of(self.hearing)})
        self.hub.show(room_of(agent), "call", call)

    @_harmless()
    def show(self, call: str, event: Event, *, again: bool = False) -> None:
        """Let every page that should see this event see it. `again`: it was shown before, and counted."""
        if isinstance(event, CallStarted):
            self._begin(call, event)
            return
        pages = self._calls.get(call)
        if pages is None:
            return
        pages.show(event)
        match event:
            case PromptShown() if not again:
                self._shown += 1
                self._delays_ms.extend(pages.delays_ms(event))
                self._quality()
            case PromptEnded(how="wrong") if not again:
                self._wrong += 1
                self._quality()
            case LevelChange():
                self._quality()
            case _:
                pass

    def resume(self, call: str, log: Iterable[Event]) -> list[messages.Alert]:
        """A call that was cut short goes on, and is shown from its log: the alerts in it that are still open."""
        again = call in self._over
        for event in log:
            self.show(call, event, again=again)
        if again:
            self._over.remove(call)
        pages = self._calls.get(call)
        return pages.resume() if pages is not None else []

    @_harmless()
    def pulse(self, call: str, now_ms: int, score: float) -> None:
        """Once a second of call time: course, row and health go on even when nothing happens."""
        if (pages := self._calls.get(call)) is not None:
            pages.pulse(now_ms, score)

    @_harmless()
    def ended(self, call: str, wrapup: messages.WrapUp | None) -> None:
        """The call is over and its record written; None: nothing was kept of it."""
        pages = self._calls.pop(call, None)
        if pages is not None:
            ended = pages.end(wrapup)
            agent = pages.started.agent
            live = self._of(agent, replays=call in self.replays)
            if live and self._on_page(agent) == call:
                live[-1].come_back(ended)
            self._over.append(call)
            if len(self._over) > OVER:
                self._leave(self._over[0])
            self._quality()
        self.replays.discard(call)

    def wrapped_up(self, agent: str, wrapup: messages.WrapUp) -> None:
        """A wrap-up was kept: shown as it now stands, unless the agent is on the next call already."""
        if self._on_page(agent) == wrapup.call:
            self.hub.show(room_of(agent), "wrapup", wrapup)

    def forget(self, calls: Collection[str]) -> None:
        """These calls, which are over, are being erased: no page shows one of them any more."""
        for call in [call for call in self._over if call in calls]:
            self._leave(call)
        for agent in self._agents:
            if (call := self._on_page(agent)) in calls and call not in self._calls:
                self.waiting(agent)

    def _leave(self, call: str) -> None:
        self._over.remove(call)
        self.hub.clear(f"call/{call}")

    def _on_page(self, agent: str) -> str:
        """The call on an agent's page, live or over; empty while there is none."""
        current = self.hub.latest(room_of(agent), "call")
        return current.call if isinstance(current, messages.Call) else ""

    def _of(self, agent: str, *, replays: bool = False) -> list[CallPages]:
        """An agent's live calls, oldest first."""
        live = [pages for call, pages in self._calls.items() if replays or call not in self.replays]
        return [pages for pages in live if pages.started.agent == agent]

    def _begin(self, call: str, started: CallStarted) -> None:
        aside = call in self.replays and bool(self._of(started.agent))
        rooms = Rooms(self.hub, room_of(started.agent), f"call/{started.call}", aside)
        self._agents.add(started.agent)
        pages = self._calls[call] = CallPages(
            self.hub,
            started,
            self.hearing,
            Transcript(rooms),
            Advice(rooms, self.method, self.steps, self.supervisor),
            Cards(started, self.turn_ms),
            rooms,
        )
        pages.begin()
        self._quality()

    def _quality(self) -> None:
        """How the machine does, for the board."""
        median_ms, p95_ms = np.percentile(self._delays_ms, (50, 95)).round() if self._delays_ms else (None, None)
        counts = {level.value: 0 for level in Level}
        for pages in self._calls.values():
            counts[pages.level.value] += 1
        self.hub.show(
            "board",
            "quality",
            messages.Quality.model_validate(
                {
                    "median_ms": median_ms,
                    "p95_ms": p95_ms,
                    "wrong": self._wrong,
                    "shown": self._shown,
                    "calls": counts,
                }
            ),
        )
