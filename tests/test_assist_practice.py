"""Practice: the customer softens or rises with what the trainee does, in text, on the page, and aloud."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from assist.coach.playbook import load_playbook
from assist.commands.main import app
from assist.errors import AssistError
from assist.events import (
    AlertRaised,
    CallEnded,
    PlanMoved,
    PromptShown,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
)
from assist.live.loading import load_hearing
from assist.practice.feedback import feedback, tables
from assist.practice.practice import END_OF_TURN_MS, MAX_TURNS, SUPERVISOR_ANSWER_MS
from assist.practice.run import new_practice_call, page_of
from assist.practice.script import list_scripts, load_script
from assist.screens.rooms import room_of
from assist.settings import Settings
from assist.wording import clock
from audio.events import Hypothesis, Speaker, Utterance, Word
from audio.recording import open_recording
from detectors.factory import ModelError
from detectors.signals import Evidence, LevelChange, Severity, Signal
from overlay.doing import DoHelp, DoPlan, DoSay, DoStep
from overlay.errors import OverlayError
from overlay.identity import Identity
from tests.call_parts import write_parts
from tests.overlay_stage import ARGS, CHROMIUM, LATER

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "tests" / "models" / "test-recogniser"
SOFT = [
    "I am so sorry this happened. I understand how you feel.",
    "I will take care of it myself.",
    "I can waive the fee right now.",
    "I will call you back tomorrow at ten.",
]
HARD = ["Our records show that somebody was there.", "Please calm down.", "That is our policy.", "That is our policy."]


def played(name, answers, **chosen):
    """The practice call after these answers; who runs out of them leaves."""
    left = list(answers)
    call = new_practice_call(
        load_script(name), Settings(data=Path("unused"), agent="Trainee", **chosen), lambda event: None
    )

    async def ask():
        return left.pop(0) if left else None

    asyncio.run(call.in_text(ask))
    return call


def lines_of(call):
    return [line.id for _, line in call.practice.said]


@pytest.mark.parametrize("name", list_scripts())
def test_every_shipped_call_can_be_turned_and_can_be_lost(name):
    ends = [line for line in load_script(name).lines if line.end]
    won = played(name, SOFT * 4)
    lost = played(name, HARD * 6)
    assert won.practice.over and lost.practice.over
    assert not won.practice.line.raised and won.practice.line in ends
    assert lost.practice.line in ends and lost.practice.line != won.practice.line
    assert len(lines_of(lost)) != len(lines_of(won)) or lines_of(lost) != lines_of(won)


def test_feedback_says_which_words_did_which_step_and_what_is_left():
    call = played("missed-visit", [HARD[0], *SOFT])
    told = feedback(call.events, call.practice.playbook)
    words = {step.title: step.words for step in told.steps}
    assert words["Just calm"].startswith("I am so sorry") and words["Empathize"].startswith("I understand")
    assert told.clock.startswith("calmer ") and told.prompts
    call = played("missed-visit", HARD)
    told = feedback(call.events, call.practice.playbook)
    assert all(step.done_ms is None and step.could_say for step in told.steps)
    assert ("Calm down", "calm down") in [(what, words) for _, what, words in told.missteps]
    assert "calmer" in told.clock and "goal" not in told.clock
    assert len(tables(told)) >= 4


def test_a_call_that_escalates_twice_is_told_how_long_each_took(tmp_path):
    angry = [
        "This is bullshit. I am calling my guy. I want to speak to your manager right now.",
        "You are an idiot. I am cancelling. You will hear from my lawyer.",
    ]
    soft = "Okay. Thank you. I appreciate that, that is fine, that works for me."
    said = [*angry, soft, soft, soft, "What? I want to speak to your manager right now.", *[soft] * 7]
    lines = [f'[[line]]\nid = "l{n}"\nsay = "{say}"\nraised = {str(say != soft).lower()}' for n, say in enumerate(said)]
    script = tmp_path / "twice.toml"
    script.write_text("\n".join(['id = "twice"\ntitle = "Twice"\nabout = "x"', *lines, "end = true"]))
    call = played(str(script), ["let me look " * 40] * 5 + [" ".join(SOFT[:2])] * 14)
    runs = [event for event in call.events if isinstance(event, Recovery)]
    assert [run.what for run in runs] == ["started", "missed", "missed", "started", "met"]
    first, second = (clock(run.at_ms) for run in runs if run.what == "started")
    assert feedback(call.events, call.practice.playbook).clock == (
        f"not calmer within 60 s of {first}, when it escalated; "
        f"calmer {runs[-1].took_ms / 1000:.0f} s after it escalated at {second} (goal 60 s)"
    )


def test_what_could_be_said_is_said_by_the_trainee():
    call = played("charged-twice", HARD[:1], playbook="disaster")
    lines = [step.could_say for step in feedback(call.events, call.practice.playbook).steps]
    assert any("I'm Trainee." in line for line in lines) and not any("{" in line for line in lines)


def test_an_escalation_whose_words_were_withdrawn_has_no_clock():
    runs = [Recovery(1_000, "started", 60_000), Recovery(3_000, "stopped", 60_000, 2_000)]
    for ended_ms, says in ((9_000, "never started"), (3_000, "escalated at 00:01 and ended before")):
        assert says in feedback([*runs, CallEnded(ended_ms, "hang-up", {})], load_playbook("default")).clock


def test_a_call_that_is_kept_calm_has_no_clock_and_its_steps_count():
    call = played("missed-visit", SOFT)
    told = feedback(call.events, call.practice.playbook)
    assert "never started" in told.clock
    words = {step.title: step.words for step in told.steps}
    assert words["Just calm"].startswith("I am so sorry") and words["Plan B"]


def test_who_leaves_is_told_as_well_and_the_same_answers_give_the_same_call():
    call = played("charged-twice", HARD[:1])
    assert len(call.practice.said) == 2 and call.events[-1].reason == "interrupted"
    assert feedback(call.events, call.practice.playbook).steps
    again = played("charged-twice", HARD[:1])
    assert [event for event in again.events[1:]] == [event for event in call.events[1:]]


@settings(max_examples=10)
@given(st.lists(st.sampled_from([*SOFT, *HARD, "hm", "I can't say", "What would help you?"]), max_size=MAX_TURNS + 5))
def test_any_answers_come_to_an_end_and_time_runs_forward(answers):
    call = played("passed-around", answers)
    heard = [event for event in call.events if isinstance(event, Utterance)]
    assert all(a.end_ms <= b.start_ms for a, b in zip(heard, heard[1:], strict=False))
    assert len(call.practice.said) <= MAX_TURNS
    assert {event.speaker for event in heard} <= {Speaker.AGENT, Speaker.CUSTOMER}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("to = \"tell\"", "to = \"tall\""), "no line 'tall'"),
        (("did = [\"ownership\"]", "did = [\"owning\"]"), "'owning' is none of"),
        (("end = true", "end = false"), "the call would never end"),
        (("id = \"thanks\"", "id = \"who\""), "stands twice"),
        (("[[line]]", "[[lines]]"), "line: missing: expected it here"),
        (("raised = true", "shout = true"), r"line\.not-true\.shout: unknown key: expected one of id, say, raised, "),
        (("All right. Thank you for sorting it out. Goodbye.", "  "), r"line\.thanks\.say: empty: exp"),
        (("raised = true", "raised = "), "not valid TOML"),
        (("aim = ", "goal = "), "goal: unknown key: expected one of id, title, about, aim, caller, line"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_script_that_does_not_hold_together_is_one_clear_line(change, says, tmp_path):
    text = (ROOT / "assist" / "practice" / "calls" / "missed-visit.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace(*change))
    with pytest.raises(AssistError, match=says) as caught:
        load_script(str(mine))
    assert (
        "mine.toml" in str(caught.value) and "\n" not in str(caught.value).replace("\n", "", 0).split(": not valid")[0]
    )


def test_an_unknown_call_names_the_known_ones(tmp_path):
    with pytest.raises(AssistError, match="expected charged-twice, missed-visit, passed-around, or a .toml file"):
        load_script("nothing")
    with pytest.raises(AssistError, match="No such file"):
        load_script(str(tmp_path / "gone.toml"))


def run(*arguments, home, said=""):
    return subprocess.run(
        [sys.executable, "-m", "assist", "practice", *map(str, arguments)],
        input=said,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1",
             "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""},
    )  # fmt: skip


def test_the_command_plays_a_call_in_text_and_stores_nothing(tmp_path):
    data = tmp_path / "data"
    said = "\n".join([f"{HARD[0]} \udce9", *SOFT, ""])  # a byte that is no text
    answer = run("missed-visit", "--data", data, home=tmp_path, said=said)
    assert answer.returncode == 0, answer.stderr
    for text in ("Caller    Hello. An engineer", "▲ Escalated", "▶ say", "✓ Empathize", "Recovery: calmer", "is kept"):
        assert text in answer.stdout, text
    assert "granted" not in answer.stdout and "consent" not in answer.stdout and "trouble" not in answer.stdout
    assert not data.exists()
    assert "charged-twice" in CliRunner().invoke(app, ["practice", "--data", str(data)]).output
    wrong = CliRunner().invoke(app, ["practice", "no-such", "--data", str(data)])
    assert isinstance(wrong.exception, AssistError) and not data.exists()


DEMO = ROOT / "assist" / "demo" / "call.ogg"
GREETING = (0, 7)
APOLOGY = (47.4, 54.5)
OWNERSHIP = (57.8, 63)
"""Seconds of the sample call in which the agent says so."""
SPOKEN = ["--page", "--port", "0", "--recogniser", "whisper", "--model", str(MODEL), "--recording"]


def spoken(folder, *spans):
    """A recording of these parts of the sample call."""
    return write_parts(folder / "spoken.wav", DEMO, *spans)


@pytest.mark.parametrize(
    ("arguments", "at", "code", "says"),
    [([], "You: ", 0, "Recovery: the call"), (SPOKEN, "Enter closes it", 130, "Level: ")],
    ids=["while answering", "at the page's end"],
)
@pytest.mark.usefixtures("on_a_terminal")
def test_ctrl_c_in_a_terminal_leaves_at_once_and_the_feedback_is_told(arguments, at, code, says, tmp_path):
    pty = pytest.importorskip("pty")
    arguments = [*arguments, str(spoken(tmp_path, GREETING))] if arguments else []
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "assist", "practice", "missed-visit", "--data", str(tmp_path), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "COLUMNS": "200", "NO_COLOR": "1",
             "XDG_CONFIG_HOME": ""},
    )  # fmt: skip
    os.close(theirs)
    told, pressed = b"", False
    try:
        while select.select([terminal], [], [], 120)[0]:
            try:
                told += os.read(terminal, 4096)
            except OSError:  # the other side is closed
                break
            if not pressed and at.encode() in told:
                process.send_signal(signal.SIGINT)
                pressed = True
        assert process.wait(10) == code, told.decode()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert pressed and says in told.decode()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
def test_the_trainee_can_answer_on_the_agents_page(tmp_path):
    from playwright.async_api import async_playwright, expect

    async def scene():
        chosen = Settings(data=tmp_path, port=0, agent="Trainee")
        call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
        complaints = []
        async with page_of(call, chosen, print) as address, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            page = await browser.new_page(viewport={"width": 380, "height": 760})
            page.on("console", lambda each: complaints.append(each.text) if each.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(address)
            playing = asyncio.create_task(call.in_text(call.replies.get))
            field = page.get_by_label("Your answer")
            for said in [HARD[0], *SOFT]:
                await expect(page.locator("#practice [role=status]")).to_have_text("Your turn")
                turns = len(call.practice.said)
                await field.fill(said)
                await field.press("Enter")
                await expect(field).to_have_value("")
                await expect(page.locator("#lines li")).to_have_count(min(2 * turns + 1, 40))
            await asyncio.wait_for(playing, 20)
            call.update_page(feedback(call.events, call.practice.playbook))
            await expect(page.locator("#practice")).to_contain_text("✓ Empathize “I understand")
            await expect(page.locator("#practice")).to_contain_text("none of it is kept")
            await browser.close()
        return call, complaints

    call, complaints = asyncio.run(scene())
    assert complaints == []
    assert any(isinstance(event, PromptShown) for event in call.events)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
def test_the_page_has_room_for_an_answer_keeps_the_feedback_and_takes_the_next_practice(tmp_path):
    from playwright.async_api import async_playwright, expect

    covered = """(node) => [...node.querySelectorAll("input, button, li")].filter((each) => {
        each.scrollIntoView({block: "nearest"});
        const box = each.getBoundingClientRect();
        return !each.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
    }).length"""

    async def scene():
        chosen = Settings(data=tmp_path, port=0, agent="Trainee", supervisor="Maria", playbook="jerk")
        call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            page = await browser.new_page(viewport={"width": 380, "height": 560})
            await page.add_init_script(LATER)
            async with page_of(call, chosen, print) as address:
                await page.goto(address)
                playing = asyncio.create_task(call.in_text(call.replies.get))
                status = page.locator("#practice [role=status]")
                await expect(status).to_have_text("Your turn")
                await expect(page.locator("#consent")).to_be_hidden()
                shown = await page.locator("#time").inner_text()
                await page.evaluate("window.later += 3000")
                await page.get_by_label("Your answer").click()
                assert await page.locator("#practice").evaluate(covered) == 0
                await page.keyboard.type(HARD[1])
                await expect(page.locator("#time")).to_have_text(shown)  # of the call, not of whoever types
                await page.keyboard.press("Enter")
                await expect(page.locator(".title")).not_to_have_count(0)
                await page.get_by_label("Your answer").fill("half of an answer")
                call.replies.put_nowait(None)
                await playing
                call.update_page(feedback(call.events, call.practice.playbook))
                await expect(page.locator("#practice h2")).to_contain_text("The engineer who never came")
                await expect(page.locator("#hearing")).to_have_text("Call ended")
                assert await page.locator("#practice").evaluate(covered) == 0
                told = await page.locator("#practice").inner_text()
                step = DoStep(do="step", call=call.call, step=call.practice.playbook.steps[0].id, done=True)
                await call.do(Identity("Trainee", "agent"), step)
                await page.reload()
                await expect(page.locator("#practice h2")).to_be_visible()
                assert await page.locator("#practice").inner_text() == told
            port = int(address.split(":")[2].split("/")[0])
            chosen = chosen.model_copy(update={"port": port})
            call = new_practice_call(load_script("charged-twice"), chosen, lambda event: None)
            async with page_of(call, chosen, print):
                playing = asyncio.create_task(call.in_text(call.replies.get))
                await expect(page.locator("#practice")).to_contain_text(call.practice.script.about)
                await page.get_by_label("Your answer").fill("half of an answer")
                call.replies.put_nowait(None)
                await playing
            call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
            async with page_of(call, chosen, print):
                playing = asyncio.create_task(call.in_text(call.replies.get))
                await expect(page.locator("#practice")).to_contain_text(call.practice.script.about)
                await expect(page.get_by_label("Your answer")).to_have_value("")
                await page.keyboard.press("e")
                await expect(page.locator("#drawer")).to_contain_text("None in this call")
                call.replies.put_nowait(None)
                await playing
            await browser.close()

    asyncio.run(scene())


def test_what_is_no_practice_is_refused(tmp_path):
    call = new_practice_call(load_script("missed-visit"), Settings(data=tmp_path, agent="Trainee"), lambda event: None)
    who = Identity("Trainee", "agent")
    call.publish(call.practice.begin())
    with pytest.raises(OverlayError, match="your turn in a moment"):
        asyncio.run(call.do(who, DoSay(do="say", call="practice", text="hello")))
    with pytest.raises(OverlayError, match="answer the customer"):
        asyncio.run(call.do(who, DoHelp(do="help", call="practice")))


def answered(tmp_path, says, *, raised=False, **chosen):
    """A practice call after one such line of the customer's: it is the trainee's turn."""
    script = tmp_path / "one.toml"
    line = '[[line]]\nid = "{}"\nsay = "{}"\nraised = {}\n'
    said = line.format("a", says, str(raised).lower()) + line.format("b", "Bye.", "false")
    script.write_text(f'id = "one"\ntitle = "One"\nabout = "x"\n{said}end = true\n')
    call = new_practice_call(
        load_script(str(script)), Settings(data=tmp_path, agent="Trainee", **chosen), lambda event: None
    )
    call.publish(call.practice.begin())
    call.publish(call.practice.advance_to_trainee())
    return call


def test_a_cue_in_a_long_line_counts_and_is_answered_when_it_is_said(tmp_path):
    call = answered(tmp_path, "I want to speak to your manager right now. " + "and it was in the box in the hall " * 8)
    [rise] = [event for event in call.events if isinstance(event, LevelChange)]
    [line] = [event for event in call.events if isinstance(event, Utterance)]
    assert rise.at_ms < 5_000 < 15_000 < line.end_ms
    assert [event.play for event in call.events if isinstance(event, PromptShown)] == ["supervisor-demand"]


def test_a_raised_voice_counts_while_the_line_is_said(tmp_path):
    call = answered(tmp_path, "hm " * 40, raised=True)
    heard = next(event for event in call.events if isinstance(event, SignalRaised))
    [line] = [event for event in call.events if isinstance(event, Utterance)]
    assert heard.signal.id == "raised_voice" and heard.signal.evidence.start_ms == line.start_ms
    assert heard.at_ms - line.start_ms < 2_000 < 10_000 < line.end_ms


def said_at(start_ms, text, name="a1"):
    words = tuple(Word(each, start_ms + 300 * n, start_ms + 300 * n + 280) for n, each in enumerate(text.split()))
    return Utterance(name, Speaker.AGENT, start_ms, words[-1].end_ms, words)


def test_words_that_are_recognised_late_answer_the_line_after_which_they_were_said(tmp_path):
    practice = new_practice_call(load_script("missed-visit"), Settings(data=tmp_path), lambda event: None).practice
    practice.begin()
    practice.advance_to_trainee()
    now = practice.now_ms
    practice.hear(Hypothesis("a1", Speaker.AGENT, now + 500, said_at(now + 500, "well").words, ()))
    practice.advance(now + END_OF_TURN_MS + 500)
    assert not practice.is_trainees_turn  # by what was recognised so far the customer is about to go on
    practice.hear(said_at(now + 500, "I am so sorry"))
    practice.advance_to_trainee()
    assert [line.id for _, line in practice.said] == ["open", "tell"]
    practice.hear(said_at(now + 2_000, "That is our policy", "a2"))
    last = practice.now_ms + 500
    practice.hear(said_at(last, "hm", "a3"))
    practice.advance(last + END_OF_TURN_MS + 500)
    practice.advance_to_trainee()
    assert [line.id for _, line in practice.said] == ["open", "tell", "still-angry"]


def test_an_answer_that_begins_in_the_customers_last_words_is_answered(tmp_path):
    practice = new_practice_call(load_script("missed-visit"), Settings(data=tmp_path), lambda event: None).practice
    practice.begin()
    practice.advance_to_trainee()
    early = said_at(practice.now_ms - 250, "I am so sorry this happened")
    practice.advance(early.end_ms)
    practice.hear(early)
    practice.advance(early.end_ms + END_OF_TURN_MS + 500)
    practice.advance_to_trainee()
    assert [line.id for _, line in practice.said] == ["open", "tell"]


def test_a_wrong_move_that_two_findings_tell_of_is_told_once(tmp_path):
    call = answered(tmp_path, "Hello, my line is down.")
    call.publish(call.practice.reply("Please calm down. " + "I look at it and it is in the box. " * 4))
    call.publish(call.practice.reply("Please calm down."))
    found = [event.signal.id for event in call.events if isinstance(event, SignalRaised)]
    assert found.count("calm_down") == 2  # the rule's and the sentence model's
    assert [words for _, _, words in feedback(call.events, call.practice.playbook).missteps] == ["calm down"]


def test_a_wrong_move_that_was_misheard_is_not_told():
    evidence = Evidence(500, 900, "calm down", "a1", 1, 2)
    found = Signal("calm_down", "r", "1", Speaker.AGENT, 900, 0.9, Severity.NOTE, evidence)
    told = feedback([SignalRaised(900, found), SignalWithdrawn(2_000, found.key)], load_playbook("default"))
    assert told.missteps == ()


def plan(call, what, option):
    asyncio.run(call.do(Identity("Trainee", "agent"), DoPlan(do="plan", call=call.call, option=option, what=what)))


def test_an_option_is_asked_for_by_its_name_and_only_what_may_be_given_is(tmp_path):
    call = answered(tmp_path, "I want to cancel my contract. You will hear from my lawyer.")
    with pytest.raises(OverlayError, match="One month free: that is above your limit"):
        plan(call, "accepted", "month-credit")
    with pytest.raises(OverlayError, match="no option 'gold'"):
        plan(call, "offered", "gold")
    plan(call, "asked", "month-credit")
    [alert] = [event for event in call.events if isinstance(event, AlertRaised) and event.kind == "ask"]
    assert alert.reason == "Trainee asks to give: One month free"


def test_what_is_asked_for_is_allowed_by_a_supervisor_of_the_practice(tmp_path):
    call = answered(tmp_path, "I want to cancel my contract. You will hear from my lawyer.", supervisor="Maria")
    plan(call, "asked", "month-credit")
    notice = call.hub.latest(room_of("Trainee"), "notice/answer/month-credit")
    assert notice.text == "Practice supervisor: yes, give it (One month free)"
    plan(call, "offered", "month-credit")
    [asked] = [event.at_ms for event in call.events if isinstance(event, AlertRaised) and event.kind == "ask"]
    [allowed] = [event.at_ms for event in call.events if isinstance(event, PlanMoved) and event.what == "allowed"]
    assert allowed - asked == pytest.approx(SUPERVISOR_ANSWER_MS, abs=500) and call.practice.is_trainees_turn

    aloud = answered(tmp_path, "I want to cancel my contract. You will hear from my lawyer.")
    aloud.by_voice = True
    plan(aloud, "asked", "month-credit")
    with pytest.raises(OverlayError, match="One month free: that is above your limit"):
        plan(aloud, "offered", "month-credit")
    aloud.publish(aloud.practice.advance(aloud.practice.now_ms + SUPERVISOR_ANSWER_MS + 500))
    plan(aloud, "offered", "month-credit")


def test_without_the_sentence_model_in_the_settings_practice_is_not_judged_by_it(tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.factory.shipped_model", lambda: 1 / 0)
    chosen = Settings(data=tmp_path, agent="Trainee")
    with pytest.raises(ModelError):
        new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
    new_practice_call(load_script("missed-visit"), chosen.model_copy(update={"meaning": False}), lambda event: None)


def test_the_trainees_own_limits_count():
    call = new_practice_call(
        load_script("missed-visit"), Settings(authorities={"Ann": "lead"}, agent="Ann"), lambda event: None
    )
    assert call.practice.session.coach.agent.role == "lead"


def test_who_is_asked_is_named_as_in_the_settings():
    call = played("charged-twice", HARD[:3], supervisor="Maria")
    plan = call.hub.latest(room_of("Trainee"), "plan")
    assert [option.who for option in plan.options if option.authority == "ask"] == ["Maria"]


def test_a_second_answer_to_the_same_line_is_refused(tmp_path):
    call = new_practice_call(load_script("missed-visit"), Settings(data=tmp_path, agent="Trainee"), lambda event: None)

    async def scene():
        call.publish(call.practice.begin())
        call.publish(call.practice.advance_to_trainee())
        said = DoSay(do="say", call=call.call, text="I am sorry.")
        await call.do(Identity("Trainee", "agent"), said)
        with pytest.raises(OverlayError, match="your turn in a moment"):
            await call.do(Identity("Trainee", "agent"), said)

    asyncio.run(scene())


def test_aloud_the_trainees_own_words_move_the_call(tmp_path):
    chosen = Settings(data=tmp_path, agent="Dana", recogniser="whisper", model=str(MODEL))
    call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
    hearing = load_hearing(chosen, Console(quiet=True))
    try:
        listens = (5.7, 15)  # to the customer
        said = spoken(tmp_path, listens, APOLOGY, listens, OWNERSHIP, listens)
        source = open_recording(said, agent_channel=0, speed=float("inf"))
        asyncio.run(call.aloud(source, hearing.listener, in_step=True))
    finally:
        hearing.close()
    heard = [event for event in call.events if isinstance(event, Utterance)]
    theirs = {event.text for event in heard if event.speaker is Speaker.CUSTOMER}
    assert theirs == {line.say for _, line in call.practice.said}  # the recording's other channel is not listened to
    assert any("sorry" in event.text for event in heard if event.speaker is Speaker.AGENT)
    assert len(call.practice.said) >= 3 and any(isinstance(event, StepTicked) for event in call.events)


def test_aloud_ctrl_c_ends_the_call_and_the_feedback_is_told(tmp_path):
    chosen = Settings(data=tmp_path, agent="Dana", recogniser="whisper", model=str(MODEL))
    call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
    begun = asyncio.Event()

    async def held():
        async for item in open_recording(spoken(tmp_path, GREETING), agent_channel=0, speed=float("inf")):
            yield item
        begun.set()
        await asyncio.Event().wait()  # a microphone goes on

    async def scene(ears):
        playing = asyncio.create_task(call.aloud(held(), ears, in_step=True))
        await begun.wait()
        playing.cancel()  # what asyncio.run does at Ctrl-C
        await playing

    hearing = load_hearing(chosen, Console(quiet=True))
    try:
        asyncio.run(scene(hearing.listener))
    finally:
        hearing.close()
    assert [event.reason for event in call.events if isinstance(event, CallEnded)] == ["interrupted"]
    assert any(isinstance(event, Utterance) and event.speaker is Speaker.AGENT for event in call.events)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
def test_aloud_the_page_takes_no_typed_answer(tmp_path):
    from playwright.async_api import async_playwright, expect

    chosen = Settings(data=tmp_path, port=0, agent="Trainee", recogniser="whisper", model=str(MODEL))
    call = new_practice_call(load_script("missed-visit"), chosen, lambda event: None)
    typed = DoSay(do="say", call="practice", text="hello")

    async def scene(ears):
        source = open_recording(spoken(tmp_path, GREETING), agent_channel=0, speed=float("inf"))
        async with page_of(call, chosen, print) as address, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            page = await browser.new_page(viewport={"width": 380, "height": 760})
            await page.goto(address)
            await call.aloud(source, ears, in_step=True)
            await expect(page.locator("#practice [role=status]")).to_be_visible()
            await expect(page.get_by_label("Your answer")).to_have_count(0)
            await expect(page.locator("#practice")).not_to_contain_text("false")
            with pytest.raises(OverlayError, match="into the microphone"):
                await call.do(Identity("Trainee", "agent"), typed)
            call.update_page(feedback(call.events, call.practice.playbook))
            await expect(page.locator("#practice")).to_contain_text("Practice over")
            await expect(page.locator("#practice")).not_to_contain_text("Tends to make it worse")
            await expect(page.locator("#practice")).not_to_contain_text("false")
            await browser.close()

    hearing = load_hearing(chosen, Console(quiet=True))
    try:
        asyncio.run(scene(hearing.listener))
    finally:
        hearing.close()


def test_the_shipped_playbooks_all_fit_practice():
    for name in ("default", "six-steps"):
        assert load_playbook(name).steps
        call = played("charged-twice", SOFT, playbook=name)
        assert any(step.done_ms is not None for step in feedback(call.events, call.practice.playbook).steps)
