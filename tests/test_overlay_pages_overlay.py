"""The agent's overlay in a real browser, against the real server, with a scripted hub."""
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Route, WebSocketRoute, expect
from pydantic import BaseModel

import overlay
from assist.screens.rooms import address_of, room_of
from overlay.hub import Hub
from overlay.messages import Call, ConsentNow, Health, LevelNow, Line, Next, Notice, Plan, Practice
from tests import overlay_scenes as scenes
from tests.overlay_stage import IN_A_BROWSER, LATER, STILL, Stage, place, play, stage, staged

pytestmark = IN_A_BROWSER

ROOM = scenes.ROOM
STATIC = Path(overlay.__file__).parent / "static"
SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) for (const source of entry.sources)
            window.shifts.push([entry.value, source.node?.nodeName, source.node?.className ?? source.node?.textContent,
                entry.startTime, JSON.stringify([source.previousRect, source.currentRect])]);
    }).observe({type: 'layout-shift', buffered: true});
}"""
"""Gathers what moves on the page, also before: how much, of what, when, and from where to where."""
READ_OUT = """
    window.readOut = [];
    const last = new Map();
    const spoken = (node) => node.nodeType === 3 ? node.data
        : node.getAttribute('aria-hidden') ? '' : [...node.childNodes].map(spoken).join('');
    new MutationObserver(() => {
        for (const region of document.querySelectorAll('[role=status]')) {
            const text = spoken(region).trim();
            if (text && last.get(region) !== text) window.readOut.push(['#' + region.id, text]);
            last.set(region, text);
        }
    }).observe(document, {subtree: true, childList: true, characterData: true});
