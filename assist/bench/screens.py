"""`assist bench screens`: how soon the pages have what the server says, and what an open page costs.

The server runs here; the pages are real ones: a crowd of websockets in another process (assist/bench/crowd.py), and one
browser page where Playwright and Chromium are there. Nothing is simulated; the crowd shares this machine's cores, so on
a small machine the figures contain the clients' work as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from assist.bench.browser import page_at
from assist.bench.figures import at_share, resident_mib
from overlay.app import create_app
from overlay.doing import Do
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import Identity
from overlay.messages import Alert, Call, LevelNow, Prompt, Row

DRAWN = """
(() => {
  const seen = new Map();
  const waiting = new Map();
  const note = () => {
    for (const each of document.querySelectorAll('[data-shows^="prompt "]')) {
      const id = JSON.parse(each.dataset.shows.slice(7)).id;
      if (seen.has(id)) continue;
      seen.set(id, 0);
      requestAnimationFrame(() => {
        seen.set(id, performance.timeOrigin + performance.now());
        waiting.get(id)?.(seen.get(id));
      });
    }
  };
  new MutationObserver(note).observe(document, {subtree: true, childList: true, attributes: true});
  window.promptDrawn = (id) => seen.get(id) || new Promise((drawn) => waiting.set(id, drawn));
})();
"""
ROUNDS = 30


@dataclass
class ScreenFigures:
    """What was measured; delays in ms."""

    pages: int
    calls: int
    connected_s: float = 0.0
    page_kib: float = 0.0
    boards_ms: list[float] = field(default_factory=list)
    overlays_ms: list[float] = field(default_factory=list)
    drawn_ms: list[float] = field(default_factory=list)
    rows_cpu_ms: float = 0.0
    back_s: float = 0.0

    def table(self) -> Table:
        """For the terminal."""
        table = Table("What", "Median", "95 %", "99 %")

        def row(what: str, delays: list[float]) -> None:
            table.add_row(what, *(at_share(delays, share) for share in (0.5, 0.95, 0.99)))

        row("event -> drawn, one browser page", self.drawn_ms)
        row(f"one alert -> all of {self.pages} open boards", self.boards_ms)
        row(f"a prompt each -> {self.pages} open overlays", self.overlays_ms)
        table.add_row(f"memory of one of {self.pages} open overlays", f"{self.page_kib:.1f} KiB", "", "")
        table.add_row(f"{self.pages} overlays open", f"{self.connected_s:.1f} s", "", "")
        table.add_row(f"all {self.pages} back after a restart", f"{self.back_s:.1f} s", "", "")
        table.add_row(f"{self.calls} rows changed, 10 boards, CPU", f"{self.rows_cpu_ms:.1f} ms", "", "")
        return table


async def measure_screens(pages: int, calls: int) -> ScreenFigures:
    """Measure on this machine, as it is now."""
    figures = ScreenFigures(pages, calls)
    await _overlays(figures, pages)  # first: memory that other parts have freed would hide what pages take
    hub = Hub()
    async with _server(hub) as url, _crowd(url, "board", pages) as crowd:
        await crowd.all_open()
        for n in range(ROUNDS):
            hub.show("board", "alert/c-a", _alert(n))
            figures.boards_ms += await crowd.delays(pages)
    figures.rows_cpu_ms = _rows_cpu_ms(calls)
    figures.drawn_ms = await _drawn()
    return figures


async def _overlays(figures: ScreenFigures, pages: int) -> None:
    hub = Hub()
    for n in range(pages):
        room = f"agent/crowd-{n}"
        hub.show(room, "call", Call(call=f"c{n}", agent=f"crowd-{n}", state="live"))
        hub.show(room, "level", LevelNow(level="calm", score=0, at_ms=0))
    async with contextlib.AsyncExitStack() as first:
        url = await first.enter_async_context(_server(hub))
        before, began = resident_mib(), time.monotonic()
        async with _crowd(url, "agent", pages) as crowd:
            await crowd.all_open()
            figures.connected_s = time.monotonic() - began
            figures.page_kib = 1024 * (resident_mib() - before) / pages
            for n in range(ROUNDS):
                for page in range(pages):
                    hub.show(f"agent/crowd-{page}", "prompt", _prompt(f"p{n}"))
                figures.overlays_ms += await crowd.delays(pages)
            await first.aclose()
            began = time.monotonic()
            async with _server(hub, int(url.rsplit(":", 1)[1])):
                await crowd.all_open()
                figures.back_s = time.monotonic() - began


def _server(hub: Hub, port: int = 0) -> contextlib.AbstractAsyncContextManager[str]:
    async def do(who: Identity, what: Do) -> None:
        return None

    return serving(create_app(hub, do), port=port)


@dataclass
class _Crowd:
    """The other process."""

    process: asyncio.subprocess.Process
    count: int

    async def report(self) -> dict[str, Any]:
        """What it has received since the last report."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the crowd has no pipes")
        stdin.write(b"report\n")
        line = await stdout.readline()
        told: dict[str, Any] = json.loads(line)
        return told

    async def all_open(self) -> None:
        """Return when every page is open."""
        async with asyncio.timeout(120):
            while (await self.report())["open"] < self.count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def delays(self, wanted: int) -> list[float]:
        """The delays of so many messages, when all are there."""
        delays: list[float] = []
        async with asyncio.timeout(60):
            while len(delays) < wanted:
                await asyncio.sleep(0.05)
                delays += (await self.report())["delays_ms"]
        return delays


