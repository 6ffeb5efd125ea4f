"""Logging in with a real browser: the form, where one wanted to go, the lock, the way out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.async_api import async_playwright, expect

from tests import overlay_scenes as scenes
from tests.overlay_stage import ARGS, CHROMIUM, LATER, play
from tests.test_overlay_access import PASSWORD, Place
from tests.test_overlay_hub import watchers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")


def test_an_agent_and_a_supervisor_log_in_at_their_pages_and_a_lost_session_leads_back_to_the_form() -> None:
    async def scene() -> None:
        here = Place(beat_s=0.3)
        scenes.wrapping(here.hub)
        for key in here.hub.snapshot(scenes.ROOM):
            if (shown := here.hub.latest(scenes.ROOM, key)) is not None:
                here.hub.show("agent/Dana", key, shown)
        complaints: list[str] = []
        async with here.open(), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            for who, path in (("Dana", "/agent?from=mail&to=%26"), ("Maria", "/board")):
                page = await (await browser.new_context()).new_page()
                await page.add_init_script(LATER)
                page.on("console", lambda message: complaints.append(message.text))
                await page.goto(here.url + path)
                await expect(page).to_have_url(f"{here.url}/login?next={quote(path)}")
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
                await page.evaluate("window.later += 60_000")
                async with page.expect_request("**/api/me"):  # whoever types is there
                    if who == "Dana":
                        await page.get_by_label("Note").fill("half a thought")
                        await page.get_by_label("Note").press("End")
                    else:
                        await page.keyboard.press("Shift")
                gone = here.staff.people.pop(who)
                await expect(page).to_have_url(f"{here.url}/login?next={quote(path, safe='')}")
                if who == "Dana":
                    here.staff.people[who] = gone
                    await page.get_by_label("Name").fill(who)
                    await page.get_by_label("Password").fill(PASSWORD)
                    await page.get_by_role("button", name="Log in").click()
                    await expect(page.get_by_label("Note")).to_have_value("half a thought")
                    await expect(page.get_by_text("Not saved yet")).to_be_visible()
            await browser.close()
        # the wrong password's and the lost session's own 401 are all a browser may complain about, and that somebody
        # was in a field before the page put them there
        allowed = ("401", "Autofocus processing was blocked")
        assert all(any(each in text for each in allowed) for text in complaints), complaints

    play(scene)