"""


@staged()
async def test_the_overlay_shows_the_prompt_why_plan_steps_and_words(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await expect(page.locator(".say")).to_have_text(
        "“I’m Dana. This is mine now. Let me give you my direct line before we go on.”"
    )
    await expect(page.locator("#hearing")).to_have_text("Hearing both")
    await expect(page.locator("#level")).to_have_text("Escalated")
    await expect(page.locator(".why mark")).to_have_text("“I’m going to call my guy”")
    await expect(page.locator("#plan li")).to_have_count(3)
    await expect(page.locator("#plan .whose")).to_have_text(["yours to give", "yours to give", "asks Maria"])
    await expect(page.locator("#steps [aria-pressed=true]")).to_have_text(["✓ Just calm", "✓ Empathize"])
    await expect(page.locator("#lines i")).to_have_text("sort you out")
    await expect(page.locator("#lines mark")).to_have_text("I’m going to call my guy")
    await expect(page.locator("#ring text")).to_have_text(re.compile(r"^\d+$"))
    await here.doing(do="prompt", prompt="p3", what="seen")
    assert here.complaints == []


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("u", {"do": "prompt", "prompt": "p3", "what": "used"}),
        ("U", {"do": "prompt", "prompt": "p3", "what": "used"}),
        ("Escape", {"do": "prompt", "prompt": "p3", "what": "dismissed"}),
        ("w", {"do": "prompt", "prompt": "p3", "what": "wrong"}),
        ("1", {"do": "plan", "option": "fee", "what": "offered"}),
        ("2", {"do": "plan", "option": "engineer", "what": "offered"}),
        ("3", {"do": "plan", "option": "month", "what": "asked"}),
        ("h", {"do": "help"}),
        ("H", {"do": "help"}),
        ("p", {"do": "pause", "on": True}),
    ],
)
@staged()
async def test_every_key_does_its_one_thing(here: Stage, key: str, wanted: dict[str, object]) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await page.locator(".say").wait_for()
    await page.keyboard.press("Control+" + key)  # the browser's own: must do nothing here
    await page.keyboard.press(key)
    await here.doing(call="c1", **wanted)
    assert len([do for _, do in here.done if getattr(do, "what", "") != "seen"]) == 1


@staged()
async def test_clicks_do_the_same_and_the_customers_answer_is_kept(here: Stage) -> None:
    scenes.notices(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_role("button", name="Yes", exact=True).click()
    await here.doing(do="plan", option="fee", what="accepted")
    await page.get_by_role("button", name="One month free").click()  # allowed by Maria: may be offered now
    await here.doing(do="plan", option="month", what="offered")
    await page.get_by_role("button", name="Redirect").click()
    await here.doing(do="step", step="redirect", done=True)
    await expect(page.locator("#reading")).to_have_text("Maria is reading along")
    await expect(page.locator(".notice")).to_contain_text("You may give her the month.")
    await page.get_by_role("button", name="Mark as read").click()
    await expect(page.locator(".notice")).to_have_count(0)


def test_what_was_read_stays_away_when_what_came_after_it_has_cleared() -> None:
    def trouble(text: str, at_ms: int) -> Notice:
        return Notice(kind="trouble", text=text, at_ms=at_ms)

    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            page = await here.page("/agent/dana")
            first = trouble("Pace is not judged.", 4_000)
            for notice in (first, trouble("Nothing can be written.", 9_000)):
                here.hub.show(ROOM, "notice/trouble", notice)
                await expect(page.locator(".notice")).to_contain_text(notice.text)
                await page.keyboard.press("r")
                await expect(page.locator(".notice")).to_have_count(0)
            here.hub.show(ROOM, "notice/trouble", first)  # the newer one has cleared
            here.hub.show(ROOM, "next", Next(titles=["drawn"]))
            await expect(page.locator("#next")).to_have_text("Next: drawn")
            await expect(page.locator(".notice")).to_have_count(0)
            here.hub.show(ROOM, "notice/trouble", trouble(first.text, 12_000))  # again, later
            await expect(page.locator(".notice")).to_contain_text(first.text)

    play(scene)


def test_each_message_stays_until_it_was_read_and_two_are_seen_at_once_the_newest_last() -> None:
    def message(text: str, at_ms: int) -> Notice:
        return Notice(kind="message", text=text, who="Maria", at_ms=at_ms)

    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            here.hub.show(ROOM, "notice/trouble", Notice(kind="trouble", text="Pace is not judged.", at_ms=1_000))
            page = await here.page("/agent/dana", script=LATER)
            shown = page.locator(".notice p")
            await expect(shown).to_have_text(["Pace is not judged."])
            here.hub.show(ROOM, "notice/message/1", message("Do not offer the month.", 2_000))
            here.hub.show(ROOM, "notice/message/2", message("Do not offer the month.", 2_000))
            first = second = "Maria: Do not offer the month."
            await expect(shown).to_have_text([first, second])
            newest = "Nothing can be written."
            here.hub.show(ROOM, "notice/trouble", Notice(kind="trouble", text=newest, at_ms=3_000))
            await expect(shown).to_have_text([second, newest])
            await page.evaluate("window.later += 700")
            for left in ([first, second], [first], []):
                await page.keyboard.press("r")
                await expect(shown).to_have_text(left)
            for n in (3, 4):
                here.hub.show(ROOM, f"notice/message/{n}", message("text " * 40, 4_000))
            await expect(shown).to_have_count(2)
            notices, help_key = await place(page, "#notices"), await place(page, "#help")
            assert notices[1] + notices[3] <= help_key[1]  # the keys below stay free
            await page.evaluate("window.later += 700")
            await page.evaluate("""() => {
                window.came = new MutationObserver(() => {
                    window.came.disconnect();
                    document.dispatchEvent(new KeyboardEvent('keydown', {code: 'KeyR', key: 'r'}));
                });
                window.came.observe(document.getElementById('notices'), {childList: true, subtree: true});
            }""")
            here.hub.show(ROOM, "notice/message/5", message("Offer the engineer.", 5_000))
            await expect(page.locator(".notice button").first).to_have_attribute("data-key", "notice/message/3")
            await expect(shown.last).to_have_text("Maria: Offer the engineer.")  # the key was meant for the one before

    play(scene)


PRESSED = [
    ("#card [data-key='p3 used']", "prompt", scenes.PROMPT.model_copy(update={"avoid": "Calm down."}), {"do": "prompt", "what": "used"}),
    ("#plan [data-key=engineer]", "plan", Plan(options=[scenes.PLAN.options[0].model_copy(update={"state": "offered"}), *scenes.PLAN.options[1:]]), {"do": "plan", "option": "engineer", "what": "offered"}),
    ("#steps [data-key=plan-b]", "steps", scenes.STEPS.model_copy(update={"steps": [each.model_copy(update={"done": False}) for each in scenes.STEPS.steps]}), {"do": "step", "step": "plan-b", "done": True}),
]  # fmt: skip
"""A button that is pressed, what is drawn anew before it is released, and what must be done."""


@pytest.mark.parametrize("by", ["mouse", "space"])
@pytest.mark.parametrize(("selector", "key", "message", "wanted"), PRESSED, ids=[case[1] for case in PRESSED])
def test_a_button_that_is_drawn_anew_while_it_is_pressed_is_clicked_all_the_same(
    selector: str, key: str, message: BaseModel, wanted: dict[str, object], by: str
) -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            page = await here.page("/agent/dana")
            drawn = await page.locator(selector).element_handle()
            assert drawn is not None
            if by == "mouse":
                await page.locator(selector).hover()
                await page.mouse.down()
            else:
                await page.locator(selector).focus()
                await page.keyboard.down(" ")
            here.hub.show(ROOM, key, message)
            here.hub.show(ROOM, "next", Next(titles=["barrier"]))
            await expect(page.locator("#next")).to_have_text("Next: barrier")
            assert not await drawn.evaluate("(node) => node.isConnected")
            await (page.mouse.up() if by == "mouse" else page.keyboard.up(" "))
            await here.doing(**wanted)
            await page.keyboard.press("h")
            await here.doing(do="help")
            assert [do.do for _, do in here.done if getattr(do, "what", "") != "seen"] == [wanted["do"], "help"]

    play(scene)


@staged()
async def test_on_a_slow_line_nothing_is_said_of_calls_before_it_is_known(here: Stage) -> None:
    scenes.escalated(here.hub)
    scenes.board(here.hub)
    arrived = asyncio.Event()
    greeted = asyncio.Event()

    def slow(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        line.on_message(server.send)
        held: list[str | bytes] = []

        async def take(message: str | bytes) -> None:
            if "hello" in str(message):
                line.send(message)
                return greeted.set()
            held.append(message)
            await arrived.wait()
            while held:
                line.send(held.pop(0))

        server.on_message(take)

    for path, known, unknown in (
        ("/agent/dana", "Hearing both", "Connecting"),
        ("/board", "Nobody is waiting for you. Escalated: 2 calls.", ""),
    ):
        arrived.clear()
        greeted.clear()
        page = await here.page("/")
        await page.route_web_socket("**/live", slow)
        await page.goto(here.url + path)
        await greeted.wait()
        told = page.locator("#hearing" if "agent" in path else "#quiet")
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        assert (await told.text_content() or "") == unknown
        arrived.set()
        await expect(told).to_have_text(known)


@staged()
async def test_zoomed_in_far_a_message_leaves_the_line_to_say_in_sight_and_consent_can_be_read(here: Stage) -> None:
    scenes.notices(here.hub)
    page = await here.page("/agent/dana", width=190, height=400)
    await expect(page.locator(".notice")).to_be_visible()
    _, say, _, _ = await place(page, ".say")
    _, notice, _, high = await place(page, ".notice")
    assert say + 40 < notice < notice + high <= 400
    await page.locator("#steps button").last.focus()
    _, step, _, tall = await place(page, "#steps li:last-child button")
    _, notice, _, _ = await place(page, ".notice")
    assert step + tall <= notice
    scenes.consent(here.hub)
    await expect(page.locator("#agreed")).to_have_text("Not kept: consent not known")
    assert await page.locator("#agreed").evaluate("(node) => node.scrollWidth <= node.clientWidth")


@staged()
async def test_a_message_that_comes_while_the_one_before_is_taken_away_stays(here: Stage) -> None:
    scenes.notices(here.hub)
    page = await here.page("/agent/dana")
    await page.get_by_role("button", name="Mark as read").hover()
    await page.mouse.down()
    here.hub.show(ROOM, "notice/message/2", Notice(kind="message", text="Offer the engineer.", who="Maria"))
    await expect(page.locator(".notice")).to_have_count(2)
    await page.mouse.up()
    await expect(page.locator(".notice p")).to_have_text(["Maria: Offer the engineer."])


@staged()
async def test_who_tabs_away_with_the_space_bar_held_has_left_what_it_pressed(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await page.locator("#card [data-key='p3 used']").focus()
    await page.keyboard.down(" ")
    here.hub.show(ROOM, "prompt", scenes.PROMPT.model_copy(update={"title": "The same, in other words"}))
    await expect(page.locator("#card .title")).to_have_text("The same, in other words")
    await page.keyboard.press("Tab")
    await page.keyboard.up(" ")
    await page.keyboard.press("h")
    await here.doing(do="help")
    assert [do.do for _, do in here.done if getattr(do, "what", "") != "seen"] == ["help"]


@pytest.mark.parametrize("by", ["mouse", "space", "held"])
@staged()
async def test_a_button_that_means_something_else_when_it_is_released_does_nothing(here: Stage, by: str) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", script=LATER)
    for selector in ("#card [data-key='p3 used']", "#plan [data-key=month]"):
        if by == "mouse":
            await page.locator(selector).hover()
            await page.mouse.down()
        else:
            await page.locator(selector).focus()
            await page.keyboard.down(" ")
        allowed = scenes.PLAN.options[2].model_copy(update={"state": "allowed"})
        here.hub.show(ROOM, "prompt", scenes.PROMPT.model_copy(update={"id": "p4", "title": "Warn once"}))
        here.hub.show(ROOM, "plan", Plan(options=[*scenes.PLAN.options[:2], allowed]))
        here.hub.show(ROOM, "next", Next(titles=[selector]))
        await expect(page.locator("#next")).to_have_text(f"Next: {selector}")
        await page.evaluate("window.later += 700")
        if by == "held":  # the keyboard repeats it
            await page.keyboard.down(" ")
        await (page.mouse.up() if by == "mouse" else page.keyboard.up(" "))
        here.hub.show(ROOM, "plan", scenes.PLAN)
        await expect(page.locator("#plan .whose").last).to_have_text("asks Maria")
    await page.keyboard.press("h")
    await here.doing(do="help")
    assert [do.do for _, do in here.done if getattr(do, "what", "") != "seen"] == ["help"]


@staged()
async def test_the_same_key_keeps_the_customers_answer_and_shift_with_it_a_no(here: Stage) -> None:
    scenes.notices(here.hub)  # 1 is offered, 2 accepted, 3 allowed
    page = await here.page("/agent/dana")
    await page.locator(".notice").wait_for()
    await page.keyboard.press("1")
    await here.doing(do="plan", option="fee", what="accepted")
    await page.keyboard.press("Shift+Digit1")
    await here.doing(do="plan", option="fee", what="refused")
    await page.keyboard.press("3")
    await here.doing(do="plan", option="month", what="offered")
    await page.keyboard.press("Shift+Digit2")  # it was only heard as accepted
    await here.doing(do="plan", option="engineer", what="refused")
    for key in ("2", "Shift+Digit3"):  # nothing to answer there
        await page.keyboard.press(key)
    await page.keyboard.press("r")
    await expect(page.locator(".notice")).to_have_count(0)
    await page.keyboard.press("h")
    await here.doing(do="help")
    assert len([do for _, do in here.done if do.do == "plan"]) == 4


@staged()
async def test_the_second_click_of_a_double_one_is_not_for_what_has_come_under_the_pointer(here: Stage) -> None:
    scenes.notices(here.hub)
    here.hub.show(ROOM, "notice/message/2", Notice(kind="message", text="Promise no date.", who="Maria"))
    fee, engineer, month = scenes.PLAN.options
    offered = [each.model_copy(update={"state": "offered"}) for each in (fee, engineer)]
    here.hub.show(ROOM, "plan", Plan(options=[*offered, month]))
    page = await here.page("/agent/dana", height=1000, script=STILL)
    strip = page.locator("#strip")

    async def click(selector: str) -> tuple[float, float]:
        left, top, wide, high = await place(page, selector)
        at = left + wide / 2, top + high / 2
        await page.mouse.click(*at)
        return at

    yes = await click("#plan [data-key='fee accepted']")
    await here.doing(do="plan", option="fee", what="accepted")
    here.hub.show(ROOM, "plan", Plan(options=[offered[1], month]))
    await expect(page.locator("#plan li")).to_have_count(2)
    await page.mouse.click(*yes)
    await expect(strip).to_have_text("Option 1 was just offered: press again for their answer.")
    await page.evaluate("window.later += 700")
    await page.mouse.click(*yes)
    await here.doing(do="plan", option="engineer", what="accepted")
    accepted = Plan(options=[engineer.model_copy(update={"state": "accepted"}), month])
    here.hub.show(ROOM, "plan", accepted)
    await page.locator("#plan li.accepted").wait_for()
    for _ in range(2):  # No, where Yes was
        await page.evaluate("window.later += 300")
        await click("#plan [data-key='engineer refused']")
        await expect(strip).to_have_text("Option 1 was just accepted: press again to correct it.")
    await page.evaluate("window.later += 700")
    await click("#plan [data-key='engineer refused']")
    await here.doing(do="plan", option="engineer", what="refused")
    assert len([do for _, do in here.done if do.do == "plan"]) == 3
    read = await click("[data-key='notice/message/1']")
    await expect(page.locator(".notice p")).to_have_text(["Maria: Promise no date."])
    await page.mouse.click(*read)
    await expect(strip).to_have_text("That message has just moved: press again.")
    await page.evaluate("window.later += 700")
    await page.mouse.click(*read)
    await expect(page.locator(".notice")).to_have_count(0)


@staged()
async def test_a_key_meant_for_what_stood_there_before_does_nothing(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await page.locator(".say").wait_for()
    urgent = scenes.PROMPT.model_copy(update={"id": "p4", "title": "Warn once"})
    other = scenes.PLAN.options[0].model_copy(update={"id": "late", "title": "Another option"})
    # In one go, between two frames: what is drawn and what is pressed cannot come in another order.
    await page.evaluate("""() => {
        window.pressed = new MutationObserver(() => {
            for (const code of ['KeyU', 'Digit1'])
                document.dispatchEvent(new KeyboardEvent('keydown', {code, key: code.slice(-1)}));
            window.pressed.disconnect();
        });
        window.pressed.observe(document.getElementById('plan'), {childList: true, subtree: true});
    }""")
    here.hub.show(ROOM, "prompt", urgent)
    here.hub.show(ROOM, "plan", Plan(options=[other]))
    await expect(page.locator(".title")).to_have_text("Warn once")
    await expect(page.locator("#strip")).to_have_text("Option 1 has just changed: press again to confirm.")
    await page.keyboard.press("1")
    await here.doing(do="plan", option="late", what="offered")
    assert {do.what for _, do in here.done if do.do == "prompt"} == {"seen"}


@staged()
async def test_a_key_or_click_for_a_prompt_that_has_gone_answers_not_the_next_one(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await page.locator(".say").wait_for()
    here.hub.drop(ROOM, "prompt")
    await expect(page.locator(".say")).to_have_count(0)
    await page.evaluate("""() => {
        window.pressed = new MutationObserver(() => {
            const used = document.querySelector('.acts button');
            if (!used) return;
            window.pressed.disconnect();
            document.dispatchEvent(new KeyboardEvent('keydown', {code: 'Escape', key: 'Escape'}));
            used.click();
        });
        window.pressed.observe(document.getElementById('card'), {childList: true});
    }""")
    here.hub.show(ROOM, "prompt", scenes.PROMPT.model_copy(update={"id": "p4", "title": "Warn once"}))
    await expect(page.locator("#strip")).to_have_text("This prompt is new: press again to confirm.")
    await here.doing(do="prompt", prompt="p4", what="seen")
    assert {do.what for _, do in here.done if do.do == "prompt"} == {"seen"}


@staged()
async def test_an_answer_that_was_not_sent_is_not_among_the_earlier_prompts_as_given(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    await page.locator(".say").wait_for()
    await here.stop()
    await page.keyboard.press("u")
    await expect(page.locator("#strip")).to_have_text("Not connected: that was not sent.")
    await page.keyboard.press("e")
    await expect(page.locator("#drawer li p").first).to_have_text("04:09 · Influence claim")


@staged()
async def test_a_key_that_bounces_offers_and_keeps_no_answer_of_the_customer(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", script=LATER)
    await page.locator("#plan li").first.wait_for()
    await page.evaluate("""() => {
        window.bounced = new MutationObserver(() => {
            window.bounced.disconnect();
            for (const shiftKey of [false, false, true, false]) {
                document.dispatchEvent(new KeyboardEvent('keydown', {code: 'Digit1', key: '1', shiftKey}));
                window.later += 600;
            }
        });
        window.bounced.observe(document.getElementById('plan'), {childList: true, subtree: true});
    }""")
    await page.keyboard.press("1")
    fee = scenes.PLAN.options[0]
    await here.doing(do="plan", option=fee.id, what="offered")
    offered = fee.model_copy(update={"state": "offered"})
    here.hub.show(ROOM, "plan", Plan(options=[offered, *scenes.PLAN.options[1:]]))
    await expect(page.locator("#strip")).to_have_text("Option 1 was just offered: press again for their answer.")
    await page.evaluate("window.later += 700")
    await page.keyboard.press("1")
    await here.doing(do="plan", option=fee.id, what="accepted")
    assert [do.what for _, do in here.done if do.do == "plan"] == ["offered", "accepted"]


@pytest.mark.parametrize("name", ["Dana [/B]", "..", "CORP\\zoë müller", "50 %? #1", "50%"])
@staged()
async def test_whatever_an_agent_is_called_their_page_has_an_address(here: Stage, name: str) -> None:
    here.hub.show(room_of(name), "call", Call(agent=name, state="waiting"))
    page = await here.page("/agent/50%" if name == "50%" else address_of(name))  # as somebody types it
    await expect(page.locator("#hearing")).to_have_text("Waiting for a call")
    assert here.complaints == []


@staged()
async def test_what_is_on_screen_shifts_nothing_through_a_whole_call(here: Stage) -> None:
    scenes.waiting(here.hub)
    page = await here.page("/agent/dana", height=800)
    await expect(page.locator("#hearing")).to_have_text("Waiting for a call")
    await page.evaluate(SHIFTS)
    course = (scenes.calm, scenes.escalated, scenes.notices, scenes.helped, scenes.behind, scenes.lost, scenes.paused,
              scenes.recovering)  # fmt: skip
    for act in course:
        act(here.hub)
        at_ms = here.hub.latest(ROOM, "health").model_dump()["at_ms"]  # type: ignore[union-attr]
        mark = f"barrier {act.__name__}"
        here.hub.show(ROOM, "line/barrier", Line(speaker="agent", start_ms=at_ms, settled=mark))
        await expect(page.locator("#lines li").filter(has_text=mark)).to_have_count(1)
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shifts = await page.evaluate("window.shifts")
    assert [shift for shift in shifts if "LI" not in shift[1]] == []


@staged()
async def test_a_page_whose_end_is_still_under_way_shifts_nothing_when_it_comes(here: Stage) -> None:
    """Painted while its last button is still to come, as a browser may."""

    page = await here.page("/")
    whole, last = (STATIC / "agent.html").read_text(), '<button id="view"'
    come = asyncio.Event()

    async def cut(route: Route) -> None:
        await route.fulfill(
            body=whole.replace(last, f'<script src="/come.js"></script>{last}'), content_type="text/html"
        )

    async def wait(route: Route) -> None:
        await come.wait()
        await route.fulfill(body="", content_type="text/javascript")

    await page.route("**/agent/dana", cut)
    await page.route("**/come.js", wait)
    await page.goto(f"{here.url}/agent/dana", wait_until="commit")
    await page.locator("#earlier").wait_for()
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    come.set()
    await page.locator("#view").wait_for()
    await page.evaluate(SHIFTS)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert await page.evaluate("window.shifts") == []


@staged()
async def test_size_side_and_keys_are_remembered_and_single_keys_can_be_turned_off(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", width=900)
    await page.locator(".say").wait_for()
    await page.keyboard.press("v")
    for button in ("Text size", "Position on the page", "Position on the page", "Single-key shortcuts"):
        await page.get_by_role("button", name=button).click()
    await page.keyboard.press("Escape")
    await page.reload()
    await page.locator(".say").wait_for()
    assert await page.evaluate("document.documentElement.className") == "text-l side-right"
    assert (await place(page, "#overlay"))[0] > 400
    await page.keyboard.press("u")
    await page.keyboard.press("Escape")  # still leaves what is open, and answers
    await here.doing(do="prompt", what="dismissed")
    assert "used" not in {do.what for _, do in here.done if do.do == "prompt"}


@staged()
async def test_the_overlay_goes_into_a_window_of_its_own_and_comes_back(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", width=900)
    await page.locator(".say").wait_for()
    await page.evaluate("delete window.documentPictureInPicture; window.documentPictureInPicture = undefined")
    async with page.expect_popup() as small:
        await page.keyboard.press("o")
    window = await small.value
    await expect(window.locator(".say")).to_be_visible()
    await window.keyboard.press("u")
    await here.doing(do="prompt", what="used")
    await window.close()
    ontop = await here.page("/agent/dana", width=900)
    await ontop.locator(".say").wait_for()
    await ontop.get_by_role("button", name="Display settings").click()
    async with ontop.context.expect_page() as opened:
        await ontop.get_by_role("button", name="Window of its own").click()
    floating = await opened.value
    await expect(floating.locator(".say")).to_be_visible()
    await expect(floating.locator("#away")).to_have_count(0)
    await floating.keyboard.press("w")
    await here.doing(do="prompt", what="wrong")
    await ontop.get_by_role("button", name="Bring it back").click()
    await expect(ontop.locator(".say")).to_be_visible()
    assert here.complaints == []


@staged()
async def test_in_practice_the_focus_is_never_behind_the_words(here: Stage) -> None:
    scenes.escalated(here.hub)
    here.hub.show(ROOM, "practice", Practice(call="c1", title="A fee", turn=True))
    page = await here.page("/agent/dana", height=640)
    await page.get_by_label("Your answer").wait_for()
    await page.locator("#plan .pick").first.focus()
    passed = []
    while await page.evaluate("document.activeElement.id !== 'fold'"):
        passed.append(
            await page.evaluate("""() => {
            const {x, y, width, height} = document.activeElement.getBoundingClientRect();
            const met = document.elementFromPoint(x + width / 2, y + height / 2);
            return document.activeElement.contains(met);
        }""")
        )
        await page.keyboard.press("Tab")
    assert passed == [True] * 7


@staged()
async def test_a_call_after_a_practice_has_its_whole_page(here: Stage) -> None:
    over = Practice(call="practice-1", title="A fee", over=True, clock="met in 40 s")
    here.hub.show(ROOM, "practice", over)
    page = await here.page("/agent/dana")
    await expect(page.locator("#practice")).to_contain_text("Practice over: A fee")
    here.hub.clear(ROOM)
    scenes.escalated(here.hub)
    await expect(page.locator(".say")).to_be_visible()
    await expect(page.locator("#steps")).to_be_visible()
    here.hub.show(ROOM, "practice", over)
    await expect(page.locator("#practice")).to_contain_text("Practice over: A fee")


@staged()
async def test_the_window_of_its_own_is_not_opened_anew_over_what_is_typed_in_it(here: Stage) -> None:
    scenes.wrapping(here.hub)
    alone = "delete window.documentPictureInPicture; window.name = 'call-assist-overlay';"
    page = await here.page("/agent/dana", script=alone)
    await page.locator("#wrap-note").fill("half a note")
    await page.keyboard.press("Escape")
    loads = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    await page.keyboard.press("o")
    await page.keyboard.press("v")
    await expect(page.locator("#menu")).to_be_visible()
    await expect(page.locator("#wrap-note")).to_have_value("half a note")
    assert loads == []
    tab = await here.page("/agent/dana", script="delete window.documentPictureInPicture")
    await tab.locator("#wrap-note").wait_for()
    async with tab.expect_popup() as opened:
        await tab.keyboard.press("o")
    small = await opened.value
    await small.locator("#wrap-note").fill("half a note")
    small.on("framenavigated", lambda frame: loads.append(frame.url))
    await tab.keyboard.press("o")
    await tab.keyboard.press("v")
    await expect(tab.locator("#menu")).to_be_visible()
    await small.locator("#wrap-note").blur()
    await small.keyboard.press("v")
    await expect(small.locator("#menu")).to_be_visible()
    await expect(small.locator("#wrap-note")).to_have_value("half a note")
    assert loads == []


@staged()
async def test_a_prompt_in_the_window_on_top_is_seen_though_its_tab_is_behind_another(here: Stage) -> None:
    scenes.calm(here.hub)
    page = await here.page("/agent/dana", width=900)
    await page.locator(".chip.calm").wait_for()
    async with page.context.expect_page() as opened:
        await page.keyboard.press("o")
        await page.get_by_role("button", name="Bring it back").wait_for()
    floating = await opened.value
    await page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
    await floating.evaluate("document.hasFocus = () => false")  # the agent works in another program
    scenes.escalated(here.hub)
    await expect(floating.locator(".say")).to_be_visible()
    await here.doing(do="prompt", prompt="p3", what="seen")


@staged()
async def test_a_hidden_page_has_shown_nobody_a_prompt(here: Stage) -> None:
    scenes.escalated(here.hub)
    script = "Object.defineProperty(Document.prototype, 'visibilityState', {configurable: true, get: () => 'hidden'});"
    page = await here.page("/agent/dana", script=script)
    await page.locator(".say").wait_for()
    await page.keyboard.press("h")
    await here.doing(do="help")
    assert [do.do for _, do in here.done] == ["help"]
    await page.evaluate("""() => {
        Object.defineProperty(Document.prototype, 'visibilityState', {get: () => 'visible'});
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    await here.doing(do="prompt", prompt="p3", what="seen")


def test_nothing_moves_when_things_arrive_and_the_focus_stays() -> None:
    async def scene() -> None:
        slots = ["#strip", "#level", "#card", "#next", "#plan", "#steps", ".talk", "footer"]
        async with stage() as here:
            scenes.calm(here.hub)
            page = await here.page("/agent/dana")
            await page.locator(".chip.calm").wait_for()
            await page.locator("#view").focus()
            before = [await place(page, slot) for slot in slots if slot != "#level"]
            scenes.escalated(here.hub)
            here.hub.show(
                ROOM,
                "prompt",
                scenes.PROMPT.model_copy(
                    update={
                        "id": "long",
                        "say": "word " * 60,
                        "title": "title " * 30,
                        "why": ["why " * 60] * 6,
                        "avoid": "no " * 50,
                    }
                ),
            )
            here.hub.show(ROOM, "next", Next(titles=["next " * 40, "more"]))
            here.hub.show(
                ROOM,
                "plan",
                Plan(
                    options=[
                        each.model_copy(update={"title": "option " * 20, "worth": "worth " * 20})
                        for each in scenes.PLAN.options
                    ]
                ),
            )
            here.hub.show(ROOM, "notice/message/1", Notice(kind="message", text="text " * 40, who="Maria"))
            here.hub.show(ROOM, "health", scenes.health(state="behind", lag_ms=4000, text="late " * 50))
            await page.locator(".notice").wait_for()
            await expect(page.locator("#hearing")).to_have_text("Behind 4 s")
            assert [await place(page, slot) for slot in slots if slot != "#level"] == before
            assert await page.evaluate("document.activeElement.id") == "view"
            wide = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1]
            acts = await place(page, ".acts")
            card = await place(page, "#card")
            assert acts[1] + acts[3] <= card[1] + card[3]  # the answers stay inside whatever the text

    play(scene)


