"""How soon what happens is drawn, and what a board of 200 calls costs: measured in a real browser on this machine.

    python -m tests.overlay_speed

Nothing here is a test: the figures are this machine's, on whatever else it is doing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from tests import overlay_scenes as scenes
from tests.overlay_records import Shelf
from tests.overlay_stage import Stage, one_browser, play, stage

EVENTS = 150
CALLS = 200
SECONDS = 10

# The moment after the frame in which a node's text first contained a mark: requestAnimationFrame, then a task after it.
DRAWN = """(selector) => {
    window.drawn = new Map();
    const after = (mark) => requestAnimationFrame(() => setTimeout(() =>
        window.drawn.set(mark, performance.timeOrigin + performance.now())));
    new MutationObserver(() => {
        const mark = document.querySelector(selector)?.textContent.match(/mark (\\d+)/)?.[1];
        if (mark && !window.drawn.has(mark)) { window.drawn.set(mark, 0); after(mark); }
    }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

# Intervals between frames, and the time a frame's own work took (script, style, layout; paint is on another thread).
FRAMES = """(seconds) => new Promise((done) => {
    const gaps = [], long = [];
    const watch = new PerformanceObserver((list) => list.getEntries().forEach((each) => long.push(each.duration)));
    watch.observe({type: 'long-animation-frame'});
    let last = performance.now();
    const end = last + seconds * 1000;
    const step = (now) => {
        gaps.push(now - last);
        last = now;
        if (now < end) requestAnimationFrame(step);
        else { watch.disconnect(); done({gaps, long}); }
    };
    requestAnimationFrame(step);
})"""


async def event_to_drawn(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", height=800)
    await page.locator(".say").wait_for()
    await page.evaluate(DRAWN, ".say")
    shown: dict[str, float] = {}
    for n in range(EVENTS):
        shown[str(n)] = time.time() * 1000
        here.hub.show(
            scenes.ROOM, "prompt", scenes.PROMPT.model_copy(update={"id": f"p{n}", "say": f"Say this mark {n}."})
        )
        await asyncio.sleep(0.05 + 0.013 * (n % 7))
    drawn: dict[str, float] = await page.evaluate("Object.fromEntries(window.drawn)")
    took = [drawn[n] - shown[n] for n in shown if drawn.get(n)]
    print(f"event -> drawn, agent's page, {len(took)} of {EVENTS} prompts:")
    print(f"  median {np.quantile(took, 0.5):.0f} ms, p95 {np.quantile(took, 0.95):.0f} ms, most {max(took):.0f} ms")


async def board_frames(here: Stage) -> None:
    scenes.board(here.hub, CALLS)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900)
    await page.locator("[data-call=c200]").wait_for(state="attached")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    before = await _metrics(session)
    measuring = asyncio.ensure_future(page.evaluate(FRAMES, SECONDS))
    updates = 0
    for second in range(SECONDS):  # every call says something once a second, as live calls do, spread over the second
        for n in range(CALLS):
            row = scenes.last_row(here.hub, f"c{n + 1}")
            course = [*row.course[-59:], float((n * 7 + second * 13) % 100)]
            here.hub.show(
                "board",
                f"row/c{n + 1}",
                row.model_copy(
                    update={"at_ms": row.at_ms + 1000, "course": course, "lag_ms": 600 + (n + second) % 400}
                ),
            )
            updates += 1
            if n % 5 == 4:
                await asyncio.sleep(5 / CALLS)
    seen: dict[str, Any] = await measuring
    after = await _metrics(session)
    gaps = seen["gaps"][1:]
    work = {
        name: 1000 * (after[name] - before[name]) / len(gaps)
        for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration")
    }
    parts = ", ".join(f"{name.removesuffix('Duration').lower()} {ms:.1f}" for name, ms in work.items())
    print(f"board of {CALLS} calls, {updates} rows changed in {SECONDS} s: {len(gaps)} frames")
    print(f"  main thread a frame, ms: {parts}")
    print(
        f"  between frames: median {np.quantile(gaps, 0.5):.1f} ms, p95 {np.quantile(gaps, 0.95):.1f} ms;"
        f" over 50 ms: {len(seen['long'])}"
    )


async def _metrics(session: Any) -> dict[str, float]:
    told = await session.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in told["metrics"]}


async def weights(here: Stage) -> None:
    for path in ("/", "/agent/dana", "/board", "/review", "/trends"):
        page = await here.browser.new_page()
        sizes: list[int] = []

        async def count(response: Any, sizes: list[int] = sizes) -> None:
            if "/api/" not in response.url:
                sizes.append(len(await response.body()))

        page.on("response", count)
        await page.goto(here.url + path)
        await page.wait_for_load_state("networkidle")
        print(f"weight of {path}: {sum(sizes) / 1024:.0f} KB in {len(sizes)} files")
        await page.close()


async def main() -> None:
    for measure in (event_to_drawn, board_frames, weights):
        async with stage(records=Shelf()) as here:
            await measure(here)


if __name__ == "__main__":
    with one_browser():
        play(main)
