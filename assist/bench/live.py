"""`assist bench live`: from the end of the words that fire to the prompt on a page, split into its parts, and the cost.

The demo call (or any recording) is played in real time through the whole program, with the agent's page open in a real
browser where Playwright and Chromium are there, and otherwise on a bare websocket. Nothing is simulated; run it on a
machine that is otherwise idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from rich.table import Table

from assist.bench.browser import page_at
from assist.bench.figures import at_share
from assist.events import Event, PromptShown, SignalRaised
from assist.live.hearing import Hearing
from assist.live.runs import running_service
from assist.live.service import Service
from assist.privacy.consent import Consent
from assist.screens.rooms import address_of
from assist.settings import Settings
from audio.events import Chunk, Heard, Speaker
from audio.measuring import cpu_s, peak_mib
from audio.source import Arrival, CallSource

WATCH = """
(() => {
  const seen = new Map();
  const note = () => {
    for (const each of document.querySelectorAll('[data-shows^="prompt "]')) {
      const id = JSON.parse(each.dataset.shows.slice(7)).id;
      if (!seen.has(id)) seen.set(id, performance.timeOrigin + performance.now());
    }
  };
  new MutationObserver(note).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  window.promptsSeen = () => Object.fromEntries(seen);
})();
"""


@dataclass
class _PromptTimes:
    """One prompt's way to the screen; all times are epoch seconds."""

    said: float
    """The end of the words (or the measure) that fired, on the clock of the sound."""
    heard: float
    """Those words reached the session."""
    judged: float
    """The session was entered in the step that showed the prompt: later than `heard` where it was held back, for the
    attention budget or because another one was on screen."""
    published: float
    drawn: float | None = None


@dataclass
class LiveFigures:
    """What was measured."""

    prompts: list[_PromptTimes] = field(default_factory=list)
    call_s: float = 0.0
    cpu_s: float = 0.0
    listening_cpu_s: float = 0.0
    """Voice activity and voice measures, on the event loop."""
    judging_cpu_s: float = 0.0
    """Everything else there: judging, log, screens, server."""
    peak_mib: float = 0.0
    browser: bool = False
    recogniser: str = ""

    def table(self) -> Table:
        """The figures as a table, in milliseconds."""
        table = Table(
            "From the end of the words",
            "median",
            "p95",
            "prompts",
            title=f"{self.recogniser}, {self.call_s:.0f} s call",
        )
        parts = [
            ("recognition (words settled or agreed)", [p.heard - p.said for p in self.prompts]),
            ("held back on purpose (one prompt at a time)", [p.judged - p.heard for p in self.prompts]),
            ("judging (rules, level, coach)", [p.published - p.judged for p in self.prompts]),
        ]
        drawn = [prompt for prompt in self.prompts if prompt.drawn is not None]
        where = "to the browser's page" if self.browser else "to a bare websocket (no browser here)"
        parts += [
            (f"delivery {where}", [p.drawn - p.published for p in drawn if p.drawn is not None]),
            ("judging + delivery", [p.drawn - p.judged for p in drawn if p.drawn is not None]),
            ("all: words to prompt", [p.drawn - p.said for p in drawn if p.drawn is not None]),
        ]
        for name, seconds in parts:
            ms = [1000 * each for each in seconds]
            table.add_row(name, at_share(ms, 0.5), at_share(ms, 0.95), str(len(ms)))
        recognising = self.cpu_s - self.listening_cpu_s - self.judging_cpu_s
        table.add_section()
        table.add_row("CPU-seconds per second of call", f"{self.cpu_s / self.call_s:.3f}", "", "")
        table.add_row("  recognition", f"{recognising / self.call_s:.3f}", "", "")
        table.add_row("  voice activity and tone", f"{self.listening_cpu_s / self.call_s:.3f}", "", "")
        table.add_row(
            "  everything else (share of one core)", f"{100 * self.judging_cpu_s / self.call_s:.1f} %", "", ""
        )
        table.add_row("peak memory of the program and its recogniser", f"{self.peak_mib:.0f} MiB", "", "")
        return table