LOW = [(380, 600), (380, 660), (340, 700), (380, 760), (720, 450), (1280, 640), (1280, 720), (1280, 768), (1366, 800)]


@pytest.mark.parametrize(("width", "height"), LOW)
def test_in_a_low_window_the_keys_and_a_message_are_seen_and_cover_nothing_of_each_other(
    width: int, height: int
) -> None:
    def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one[1] + one[3] <= other[1] + 1

    async def scene() -> None:
        async with stage() as here:
            scenes.notices(here.hub)
            page = await here.page("/agent/dana", width=width, height=height)
            await expect(page.locator(".notice")).to_be_in_viewport(ratio=1)
            for key in ("#help", "#pause", "#earlier", "#view"):
                await expect(page.locator(key)).to_be_in_viewport(ratio=1)
            assert apart(await place(page, ".notice"), await place(page, "footer"))
            await expect(page.locator(".say")).to_be_in_viewport(ratio=1)
            await page.keyboard.press("r")
            await page.evaluate("scrollTo(0, 10_000)")
            assert apart(await place(page, "#steps"), await place(page, "#talk"))
            assert apart(await place(page, "#talk"), await place(page, "footer"))
            await page.keyboard.press("v")
            await expect(page.locator("#pop")).to_be_in_viewport(ratio=1)

    play(scene)


