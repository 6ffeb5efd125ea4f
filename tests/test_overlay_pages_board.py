"""The board in a real browser, against the real server, with a scripted hub."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from overlay.identity import Identity
from tests import overlay_scenes as scenes
from tests.overlay_stage import IN_A_BROWSER, LATER, STILL, Stage, place, play, stage, staged

pytestmark = IN_A_BROWSER
NOW = scenes.NOW


@staged()
async def test_the_board_puts_the_worst_first_keeps_its_order_and_says_when_all_is_quiet(here: Stage) -> None:
    page = await here.page("/board", width=1440, height=900)
    await expect(page.locator("#quiet")).to_contain_text("No calls now")
    scenes.board(here.hub)
    await expect(page.locator("#quiet")).to_have_text("Nobody is waiting for you. Escalated: 2 calls.")
    await expect(page.locator("#quality")).to_have_text(
        "Prompts come 0.9 s after the words, 19 in 20 within 1.4 s · 2 of 61 marked wrong"
    )
    names = page.locator("#rows .name")
    first = ["Dana", "Tom", "Aisha", "Piotr", "Grace", "Luis", "Mei"]
    await expect(names).to_have_count(7)
    assert sorted(await names.all_text_contents()) == sorted(first)
    levels = await page.locator("#rows .chip").all_text_contents()
    assert levels == ["Escalated"] * 2 + ["Recovering"] + ["Tense"] * 3 + ["Calm"]
    before = await names.all_text_contents()
    row = scenes.last_row(here.hub, "c5")
    here.hub.show("board", "row/c5", row.model_copy(update={"score": 99, "quote": "now"}))
    await expect(page.locator('[data-call="c5"]')).to_contain_text("“now”")
    assert await names.all_text_contents() == before
    here.hub.show("board", "row/c7", scenes.last_row(here.hub, "c7").model_copy(update={"level": "escalated"}))
    await expect(names.nth(2)).to_have_text("Mei")
    await expect(page.locator('[data-call="c4"]')).to_contain_text("behind 4 s")
    await expect(page.locator('[data-call="c4"]')).to_contain_text("Olu reading along")


@staged()
async def test_an_alerts_life_is_on_its_card_and_its_keys_work_there(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900, script=LATER)
    first = page.locator('[data-alert="c1-a1"]')
    await expect(first).to_contain_text("your turn after Olu, passes on in")
    await expect(page.locator("#duty")).to_contain_text("Maria (you) · 3 of 3 calls")
    gone_on = scenes.ALERTS[0].model_copy(update={"to": "Olu", "passed": ["Maria"], "seen_by": ["Maria"]})
    here.hub.show("board", "alert/c1-a1", gone_on)
    await expect(first).to_contain_text("Olu’s turn after you, passes on in")
    await expect(first).to_contain_text("you have seen it")
    others = scenes.ALERTS[0].model_copy(
        update={
            "state": "claimed",
            "by": "Olu",
            "to": "",
            "claimed_ms": scenes.NOW - 5000,
            "action": "wrote to Dana",
        }
    )
    here.hub.show("board", "alert/c1-a1", others)
    await expect(first).to_contain_text("Olu is on it, 5 s")
    await expect(first).to_contain_text("wrote to Dana")
    await expect(first.get_by_role("button")).to_have_text(["LookL"])
    mine = page.locator('[data-alert="c2-a1"]')
    await mine.get_by_role("button", name="Give back").focus()
    await page.keyboard.press("g")
    await here.doing(do="alert", call="c2", what="release")
    await page.keyboard.press("d")
    await expect(mine.get_by_role("button")).to_have_count(4)
    await page.keyboard.press("Escape")
    await expect(mine.get_by_role("button")).to_have_count(3)
    await page.evaluate("window.later += 700")  # since the card above it went
    await mine.get_by_role("button", name="Done").click()
    await mine.get_by_role("button", name="Took over").click()
    await here.doing(do="alert", call="c2", alert="a1", what="resolve", how="took over")
    over = scenes.ALERTS[2].model_copy(update={"state": "resolved", "how": "took over"})
    here.hub.show("board", "alert/c2-a1", over)
    for alert in ("c1-a1", "c1-a2"):
        here.hub.drop("board", f"alert/{alert}")
    quiet = page.locator("#quiet")
    await expect(quiet).to_have_text("Nobody is waiting for you. Escalated: 2 calls. Last: Tom, took over by you.")
    for call in ("c1", "c2"):
        row = scenes.last_row(here.hub, call)
        here.hub.show("board", f"row/{call}", row.model_copy(update={"level": "recovering"}))
    await expect(quiet).to_have_text("All quiet. Nobody needs you. Last: Tom, took over by you.")
    said = {"kind": "late", "call": "gone", "id": "late", "reason": "Said in a call that is over: “I give up”"}
    here.hub.show("board", "alert/gone-late", scenes.ALERTS[0].model_copy(update=said))
    late = page.locator('[data-alert="gone-late"]')
    await expect(late).to_contain_text("Heard late")
    await expect(late.get_by_role("link", name="Open record")).to_have_attribute("href", "/review/gone")
    over = {"kind": "over", "call": "gone", "reason": "Said in a call that is over: “I give up”", "to": "Olu"}
    here.hub.show("board", "alert/gone-a1", scenes.ALERTS[0].model_copy(update=over))
    await expect(page.locator('[data-alert="gone-a1"]')).to_contain_text("Call is over")
    await expect(page.locator('[data-alert="gone-a1"]')).not_to_contain_text(re.compile(r"\d:\d\d"))
    assert here.complaints == []


@staged()
async def test_what_was_meant_for_another_call_claims_and_allows_nothing(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900, script=STILL)
    state = page.locator("#state")
    second = scenes.ALERTS[0].model_copy(
        update={"call": "c4", "agent": "Piotr", "raised_ms": 126_000, "at_ms": 127_000}
    )
    here.hub.show("board", "alert/c4-a1", second)
    await expect(page.locator(".need")).to_have_count(4)
    taken = {"state": "claimed", "by": "Olu", "to": "", "claimed_ms": scenes.NOW}
    here.hub.show("board", "alert/c1-a1", scenes.ALERTS[0].model_copy(update=taken))
    await page.locator('[data-alert="c4-a1"] .first').wait_for()
    await page.keyboard.press("c")
    await expect(state).to_have_text("Another call is first now: press again to confirm.")
    await page.evaluate("window.later += 700")
    await page.keyboard.press("c")
    await here.doing(do="alert", call="c4", what="claim")
    # An ask slips under a pointer that is about to press something else.
    ask = scenes.ALERTS[1].model_copy(
        update={"call": "c5", "agent": "Grace", "tier": "urgent", "title": "Grace offers a year free"}
    )
    here.hub.show("board", "alert/c5-a2", ask)
    allow = page.locator('[data-alert="c5-a2"]').get_by_role("button", name="Allow")
    await allow.click()
    await expect(state).to_have_text("That has just changed: press again to confirm.")
    # On the card itself: C for a call that a colleague has just taken is no claim of the first one.
    await page.locator('[data-alert="c4-a1"]').get_by_role("button", name="Claim").focus()
    third = scenes.ALERTS[0].model_copy(update={"call": "c6", "agent": "Luis", "raised_ms": 379_000, "at_ms": 380_000})
    here.hub.show("board", "alert/c6-a1", third)
    await expect(page.locator(".need")).to_have_count(6)
    await page.evaluate("window.later += 700")
    here.hub.show("board", "alert/c4-a1", second.model_copy(update=taken | {"claimed_ms": 127_000}))
    await expect(page.locator('[data-alert="c4-a1"]').get_by_role("button")).to_have_text(["LookL"])
    await expect(page.locator('[data-alert="c4-a1"]').get_by_role("button")).to_be_focused()
    await page.keyboard.press("c")
    await page.evaluate("window.later += 700")
    await allow.click()
    await here.doing(do="answer", call="c5", alert="a2", allow=True)
    here.hub.show("board", "alert/c6-a1", third.model_copy(update={"seen_by": []}))
    await expect(page.locator('[data-alert="c6-a1"]')).not_to_contain_text("seen it")
    here.hub.show("board", "alert/c6-a1", third)  # seen by me: nothing to press has changed
    await expect(page.locator('[data-alert="c6-a1"]')).to_contain_text("you have seen it")
    await page.locator('[data-alert="c6-a1"]').get_by_role("button", name="Claim").click()
    await here.doing(do="alert", call="c6", what="claim")
    claims = [do.call for _, do in here.done if do.do == "alert" and do.what == "claim"]
    assert claims == ["c4", "c6"]
    assert len([do for _, do in here.done if do.do == "answer"]) == 1


@staged()
async def test_a_click_that_was_refused_counts_once_more_however_the_board_goes_on_moving(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900, script=STILL)
    state = page.locator("#state")
    cards = page.locator(".need")
    here.hub.drop("board", "alert/c1-a2")
    await expect(cards).to_have_count(2)

    async def raised(call: str, **changes: object) -> None:
        before = await cards.count()
        alert = scenes.ALERTS[0].model_copy(update={"call": call, "agent": call} | changes)
        here.hub.show("board", f"alert/{call}-a1", alert)
        await expect(cards).to_have_count(before + 1)

    late = {"raised_ms": 378_000, "at_ms": 380_000}
    await raised("c6", **late)
    claim = page.locator('[data-alert="c6-a1"]').get_by_role("button", name="Claim")
    await claim.dblclick()  # of what stood there before
    await expect(state).to_have_text("That has just changed: press again to confirm.")
    await raised("c4", raised_ms=NOW - 90_000)
    await claim.click()
    await here.doing(do="alert", call="c6", what="claim")
    await raised("c5", raised_ms=NOW - 80_000)
    await claim.click()  # the first one since
    await page.evaluate("window.later += 4000")
    await raised("c7", raised_ms=NOW - 70_000)
    await claim.click()  # for what was refused long ago
    await page.locator('[data-alert="c7-a1"]').get_by_role("button", name="Look").click()
    await here.doing(do="watch", call="c7", on=True)
    claims = [do.call for _, do in here.done if do.do == "alert" and do.what == "claim"]
    assert claims == ["c6"]


@staged()
async def test_a_card_that_is_drawn_anew_while_its_button_is_pressed_is_clicked_all_the_same(here: Stage) -> None:
    scenes.board(here.hub)
    for alert in scenes.ALERTS[:2]:
        here.hub.show("board", f"alert/{alert.call}-{alert.id}", alert)
    page = await here.page("/board", width=1440, height=900, script=LATER)
    card = page.locator("[data-alert=c1-a1]")
    claim = card.get_by_role("button", name="Claim")
    await claim.hover()
    await page.mouse.down()
    passed = scenes.ALERTS[0].model_copy(update={"seen_by": ["Olu"]})
    here.hub.show("board", "alert/c1-a1", passed)
    await expect(card).to_contain_text("Olu has seen it")
    await page.mouse.up()
    await here.doing(do="alert", call="c1", alert="a1", what="claim")
    await claim.hover()
    await page.mouse.down()
    here.hub.show("board", "alert/c1-a1", passed.model_copy(update={"state": "claimed", "by": "Olu"}))
    await expect(card).to_contain_text("Olu is on it")
    await page.mouse.up()
    await page.evaluate("window.later += 700")
    await page.get_by_role("button", name="Refuse").click()
    await here.doing(do="answer", alert="a2", allow=False)
    assert [do.what for _, do in here.done if do.do == "alert" and do.what != "seen"] == ["claim"]


@staged()
async def test_a_button_is_where_it_was_when_the_press_has_brought_the_focus(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1300, height=900)
    await expect(page.locator(".need")).to_have_count(3)
    rooms = "[...document.querySelectorAll('.need .btn')].map((each) => JSON.stringify(each.getBoundingClientRect()))"
    wanted: list[str] = []
    for width in (1300, 960):
        await page.set_viewport_size({"width": width, "height": 900})
        for button, what in (("c2-a1] [data-key=g", "release"), ("c1-a1] [data-key=c", "claim")):
            for part in (0.1, 0.5, 0.9):
                await page.evaluate("document.activeElement.blur()")
                before = await page.evaluate(rooms)
                left, top, wide, high = await place(page, f"[data-alert={button}]")
                await page.mouse.move(left + wide * part, top + high / 2)
                await page.mouse.down()
                assert await page.evaluate(rooms) == before
                await page.mouse.up()
                wanted.append(what)
    tom = page.locator("[data-alert=c2-a1]")
    done = tom.get_by_role("button", name="Done")
    await done.dblclick()  # nor is what the first click brings there what the second is for
    await expect(tom.get_by_role("button")).to_have_count(4)
    await here.until(
        lambda all_done: [do.what for _, do in all_done if do.do == "alert" and do.what != "seen"] == wanted
    )


@staged()
async def test_a_board_that_is_loaded_anew_goes_on_reading_along(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.reading(here.hub)
    page = await here.page("/board", width=1440, height=900)
    await page.get_by_role("button", name="Dana: read along").click()
    await expect(page.locator("#lines li")).to_have_count(4)
    await page.reload()
    await expect(page.locator("#lines li")).to_have_count(4)
    assert [do.on for _, do in here.done if do.do == "watch"].count(True) == 2
    await page.keyboard.press("Escape")
    await expect(page.locator("#choose")).to_be_visible()
    await page.reload()
    await expect(page.locator("#rows .name").first).to_be_visible()
    await expect(page.locator("#choose")).to_be_visible()


def test_what_somebody_read_along_is_nothing_to_whoever_logs_in_after_them() -> None:
    async def scene() -> None:
        people = [Identity("Maria", "supervisor")]
        async with stage(identify=lambda headers, peer: people[-1]) as here:
            scenes.board(here.hub)
            page = await here.page("/board", width=1440, height=900)
            await page.get_by_role("button", name="Dana: read along").click()
            await here.doing(do="watch", on=True)
            people.append(Identity("Olu", "supervisor"))
            await page.reload()
            await page.get_by_role("button", name="Tom: read along").click()
            await here.until(lambda done: any(who.who == "Olu" for who, _ in done))
            assert [do.call for who, do in here.done if who.who == "Olu"] == ["c2"]

    play(scene)


@pytest.mark.parametrize(
    ("width", "height"), [(1440, 900), (1366, 768), (1280, 720), (1100, 700), (720, 450), (390, 844)]
)
@staged()
async def test_what_is_said_of_a_click_is_seen_and_moves_nothing(here: Stage, width: int, height: int) -> None:
    scenes.board(here.hub, 200)
    scenes.alerts(here.hub)
    here.refuses = "Oluwaseun Featherstonehaugh has this call already: look before you claim it from them."
    page = await here.page("/board", width=width, height=height)
    button = page.locator("[data-alert=c1-a1]").get_by_role("button", name="Claim")
    await page.locator("[data-alert=c2-a1]").scroll_into_view_if_needed()  # where the head may be out of sight
    await button.scroll_into_view_if_needed()
    before = await place(page, "[data-alert=c1-a1]"), await page.evaluate("scrollY")
    await button.click()
    said = page.locator("#state")
    await expect(said).to_have_text(here.refuses)
    await expect(said).to_be_in_viewport(ratio=1)
    assert (await place(page, "[data-alert=c1-a1]"), await page.evaluate("scrollY")) == before
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@staged()
async def test_where_nobody_is_left_to_claim_c_speaks_of_no_other_call(here: Stage) -> None:
    scenes.board(here.hub)
    here.hub.show("board", "alert/c1-a1", scenes.ALERTS[0])
    page = await here.page("/board", width=1440, height=900, script=STILL)
    await page.locator(".first").wait_for()
    taken = {"state": "claimed", "by": "Olu", "to": "", "claimed_ms": NOW}
    here.hub.show("board", "alert/c1-a1", scenes.ALERTS[0].model_copy(update=taken))
    await expect(page.locator(".first")).to_have_count(0)
    await page.keyboard.press("c")
    await expect(page.locator("#state")).to_have_text("")


@staged()
async def test_enter_twice_ends_no_alert_and_the_focus_goes_where_its_card_goes(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900)
    tom = page.locator('[data-alert="c2-a1"]')
    await tom.get_by_role("button", name="Done").focus()
    await page.keyboard.press("Enter")
    await expect(tom.get_by_role("button")).to_have_count(4)
    await page.keyboard.press("Enter")
    await expect(tom.get_by_role("button")).to_have_count(3)
    free = {"state": "raised", "by": "", "to": "Maria", "claimed_ms": None, "tier": "urgent"}
    here.hub.show("board", "alert/c2-a1", scenes.ALERTS[2].model_copy(update=free))
    await expect(page.locator(".need").first).to_have_attribute("data-alert", "c2-a1")
    assert await tom.evaluate("(node) => node.contains(document.activeElement)")
    here.hub.show("board", "alert/c2-a1", scenes.ALERTS[2])
    await tom.get_by_role("button", name="Done").focus()
    await page.keyboard.press("Enter")
    await expect(tom.get_by_role("button")).to_have_count(4)
    here.hub.show("board", "alert/c2-a1", scenes.ALERTS[2].model_copy(update=free))  # at her other board
    here.hub.show("board", "alert/c2-a1", scenes.ALERTS[2].model_copy(update={"by": "Olu"}))
    await expect(tom.get_by_role("button")).to_have_text(["LookL"])
    assert not [do for _, do in here.done if do.do == "alert" and do.what == "resolve"]


@staged()
async def test_what_could_not_be_sent_is_said_for_as_long_as_it_takes_to_read(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    page = await here.page("/board", width=1440, height=900)
    await page.locator(".first").wait_for()
    await here.stop()
    await page.wait_for_function("!document.querySelector('#state').textContent")
    await page.keyboard.press("c")
    await expect(page.locator("#state")).to_have_text("Not connected: that was not sent.")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # drawn anew
    await expect(page.locator("#state")).to_have_text("Not connected: that was not sent.")


@staged()
async def test_more_alerts_than_a_person_can_look_at_are_counted_by_tier(here: Stage) -> None:
    scenes.many_alerts(here.hub)
    page = await here.page("/board", width=1440, height=900)
    await expect(page.locator(".need")).to_have_count(6)
    await expect(page.locator("#more")).to_contain_text("and 6 more calls: 3 to help with, 3 to watch.")
    assert await page.locator(".need").first.get_attribute("data-alert") == "c1-a1"
    await page.get_by_role("button", name="Show them").click()
    await expect(page.locator(".need")).to_have_count(12)
    await page.get_by_role("button", name="Show fewer").click()
    await expect(page.locator(".need")).to_have_count(6)


@staged()
async def test_the_board_is_worked_by_keyboard_alone(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.reading(here.hub)
    page = await here.page("/board", width=1440, height=900)
    names = page.locator("#rows .name")
    await expect(names).to_have_count(7)
    assert await page.locator('#rows .name[tabindex="0"]').count() == 1
    for key in ("j", "j", "ArrowDown", "k"):
        await page.keyboard.press(key)
    await expect(names.nth(1)).to_be_focused()
    calls = [await row.get_attribute("data-call") for row in await page.locator("#rows .row").all()]
    await page.keyboard.press("Enter")
    await here.doing(do="watch", call=calls[1], on=True)
    await page.keyboard.press("m")
    await page.keyboard.type("j c m")
    await page.keyboard.press("Enter")
    await here.doing(do="tell", call=calls[1], text="j c m")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await here.doing(do="watch", call=calls[1], on=False)


@staged()
async def test_a_call_that_ends_while_it_is_read_along_says_how_and_where_its_record_is(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.reading(here.hub)
    page = await here.page("/board", width=1440, height=900)
    await page.get_by_role("button", name="Dana: read along").click()
    await expect(page.locator("#lines li")).not_to_have_count(0)
    scenes.over(here.hub)
    await expect(page.locator("#pane-level")).to_have_text("Call ended")
    await expect(page.locator("#pane-who")).to_have_text("Dana · Billing")
    await expect(page.locator("#over p")).to_have_text("Recovered in 58 s")
    link = page.get_by_role("link", name="Open record")
    await expect(link).to_have_attribute("href", "/review/2026-11-24-dana-1")
    for gone in ("#talk", "#heard-box", "#tell"):
        await expect(page.locator(gone)).to_be_hidden()
    await page.get_by_role("button", name="Tom: read along").click()
    await expect(page.locator("#over")).to_be_hidden()
    await expect(page.locator("#tell")).to_be_visible()
    assert here.complaints == []


@staged()
async def test_in_a_narrow_window_the_call_that_is_read_along_comes_into_view(here: Stage) -> None:
    scenes.board(here.hub, 30)
    scenes.alerts(here.hub)
    scenes.reading(here.hub)
    page = await here.page("/board", width=1000, height=800)
    await page.locator('[data-alert="c1-a1"]').get_by_role("button", name="Look").click()
    await expect(page.locator("#pane-who")).to_have_text("Dana · Billing")
    await expect(page.locator("#pane-who")).to_be_in_viewport()


@staged()
async def test_letters_of_a_line_whose_call_has_ended_claim_nothing(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    scenes.reading(here.hub)
    waiting = scenes.ALERTS[0].model_copy(update={"call": "c4", "agent": "Piotr"})
    here.hub.show("board", "alert/c4-a1", waiting)
    page = await here.page("/board", width=1440, height=900, script=STILL)
    await page.get_by_role("button", name="Dana: read along").click()
    await page.locator("#text").click()
    await page.keyboard.type("Please ")
    scenes.over(here.hub)
    await expect(page.locator("#text")).to_be_hidden()
    await page.evaluate("window.later += 700")
    await page.keyboard.type("call me")
    await page.get_by_role("button", name="Tom: read along").click()
    await here.doing(do="watch", call="c2", on=True)
    assert not [do for _, do in here.done if do.do == "alert" and do.what != "seen"]


@staged()
async def test_a_key_after_a_field_was_left_by_keyboard_is_a_command_at_once(here: Stage) -> None:
    scenes.board(here.hub)
    scenes.alerts(here.hub)
    scenes.reading(here.hub)
    page = await here.page("/board", width=1440, height=900, script=STILL)
    await page.get_by_role("button", name="Dana: read along").click()
    await page.locator("#text").click()
    await page.keyboard.type("Please")
    await page.keyboard.press("Shift+Tab")
    await page.locator("#leave").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#text")).to_be_hidden()
    await page.keyboard.press("c")
    await here.doing(do="alert", call="c1", what="claim")


@staged()
async def test_a_line_begun_for_one_agent_never_goes_to_another(here: Stage) -> None:
    scenes.board(here.hub)
    page = await here.page("/board", width=1440, height=900)
    text = page.get_by_placeholder("One short line")
    await page.get_by_role("button", name="Dana: read along").click()
    await text.fill("You may give her the month.")
    await page.get_by_role("button", name="Tom: read along").click()
    await expect(page.locator("#tell-head")).to_have_text("To Tom’s screen")
    await expect(text).to_have_value("")
    await text.fill("Well done.")
    await page.keyboard.press("Enter")
    await here.doing(do="tell", call="c2", text="Well done.")
    await page.get_by_role("button", name="Dana: read along").click()
    await expect(text).to_have_value("You may give her the month.")
    await page.keyboard.press("m")
    await page.keyboard.press("Enter")
    await here.doing(do="tell", call="c1", text="You may give her the month.")


@staged()
async def test_a_line_that_is_refused_is_not_called_sent_and_comes_back(here: Stage) -> None:
    scenes.board(here.hub)
    here.hub.show("board", "alert/c1-a2", scenes.ALERTS[1])
    page = await here.page("/board", width=1440, height=900, script=STILL)
    text = page.get_by_placeholder("One short line")
    await page.get_by_role("button", name="Dana: read along").click()
    await here.doing(do="watch", call="c1", on=True)
    await page.evaluate("""() => {
        const told = document.getElementById('told');
        const note = () => { document.body.dataset.told += `|${told.textContent}`; };
        new MutationObserver(note).observe(told, {childList: true});
    }""")
    here.refuses = "That call is over."
    await text.fill("Well done.")
    await page.keyboard.press("Enter")
    await expect(text).to_have_value("Well done.")
    await expect(page.locator("body")).to_have_attribute("data-told", re.compile("That call is over."))
    here.hub.show("board", "row/c5", scenes.last_row(here.hub, "c5").model_copy(update={"quote": "barrier"}))
    await expect(page.locator('[data-call="c5"]')).to_contain_text("barrier")
    await expect(page.locator("#state")).to_have_text("That call is over.")
    await expect(page.locator("body")).not_to_have_attribute("data-told", re.compile("Sent"))
    here.refuses = ""
    await page.keyboard.press("Enter")
    await here.until(lambda done: [do.do for _, do in done].count("tell") == 2)
    here.refuses = "Olu is on it already."  # of another thing that is done meanwhile
    await page.get_by_role("button", name="Allow").click()
    await expect(page.locator("#state")).to_have_text("Olu is on it already.")
    await expect(page.locator("body")).to_have_attribute("data-told", re.compile("Sent"))
    await expect(text).to_have_value("")


@staged()
async def test_two_hundred_calls_fit_and_all_of_them_change(here: Stage) -> None:
    scenes.board(here.hub, 200)
    page = await here.page("/board", width=1440, height=900)
    await expect(page.locator("#rows .row")).to_have_count(200)
    for n in range(1, 201):
        row = scenes.last_row(here.hub, f"c{n}")
        here.hub.show("board", f"row/c{n}", row.model_copy(update={"quote": f"turn {n}"}))
    await expect(page.locator('[data-call="c200"]')).to_contain_text("turn 200")
    assert here.complaints == []
