"""The pages in a real browser, against the real server, with a scripted hub."""
# ruff: noqa: E501

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from overlay.hub import Hub
from overlay.identity import Identity
from overlay.messages import Health, Heard, Line, Next, Notice, Plan, Prompt, Told
from overlay.records import RecordNote
from tests import overlay_scenes as scenes
from tests.overlay_records import Shelf, recorded
from tests.overlay_stage import CHROMIUM, play, stage

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
    pytest.mark.usefixtures("shared_browser"),
]

ROOM = scenes.ROOM
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>&amp;\u202e{{7*7}}"
PAYLOADS = [
    HOSTILE,
    "<svg onload=document.title='owned'>", "<svg><script>document.title='owned'</script></svg>", "<body onload=document.title='owned'>",
    "<iframe srcdoc='<script>parent.document.title=`owned`</script>'></iframe>", "<details open ontoggle=document.title='owned'>x",
    "\"><img src=x onerror=document.title='owned'>", "'-document.title='owned'-'", "</textarea><script>document.title='owned'</script>",
    "</style><script>document.title='owned'</script>", "</title><script>document.title='owned'</script>", "javascript:document.title='owned'",
    "${document.title='owned'}", "{{constructor.constructor(`document.title='owned'`)()}}", "<math><mtext><img src=x onerror=document.title='owned'>",
    "<a href=javascript:document.title='owned'>x</a>", "<style>@import 'javascript:document.title=1'</style>", "<meta http-equiv=refresh content='0;url=javascript:1'>",
    "<form action=javascript:document.title='owned'><button>x", "<input autofocus onfocus=document.title='owned'>", "<img src=`x` onerror=document.title='owned'>",
    "\u2028document.title='owned'\u2029", "<!--><img src=x onerror=document.title='owned'>-->", "<noscript><p title='</noscript><img src=x onerror=document.title=`owned`>'>",
    "<scr\u0000ipt>document.title='owned'</scr\u0000ipt>", "\ufeff<img/src=x/onerror=document.title='owned'>", "“<mark>”<img src=x onerror=document.title='owned'>“",
    "[card number]<img src=x onerror=document.title='owned'>", "=HYPERLINK(\"javascript:1\")", "%3Cscript%3Edocument.title='owned'%3C/script%3E",
]  # fmt: skip
"""What a caller, or a recogniser, might put into a transcript."""


async def place(page: Page, selector: str) -> tuple[float, float, float, float]:
    box = await page.locator(selector).bounding_box()
    assert box is not None, selector
    return box["x"], box["y"], box["width"], box["height"]


def test_the_overlay_shows_the_prompt_why_plan_steps_and_words() -> None:
    async def scene() -> None:
        async with stage() as here:
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

    play(scene)


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
def test_every_key_does_its_one_thing(key: str, wanted: dict[str, object]) -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            page = await here.page("/agent/dana")
            await page.locator(".say").wait_for()
            await page.keyboard.press("Control+" + key)  # the browser's own: must do nothing here
            await page.keyboard.press(key)
            await here.doing(call="c1", **wanted)
            assert len([do for _, do in here.done if getattr(do, "what", "") != "seen"]) == 1

    play(scene)


def test_clicks_do_the_same_and_the_customers_answer_is_kept() -> None:
    async def scene() -> None:
        async with stage() as here:
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
            await page.get_by_role("button", name="Read, take away").click()
            await expect(page.locator(".notice")).to_have_count(0)

    play(scene)


def test_the_same_key_keeps_the_customers_answer_and_shift_with_it_a_no() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.notices(here.hub)  # 1 is offered, 2 accepted, 3 allowed
            page = await here.page("/agent/dana")
            await page.locator(".notice").wait_for()
            await page.keyboard.press("1")
            await here.doing(do="plan", option="fee", what="accepted")
            await page.keyboard.press("Shift+Digit1")
            await here.doing(do="plan", option="fee", what="refused")
            await page.keyboard.press("3")
            await here.doing(do="plan", option="month", what="offered")
            for key in ("2", "Shift+Digit2", "Shift+Digit3"):  # nothing to answer there
                await page.keyboard.press(key)
            await page.keyboard.press("r")
            await expect(page.locator(".notice")).to_have_count(0)
            await page.keyboard.press("h")
            await here.doing(do="help")
            assert len([do for _, do in here.done if do.do == "plan"]) == 3

    play(scene)