@pytest.mark.parametrize(("width", "height"), [(380, 600), (720, 450)])
@staged()
async def test_a_message_in_a_low_window_hides_nothing_that_the_focus_comes_to(
    here: Stage, width: int, height: int
) -> None:
    scenes.escalated(here.hub)
    scenes.notices(here.hub)
    page = await here.page("/agent/dana", width=width, height=height)
    await expect(page.locator(".notice")).to_be_visible()
    come = set()
    for _ in range(20):
        await page.keyboard.press("Tab")
        at = page.locator("main .pick:focus, main .steps button:focus")
        if await at.count():
            come.add(await at.get_attribute("data-key"))
            (_, top, _, high), (_, notice, _, _) = await place(page, ":focus"), await place(page, ".notice")
            assert top + high <= notice
    assert {"month", "plan-b"} <= come


@pytest.mark.parametrize(
    ("health", "word", "text"),
    [
        (Health(state="starting"), "Getting ready", ""),
        (Health(state="ok", speakers=["customer"]), "Hearing the caller", ""),
        (Health(state="ok", speakers=["unknown"]), "Hearing one line", ""),
        (Health(state="behind", lag_ms=6200), "Behind 6 s", "Words come late"),
        (
            Health(state="lost", text="No sound from the caller: check the headset."),
            "Sound lost",
            "No sound from the caller",
        ),
        (Health(state="paused"), "Paused", "Nothing is heard or kept"),
    ],
)
@staged()
async def test_how_well_it_is_heard_is_said_honestly(here: Stage, health: Health, word: str, text: str) -> None:
    scenes.escalated(here.hub)
    here.hub.show(ROOM, "health", health)
    page = await here.page("/agent/dana")
    await expect(page.locator("#hearing")).to_have_text(word)
    await expect(page.locator("#strip")).to_contain_text(text)


