"""What people mark in finished calls comes back as labelled calls that `assist eval --marks` counts."""

import asyncio
import re
from pathlib import Path

from typer.testing import CliRunner

from assist.coach.coach import AgentProfile, Coach
from assist.coach.playbook import load_playbook
from assist.commands.main import app
from assist.evaluation.cases import LabelledCall, read_calls
from assist.evaluation.figures import iter_notes
from assist.evaluation.marks import marked_call, marked_calls
from assist.evaluation.scoring import _utterance, evaluate_marks, play_call
from assist.events import CallEnded, CallStarted
from assist.live.session import Session
from assist.records.folding import fold
from assist.records.library import Library
from assist.store.rows import Review
from assist.store.store import open_store
from audio.events import Utterance
from detectors.escalation import Escalation
from detectors.factory import build_detectors
from detectors.rulebook import load_rules
from overlay.identity import Identity
from overlay.records import Marking, RecordNote
from tests.scripted_call import on_stage, said

CALLS = Path(__file__).parent / "data" / "calls"
RULES, BOOK = load_rules(), load_playbook("default")
LEE = Identity("Lee", "quality")


def test_marks_made_on_the_review_page_are_counted_by_eval(tmp_path):
    async def scenario():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.hear(said("the tie your boss wears was a gift from me", 6_000), ms=4_000)
        await stage.end()
        library = Library(stage.service.store)
        signals = stage.service.store.record(stage.call)["signals"]
        [demand] = [signal for signal in signals if signal["id"] == "supervisor_demand"]
        await library.mark(LEE, stage.call, Marking(kind="signal", target=demand["key"], verdict="right"))
        await library.mark(LEE, stage.call, Marking(kind="signal", target=demand["key"], verdict="wrong"))
        await library.note(LEE, stage.call, RecordNote(kind="missed", text="influence claim", at_ms=6_500))
        await library.note(LEE, stage.call, RecordNote(kind="missed", text="something about tone", at_ms=6_500))
        store = stage.service.store
        [call], without = marked_calls(store)
        assert [(turn.text, turn.labels, turn.judged) for turn in call.turns] == [
            ("get me your manager right now", (), ("supervisor_demand",)),
            ("the tie your boss wears was a gift from me", ("influence_claim",), ("influence_claim",)),
        ]
        assert without == 1
        store.close()
        return stage.call

    call = asyncio.run(scenario())
    [database] = tmp_path.rglob("assist.db")
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["eval", "--marks", "--data", str(database.parent), "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "marks in the store: 2 utterances" in result.output
    assert "1 marks stand on no words" in result.output
    listed = CliRunner().invoke(app, ["audit", "--data", str(database.parent)])
    assert re.search(rf"export.*{call[:15]}", listed.output), "the page holds words of the call"
    text = page.read_text()
    assert "the tie your boss wears was a gift from me" in text and "get me your manager right now" in text


def test_a_cleared_mark_says_nothing_and_a_reviewer_overrules_the_agent(tmp_path):
    async def scenario():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.end()
        store = stage.service.store
        [prompt, *_] = store.record(stage.call)["prompts"]
        for n, verdict in enumerate(("wrong", "right")):
            store.review(stage.call, Review(f"2026-11-24T11:00:0{n}", "Lee", "prompt", prompt["id"], verdict)).result()
        [call] = marked_calls(store)[0]
        assert {turn.labels == turn.judged for turn in call.turns} == {True}
        for key in prompt["signals"]:
            store.review(stage.call, Review("2026-11-24T11:01:00", "Lee", "signal", key, "clear")).result()
        assert marked_calls(store) == ([], 0)
        store.close()

    asyncio.run(scenario())


def recorded(call):
    """The record of a written call as this version hears it."""
    turns = call.turns
    log = [CallStarted(0, call.call, "Dana", "", "", "", "2026-11-24T10:00:00+00:00", "x", ("agent", "customer"), {})]
    log += [_utterance(f"t{n}", turn.who, turn.text, turn.start_ms, turn.end_ms) for n, turn in enumerate(turns)]
    log += [event for event in play_call(call, session(call)) if not isinstance(event, Utterance)]
    return fold([*log, CallEnded(turns[-1].end_ms, "hang-up")])


def session(call):
    started = CallStarted(0, call.call, "Dana", "", "", "", "", "test", ("agent", "customer"), {})
    return Session(started, build_detectors(RULES), Escalation(), Coach(BOOK, agent=AgentProfile("Dana")))


def review(kind, target, text, at_ms=None, who="Lee"):
    return Review("2026-11-24T11:00:00", who, kind, target, text, at_ms)


def test_what_this_version_raised_it_finds_again_also_where_it_stands_on_what_was_said_before():
    found, upset = [], 0
    for call in read_calls(CALLS / "independent" / "f.jsonl")[:2]:
        record = recorded(call)
        upset += sum(signal.id == "upset" for signal in record.signals)
        marked, _ = marked_call(record, [review("signal", signal.key, "right") for signal in record.signals])
        found.append(marked)
    result = evaluate_marks(found, session, "marks")
    assert upset and sum(row.hits for row in result.signals) == result.marks > 10
    assert [(row.false, row.missed, row.false_per_10k_words) for row in result.signals] == [(0, 0, None)] * len(
        result.signals
    )
    assert any("no rate of false alarms" in note for note in iter_notes(result))


def test_however_many_rules_prompts_and_people_say_it_a_signal_on_a_line_is_judged_once():
    demand = {"speaker": "customer", "text": "get me your manager, I want your manager", "start": 1.0}
    record = recorded(LabelledCall.model_validate({"call": "x", "turns": [demand]}))
    [signal] = [signal for signal in record.signals if signal.id == "supervisor_demand"]
    other = signal.model_copy(update={"key": "supervisor.of-our-own@t0", "rule": "supervisor.of-our-own"})
    record = record.model_copy(update={"signals": [signal, other], "prompts": []})

    def judged(*reviews):
        call, _ = marked_call(record, reviews)
        return [(turn.labels, turn.judged) for turn in call.turns]

    wrong = [review("signal", each.key, "wrong") for each in (signal, other)]
    assert judged(*wrong) == [((), ("supervisor_demand",))]
    assert judged(*wrong, review("signal", signal.key, "right")) == [(("supervisor_demand",), ("supervisor_demand",))]
    missed = [review("missed", "vulnerable", "hint", 1_500, who) for who in ("Lee", "Quinn", "Quinn")]
    assert judged(*missed) == [(("vulnerable",), ("vulnerable",))]
    assert evaluate_marks([marked_call(record, missed)[0]], session, "marks").marks == 1


def judged(record, *reviews):
    """(labels, judged) of the marked lines, and the number of unusable marks."""
    found, unusable = marked_call(record, reviews)
    return [(turn.labels, turn.judged) for turn in (found.turns if found else ()) if turn.judged], unusable


def test_the_newest_mark_counts_whatever_its_kind_and_a_cleared_one_leaves_the_agents():
    demand = {"speaker": "customer", "text": "get me your manager, I want your manager", "start": 1.0}
    record = recorded(LabelledCall.model_validate({"call": "x", "turns": [demand]}))
    [signal] = [signal for signal in record.signals if signal.id == "supervisor_demand"]
    [prompt] = [prompt for prompt in record.prompts if signal.key in prompt.signals]
    right, wrong = [((each, ("supervisor_demand",))) for each in (("supervisor_demand",), ())]
    missed = review("missed", "supervisor_demand", "", 1_500)
    for reviews, counted in (
        ([("signal", "wrong"), ("prompt", "right")], right),
        ([("prompt", "right"), ("signal", "wrong")], wrong),
        ([("signal", "wrong"), ("prompt", "right"), ("prompt", "clear")], wrong),
    ):
        targets = {"signal": signal.key, "prompt": prompt.id}
        assert judged(record, *(review(kind, targets[kind], text) for kind, text in reviews)) == ([counted], 0)
    assert judged(record, missed, review("signal", signal.key, "wrong")) == ([wrong], 0)
    assert judged(record, review("signal", signal.key, "wrong"), missed) == ([right], 0)
    by_agent = record.model_copy(update={"prompts": [prompt.model_copy(update={"how": "wrong"})]})
    said = [review("signal", signal.key, text) for text in ("right", "clear")]
    assert judged(by_agent) == judged(by_agent, *said) == ([wrong], 0)
    assert judged(by_agent, said[0]) == ([right], 0)


def test_a_mark_on_a_prompt_that_answers_no_signal_is_counted_as_unusable():
    demand = {"speaker": "customer", "text": "get me your manager, I want your manager", "start": 1.0}
    record = recorded(LabelledCall.model_validate({"call": "x", "turns": [demand]}))
    step = record.prompts[0].model_copy(update={"id": "p9", "play": "step-own", "signals": []})
    for how, reviews, unusable in (
        ("wrong", [], 1),
        ("used", [], 0),
        ("expired", [review("prompt", "p9", "wrong")], 1),
        ("wrong", [review("prompt", "p9", "right")], 1),
        ("expired", [review("prompt", "p9", "wrong"), review("prompt", "p9", "clear")], 0),
    ):
        with_step = record.model_copy(update={"prompts": [step.model_copy(update={"how": how})]})
        assert judged(with_step, *reviews) == ([], unusable), (how, reviews)


def test_a_missed_signal_is_on_a_line_of_somebody_who_can_raise_it():
    turns = [{"speaker": "customer", "text": "the tie your boss wears was a gift", "start": 1.0, "end": 4.0}]
    turns += [{"speaker": "agent", "text": "one moment please", "start": 4.2, "end": 6.0}]
    record = recorded(LabelledCall.model_validate({"call": "x", "turns": turns}))
    for name, speaker in (("influence_claim", "customer"), ("calm_down", "agent")):
        found, _ = marked_call(record, [review("missed", name, "", 4_500)])
        assert [turn.speaker for turn in found.turns if turn.judged] == [speaker]
    assert judged(record, review("missed", "calm_down", "", 1_500)) == ([], 1)


def test_eval_of_nothing_says_what_it_wants():
    result = CliRunner().invoke(app, ["eval"])
    assert result.exit_code != 0 and "--marks" in result.output


def test_where_nobody_has_marked_anything_it_is_said(tmp_path):
    open_store(f"sqlite:///{tmp_path / 'assist.db'}").close()
    result = CliRunner().invoke(app, ["eval", "--marks", "--data", str(tmp_path)])
    assert result.exit_code == 0 and "Nobody has marked anything yet" in result.output
