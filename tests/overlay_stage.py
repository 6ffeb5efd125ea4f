"""A real server and a real browser around a hub, for tests and pictures; nothing here is a stand-in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from overlay.app import create_app
from overlay.doing import Do
from overlay.errors import OverlayError
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import Identify, Identity, ScreenSettings
from overlay.records import Records

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None)
"""The browser; without a desktop (`chromium-headless-shell`) a page opens in half the time."""
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip
IN_A_BROWSER = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
    pytest.mark.usefixtures("shared_browser"),
]
"""The marks of a file all of whose tests open pages."""
LATER = """
    window.later = 0;
    const now = performance.now.bind(performance);
    performance.now = () => now() + window.later;
"""
"""The page's clock, put forward by `later` milliseconds."""
STILL = "window.later = 0; performance.now = () => 100_000 + window.later;"
"""The page's clock stands until it is put forward by `later` milliseconds."""


@dataclass
class Stage:
    browser: Browser
    hub: Hub
    records: Records | None
    settings: ScreenSettings
    url: str = ""
    done: list[tuple[Identity, Do]] = field(default_factory=list)
    refuses: str = ""
    """The text that every action is refused with from now on; empty: it is carried out."""
    complaints: list[str] = field(default_factory=list)
    """Whatever a page wrote to its console or threw: must stay empty."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, port: int = 0) -> None:
        app = create_app(self.hub, self.do, self.records, self.settings)
        self.url = await self._open.enter_async_context(serving(app, port=port))

    async def stop(self) -> None:
        await self._open.aclose()

    async def do(self, who: Identity, do: Do) -> None:
        async with self._changed:
            self.done.append((who, do))
            self._changed.notify_all()
        if self.refuses:
            raise OverlayError("refused", self.refuses)

    async def until(self, met: Callable[[list[tuple[Identity, Do]]], bool]) -> None:
        """Wait for something done at a page."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: met(self.done))

    async def doing(self, **wanted: Any) -> None:
        def fits(do: Do) -> bool:
            return all(getattr(do, name, None) == value for name, value in wanted.items())

        await self.until(lambda done: any(fits(do) for _, do in done))

    async def page(
        self, path: str, *, width: int = 380, height: int = 760, dark: bool = False, script: str = ""
    ) -> Page:
        """A page of a context of its own; `script` runs in it before its own scripts."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        if script:
            await context.add_init_script(script)
        page = await context.new_page()
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.url + path)
        return page


@asynccontextmanager
async def stage(
    *,
    records: Records | None = None,
    beat_s: float = 2.0,
    hub: Hub | None = None,
    port: int = 0,
    identify: Identify | None = None,
) -> AsyncIterator[Stage]:
    async with _browser() as browser:
        here = Stage(
            browser, hub or Hub(), records, ScreenSettings(beat_s=beat_s, supervisor="Maria", identify=identify)
        )
        await here.start(port)
        try:
            yield here
        finally:
            for context in browser.contexts:
                await context.close()
            await here.stop()


_shared: tuple[asyncio.Runner, Browser] | None = None
"""While tests run: the loop and browser that all their scenes use."""


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    if _shared is not None:
        yield _shared[1]
        return
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield browser
        finally:
            await browser.close()


@contextmanager
def one_browser() -> Iterator[None]:
    """Start the browser once for all scenes inside; nested, the outer one is used."""
    global _shared
    if _shared is not None:
        yield
        return
    with asyncio.Runner() as runner:
        browsers = _browser()
        browser = runner.run(browsers.__aenter__())
        _shared = (runner, browser)
        try:
            yield
        finally:
            _shared = None
            runner.run(browsers.__aexit__(None, None, None))


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene to its end; one that hangs fails."""

    async def limited() -> None:
        async with asyncio.timeout(90):
            await scene()

    if _shared is not None:
        _shared[0].run(limited())
    else:
        asyncio.run(limited())


def staged(**given: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Makes a test of a scene that is played on a stage, which it is given first; `given`: of the stage."""

    def test_of(scene: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @wraps(scene)
        def test(**arguments: Any) -> None:
            async def staged_scene() -> None:
                async with stage(**given) as here:
                    await scene(here, **arguments)

            play(staged_scene)

        asked = signature(scene)
        test.__signature__ = asked.replace(parameters=[*asked.parameters.values()][1:])  # type: ignore[attr-defined]
        return test

    return test_of


async def place(page: Page, selector: str) -> tuple[float, float, float, float]:
    """Where it stands on the page: x, y, width, height."""
    box = await page.locator(selector).bounding_box()
    assert box is not None, selector
    return box["x"], box["y"], box["width"], box["height"]