@staged()
async def test_only_in_a_calm_call_is_there_nothing_to_do(here: Stage) -> None:
    scenes.calm(here.hub)
    page = await here.page("/agent/dana")
    await expect(page.locator("#card")).to_have_text("Nothing to do. Just listen.")
    for level in ("tense", "escalated", "recovering"):
        here.hub.show(ROOM, "level", LevelNow(level=level, score=60, at_ms=42_000, course=[]))
        await expect(page.locator("#level")).to_have_text(level.capitalize())
        await expect(page.locator("#card")).to_have_text("Stay with them. Press H for help.")
    here.hub.show(ROOM, "steps", scenes.STEPS)
    await expect(page.locator("#card")).to_have_text("Next step: Redirect")


@staged()
async def test_whether_a_call_is_kept_and_who_comes_to_help_is_read_whole_in_a_narrow_window(here: Stage) -> None:
    scenes.consent(here.hub)
    page = await here.page("/agent/dana", width=380)
    cut = "(node) => node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight + 1"
    for said, heard, kept, text in (
        ("unknown", True, False, "Not kept: consent not known"),
        ("unknown", True, True, "Kept: consent not known"),
        ("unknown", False, False, "Not heard: consent not known"),
        ("refused", False, False, "Not heard: consent refused"),
        ("granted", True, True, "Kept: consent given"),
    ):
        now = {"consent": said, "heard": heard, "kept": kept, "by": "settings"}
        here.hub.show(ROOM, "consent", ConsentNow.model_validate(now))
        await expect(page.locator("#agreed")).to_have_text(text)
        assert not await page.locator("#agreed").evaluate(cut), text
    for text in (
        "Supervisor is on it",
        "All were asked, seen by Maria",
        "Waiting for help, seen by Maria",
        "Asking Maria, who has seen it",
    ):
        here.hub.show(ROOM, "notice/handled", Notice(kind="handled", text=text))
        await expect(page.locator("#help")).to_have_text(f"H {text}")
        assert not await page.locator("#help span").evaluate(cut), text
    asked = scenes.PLAN.options[2].model_copy(update={"state": "asked", "who": "Dr. Annegret Kramp-Karrenbauer"})
    here.hub.show(ROOM, "plan", Plan(options=[asked]))
    await expect(page.locator("#plan .whose")).to_have_text("asked Dr. Annegret Kramp-Karrenbauer")
    assert not await page.locator("#plan .pick").evaluate(cut), "the option itself goes before who is asked"