def test_a_key_meant_for_what_stood_there_before_does_nothing() -> None:
    async def scene() -> None:
        async with stage() as here:
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
            await expect(page.locator("#strip")).to_have_text("Row 1 has just changed: press again if you mean it.")
            await page.keyboard.press("1")
            await here.doing(do="plan", option="late", what="offered")
            assert {do.what for _, do in here.done if do.do == "prompt"} == {"seen"}

    play(scene)


def test_what_is_on_screen_shifts_nothing_through_a_whole_call() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.waiting(here.hub)
            page = await here.page("/agent/dana", height=800)
            await expect(page.locator("#hearing")).to_have_text("Waiting for a call")
            await page.evaluate("""() => {
                window.shifts = [];
                new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) for (const source of entry.sources)
                        window.shifts.push([entry.value, source.node?.nodeName, source.node?.className ?? source.node?.textContent]);
                }).observe({type: 'layout-shift', buffered: true});
            }""")
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

    play(scene)


def test_size_side_and_keys_are_remembered_and_single_keys_can_be_turned_off() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            page = await here.page("/agent/dana", width=900)
            await page.locator(".say").wait_for()
            await page.keyboard.press("v")
            for button in ("Text size", "Side of the page", "Side of the page", "Single keys"):
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

    play(scene)


def test_the_overlay_goes_into_a_window_of_its_own_and_comes_back() -> None:
    async def scene() -> None:
        async with stage() as here:
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
            await ontop.get_by_role("button", name="How this window looks").click()
            async with ontop.context.expect_page() as opened:
                await ontop.get_by_role("button", name="Keep on top").click()
            floating = await opened.value
            await expect(floating.locator(".say")).to_be_visible()
            await expect(floating.locator("#away")).to_have_count(0)
            await floating.keyboard.press("w")
            await here.doing(do="prompt", what="wrong")
            await ontop.get_by_role("button", name="Bring it back").click()
            await expect(ontop.locator(".say")).to_be_visible()
            assert here.complaints == []

    play(scene)


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
            here.hub.show(ROOM, "notice/message", Notice(kind="message", text="text " * 40, who="Maria"))
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
def test_how_well_it_is_heard_is_said_honestly(health: Health, word: str, text: str) -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            here.hub.show(ROOM, "health", health)
            page = await here.page("/agent/dana")
            await expect(page.locator("#hearing")).to_have_text(word)
            await expect(page.locator("#strip")).to_contain_text(text)

    play(scene)


def test_consent_is_asked_for_kept_and_taken_back_by_key() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.consent(here.hub)
            page = await here.page("/agent/dana")
            await expect(page.locator("#agreed")).to_have_text("Consent not known: heard, but not kept")
            await page.keyboard.press("c")
            await here.doing(do="consent", consent="granted")
            scenes.consent(here.hub, "granted")
            await expect(page.locator("#agreed")).to_have_text("Consent given: this call is kept")
            await page.keyboard.press("n")
            await expect(page.locator("#strip")).to_have_text("N again erases this call and stops listening.")
            await page.keyboard.press("n")
            await here.doing(do="consent", consent="refused")
            assert [do.consent for _, do in here.done if do.do == "consent"] == ["granted", "refused"]

    play(scene)


def test_waiting_the_embedded_recogniser_and_the_end_of_a_call() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.waiting(here.hub)
            page = await here.page("/agent/dana")
            await expect(page.locator("#hearing")).to_have_text("Waiting for a call")
            await expect(page.locator("#help")).to_be_disabled()
            scenes.calm(here.hub)
            here.hub.show(
                ROOM,
                "call",
                scenes.call(embedded=True, advice="Built-in recogniser. Better: assist models fetch base.en"),
            )
            await expect(page.locator("#strip")).to_have_text(
                "Built-in recogniser. Better: assist models fetch base.en"
            )
            await expect(page.locator("#card")).to_have_text("Nothing to do. Just listen.")
            scenes.ended(here.hub)
            await expect(page.locator("#card")).to_contain_text("Recovered in 58 s")
            await page.get_by_label("Your note on this call").fill("u w 1 h p")  # typed, not pressed
            await page.get_by_role("button", name="Keep note").click()
            await here.doing(do="note", text="u w 1 h p")
            assert {do.do for _, do in here.done} == {"prompt", "note"} or {do.do for _, do in here.done} == {"note"}

    play(scene)


