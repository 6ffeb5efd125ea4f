"""All pages together in a real browser: hostile words, weight, two roles at once."""
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from overlay.identity import Identity
from overlay.messages import Heard, Line, Notice, Plan, Prompt, Told
from overlay.records import RecordNote
from tests import overlay_scenes as scenes
from tests.overlay_records import Shelf
from tests.overlay_stage import IN_A_BROWSER, Stage, play, stage, staged

pytestmark = IN_A_BROWSER

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
            here.hub.show(ROOM, "notice/message/1", Notice(kind="message", text=HOSTILE, who=HOSTILE))
            for kind in ("help", "handled", "reading"):
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


@staged()
async def test_two_roles_at_once_see_their_own_and_each_other_act(here: Stage) -> None:
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
    taken = scenes.ALERTS[0].model_copy(update={"state": "claimed", "by": "Maria", "to": "", "claimed_ms": scenes.NOW})
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
    here.hub.show(ROOM, "notice/message/1", Notice(kind="message", text="You may give her the month.", who="Maria"))
    await expect(agent.locator(".notice")).to_contain_text("Maria: You may give her the month.")
    await board.keyboard.press("Escape")  # leaves the box, then the call
    await board.keyboard.press("Escape")
    await here.doing(do="watch", call="c1", on=False)
    assert {who.role for who, do in here.done if do.do in ("alert", "answer", "tell", "watch")} == {"supervisor"}
