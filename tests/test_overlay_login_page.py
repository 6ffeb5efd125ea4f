"""Logging in with a real browser: the form, where one wanted to go, the lock, the way out."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import async_playwright, expect

from overlay.messages import Call
from tests.overlay_stage import ARGS, CHROMIUM, play
from tests.test_overlay_access import PASSWORD, Place
from tests.test_overlay_hub import watchers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")


def test_an_agent_and_a_supervisor_log_in_at_their_pages_and_a_lost_session_leads_back_to_the_form() -> None:
    async def scene() -> None:
        here = Place(beat_s=0.3)
        here.hub.show("agent/Dana", "call", Call(call="c1", agent="Dana", state="live"))
        complaints: list[str] = []
        async with here.open(), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            for who, path in (("Dana", "/agent"), ("Maria", "/board")):
                page = await (await browser.new_context()).new_page()
                page.on("console", lambda message: complaints.append(message.text))
                await page.goto(here.url + path)
                await expect(page).to_have_url(f"{here.url}/login?next={path}")
                await page.get_by_label("Name").fill(who)
                await page.get_by_label("Password").fill("wrong")
                await page.get_by_role("button", name="Log in").click()
                await expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
                await page.get_by_label("Name").fill(who)
                await page.get_by_label("Password").fill(PASSWORD)
                await page.get_by_role("button", name="Log in").click()
                await expect(page).to_have_url(here.url + path)
                assert await page.evaluate("document.cookie") == ""  # scripts do not see the session
                watched = "agent/Dana" if who == "Dana" else "board"
                while watchers(here.hub, watched) == 0:
                    await page.wait_for_timeout(20)
                del here.staff.people[who]
                await expect(page).to_have_url(re.compile(r"/login\?next=%2F(agent|board)$"))
            await browser.close()
        # the wrong password's and the lost session's own 401 are all a browser may complain about, and that somebody
        # was in a field before the page put them there
        allowed = ("401", "Autofocus processing was blocked")
        assert all(any(each in text for each in allowed) for text in complaints), complaints

    play(scene)
