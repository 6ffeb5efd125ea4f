"""The wrap-up after a call, in a real browser against the real server."""

from __future__ import annotations

from playwright.async_api import expect

from overlay.doing import DoWrapUp
from overlay.messages import Notice
from tests import overlay_scenes as scenes
from tests.overlay_scenes import ROOM
from tests.overlay_stage import IN_A_BROWSER, STILL, Stage, place, staged

pytestmark = IN_A_BROWSER


@staged()
async def test_the_wrap_up_is_one_form_and_keeps_what_was_said(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_label("Root cause").fill("missed appointment")
    await page.get_by_label("Note").fill("Third visit missed")
    await page.get_by_label("The system got this wrong").check()
    await page.get_by_label("What was wrong").fill("I did not interrupt")
    await page.get_by_label("Done: call you back").check()
    await page.get_by_label("Due: call you back").fill("2026-12-01")
    status = page.locator("form.wrap").get_by_role("status").last
    await expect(status).to_have_text("Not saved yet")
    await page.get_by_role("button", name="Save", exact=True).click()
    await here.doing(do="wrap-up")
    [said] = [do for _, do in here.done if isinstance(do, DoWrapUp)]
    assert said.model_dump(exclude_unset=True, exclude={"n"}) == {
        "call": "c1",
        "do": "wrap-up",
        "root_cause": "missed appointment",
        "note": "Third visit missed",
        "contested": "I did not interrupt",
        "follow_ups": [{"id": "f1", "done": True, "day": "2026-12-01"}],
    }
    scenes.wrapping(here.hub, kept=True)
    await expect(status).to_have_text("Saved in the record")  # nothing was refused
    await expect(page.get_by_label("Note")).to_have_value("Third visit missed")  # never drawn over
    assert here.complaints == []


@staged()
async def test_only_what_was_touched_is_told_until_the_record_says_the_same(here: Stage) -> None:
    promise = {"id": "f1", "what": "call you back", "due": "by Friday", "day": "2026-11-27"}
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana")
    keep, done = page.get_by_role("button", name="Save", exact=True), page.get_by_label("Done: call you back")

    async def kept() -> dict[str, object]:
        before = len(here.done)
        await keep.click()
        await here.until(lambda done: len(done) > before)
        return here.done[-1][1].model_dump(exclude_unset=True, exclude={"do", "call", "n"})

    await page.get_by_label("Due: call you back").fill("2026-12-01")
    await page.get_by_label("Note").fill("one")
    assert await kept() == {"note": "one", "follow_ups": [{"id": "f1", "day": "2026-12-01"}]}
    # Maria has marked the promise done and named a cause meanwhile: it is shown, and not told back.
    marked = [promise | {"day": "2026-12-01", "done": True}]
    scenes.wrapping(here.hub, kept=True, note="one", follow_ups=marked, root_cause="missed appointment")
    await expect(done).to_be_checked()
    await expect(page.get_by_label("Root cause")).to_have_value("missed appointment")
    await page.get_by_label("Outcome").fill("solved in the call")
    assert await kept() == {"outcome": "solved in the call", "follow_ups": []}
    await done.uncheck()  # nothing has come back yet: the outcome is told again
    undone = [{"id": "f1", "done": False}]
    assert await kept() == {"outcome": "solved in the call", "follow_ups": undone}
    await page.get_by_label("Note").fill("")
    assert (await kept())["note"] == ""
    await page.get_by_label("Due: call you back").fill("")  # a day is not taken back, and that is shown
    assert (await kept())["follow_ups"] == undone
    await expect(page.get_by_label("Due: call you back")).to_have_value("2026-12-01")


@staged()
async def test_a_day_is_not_drawn_over_while_it_is_typed_nor_is_what_was_typed_lost_with_the_page(here: Stage) -> None:
    promise = {"id": "f1", "what": "call you back", "due": "by Friday", "day": "2026-01-31"}
    scenes.wrapping(here.hub, follow_ups=[promise])
    page = await here.page("/agent/dana")
    day, note = page.get_by_label("Due: call you back"), page.get_by_label("Note")
    await day.focus()
    await page.keyboard.type("02")  # 31 February: no day at all for now
    scenes.wrapping(here.hub, follow_ups=[promise], note="from another page")
    await expect(note).to_have_value("from another page")
    await page.keyboard.type("152026")
    await expect(day).to_have_value("2026-02-15")
    await note.fill("half a thought")
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())  # the browser asks whether it may go
    await page.reload()
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()
    await here.doing(do="wrap-up")
    said = here.done[-1][1].model_dump(exclude_unset=True, exclude={"do", "call", "n"})
    assert said == {"note": "half a thought", "follow_ups": [{"id": "f1", "day": "2026-02-15"}]}


