"""What the pages show of all live calls, and of the agents who wait for one."""

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
from assist.screens.call_alerts import CallAlerts
from assist.screens.call_pages import CallPages
from assist.screens.health import RecogniserInfo, recogniser_fields
from assist.screens.rooms import Rooms, room_of
from assist.screens.transcript import Transcript
from detectors.signals import Level, LevelChange
from overlay import messages
from overlay.hub import Hub

log = logging.getLogger("assist")

MAX_ENDED = 100
"""Ended calls whose end is still shown to whoever read them along."""


@contextlib.contextmanager
def _errors_logged() -> Iterator[None]:
    """Log errors of drawing instead of raising them: the call goes on."""
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
    recogniser: RecogniserInfo
    method: str
    steps: tuple[tuple[str, str], ...]
    """(step id, title) of the method that the next call begins with, in order."""
    turn_ms: int = 20_000
    """How long one supervisor is asked about an alert before the next one is."""
    _calls: dict[str, CallPages] = field(default_factory=dict)
    replays: set[str] = field(default_factory=set)
    """Ids of live calls that are played recordings: they do not take the page of an agent who is in a call."""
    _ended: deque[str] = field(default_factory=deque)
    """Ids of ended calls, oldest first, at most MAX_ENDED."""
    _agents: set[str] = field(default_factory=set)
    """The agents of all calls so far."""
    _prompts_shown: int = 0
    _prompts_wrong: int = 0
    _delays_ms: deque[int] = field(default_factory=lambda: deque(maxlen=1000))
    """From the end of what a prompt answers until it was shown, of the last prompts."""

    def show_waiting(self, agent: str) -> None:
        """Show an agent's page without a call."""
        self.hub.clear(room_of(agent))
        call = messages.Call.model_validate({"agent": agent, "state": "waiting", **recogniser_fields(self.recogniser)})
        self.hub.show(room_of(agent), "call", call)

    @_errors_logged()
    def show(self, call: str, event: Event, *, shown_before: bool = False) -> None:
        """Show an event on every page that it concerns. `shown_before`: it is counted already."""
        if isinstance(event, CallStarted):
            self._begin(call, event)
            return
        pages = self._calls.get(call)
        if pages is None or (isinstance(event, PromptShown) and pages.advice.shows(event)):
            return
        pages.show(event)
        match event:
            case PromptShown() if not shown_before:
                self._prompts_shown += 1
                self._delays_ms.extend(pages.delays_ms(event))
                self._show_quality()
            case PromptEnded(how="wrong") if not shown_before:
                self._prompts_wrong += 1
                self._show_quality()
            case LevelChange():
                self._show_quality()
            case _:
                pass

    def resume(self, call: str, log: Iterable[Event]) -> list[messages.Alert]:
        """Show an interrupted call that is resumed, from its log; returns its alerts that are still open."""
        shown_before = call in self._ended
        for event in log:
            self.show(call, event, shown_before=shown_before)
        if shown_before:
            self._ended.remove(call)
        pages = self._calls.get(call)
        return pages.resume() if pages is not None else []

    @_errors_logged()
    def pulse(self, call: str, now_ms: int, score: float) -> None:
        """Called once a second of call time: updates scores, row and health even when nothing happens."""
        if (pages := self._calls.get(call)) is not None:
            pages.pulse(now_ms, score)

    def alerts_of(self, call: str) -> CallAlerts | None:
        """The alerts of a live call; None where its pages could not be drawn."""
        pages = self._calls.get(call)
        return pages.alerts if pages is not None else None

    @_errors_logged()
    def ended(self, call: str, wrapup: messages.WrapUp | None) -> None:
        """The call is over and its record written; None: nothing was kept of it."""
        pages = self._calls.pop(call, None)
        if pages is not None:
            ended = pages.end(wrapup)
            agent = pages.started.agent
            live = self._calls_of(agent, replays=call in self.replays)
            if live and self._call_on_page(agent) == call:
                live[-1].show_again()
            if call not in self.replays and (shown := self._calls.get(self._call_on_page(agent))) is not None:
                shown.tell_of_other(ended)
            self._ended.append(call)
            if len(self._ended) > MAX_ENDED:
                self._clear_ended(self._ended[0])
            self._show_quality()
        self.replays.discard(call)

    def wrapped_up(self, agent: str, wrapup: messages.WrapUp) -> None:
        """Show a stored wrap-up, unless the agent's page shows another call already."""
        if self._call_on_page(agent) == wrapup.call:
            self.hub.show(room_of(agent), "wrapup", wrapup)

    def forget(self, calls: Collection[str]) -> None:
        """Ended calls are being erased: no page shows them any more."""
        for call in [call for call in self._ended if call in calls]:
            self._clear_ended(call)
        for agent in self._agents:
            if (call := self._call_on_page(agent)) in calls and call not in self._calls:
                self.show_waiting(agent)

    def _clear_ended(self, call: str) -> None:
        self._ended.remove(call)
        self.hub.clear(f"call/{call}")

    def _call_on_page(self, agent: str) -> str:
        """Id of the call on an agent's page, live or ended; empty if there is none."""
        current = self.hub.latest(room_of(agent), "call")
        return current.call if isinstance(current, messages.Call) else ""

    def _calls_of(self, agent: str, *, replays: bool = False) -> list[CallPages]:
        """An agent's live calls, oldest first."""
        live = [pages for call, pages in self._calls.items() if replays or call not in self.replays]
        return [pages for pages in live if pages.started.agent == agent]

    def _begin(self, call: str, started: CallStarted) -> None:
        in_background = call in self.replays and bool(self._calls_of(started.agent))
        rooms = Rooms(self.hub, room_of(started.agent), f"call/{started.call}", in_background)
        self._agents.add(started.agent)
        pages = self._calls[call] = CallPages(
            self.hub,
            started,
            self.recogniser,
            Transcript(rooms),
            Advice(rooms, self.method, self.steps, self.supervisor),
            CallAlerts(started, self.turn_ms),
            rooms,
        )
        pages.begin()
        self._show_quality()

    def _show_quality(self) -> None:
        """Show the measured quality on the board."""
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
                    "wrong": self._prompts_wrong,
                    "shown": self._prompts_shown,
                    "calls": counts,
                }
            ),
        )
