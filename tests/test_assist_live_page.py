"""The whole way: real sound, real recogniser, real server, a real browser."""

import asyncio
import json
from pathlib import Path

import pytest
from rich.console import Console

from assist.bench.live import WATCH
from assist.coach.prompting import REPLACEABLE_MS, STALE_MS
from assist.coach.turns import MAX_TURN_MS
from assist.events import LevelChange, PromptEnded, PromptShown, SignalRaised
from assist.live.runs import running_service
from assist.privacy.consent import Consent
from assist.settings import Settings
from assist.sound import DEMO_SOUND
from audio.recording import open_recording
from tests.call_parts import write_parts
from tests.overlay_stage import ARGS, CHROMIUM

MODEL = Path(__file__).parent / "models" / "test-recogniser"
LONGEST_MS = 120_000
"""The call lasts 32 s by its own clock; a busy machine may play it no faster than life."""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")


def where_it_turns(folder):
    """The demo call from the complaint to the apology."""
    return write_parts(folder / "turns.wav", DEMO_SOUND, (23, 55))


async def play(data):
    """The demo call where it turns, six times faster than life, with the agent's page and the board open."""
    from playwright.async_api import async_playwright

    settings = Settings(data=data, port=0, agent="Dana", recogniser="whisper", model=str(MODEL))
    events = []
    async with running_service(settings, Console(quiet=True)) as service, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        complaints = []
        agent = await browser.new_page()
        board = await browser.new_page()
        for page in (agent, board):
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
        await agent.add_init_script(WATCH)
        await agent.goto(f"{service.address}/agent/Dana")
        await board.goto(f"{service.address}/board")
        # Asked before the call: where this process is busy, it hears what a page shows only when the call is over.
        row = asyncio.ensure_future(board.locator(".need").filter(has_text="Dana").first.inner_text(timeout=LONGEST_MS))
        claim = asyncio.ensure_future(board.get_by_role("button", name="Claim").first.click(timeout=LONGEST_MS))
        taken = asyncio.ensure_future(agent.get_by_text("Supervisor is on it").wait_for(timeout=LONGEST_MS))
        await agent.get_by_text("The next call will appear here.").wait_for()
        source = open_recording(where_it_turns(data.parent), agent_channel=0, speed=6.0)
        call, task = service.start(source, consent=Consent.GRANTED, on_event=events.append)
        seen_row, _, _ = await asyncio.gather(row, claim, taken)
        await task
        link = agent.get_by_role("link", name="Open record")
        await link.wait_for()
        drawn = await agent.evaluate("window.promptsSeen()")
        transcript = await agent.locator("body").inner_text()
        review = await browser.new_page()
        await review.goto(f"{service.address}/review/{call}")
        await review.get_by_text("speak to your manager").first.wait_for()
        body = service.store.record(call)
        await browser.close()
    return events, drawn, body, transcript, seen_row, complaints


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return asyncio.run(play(tmp_path_factory.mktemp("data")))


def test_every_prompt_of_the_call_was_drawn_on_the_agents_page(played):
    events, drawn, _, _, _, _ = played
    shown = [event.id for event in events if isinstance(event, PromptShown)]
    assert shown and set(drawn) == set(shown)


def test_the_prompts_came_after_the_words_that_called_for_them(played):
    events, _, _, _, _, _ = played
    said: dict[str, int] = {}
    replaced = {event.at_ms for event in events if isinstance(event, PromptEnded) and event.how == "superseded"}
    for event in events:
        if isinstance(event, SignalRaised):  # as first raised: settled words may put the same finding a little later
            said.setdefault(event.signal.key, event.signal.at_ms)
        if isinstance(event, PromptShown):
            # Words are acted on when what follows cannot change them: at the latest when their turn is over.
            # One that takes the place of another waits until that could be read, while the customer is still speaking.
            latest = REPLACEABLE_MS if event.at_ms in replaced else STALE_MS
            for key in event.signals:
                assert said[key] <= event.at_ms <= said[key] + MAX_TURN_MS + latest


def test_the_board_saw_it_and_the_agent_saw_who_took_it(played):
    _, _, body, _, row, _ = played
    assert "Escalated" in row or "Tense" in row
    moves = [what for alert in body["alerts"] for _, what, _ in alert["course"]]
    assert "claim" in moves


def test_the_record_holds_what_the_pages_showed(played):
    events, _, body, _, _, _ = played
    assert [use["id"] for use in body["prompts"]] == [e.id for e in events if isinstance(e, PromptShown)]
    assert all(use["seen_ms"] is not None for use in body["prompts"])
    levels = [event.level for event in events if isinstance(event, LevelChange)]
    assert [step["level"] for step in body["levels"]] == levels
    assert json.dumps(body)


def test_no_page_complained(played):
    assert played[-1] == []