def test_a_prompt_that_is_being_read_is_not_taken_away_unless_something_urgent_comes() -> None:
    async def scene() -> None:
        async with stage() as here:
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
            here.hub.show(
                ROOM, "prompt", calmer.model_copy(update={"id": "p5", "tier": "urgent", "title": "Warn once"})
            )
            await expect(page.locator(".title")).to_have_text("Warn once")

    play(scene)


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


def test_words_full_of_markup_stay_words_on_every_page() -> None:
    def hostile(value: Any, n: int) -> Any:
        """Every text of a record replaced by a payload, what decides how it is drawn aside."""
        if isinstance(value, dict):
            fixed = (
                "id",
                "key",
                "call",
                "started_at",
                "level",
                "level_reached",
                "level_at_end",
                "speaker",
                "utterance",
                "signals",
                "ended",
            )
            return {key: each if key in fixed else hostile(each, n + i) for i, (key, each) in enumerate(value.items())}
        if isinstance(value, list):
            return [hostile(each, n + 3 * i) for i, each in enumerate(value)]
        return PAYLOADS[n % len(PAYLOADS)] if isinstance(value, str) else value

    async def scene() -> None:
        shelf = Shelf()
        for n, (name, record) in enumerate(shelf.records.items()):
            shelf.records[name] = hostile(record, n)
        shelf.notes = [
            (Identity(text, "qa"), "2026-11-24-dana-1", RecordNote(kind="comment", text=text)) for text in PAYLOADS
        ]
        async with stage(records=shelf) as here:
            scenes.escalated(here.hub)
            prompt = {
                "id": HOSTILE,
                "label": HOSTILE,
                "title": HOSTILE,
                "say": HOSTILE,
                "avoid": HOSTILE,
                "why": [f"“{text}”" for text in PAYLOADS],
            }
            here.hub.show(ROOM, "prompt", Prompt.model_validate(prompt | {"tier": "help", "shown_at_ms": 0}))
            options = [
                option.model_copy(update={"id": text, "title": text, "worth": text, "who": text})
                for option, text in zip(scenes.PLAN.options, PAYLOADS, strict=False)
            ]
            here.hub.show(ROOM, "plan", Plan(options=options))
            for kind in ("message", "help", "handled", "reading"):
                here.hub.show(ROOM, f"notice/{kind}", Notice(kind=kind, text=HOSTILE, who=HOSTILE))  # type: ignore[arg-type]
            scenes.board(here.hub)
            scenes.reading(here.hub)
            for n, text in enumerate(PAYLOADS):
                line = Line(
                    speaker="customer", start_ms=n, settled=text, tentative=text, marks=[(0, min(9, len(text)))]
                )
                for room in (ROOM, "call/c1"):
                    here.hub.show(room, f"line/x{n}", line)
                here.hub.show("call/c1", f"heard/{n + 10}", Heard(at_ms=n, label=text, evidence=f"“{text}”", rule=text))
                row = scenes.last_row(here.hub, "c1").model_copy(
                    update={
                        "call": f"x{n}",
                        "agent": text,
                        "team": text,
                        "why": text,
                        "quote": text,
                        "in_use": text,
                        "plan": text,
                    }
                )
                here.hub.show("board", f"row/x{n}", row)
            for alert in scenes.ALERTS:
                changed = alert.model_copy(
                    update={
                        "reason": f"“{HOSTILE}”",
                        "agent": HOSTILE,
                        "team": HOSTILE,
                        "action": HOSTILE,
                        "passed": [HOSTILE],
                    }
                )
                here.hub.show("board", f"alert/{alert.call}-{alert.id}", changed)

            async def unharmed(page: Page) -> None:
                await page.evaluate(
                    "new Promise((done) => setTimeout(done))"
                )  # what an image that fails would have started
                assert "owned" not in await page.evaluate("document.title.replace(/[<>].*/s, '')")
                assert await page.locator("img, body script, iframe, body style, [onerror], [onload]").count() == 0

            agent = await here.page("/agent/dana", width=1200)
            await expect(agent.locator(".say")).to_contain_text("<script>")
            await expect(agent.locator("#lines li").filter(has_text="onerror")).not_to_have_count(0)
            for key in ("e", "v"):
                await agent.keyboard.press(key)
            await unharmed(agent)
            board = await here.page("/board", width=1200)
            await expect(board.locator("#rows .row")).to_have_count(7 + len(PAYLOADS))
            await board.locator("[data-call=c1]").click()
            await expect(board.locator("#heard")).to_contain_text("<script>")
            await unharmed(board)
            review = await here.page("/review/2026-11-24-dana-1", width=1200)
            await expect(review.locator("#side")).to_contain_text("<script>")
            await expect(review.locator("#said")).to_contain_text("onerror")
            await unharmed(review)
            assert here.complaints == []

    play(scene)