@staged()
async def test_quiet_is_offered_after_a_heavy_call_only_and_never_sent(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_role("button", name="Take a minute").click()
    await expect(page.locator(".reset [role=timer]")).to_contain_text("s")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".reset [role=timer]")).to_have_text("Good to have you back.")
    assert here.done == []
    scenes.wrapping(here.hub, call="c2", reset_s=0)
    await expect(page.get_by_role("button", name="Take a minute")).to_have_count(0)


@staged()
async def test_what_was_typed_is_kept_when_the_next_call_comes(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_label("Note").fill("half a thought")
    here.hub.clear(scenes.ROOM)
    here.hub.show(scenes.ROOM, "call", scenes.call(call="c2"))
    await here.doing(do="wrap-up", call="c1", note="half a thought")
    await expect(page.locator("form.wrap")).to_have_count(0)
    await expect(page.locator("#plan")).to_be_visible()


@staged()
async def test_a_message_that_came_as_the_call_ended_can_still_be_read(here: Stage) -> None:
    scenes.wrapping(here.hub)
    written = Notice(kind="message", text="Send her my number, please.", who="Maria")
    here.hub.show(ROOM, "notice/message/1", written)
    page = await here.page("/agent/dana", height=520)
    await expect(page.locator(".notice")).to_be_visible()
    await expect(page.locator("#fold")).to_be_hidden()
    for width, height in ((190, 760), (320, 400), (900, 500), (380, 520)):  # also where the form is longer
        await page.set_viewport_size({"width": width, "height": height})
        await expect(page.locator(".notice")).to_be_in_viewport(ratio=1)
    await page.locator("#wrap-note").focus()  # and hides nothing that is worked at
    message, note = await place(page, ".notice"), await place(page, "#wrap-note")
    assert note[1] + note[3] <= message[1]
    keep = page.get_by_role("button", name="Save", exact=True)
    await keep.scroll_into_view_if_needed()
    await keep.click()
    await page.get_by_role("button", name="Mark as read").click()
    await expect(page.locator("#talk")).to_be_hidden()
    await expect(page.locator("form.wrap")).to_be_visible()


@staged()
async def test_what_was_kept_and_never_arrived_is_told_again_when_the_next_call_comes(here: Stage) -> None:
    scenes.wrapping(here.hub)
    here.refuses = "That did not work."
    page = await here.page("/agent/dana")
    await page.get_by_label("Note").fill("half a thought")
    await page.get_by_role("button", name="Save", exact=True).click()
    await here.doing(do="wrap-up", note="half a thought")
    await expect(page.get_by_text("Not saved yet")).to_be_visible()
    here.done.clear()
    here.hub.clear(scenes.ROOM)
    here.hub.show(scenes.ROOM, "call", scenes.call(call="c2"))
    await here.doing(do="wrap-up", call="c1", note="half a thought")


@staged()
async def test_letters_typed_on_as_the_next_call_comes_are_no_commands_in_it(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana", script=STILL)
    await page.locator("#wrap-note").click()
    await page.keyboard.type("They were ")
    here.hub.clear(ROOM)
    scenes.consent(here.hub)
    here.hub.show(ROOM, "call", scenes.call(call="c2", at_ms=1_000))
    await expect(page.locator("form.wrap")).to_have_count(0)
    await page.keyboard.type("cnhp")
    await expect(page.locator("#strip")).to_have_text("Taken as typing: wait a moment, then press again.")
    await page.evaluate("window.later += 1500")
    await page.keyboard.press("h")
    await here.doing(do="help")
    assert [do.do for _, do in here.done] == ["wrap-up", "help"]


@staged()
async def test_letters_typed_at_a_box_that_was_ticked_are_no_commands(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_label("The system got this wrong").check()
    await page.keyboard.type("he")
    await page.get_by_role("button", name="Save", exact=True).click()
    await here.doing(do="wrap-up", contested="contested")
    await expect(page.locator("#drawer, #menu").locator("visible=true")).to_have_count(0)
    assert [do.do for _, do in here.done] == ["wrap-up"]


@staged()
async def test_everything_fits_the_small_overlay_and_can_be_scrolled_to(here: Stage) -> None:
    scenes.wrapping(here.hub)
    page = await here.page("/agent/dana", height=520)
    keep = page.get_by_role("button", name="Save", exact=True)
    await keep.scroll_into_view_if_needed()
    await expect(keep).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    narrow = await here.page("/agent/dana", width=190)
    _, promised, _, tall = await place(narrow, ".wrap li label")
    _, day, _, _ = await place(narrow, ".wrap li input[type=date]")
    assert day >= promised + tall
    counted = narrow.get_by_text("This break is not counted.")
    assert await counted.evaluate("(node) => node.scrollWidth <= node.clientWidth")