@staged()
async def test_how_well_it_is_heard_is_read_whole_beside_a_long_queue_and_a_long_name_makes_nothing_wider(
    here: Stage,
) -> None:
    scenes.lost(here.hub)
    here.hub.show(ROOM, "call", scenes.call(queue="International Billing and Chargebacks"))
    name = "Asking Maximiliane Freifrau von und zu Hohenfels-Sonnenberg"
    here.hub.show(ROOM, "notice/help", Notice(kind="help", text=name))
    for width in (380, 320, 200):
        page = await here.page("/agent/dana", width=width)
        await expect(page.locator("#hearing")).to_have_text("Sound lost")
        await expect(page.locator("#help")).to_have_text(f"H {name}")
        assert not await page.locator("#hearing").evaluate("(node) => node.scrollWidth > node.clientWidth"), width
        assert await page.evaluate("document.documentElement.scrollWidth") == width


@staged()
async def test_the_time_of_the_call_is_whole_at_the_largest_text_in_a_narrow_window(here: Stage) -> None:
    scenes.escalated(here.hub)
    for at_ms, time in ((scenes.NOW, "04:1"), (3_852_000, "1:04:1")):
        here.hub.show(ROOM, "call", scenes.call(at_ms=at_ms))
        here.hub.show(ROOM, "health", scenes.health(at_ms=at_ms, lag_ms=2_500))
        page = await here.page("/agent/dana", width=320, script="localStorage.setItem('size', 'text-xl')")
        await expect(page.locator("#time")).to_have_text(re.compile(time))
        left, _, wide, _ = await place(page, "#time")
        parent, _, room, _ = await place(page, ".top .who")
        assert parent <= left and left + wide <= min(parent + room, 320)
        hearing, _, its, _ = await place(page, "#hearing")
        assert hearing + its <= left
        assert await page.locator("#hearing").evaluate("(node) => node.scrollWidth <= node.clientWidth")


@staged()
async def test_consent_is_asked_for_kept_and_taken_back_by_key(here: Stage) -> None:
    scenes.consent(here.hub)
    page = await here.page("/agent/dana", script=STILL)
    await expect(page.locator("#agreed")).to_have_text("Not kept: consent not known")
    await page.keyboard.press("c")
    await here.doing(do="consent", consent="granted")
    scenes.consent(here.hub, "granted")
    await expect(page.locator("#agreed")).to_have_text("Kept: consent given")
    await page.keyboard.press("n")
    await expect(page.locator("#agreed")).to_have_text("Erases this call: press again")
    await page.keyboard.press("n")  # a bounce
    await page.evaluate("window.later += 700")
    await page.keyboard.press("n")
    await here.doing(do="consent", consent="refused")
    assert [do.consent for _, do in here.done if do.do == "consent"] == ["granted", "refused"]


