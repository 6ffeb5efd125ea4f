"""Draw the pictures in overlay/screenshots: every page and state, from the real server in a real browser.

    python -m tests.overlay_pictures            # all of them
    python -m tests.overlay_pictures board      # those whose name begins so

The calls are made up (tests/overlay_scenes.py, tests/overlay_records.py); everything else is what people use.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from playwright.async_api import Page

from overlay.hub import Hub
from tests import overlay_scenes as scenes
from tests.overlay_records import Shelf, recorded
from tests.overlay_stage import Stage, one_browser, play, stage

FOLDER = Path(__file__).parent.parent / "overlay" / "screenshots"


@dataclass(frozen=True)
class Picture:
    name: str
    path: str
    scene: Callable[[Hub], None]
    width: int = 380
    height: int = 800
    dark: bool = False
    recorded: bool = False
    """The first record has a recording."""
    before: Callable[[Stage, Page], Awaitable[None]] | None = None
    """What is done at the page before the picture is taken."""


async def _cut_off(here: Stage, page: Page) -> None:
    await page.locator(".say").wait_for()
    await here.stop()
    await page.locator(".stale").wait_for(timeout=20_000)


async def _press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


def _pressing(*keys: str) -> Callable[[Stage, Page], Awaitable[None]]:
    async def before(here: Stage, page: Page) -> None:
        await _press(page, *keys)

    return before


AGENT = [
    Picture("agent-waiting", "/agent/dana", scenes.waiting),
    Picture("agent-calm", "/agent/dana", scenes.calm),
    Picture("agent-escalated-light", "/agent/dana", scenes.escalated),
    Picture("agent-escalated-dark", "/agent/dana", scenes.escalated, dark=True),
    Picture("agent-plan-b", "/agent/dana", scenes.notices),
    Picture("agent-recovering", "/agent/dana", scenes.recovering),
    Picture("agent-help", "/agent/dana", scenes.helped),
    Picture("agent-consent", "/agent/dana", scenes.consent),
    Picture("agent-behind", "/agent/dana", scenes.behind),
    Picture("agent-sound-lost", "/agent/dana", scenes.lost),
    Picture("agent-paused", "/agent/dana", scenes.paused),
    Picture("agent-no-words", "/agent/dana", scenes.untranscribed),
    Picture("agent-embedded", "/agent/dana", scenes.embedded),
    Picture("agent-disconnected", "/agent/dana", scenes.escalated, before=_cut_off),
    Picture("agent-earlier", "/agent/dana", scenes.escalated, before=_pressing("e")),
    Picture("agent-view", "/agent/dana", scenes.escalated, before=_pressing("v")),
    Picture("agent-wrap-up", "/agent/dana", scenes.wrapping),
]


async def _read_along(here: Stage, page: Page) -> None:
    await page.get_by_role("button", name="Dana: read along").click()
    await page.locator("#lines li").last.wait_for()


async def _over(here: Stage, page: Page) -> None:
    await _read_along(here, page)
    scenes.over(here.hub)
    await page.locator("#over").wait_for()


async def _done(here: Stage, page: Page) -> None:
    await page.get_by_role("button", name="Done").click()


def _whole_board(hub: Hub) -> None:
    scenes.board(hub, 30)
    scenes.alerts(hub)
    scenes.reading(hub)


WIDE = {"width": 1440, "height": 900}
BOARD = [
    Picture("board", "/board", _whole_board, **WIDE, before=_read_along),
    Picture("board-dark", "/board", _whole_board, **WIDE, dark=True),
    Picture("board-quiet", "/board", scenes.board, **WIDE),
    Picture("board-no-calls", "/board", scenes.nothing, **WIDE),
    Picture("board-many", "/board", scenes.many_alerts, **WIDE),
    Picture("board-done", "/board", _whole_board, **WIDE, before=_done),
    Picture("board-over", "/board", _whole_board, **WIDE, before=_over),
    Picture("board-200-calls", "/board", lambda hub: scenes.board(hub, 200), **WIDE),
    Picture("board-narrow", "/board", _whole_board, width=720, height=900),
]


async def _marked(here: Stage, page: Page) -> None:
    for key in ("j", "r", "j", "j", "w"):
        await page.keyboard.press(key)
    await page.get_by_role("radio", name="yes", exact=True).first.check()


async def _record(here: Stage, page: Page) -> None:
    await page.locator("#said tr").first.wait_for()


REVIEW = [
    Picture("review", "/review/2026-11-24-dana-1", scenes.nothing, **WIDE, before=_marked, recorded=True),
    Picture("review-dark", "/review/2026-11-24-dana-1", scenes.nothing, **WIDE, dark=True, before=_record),
    Picture("review-contested", "/review/2026-11-24-tom-1", scenes.nothing, **WIDE, before=_record),
    Picture("review-no-words", "/review/2026-11-20-mei-1", scenes.nothing, **WIDE, before=_record),
    Picture("review-narrow", "/review/2026-11-24-dana-1", scenes.nothing, width=720, height=1000, before=_record),
    Picture("trends", "/trends", scenes.nothing, **WIDE),
    Picture("home", "/", scenes.nothing, width=720, height=480),
]
PICTURES = [*AGENT, *BOARD, *REVIEW]


async def draw(picture: Picture) -> None:
    async with stage(records=recorded() if picture.recorded else Shelf(), beat_s=0.3) as here:
        picture.scene(here.hub)
        page = await here.page(picture.path, width=picture.width, height=picture.height, dark=picture.dark)
        await page.wait_for_load_state("networkidle")
        if picture.before is not None:
            await picture.before(here, page)
        await page.screenshot(path=FOLDER / f"{picture.name}.png")
        print(picture.name, *here.complaints)


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with one_browser():
        for picture in PICTURES:
            if not wanted or any(picture.name.startswith(name) for name in wanted):
                play(partial(draw, picture))


if __name__ == "__main__":
    main(sys.argv[1:])