async def measure_live(settings: Settings, source: CallSource, console: Any) -> LiveFigures:
    """Play the source through the whole program in real time and measure."""
    figures = LiveFigures()
    timed = _TimedSource(source)
    async with running_service(settings, console, any_port=True) as service:
        figures.recogniser = service.hearing.name
        page = f"{service.address}{address_of(settings.agent)}"
        async with _watching(page, service.address, settings.agent) as (drawn, figures.browser):
            cpu, own = cpu_s(service.hearing.recogniser()), time.thread_time()
            times: dict[str, float] = {}
            prompts: dict[str, _PromptTimes] = {}
            entered = 0.0

            def show(event: Event) -> None:
                now = time.time()
                if isinstance(event, SignalRaised):
                    times.setdefault(event.signal.key, entered)
                    said_ms[event.signal.key] = event.signal.at_ms
                elif isinstance(event, PromptShown):
                    key = max((k for k in event.signals if k in said_ms), key=said_ms.__getitem__, default=None)
                    if key is not None:
                        prompts[event.id] = _PromptTimes(timed.began + said_ms[key] / 1000, times[key], entered, now)

            said_ms: dict[str, int] = {}
            untimed = _timed_listening(service, figures)
            call, task = service.start(timed, consent=Consent.GRANTED, consent_by="bench", on_event=show)
            session = service.calls[call].session
            plain_hear, plain_tick = session.hear, session.tick

            def hear(heard: Heard) -> list[Event]:
                nonlocal entered
                entered = time.time()
                return plain_hear(heard)

            def tick(now_ms: int) -> list[Event]:
                nonlocal entered
                entered = time.time()
                return plain_tick(now_ms)

            session.hear, session.tick = hear, tick  # type: ignore[method-assign]
            await task
            figures.call_s = timed.length_s
            figures.cpu_s = cpu_s(service.hearing.recogniser()) - cpu
            figures.peak_mib = peak_mib(*getattr(service.hearing.recogniser(), "pids", ()))
            figures.judging_cpu_s = time.thread_time() - own - figures.listening_cpu_s
            service.hearing = untimed
            for prompt, at in (await drawn()).items():
                if prompt in prompts:
                    prompts[prompt].drawn = at
            figures.prompts = list(prompts.values())
    return figures


class _TimedSource:
    """A source that notes when the call's clock stood at zero."""

    def __init__(self, source: CallSource) -> None:
        self._source = source
        self.began = 0.0
        self.length_s = 0.0

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        return self._source.speakers

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        async for item in self._source:
            if isinstance(item, Chunk):
                began = time.time() - item.end_ms / 1000
                self.began = min(self.began, began) if self.began else began
                self.length_s = item.end_ms / 1000
            yield item


def _timed_listening(service: Service, figures: LiveFigures) -> Hearing:
    """Count the event loop's CPU time inside the listener; returns the service's `Hearing` before."""
    before = service.hearing

    def listener(*arguments: Any, **named: Any) -> Any:
        call_listener = before.listener(*arguments, **named)
        plain = call_listener.push

        def push(chunk: Chunk) -> Any:
            began = time.thread_time()
            try:
                return plain(chunk)
            finally:
                figures.listening_cpu_s += time.thread_time() - began

        call_listener.push = push  # type: ignore[method-assign]
        return call_listener

    service.hearing = replace(before, listener=listener)
    return before


@contextlib.asynccontextmanager
async def _watching(page: str, address: str, agent: str) -> AsyncIterator[tuple[Any, bool]]:
    """Watch the agent's page: a function giving prompt id -> epoch seconds drawn, and whether it is a browser."""
    async with page_at(page, WATCH) as tab:
        if tab is None:
            async with _bare_page(address, agent) as seen:

                async def arrived() -> dict[str, float]:
                    return seen

                yield arrived, False
            return

        async def drawn() -> dict[str, float]:
            found: dict[str, float] = await tab.evaluate("window.promptsSeen()")
            return {prompt: at / 1000 for prompt, at in found.items()}

        yield drawn, True


@contextlib.asynccontextmanager
async def _bare_page(address: str, agent: str) -> AsyncIterator[dict[str, float]]:
    import json
    import urllib.request

    from websockets.asyncio.client import connect

    def ticket() -> str:
        body = json.dumps({"page": "agent", "who": agent}).encode()
        headers = {"Content-Type": "application/json", "Origin": address}
        with urllib.request.urlopen(urllib.request.Request(f"{address}/api/ticket", body, headers)) as answer:  # noqa: S310
            return str(json.load(answer)["ticket"])

    seen: dict[str, float] = {}
    live = await connect(address.replace("http", "ws") + "/live", origin=address)  # type: ignore[arg-type]
    await live.send(json.dumps({"ticket": await asyncio.to_thread(ticket)}))

    async def read() -> None:
        async for message in live:
            for frame in json.loads(message):
                if frame.get("key") == "prompt" and frame.get("type") == "set":
                    seen.setdefault(frame["body"]["id"], time.time())

    reading = asyncio.create_task(read())
    try:
        yield seen
    finally:
        reading.cancel()
        await live.close()