@staged()
async def test_a_consent_that_was_given_is_taken_back_by_mouse_and_not_by_a_double_click_or_in_the_next_call(
    here: Stage,
) -> None:
    scenes.consent(here.hub, "granted")
    page = await here.page("/agent/dana", script=STILL)
    await page.locator("#refuse").dblclick()
    await expect(page.locator("#agreed")).to_have_text("Erases this call: press again")
    other = scenes.call(call="c2", at_ms=1_000)
    here.hub.show(ROOM, "call", other)
    await page.evaluate("window.later += 700")
    await expect(page.locator("#agreed")).to_have_text("Kept: consent given")
    await page.locator("#refuse").click()
    await page.evaluate("window.later += 700")
    await page.locator("#refuse").click()
    await here.doing(do="consent", consent="refused")
    assert [do.call for _, do in here.done if do.do == "consent"] == ["c2"]


@staged()
async def test_where_consent_is_kept_or_has_gone_nobody_is_asked_once_more(here: Stage) -> None:
    scenes.consent(here.hub, "granted")
    page = await here.page("/agent/dana", script=STILL)
    agreed = page.locator("#agreed")
    await expect(agreed).to_have_text("Kept: consent given")
    await page.keyboard.press("n")
    await expect(agreed).to_have_text("Erases this call: press again")
    await page.keyboard.press("c")
    await expect(agreed).to_have_text("Kept: consent given")
    await page.evaluate("window.later += 700")
    await page.keyboard.press("n")
    await expect(agreed).to_have_text("Erases this call: press again")
    scenes.consent(here.hub, "refused")  # from elsewhere
    await expect(agreed).to_have_text("Not heard: consent refused")
    await here.doing(do="consent", consent="granted")
    assert [do.consent for _, do in here.done if do.do == "consent"] == ["granted"]


