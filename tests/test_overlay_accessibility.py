"""Every page and state through axe-core (WCAG 2.2 AA and its good practice), in both colour schemes: nothing found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect

from overlay.hub import Hub
from overlay.messages import Line
from tests import overlay_scenes as scenes
from tests.overlay_axe import axe, violations
from tests.overlay_records import Shelf, recorded
from tests.overlay_stage import IN_A_BROWSER, Stage, play, stage, staged

pytestmark = IN_A_BROWSER
STATES: list[Callable[[Hub], None]] = [
    scenes.waiting, scenes.calm, scenes.escalated, scenes.notices, scenes.helped, scenes.consent, scenes.behind,
    scenes.lost, scenes.paused, scenes.untranscribed, scenes.embedded, scenes.recovering, scenes.wrapping,
]  # fmt: skip


async def clean(page: Page) -> None:
    """Everything in light, and the contrast in dark."""
    found = await violations(page)
    await page.emulate_media(color_scheme="dark")
    found += await violations(page, contrast_only=True)
    await page.emulate_media(color_scheme="light")
    assert not found, "\n".join([page.url, *found])


async def checked(here: Stage, path: str, look: Callable[[Page], Awaitable[None]], *, width: int, height: int) -> None:
    """The page as `look` leaves it."""
    page = await here.page(path, width=width, height=height, script=axe())
    await look(page)
    await clean(page)
    await page.context.close()


@staged()
async def test_the_overlay_in_every_state(here: Stage) -> None:
    page = await here.page("/agent/dana", width=380, height=800, script=axe())
    for state in STATES:
        here.hub.clear(scenes.ROOM)
        state(here.hub)
        here.hub.show(scenes.ROOM, "line/barrier", Line(speaker="agent", start_ms=0, settled=state.__name__))
        await expect(page.locator("#lines li").filter(has_text=state.__name__)).to_have_count(1)
        await clean(page)


@staged(beat_s=0.2)
async def test_the_overlay_with_its_drawer_its_menu_and_cut_off(here: Stage) -> None:
    scenes.escalated(here.hub)

    async def drawer(page: Page) -> None:
        await page.locator(".say").wait_for()
        await page.keyboard.press("e")

    async def menu(page: Page) -> None:
        await page.locator(".say").wait_for()
        await page.keyboard.press("v")

    async def cut_off(page: Page) -> None:
        await page.locator(".say").wait_for()
        await page.context.set_offline(True)
        await here.stop()
        await page.locator(".stale").wait_for()

    for look in (drawer, menu, cut_off):
        await checked(here, "/agent/dana", look, width=380, height=800)


@staged()
async def test_the_board_quiet_busy_and_read_along(here: Stage) -> None:

    async def empty(page: Page) -> None:
        await expect(page.locator("#quiet")).to_contain_text("No calls now")

    await checked(here, "/board", empty, width=1440, height=900)
    scenes.many_alerts(here.hub)
    scenes.reading(here.hub)

    async def busy(page: Page) -> None:
        await expect(page.locator(".need")).to_have_count(6)

    async def read_along(page: Page) -> None:
        await page.get_by_role("button", name="Done").click()
        await page.get_by_role("button", name="Dana: read along").click()
        await page.locator("#lines li").last.wait_for()

    await checked(here, "/board", busy, width=720, height=900)
    await checked(here, "/board", read_along, width=1440, height=900)

    async def over(page: Page) -> None:
        await page.get_by_role("button", name="Dana: read along").click()
        await page.locator("#lines li").last.wait_for()
        scenes.over(here.hub)
        await page.get_by_role("link", name="Open record").wait_for()

    await checked(here, "/board", over, width=1440, height=900)


def test_review_trends_and_the_way_in() -> None:
    async def scene() -> None:
        shelf = recorded()
        shelf.records["2026-11-24-dana-1"]["contested"] = "The prompt came after I had said it."
        async with stage(records=shelf) as here:

            async def record(page: Page) -> None:
                await page.locator("#said tr").first.wait_for()
                await page.keyboard.press("j")
                await page.keyboard.press("m")
                await page.get_by_role("button", name="More", exact=True).click()

            async def plots(page: Page) -> None:
                await expect(page.locator(".plot")).to_have_count(5)
                await page.get_by_text("As a table").first.click()

            async def home(page: Page) -> None:
                await page.get_by_role("link", name="Board").wait_for()

            await checked(here, "/review/2026-11-24-dana-1", record, width=1440, height=900)
            await checked(here, "/trends", plots, width=1440, height=900)
            await checked(here, "/", home, width=720, height=600)
        async with stage(records=Shelf()) as here:

            async def missing(page: Page) -> None:
                await expect(page.locator("#record")).to_contain_text("This record cannot be opened")

            await checked(here, "/review/none", missing, width=1440, height=900)

    play(scene)