@pytest.mark.parametrize("path", ["/", "/agent/dana", "/board", "/review", "/trends", "/login"])
def test_a_page_weighs_little(path: str) -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            sizes: dict[str, int] = {}

            async def weigh(route: Route) -> None:
                answer = await route.fetch()
                sizes[route.request.url] = len(await answer.body())
                await route.fulfill(response=answer)

            context = await here.browser.new_context()
            await context.route(lambda url: "/api/" not in url, weigh)
            page = await context.new_page()
            await page.goto(here.url + path)
            await page.wait_for_load_state("load")
            assert len(sizes) > 2 or path == "/login"
            assert sum(sizes.values()) < 150_000, sizes

    play(scene)


def test_two_roles_at_once_see_their_own_and_each_other_act() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.escalated(here.hub)
            scenes.board(here.hub)
            scenes.alerts(here.hub)
            scenes.reading(here.hub)
            agent = await here.page("/agent/dana")
            board = await here.page("/board", width=1440, height=900)
            await expect(board.locator(".need")).to_have_count(3)
            await here.doing(do="alert", alert="a2", what="seen")
            await board.keyboard.press("c")
            await here.doing(do="alert", call="c1", alert="a1", what="claim")
            taken = scenes.ALERTS[0].model_copy(
                update={"state": "claimed", "by": "Maria", "to": "", "claimed_ms": scenes.NOW}
            )
            here.hub.show("board", "alert/c1-a1", taken)
            await expect(board.locator('[data-alert="c1-a1"]')).to_contain_text("You are on it, 0 s")
            await board.get_by_role("button", name="Allow").focus()
            await board.keyboard.press("a")
            await here.doing(do="answer", call="c1", alert="a2", allow=True)
            await board.get_by_role("button", name="Dana: read along").click()
            await here.doing(do="watch", call="c1", on=True)
            await expect(board.locator("#lines li").last).to_contain_text("sort you out")
            await expect(board.locator("#heard li")).to_have_count(3)
            await expect(board.locator("#said-box")).to_be_hidden()
            told = Told(said=[(12_000, "Nobody came on Monday.")], done=["promised: call you back, by Friday"], at_ms=1)
            here.hub.show("call/c1", "told", told)
            await expect(board.locator("#said li")).to_have_text(["00:12 “Nobody came on Monday.”", told.done[0]])
            await board.get_by_placeholder("One short line").fill("You may give her the month.")
            await board.keyboard.press("Enter")
            await here.doing(do="tell", call="c1", text="You may give her the month.")
            here.hub.show(
                ROOM, "notice/message", Notice(kind="message", text="You may give her the month.", who="Maria")
            )
            await expect(agent.locator(".notice")).to_contain_text("Maria: You may give her the month.")
            await board.keyboard.press("Escape")  # leaves the box, then the call
            await board.keyboard.press("Escape")
            await here.doing(do="watch", call="c1", on=False)
            assert {who.role for who, do in here.done if do.do in ("alert", "answer", "tell", "watch")} == {
                "supervisor"
            }

    play(scene)


def test_the_board_puts_the_worst_first_keeps_its_order_and_says_when_all_is_quiet() -> None:
    async def scene() -> None:
        async with stage() as here:
            page = await here.page("/board", width=1440, height=900)
            await expect(page.locator("#quiet")).to_contain_text("No calls yet")
            scenes.board(here.hub)
            await expect(page.locator("#quiet")).to_have_text("All quiet. Nobody needs you.")
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

    play(scene)