@staged()
async def test_a_key_that_was_to_pause_never_ends_the_pause_that_has_just_begun(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", script=STILL)
    await page.locator(".say").wait_for()
    await page.evaluate("""() => {
        const pressed = new MutationObserver(() => {
            pressed.disconnect();
            document.dispatchEvent(new KeyboardEvent('keydown', {code: 'KeyP', key: 'p'}));
            document.getElementById('pause').click();
        });
        pressed.observe(document.getElementById('pause'), {attributes: true});
    }""")
    scenes.paused(here.hub)  # by itself: a card number was asked for
    await expect(page.locator("#strip")).to_have_text("Paused already: press again to resume.")
    resume = page.get_by_role("button", name="Resume", pressed=False)  # not "Resume, pressed": it is to be done
    await expect(resume).to_have_attribute("title", "Nothing is heard or kept until then")
    await page.evaluate("window.later += 700")
    await page.keyboard.press("p")
    await here.doing(do="pause")
    here.hub.show(ROOM, "health", scenes.health(state="no-consent"))  # which consent would end: it can be paused
    await expect(page.locator("#hearing")).to_have_text("Not listening")
    await expect(page.locator("#card")).to_have_text("No consent. Nothing is heard or kept.")
    await page.get_by_role("button", name="Pause for card").click()
    await here.doing(do="pause", on=True)
    assert [do.on for _, do in here.done if do.do == "pause"] == [False, True]


@staged()
async def test_a_step_that_the_words_have_just_ticked_is_not_unticked_by_the_click_that_was_to_tick_it(
    here: Stage,
) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana", script=STILL)
    await page.locator(".say").wait_for()
    await page.evaluate("""() => {
        const ticked = new MutationObserver(() => {
            ticked.disconnect();
            document.querySelector('#steps [data-key=redirect]').click();
        });
        ticked.observe(document.getElementById('steps'), {childList: true});
    }""")
    scenes.recovering(here.hub)
    await expect(page.locator("#strip")).to_have_text("Ticked already: press again to untick it.")
    await page.evaluate("window.later += 700")
    await page.get_by_role("button", name="Redirect").click()
    await here.doing(do="step", step="redirect", done=False)
    assert len([do for _, do in here.done if do.do == "step"]) == 1


@staged()
async def test_a_remedy_that_was_accepted_is_no_call_that_has_turned(here: Stage) -> None:
    scenes.remedied(here.hub)
    page = await here.page("/agent/dana")
    await expect(page.locator("#ring text")).to_have_text("✓5")
    await expect(page.locator("#ring")).to_have_attribute("title", "Remedy accepted after 5 s")
    await expect(page.locator("#ring")).not_to_have_class(re.compile("met"))
    scenes.recovering(here.hub)
    await expect(page.locator("#ring")).to_have_class(re.compile("met"))
    await expect(page.locator("#ring")).to_have_attribute("title", "Calmer after 38 s")


@staged()
async def test_waiting_the_embedded_recogniser_and_the_end_of_a_call(here: Stage) -> None:
    scenes.waiting(here.hub)
    page = await here.page("/agent/dana")
    await expect(page.locator("#hearing")).to_have_text("Waiting for a call")
    await expect(page.locator("#help")).to_be_disabled()
    scenes.calm(here.hub)
    here.hub.show(
        ROOM,
        "call",
        scenes.call(embedded=True, advice="Better: `assist models fetch base.en`"),
    )
    await expect(page.locator("#strip")).to_have_text("Built-in speech recognition: it hears less well.")
    await expect(page.locator("#strip")).to_have_attribute("title", "Better: `assist models fetch base.en`")
    await expect(page.locator("#card")).to_have_text("Nothing to do. Just listen.")
    scenes.ended(here.hub)
    await expect(page.locator("#card")).to_contain_text("Recovered in 58 s")
    await page.get_by_label("Your note on this call").fill("u w 1 h p")  # typed, not pressed
    await page.get_by_role("button", name="Save note").click()
    await here.doing(do="note", text="u w 1 h p")
    await expect(page.locator("#card [role=status]")).to_have_text("Note saved")
    assert {do.do for _, do in here.done} == {"prompt", "note"} or {do.do for _, do in here.done} == {"note"}


@staged()
async def test_a_refusal_outlives_the_next_word_and_goes_by_itself(here: Stage) -> None:
    scenes.escalated(here.hub)
    here.refuses = "Nobody is on duty."
    page = await here.page("/agent/dana", script="window.at = 0; performance.now = () => window.at;")
    await page.locator(".say").wait_for()
    await page.keyboard.press("h")
    await expect(page.locator("#strip")).to_have_text("Nobody is on duty.")
    here.hub.show(ROOM, "next", Next(titles=["barrier"]))
    await expect(page.locator("#next")).to_have_text("Next: barrier")
    await expect(page.locator("#strip")).to_have_text("Nobody is on duty.")
    await page.evaluate("window.at = 5001")
    await expect(page.locator("#strip")).to_have_text("")


@staged()
async def test_a_note_that_is_refused_is_not_called_kept_and_can_be_sent_again(here: Stage) -> None:
    scenes.ended(here.hub)
    here.refuses = "The record is gone."
    page = await here.page("/agent/dana")
    note, state = page.get_by_label("Your note on this call"), page.locator("#card [role=status]")
    await note.fill("Call her on Friday.")
    await page.get_by_role("button", name="Save note").click()
    await expect(state).to_have_text("The record is gone.")
    await expect(note).to_have_value("Call her on Friday.")
    here.refuses = ""
    await page.get_by_role("button", name="Save note").click()
    await expect(state).to_have_text("Note saved")
    await expect(note).to_have_value("")


@staged()
async def test_a_prompt_that_is_being_read_is_not_taken_away_unless_something_urgent_comes(here: Stage) -> None:
    scenes.escalated(here.hub)
    calmer = scenes.PROMPT.model_copy(update={"id": "p4", "tier": "help", "title": "Say it back"})
    page = await here.page("/agent/dana")
    await page.locator(".say").hover()
    here.hub.show(ROOM, "prompt", calmer)
    here.hub.show(ROOM, "next", Next(titles=["barrier"]))
    await expect(page.locator("#next")).to_have_text("Next: barrier")
    await expect(page.locator(".title")).to_have_text("Be the person they can call")
    await page.mouse.move(5, 5)
    await expect(page.locator(".title")).to_have_text("Say it back")
    await page.locator(".say").hover()
    here.hub.drop(ROOM, "prompt")
    here.hub.drop(ROOM, "next")
    await expect(page.locator("#next")).to_have_text("")
    await expect(page.locator(".title")).to_have_text("Say it back")
    here.hub.show(ROOM, "prompt", calmer.model_copy(update={"id": "p5", "tier": "urgent", "title": "Warn once"}))
    await expect(page.locator(".title")).to_have_text("Warn once")


@staged()
async def test_no_words_of_the_caller_stay_under_a_prompt_that_has_gone(here: Stage) -> None:
    scenes.escalated(here.hub)
    page = await here.page("/agent/dana")
    card = page.locator("#card")
    await expect(card.locator("mark")).to_have_text("“I’m going to call my guy”")
    await page.locator(".say").hover()
    here.hub.drop(ROOM, "prompt")
    here.hub.show(ROOM, "next", Next(titles=["barrier"]))
    await expect(page.locator("#next")).to_have_text("Next: barrier")
    await expect(card.locator(".title")).to_have_text("Be the person they can call")  # still being read
    assert "my guy" not in await card.evaluate("(it) => it.outerHTML")
    here.hub.show(ROOM, "health", scenes.health(state="paused"))
    await expect(card).to_have_text("Paused. Nothing is heard or kept.")
    await page.keyboard.press("e")
    await expect(page.locator("#drawer")).to_contain_text("Be the person they can call")
    await expect(page.locator("#drawer")).not_to_contain_text("my guy")


@staged()
async def test_the_focus_stays_where_it_was_when_what_it_was_on_goes(here: Stage) -> None:
    scenes.notices(here.hub)
    page = await here.page("/agent/dana", script=LATER)
    card = page.locator("#card")
    await page.get_by_role("button", name="Mark as read").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_have_count(0)
    await expect(page.locator("#talk")).to_be_focused()
    await card.get_by_role("button", name="Used").focus()
    changed = scenes.PROMPT.model_copy(update={"avoid": "Calm down."})  # the same prompt, drawn again
    here.hub.show(ROOM, "prompt", changed)
    await expect(card).to_contain_text("Calm down.")
    await expect(card.get_by_role("button", name="Used")).to_be_focused()
    urgent = scenes.PROMPT.model_copy(update={"id": "p4", "title": "Warn once"})
    here.hub.show(ROOM, "prompt", urgent)  # not on its button: the next Enter was not meant for it
    await expect(card.locator(".title")).to_have_text("Warn once")
    await expect(card).to_be_focused()
    here.hub.drop(ROOM, "prompt")  # nobody reads it: it goes at once
    await expect(card).to_have_text("Next step: Redirect")
    await expect(card).to_be_focused()
    here.hub.show(ROOM, "prompt", urgent.model_copy(update={"id": "p5"}))
    await card.get_by_role("button", name="Used").focus()
    await page.evaluate("window.later += 500")
    await page.keyboard.press("Enter")
    await here.doing(do="prompt", prompt="p5", what="used")
    scenes.wrapping(here.hub)
    await expect(card.locator("form.wrap")).to_have_count(1)
    await expect(card).to_be_focused()


@staged(beat_s=0.2)
async def test_a_running_figure_is_seen_and_not_read_out(here: Stage) -> None:
    """What a screen reader reads of each live region that shows something, after every change of it."""

    scenes.calm(here.hub)
    page = await here.page("/agent/dana", script=READ_OUT)
    await expect(page.locator("#lag")).to_have_text("0.6 s")
    here.hub.show(ROOM, "health", scenes.health(lag_ms=1200))
    await expect(page.locator("#lag")).to_have_text("1.2 s")
    for lag_ms in (4000, 6000):
        here.hub.show(ROOM, "health", scenes.health(state="behind", lag_ms=lag_ms))
        await expect(page.locator("#hearing")).to_have_text(f"Behind {lag_ms // 1000} s")
    board = await here.page("/board", script=READ_OUT)
    await expect(board.locator("#quiet")).to_contain_text("No calls now")
    for each in (page, board):
        await each.context.set_offline(True)
    await here.stop()
    for each, selector, said in (
        (page, "#strip", "What is shown is old."),
        (page, "#hearing", "Not connected"),
        (board, "#state", "Not connected."),
    ):
        await expect(each.locator(selector)).to_contain_text(said)
    for each, selector in ((page, "#strip"), (board, "#state")):
        await expect(each.locator(selector)).to_contain_text(re.compile(r"([2-9]|\d\d) s ago"))
    heard = [text for each in (page, board) for _, text in await each.evaluate("window.readOut")]
    assert {"Hearing both", "Behind", "What is shown is old.", "Not connected."} <= set(heard)
    assert not [text for text in heard if re.search(r"\d", text)]


def test_a_silent_server_greys_the_page_and_a_lost_one_is_come_back_to_by_itself() -> None:
    async def scene() -> None:
        hub = Hub()
        scenes.escalated(hub)
        async with stage(hub=hub, beat_s=0.2) as here:
            page = await here.page("/agent/dana")
            await page.locator(".say").wait_for()
            await page.context.set_offline(True)
            await page.evaluate("0")
            port = int(here.url.rsplit(":", 1)[1])
            await here.stop()
            await expect(page.locator("#hearing")).to_have_text("Not connected")
            await expect(page.locator("#strip")).to_contain_text("Last heard")
            await expect(page.locator("#overlay")).to_have_class("overlay stale")
            await page.keyboard.press("u")
            await expect(page.locator("#strip")).to_contain_text("that was not sent")
            hub.show(ROOM, "prompt", scenes.PROMPT.model_copy(update={"id": "p9", "title": "Back again"}))
            await page.context.set_offline(False)
            await here.start(port)
            await expect(page.locator(".title")).to_have_text("Back again", timeout=15_000)
            await expect(page.locator("#overlay")).to_have_class("overlay")

    play(scene)