@contextlib.asynccontextmanager
async def _crowd(url: str, kind: str, count: int) -> AsyncIterator[_Crowd]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assist.bench.crowd", url, kind, str(count), stdin=pipe, stdout=pipe, limit=1 << 24
    )
    try:
        yield _Crowd(process, count)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def _drawn() -> list[float]:
    """Delays of prompts to one real page, from the event to the frame in which it is drawn; empty without a browser."""
    drawn: list[float] = []
    hub = Hub()
    hub.show("agent/bench", "call", Call(call="c", agent="bench", state="live"))
    async with _server(hub) as url, page_at(f"{url}/agent/bench", DRAWN) as page:
        for n in range(2 * ROUNDS + 1) if page is not None else ():
            prompt = _prompt(f"d{n}")
            sent = time.time()
            hub.show("agent/bench", "prompt", prompt)
            drawn.append(await page.evaluate(f"window.promptDrawn('{prompt.id}')") - 1000 * sent)
    return drawn[1:]  # the first one waits for the fonts


def _rows_cpu_ms(calls: int) -> float:
    """CPU of one second of a board: every row changes once, ten boards take it."""
    hub = Hub()
    for n in range(calls):
        hub.show("board", f"row/c{n}", _row(n, 0))
    boards = [hub.open("board") for _ in range(10)]
    for board in boards:
        board.take()
    began = time.process_time()
    for n in range(calls):
        hub.show("board", f"row/c{n}", _row(n, 1))
    for board in boards:
        board.take()
        hub.close(board)
    return 1000 * (time.process_time() - began)


def _row(n: int, at_ms: int) -> Row:
    return Row(call=f"c{n}", agent=f"Agent {n}", team="Billing", level="tense", score=40, course=[float(n % 90)] * 60,
               why="Influence claim, raised voice", quote="I am going to call my guy", at_ms=at_ms)  # fmt: skip


def _alert(n: int) -> Alert:
    reason = f"sent@{time.time():.6f} “I am going to call my guy”"
    return Alert(id="a", call="c", agent="Dana", kind="escalated", reason=reason, state="raised", raised_ms=n, at_ms=n)


def _prompt(name: str) -> Prompt:
    return Prompt(id=name, label="Influence claim", title="Be the person they can call", say="I am Dana. This is mine.",
                  why=[f"sent@{time.time():.6f}"], tier="help", shown_at_ms=0)  # fmt: skip