def test_an_alerts_life_is_on_its_card_and_its_keys_work_there() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.board(here.hub)
            scenes.alerts(here.hub)
            page = await here.page("/board", width=1440, height=900)
            first = page.locator('[data-alert="c1-a1"]')
            await expect(first).to_contain_text("your turn, goes on in")
            await expect(first).to_contain_text("Olu asked before")
            await expect(page.locator("#duty")).to_contain_text("Maria (you) · has 3 of 3")
            gone_on = scenes.ALERTS[0].model_copy(
                update={"to": "Olu", "passed": ["Maria"], "state": "raised", "by": ""}
            )
            here.hub.show("board", "alert/c1-a1", gone_on)
            await expect(first).to_contain_text("Olu’s turn, goes on in")
            await expect(first).to_contain_text("you asked before")
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
            await mine.get_by_role("button", name="Done").click()
            await mine.get_by_role("button", name="Took over").click()
            await here.doing(do="alert", call="c2", alert="a1", what="resolve", how="took over")
            over = scenes.ALERTS[2].model_copy(update={"state": "resolved", "how": "took over"})
            here.hub.show("board", "alert/c2-a1", over)
            for alert in ("c1-a1", "c1-a2"):
                here.hub.drop("board", f"alert/{alert}")
            await expect(page.locator("#quiet")).to_have_text(
                "All quiet. Nobody needs you. Last: Tom, took over by you."
            )
            assert here.complaints == []

    play(scene)


def test_more_alerts_than_a_person_can_look_at_are_counted_by_tier() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.many_alerts(here.hub)
            page = await here.page("/board", width=1440, height=900)
            await expect(page.locator(".need")).to_have_count(6)
            await expect(page.locator("#more")).to_contain_text("and 6 more calls: 3 help, 3 note.")
            assert await page.locator(".need").first.get_attribute("data-alert") == "c1-a1"
            await page.get_by_role("button", name="Show them").click()
            await expect(page.locator(".need")).to_have_count(12)
            await page.get_by_role("button", name="Show fewer").click()
            await expect(page.locator(".need")).to_have_count(6)

    play(scene)


def test_the_board_is_worked_by_keyboard_alone() -> None:
    async def scene() -> None:
        async with stage() as here:
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

    play(scene)


def test_two_hundred_calls_fit_and_all_of_them_change() -> None:
    async def scene() -> None:
        async with stage() as here:
            scenes.board(here.hub, 200)
            page = await here.page("/board", width=1440, height=900)
            await expect(page.locator("#rows .row")).to_have_count(200)
            for n in range(1, 201):
                row = scenes.last_row(here.hub, f"c{n}")
                here.hub.show("board", f"row/c{n}", row.model_copy(update={"quote": f"turn {n}"}))
            await expect(page.locator('[data-call="c200"]')).to_contain_text("turn 200")
            assert here.complaints == []

    play(scene)


def test_a_record_is_reviewed_by_keyboard() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await expect(page.locator(".masked")).to_have_text("card number")
            await expect(page.locator("#side")).to_contain_text("Dana")
            for key in ("j", "r", "j", "j", "w"):
                await page.keyboard.press(key)
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right", "Wrong"])
            assert [(mark.kind, mark.target, mark.verdict) for _, mark in shelf.marks] == [
                ("signal", "passed.times@u9", "right"),
                ("signal", "tone@241000", "wrong"),
            ]
            await page.keyboard.press("w")
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right"])
            await page.keyboard.press("m")
            await page.keyboard.press("Escape")  # leaves the list of signals, not the record
            await page.keyboard.press("m")
            await page.get_by_label("Which signal").select_option("derogatory")
            await page.get_by_role("button", name="Add").click()
            await expect(page.locator("#side")).to_contain_text("Derogatory")
            missed = shelf.notes[0][2]
            assert (missed.kind, missed.signal, missed.at_ms) == ("missed", "derogatory", 241_000)
            await page.get_by_role("group", name="Took responsibility").get_by_role("radio", name="partly").check()
            await expect(page.locator(".form [role=status]")).to_have_text("Kept")
            assert [(answer.question, answer.answer) for _, answer in shelf.answers] == [("owned", "partly")]
            await page.locator("#record h2").click()
            await page.keyboard.press("n")
            await expect(page.locator("#record h2")).to_have_text("Claim refused twice")
            await expect(page.locator(".flag")).to_contain_text("Contested by Tom")
            assert page.url.endswith("/review/2026-11-24-tom-1")
            await page.keyboard.press("b")
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await page.go_back()
            await expect(page.locator("#record h2")).to_have_text("Claim refused twice")
            assert here.complaints == []

    play(scene)


