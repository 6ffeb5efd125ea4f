"""A page in a real browser, for figures that a bare websocket cannot give."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@contextlib.asynccontextmanager
async def page_at(address: str, script: str) -> AsyncIterator[Any]:
    """The page at this address once it is at rest, with a script in it from the beginning.

    None where Playwright or Chromium is not here.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        yield None
        return
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = await browser.new_page()
        await page.add_init_script(script)
        await page.goto(address)
        await page.wait_for_load_state("networkidle")
        yield page
        await browser.close()