def test_calls_are_searched_filtered_kept_as_a_view_and_taken_away_as_a_table() -> None:
    async def scene() -> None:
        shelf = Shelf()
        shelf.records["2026-11-24-tom-1"]["root_cause"] = "=Claim, refused"
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#list li")).to_have_count(5)
            async with page.expect_download() as taken:
                await page.get_by_role("button", name="Export list").click()
            table = (await (await taken.value).path()).read_text(encoding="utf-8-sig").splitlines()
            assert len(table) == 6
            assert '"\'=Claim, refused"' in table[2]  # no spreadsheet takes it for a formula
            await page.get_by_role("button", name="More", exact=True).click()
            await page.get_by_label("Root cause", exact=True).fill("late fee")
            await expect(page.locator("#list li")).to_have_count(1)
            await page.get_by_label("From").fill("2026-11-01")
            await page.get_by_role("button", name="Save view").click()
            await page.get_by_label("Name of this view").fill("Late fees")
            await page.keyboard.press("Enter")
            await expect(page.locator("#view")).to_have_value("Late fees")
            await page.reload()
            await expect(page.get_by_label("Root cause", exact=True)).to_have_value("late fee")
            await expect(page.locator("#list li")).to_have_count(1)
            assert str(shelf.asked[-1].since) == "2026-11-01"
            await page.get_by_role("button", name="Forget view").click()
            await expect(page.locator("#list li")).to_have_count(5)
            await page.get_by_label("Level reached").select_option("calm")
            await expect(page.locator("#list li")).to_have_count(1)
            await page.keyboard.press("Escape")
            await page.get_by_label("Search words").fill("nothing like this")
            await expect(page.locator("#found")).to_contain_text("No call fits")
            assert here.complaints == []

    play(scene)


def test_a_word_that_is_clicked_is_heard_and_the_word_that_is_heard_is_marked() -> None:
    async def scene() -> None:
        async with stage(records=recorded()) as here:
            page = await here.page("/review/2026-11-24-dana-1", width=1440, height=900)
            word = page.locator(".w", has_text="guy").first
            await word.click()
            await expect(page.locator(".w.now")).to_have_count(1)
            await expect(page.get_by_role("button", name="Pause")).to_be_visible()
            await page.locator("#record h2").click()
            await page.keyboard.press("Space")
            await expect(page.get_by_role("button", name="Play")).to_be_visible()
            spoken = await word.evaluate("(node) => Number(node.dataset.from) / 1000")
            at = await page.evaluate("document.querySelector('audio').currentTime")
            assert spoken <= at < spoken + 10
            await page.get_by_role("button", name="Speed").click()
            assert await page.evaluate("document.querySelector('audio').playbackRate") == 1.25
            assert (await page.locator(".timeline .voice").first.get_attribute("d") or "").count("M") == 1000
            assert here.complaints == []
            silent = await here.page("/review/2026-11-24-tom-1", width=1440, height=900)
            await silent.locator(".w", has_text="guy").first.click()
            await expect(silent.locator("tr.current")).to_contain_text("call my guy")
            await expect(silent.locator("audio")).to_have_count(0)

    play(scene)


def test_trends_are_plots_with_their_figures_beside_them() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/trends", width=1440, height=900)
            await expect(page.locator(".plot")).to_have_count(5)
            await expect(page.locator(".plot").first.locator("rect.escalated")).to_have_count(
                13
            )  # 12 weeks and the key
            await page.get_by_text("As a table").first.click()
            await expect(page.locator("table").first.locator("tbody tr")).to_have_count(12)
            await page.locator("[name=weeks]").select_option("4 weeks")
            await expect(page.locator(".plot").first.locator("rect.escalated")).to_have_count(5)
            await expect(page.locator(".bars li").first).to_contain_text("Late fee after missed visits")
            assert here.complaints == []

    play(scene)


def test_a_record_that_is_not_there_and_one_without_words_are_said_so() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/review/none", width=1440)
            await expect(page.locator("#record")).to_contain_text("There is no record none")
            page = await here.page("/review/2026-11-20-mei-1", width=1440)
            await expect(page.locator("#record h2")).to_have_text("Line drops")
        async with stage() as here:
            page = await here.page("/review", width=1440)
            await expect(page.locator("#found")).to_contain_text("No records are kept here")

    play(scene)
