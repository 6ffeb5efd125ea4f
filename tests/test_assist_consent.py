"""The gate of a call: what is heard, shown and written under each policy, and what is taken out again."""

import asyncio
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assist.errors import AssistError
from assist.events import Action, AlertRaised, CallEnded, CallStarted, ConsentSet, PromptShown, Recovery, SignalRaised
from assist.live.call_log import CallLog
from assist.privacy.autopause import AutoPause
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.privacy.pauses import AUTO_PAUSE_USER
from assist.records.filing import close_interrupted
from assist.records.page import page
from assist.records.record import read_record
from assist.store.store import open_store
from assist.wording import clock
from audio.events import Speaker, Utterance
from detectors.signals import Evidence, Level, LevelChange, Severity, Signal
from tests.fault_rig import Sound, in_a_child, killed_after
from tests.fault_rig import service as fault_service
from tests.scripted_call import Source, Stage, hits, on_stage, open_service, said, saying, taken_up

CANARY = "marmalade"
BEFORE, DURING, AFTER = "quicksilver", "zanzibar", "tangerine"


def act(stage, what, detail="", role="agent"):
    live = stage.service.calls[stage.call]
    live.act(Action(live.session.now_ms, "Dana", role, what, detail=detail))


@pytest.mark.parametrize(
    ("policy", "consent", "heard", "kept"),
    [
        ("one-party", "unknown", True, True),
        ("all-party", "unknown", True, False),
        ("strict", "unknown", False, False),
        *[(policy, "granted", True, True) for policy in ConsentPolicy],
        *[(policy, "refused", False, False) for policy in ConsentPolicy],
    ],
)
def test_what_is_heard_shown_and_written_follows_policy_and_consent(policy, consent, heard, kept, tmp_path):
    gate = Gate(ConsentPolicy(policy), Consent(consent))
    assert (gate.may_transcribe, gate.may_store) == (heard, kept)

    async def scene():
        stage = await on_stage(tmp_path, consent_policy=policy, consent=consent)
        await stage.hear(said(f"I want my {CANARY} and your manager right now", 0))
        await stage.written()
        shown = any(CANARY in body for body in stage.service.hub.snapshot("agent/Dana").values())
        assert (stage.ears.silent_ms == 0, shown) == (heard, heard)
        now = stage.shown("consent")
        assert (now.consent, now.heard, now.kept) == (consent, heard, kept)
        row = stage.service.hub.latest("board", f"row/{stage.call}")
        state = "ok" if heard else "no-consent"
        assert (row.health, stage.shown("health").state) == (state, state)
        await stage.end()
        ended = stage.shown("ended")
        record = stage.service.store.record(stage.call)
        assert bool(ended.record) == (record is not None) == kept
        if record:
            assert record["consent"] == [{"at_ms": 0, "consent": consent, "by": "settings", "policy": policy}]
        else:
            assert stage.service.store.calls() == [] and stage.service.store.events(stage.call) == []
        assert stage.service.store.gate(stage.call).consent == consent
        await stage.close()

    asyncio.run(scene())
    assert bool(hits(tmp_path, CANARY)) == kept


def test_what_was_said_before_consent_is_not_kept_and_what_comes_after_is(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(said(f"before {BEFORE}", 0))
        act(stage, "consent", "granted")
        await stage.hear(said(f"after {AFTER}", 1_000))
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert [line["text"] for line in record["transcript"]] == [f"after {AFTER}"]
        assert [(step["consent"], step["by"]) for step in record["consent"]] == [("granted", "Dana")]
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE) and hits(tmp_path, AFTER)


def test_the_level_and_the_clock_that_stand_when_consent_comes_are_kept_without_words(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(said(f"I want to cancel my contract today {BEFORE}", 1_000), ms=3_000)
        await stage.hear(said(f"and I will leave a one star review {BEFORE}", 4_000), ms=3_000)
        before = stage.shown("clock")
        await stage.hear(ms=4_000)
        act(stage, "consent", "granted")
        await stage.written()
        assert stage.shown("clock").model_copy(update={"at_ms": before.at_ms}) == before and before.running
        await stage.hear(said(f"so what now {AFTER}", 11_000), ms=2_000)
        await stage.end()
        record = read_record(stage.service.store.record(stage.call))
        [step] = record.levels
        assert (step.at_ms, step.level, step.because) == (record.consent[0].at_ms, "escalated", [])
        assert (record.level_reached, record.level_at_end) == ("escalated", "escalated")
        [run] = record.recovery
        assert (run.started_ms, run.result) == (before.started_at_ms, "stopped")
        assert run.started_ms < step.at_ms and run.took_ms is None
        assert f"the first {clock(step.at_ms)}" in page(record)
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE, "cancel my", "one star") and hits(tmp_path, AFTER)


def test_a_call_that_goes_on_is_at_the_level_at_which_it_was_though_its_words_came_before_consent(tmp_path):
    async def first():
        stage = await on_stage(tmp_path)
        await stage.hear(said("I want to cancel my contract today", 1_000), ms=3_000)
        await stage.hear(said("and I will leave a one star review", 4_000), ms=3_000)
        act(stage, "consent", "granted")
        await stage.hear(ms=15_000)
        await stage.written()
        since = stage.shown("clock").started_at_ms
        await stage.interrupt()
        return stage.call, since

    async def second(call, since):
        stage = await taken_up(tmp_path, call)
        service, heard = stage.service, stage.heard
        assert (service.calls[call].session.escalation.level, stage.shown("level").level) == ("escalated", "escalated")
        assert (stage.shown("clock").running, stage.shown("clock").started_at_ms) == (True, since)
        for _ in range(15):
            await stage.hear()
        assert stage.shown("level").level == "recovering", "it comes down from there by time"
        [run] = [event for event in heard if isinstance(event, Recovery)]
        assert (run.what, run.at_ms - run.took_ms) == ("met", since)
        await stage.end()
        [told] = service.store.record(call)["recovery"]
        assert (told["result"], told["started_ms"], told["took_ms"]) == ("met", since, run.took_ms)
        await service.close()

    asyncio.run(second(*asyncio.run(first())))


def by(stage, who, role, what, target="", detail=""):
    live = stage.service.calls[stage.call]
    live.act(Action(live.session.now_ms, who, role, what, target, detail))


async def alerted_before_consent(folder):
    """A call that escalates, whose agent asks for help and for an option above their limit, and then gets consent."""
    stage = await on_stage(folder, auto_pause=False)
    await stage.hear(ms=7_000)
    await stage.hear(said(f"I am cancelling my contract and get me your manager right now {BEFORE}", 1_000), ms=1_000)
    act(stage, "help")
    by(stage, "Dana", "agent", "plan-asked", "supervisor-joins", "Supervisor joins")
    before = boarded(stage)
    act(stage, "consent", "granted")
    await stage.written()
    assert boarded(stage) == before, "known there already, it is raised no second time"
    return stage


def boarded(stage):
    board = stage.service.hub
    alerts = (board.latest("board", key) for key in board.snapshot("board") if key.startswith("alert/"))
    return {alert.id: (alert.kind, alert.state, alert.again, alert.quote) for alert in alerts}


def test_alerts_that_are_open_when_consent_comes_and_what_is_done_about_them_are_kept_without_words(tmp_path):
    async def scene():
        stage = await alerted_before_consent(tmp_path)
        await stage.hear(said(f"so what now {AFTER}", 9_000), ms=3_000)
        act(stage, "help")
        assert set(boarded(stage)) == {"a1", "a2", "a3"}, "the call for help is still open"
        by(stage, "Sue", "supervisor", "plan-answered", "a3", "allowed go on")
        by(stage, "Dana", "agent", "plan-accepted", "supervisor-joins")
        by(stage, "Sue", "supervisor", "resolve", "a1", "took over")
        await stage.hear()
        await stage.end()
        record = read_record(stage.service.store.record(stage.call))
        told = [(each.id, each.kind, each.reason, each.how) for each in record.alerts]
        assert told == [
            ("a1", "escalated", "The call has escalated", "took over"),
            ("a2", "help", "Dana asks for help", ""),
            ("a3", "ask", "Dana asks to give: Supervisor joins", "answered"),
        ]
        [use] = [use for use in record.plan if use.id == "supervisor-joins"]
        assert (use.authority, use.permission, use.answer) == ("ask", "allowed", "accepted")
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE, "your manager") and hits(tmp_path, AFTER)


def test_alerts_from_before_consent_are_still_open_when_the_call_goes_on(tmp_path):
    async def first():
        stage = await alerted_before_consent(tmp_path)
        await stage.hear()
        await stage.written()
        await stage.interrupt()
        return stage.call

    async def second(call):
        stage = await taken_up(tmp_path, call, auto_pause=False)
        await stage.hear(ms=2_000)
        opened = {name: (kind, state) for name, (kind, state, _, _) in boarded(stage).items()}
        assert opened == {"a1": ("escalated", "raised"), "a2": ("help", "raised"), "a3": ("ask", "raised")}
        act(stage, "help")
        await stage.hear(said("I will sue you", stage.source.end_ms), ms=2_000)
        assert set(boarded(stage)) == {"a1", "a2", "a3"}, "the same requests raise no others"
        by(stage, "Sue", "supervisor", "plan-answered", "a3", "allowed go on")
        await stage.hear()
        await stage.end()
        await stage.close()

    asyncio.run(second(asyncio.run(first())))


def test_words_from_before_consent_that_come_after_it_are_not_kept(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(ms=5_000)
        act(stage, "consent", "granted")
        stage.ears.late = [said(f"before {BEFORE}", 1_000), said(f"my name is {BEFORE} and yes record {AFTER}", 4_000)]
        await stage.hear()
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert [line["text"] for line in record["transcript"]] == [f"and yes record {AFTER}"], "cut where it was given"
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE) and hits(tmp_path, AFTER)


def test_a_threat_from_before_consent_is_not_written_because_the_sentence_goes_on_after_it(tmp_path):
    threat = f"I want your manager {BEFORE} right now"

    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(ms=3_000)
        act(stage, "consent", "granted")
        await stage.hear(saying(f"{threat} and yes you may record", 1_000))
        await stage.hear(said(f"{threat} and yes you may record {AFTER}", 1_000))
        await stage.end()
        [line] = stage.service.store.record(stage.call)["transcript"]
        assert line["text"] == f"and yes you may record {AFTER}"
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE, "your manager") and hits(tmp_path, AFTER)


def test_neither_a_hand_over_nor_an_alert_nor_a_pause_writes_what_was_said_before_consent(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(said(f"my son {BEFORE} was in hospital on Tuesday and you charged me twice", 0), ms=5_000)
        await stage.hear(said(f"this is fucking useless and you never called {DURING}", 5_000), ms=3_000)
        act(stage, "consent", "granted")
        demand = said(f"let me speak to your manager right now I will sue you {AFTER}", 8_100)
        await stage.hear(demand, ms=500)
        assert stage.service.calls[stage.call].session.escalation.level == "escalated", "what was said before counts"
        act(stage, "pause")
        act(stage, "resume")
        await stage.hear(said(f"I waited three weeks for nothing {AFTER}", 12_000), ms=5_000)
        act(stage, "claim", role="supervisor")
        await stage.written()
        log = stage.service.store.raw_events(stage.call)
        assert [body for _, kind, body in log if kind == "HandOffNoted" and AFTER in body]
        await stage.end()
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE, DURING, "fucking") and hits(tmp_path, AFTER)


def test_a_refusal_in_mid_call_erases_what_was_written_and_stops_listening(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said(f"I want my {CANARY} and your manager right now", 0))
        await stage.written()
        assert hits(tmp_path, CANARY)
        act(stage, "consent", "refused")
        await stage.written()
        assert not hits(tmp_path, CANARY), "gone from the tables, the index and the write-ahead log"
        room = stage.service.hub.snapshot("agent/Dana")
        assert not any(CANARY in body for body in room.values()), "gone from the agent's page"
        assert "prompt" not in room
        await stage.hear(said(f"more {DURING}", 1_000))
        assert stage.ears.silent_ms == 1_000
        stage.ears.late = [said(f"late {DURING}", 2_000)]
        await stage.hear(ms=500)
        await stage.end()
        assert stage.service.store.record(stage.call) is None
        assert stage.service.store.gate(stage.call).by == "Dana"
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY, DURING)


def test_a_refusal_leaves_nobody_who_reads_along_with_words_from_long_before(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said(f"my order of {CANARY} never came on Monday and I want your manager right now", 0))
        await stage.hear(said("I am so sorry let me transfer you to them", 8_000, Speaker.AGENT))
        await stage.hear(ms=180_000)
        await stage.written()
        pages = ("agent/Dana", f"call/{stage.call}", "board")

        def shown(word):
            snapshots = [stage.service.hub.snapshot(room) for room in pages]
            return {key for room in snapshots for key, body in room.items() if word in body}

        assert "told" in shown(CANARY) and "steps" in shown("so sorry")
        act(stage, "consent", "refused")
        await stage.written()
        assert shown(CANARY) == shown("so sorry") == set()
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def test_nothing_stays_on_the_agents_page_of_a_call_that_was_not_kept(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path)
        await stage.hear(said(f"my {CANARY} never came and I want your manager right now", 0), ms=8_000)
        await stage.hear(said("I am so sorry let me transfer you to them", 8_000, Speaker.AGENT), ms=4_000)
        await stage.hear(ms=4_000)
        act(stage, "message", f"He means the {CANARY}.", role="supervisor")
        await stage.written()

        def shown():
            page = stage.service.hub.snapshot("agent/Dana")
            return {key.split("/")[0] for key, body in page.items() if CANARY in body or "so sorry" in body}

        assert {"line", "steps", "notice"} <= shown()
        await stage.end()
        assert shown() == set() and set(stage.service.hub.snapshot("agent/Dana")) == {"call", "ended"}
        assert stage.service.hub.latest(f"call/{stage.call}", "ended").record == ""
        await stage.close()

    asyncio.run(scene())


def test_a_pause_before_consent_holds_when_consent_is_given(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="unknown", consent_policy="strict")
        await stage.hear(said(f"my number {CANARY}", 0))
        await stage.written()
        states = [stage.shown("health").state]
        for what, detail in (("pause", ""), ("consent", "granted"), ("resume", "")):
            act(stage, what, detail)
            await stage.written()
            states.append(stage.shown("health").state)
            await stage.hear(said(f"my number {CANARY}" if what != "resume" else f"hello {AFTER}", stage.source.end_ms))
        assert states == ["no-consent", "paused", "paused", "ok"]
        await stage.end()
        assert [line["text"] for line in stage.service.store.record(stage.call)["transcript"]] == [f"hello {AFTER}"]
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY)


def test_a_customer_who_changes_their_mind_is_heard_from_then_on(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="refused")
        await stage.hear(said(f"no {BEFORE}", 0))
        act(stage, "consent", "granted")
        await stage.hear(said(f"fine then {AFTER}", 1_000))
        await stage.end()
        assert [line["text"] for line in stage.service.store.record(stage.call)["transcript"]] == [f"fine then {AFTER}"]
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, BEFORE)


def test_nothing_of_a_pause_nor_of_the_two_seconds_before_it_reaches_the_disk_or_a_page(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        early = said("I have been waiting for two weeks now " + BEFORE, 0)
        await stage.hear(early, ms=4_000)
        await stage.hear(said(f"well {DURING} is it", 4_500), ms=1_600)
        await stage.hear(saying(f"and {CANARY}", 5_700), ms=400)
        await stage.written()
        assert hits(tmp_path, DURING), "it was written before the pause"
        act(stage, "pause")
        assert stage.shown("health").state != "paused", "not acknowledged before it is on disk"
        await stage.written()
        assert stage.shown("health").state == "paused"
        assert stage.service.store.gate(stage.call).paused_ms == 6_250
        assert not hits(tmp_path, DURING)
        await stage.hear(said(f"it is {CANARY}", 6_100), ms=2_000)
        stage.ears.late = [said(f"and {CANARY}", 5_700)]
        await stage.hear(ms=1_000)
        act(stage, "resume")
        stage.ears.late = [said(f"then {CANARY}", 8_000)]
        await stage.hear(said(f"thank you {AFTER}", 9_100), ms=1_000)
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert [line["text"] for line in record["transcript"]] == [early.text, f"thank you {AFTER}"]
        rooms = [stage.service.hub.snapshot(room) for room in ("agent/Dana", "board", f"call/{stage.call}")]
        assert not any(word in body for room in rooms for body in room.values() for word in (CANARY, DURING))
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY, DURING) and hits(tmp_path, BEFORE, AFTER)


def test_words_longer_ago_than_the_reach_of_a_pause_stay_and_the_rest_of_the_sentence_goes(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        sentence = said(f"the fee is wrong and {BEFORE} so take this down it is {DURING}", 0)
        await stage.hear(sentence, ms=5_000)
        act(stage, "pause")
        await stage.end()
        [line] = stage.service.store.record(stage.call)["transcript"]
        assert line["text"] == " ".join(word.text for word in sentence.words if word.end_ms <= 3_000)
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, DURING)


def test_a_call_that_was_paused_when_the_program_died_is_still_paused_when_it_goes_on(tmp_path):
    async def first():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("hello", 0))
        act(stage, "pause")
        await stage.written()
        await stage.interrupt()  # the gate is all there is
        return stage.call

    async def second(call):
        from assist.live.session import Session

        service, _ = open_service(tmp_path)
        session = Session(None, [], None, None)  # type: ignore[arg-type]
        CallLog(service.store, call).restore(session)
        assert session.suspended and session.paused_since == 1_000
        assert session.gate.consent is Consent.GRANTED
        await service.close()

    asyncio.run(second(asyncio.run(first())))


def test_a_page_that_resumes_does_not_end_the_pause_of_a_person_and_a_person_ends_all(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        session = stage.service.calls[stage.call].session
        held = []
        await stage.hear(ms=1_000)
        for who, what in (("Dana", "pause"), ("api", "pause"), ("api", "resume"), ("Dana", "resume"),
                          ("api", "pause"), ("api", "resume"), ("api", "pause"), ("Dana", "resume")):  # fmt: skip
            stage.service.calls[stage.call].act(Action(session.now_ms, who, "agent", what))
            await stage.hear(ms=1_000)
            held.append((session.pauses.by, stage.service.call_logs[stage.call].paused_by))
        await stage.end()
        pauses = [(each["from_ms"], each["to_ms"]) for each in stage.service.store.record(stage.call)["pauses"]]
        await stage.close()
        return held, pauses

    held, pauses = asyncio.run(scene())
    assert held == [(who, who) for who in ("Dana", "Dana", "Dana", "", "api", "", "api", "")]
    assert pauses == [(1_000, 4_000), (5_000, 6_000), (7_000, 8_000)]


def test_a_pause_by_hand_soon_after_an_automatic_one_takes_as_much_from_pages_as_from_the_log(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("read me the long number on your card please", 5_000, Speaker.AGENT), ms=8_000)
        assert stage.service.call_logs[stage.call].paused_by == AUTO_PAUSE_USER
        act(stage, "pause")
        await stage.written()
        logged = [event.text for _, event in stage.service.store.events(stage.call) if isinstance(event, Utterance)]
        line = stage.service.hub.latest(f"call/{stage.call}", "line/a5000")
        await stage.end()
        [kept] = stage.service.store.record(stage.call)["transcript"]
        await stage.close()
        return logged, line.settled, kept["text"]

    assert asyncio.run(scene()) == (["read me the"], "read me the", "read me the")


@pytest.mark.parametrize("by_itself", [True, False])
def test_only_a_pause_that_began_by_itself_ends_by_itself_after_the_program_died_in_it(by_itself, tmp_path):
    async def first():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("read me the long card number please", 0, Speaker.AGENT), ms=3_000)
        if not by_itself:
            act(stage, "pause")  # over an automatic one
        await stage.written()
        await stage.interrupt()
        return stage.call

    async def second(call):
        stage = await taken_up(tmp_path, call, auto_pause_s=10)
        session = stage.service.calls[call].session
        await stage.hear(ms=9_000)
        assert session.suspended
        await stage.hear(ms=2_000)
        assert session.suspended == (not by_itself)
        await stage.end()
        await stage.close()

    asyncio.run(second(asyncio.run(first())))


def test_a_pause_takes_back_what_boards_and_readers_were_shown_of_the_words_before_it(tmp_path):
    threat = f"I want your manager now {DURING}"

    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        hub, rooms = stage.service.hub, ("agent/Dana", "board", f"call/{stage.call}")

        def quoted():
            shown = [(room, key, body) for room in rooms for key, body in hub.snapshot(room).items()]
            return {f"{room}/{key.split('/')[0]}" for room, key, body in shown if "your manager" in body}

        await stage.hear(said("I have been waiting for three weeks and nobody called", 0), ms=5_000)
        await stage.hear(said(threat, 5_200), ms=1_600)
        act(stage, "claim", role="supervisor")
        await stage.written()
        here = f"call/{stage.call}"
        assert {"board/alert", "board/row", f"{here}/heard", f"{here}/told", f"{here}/line"} <= quoted()
        act(stage, "pause")
        await stage.written()
        assert quoted() == set()
        [alert] = [hub.latest("board", key) for key in hub.snapshot("board") if key.startswith("alert/")]
        assert (alert.state, alert.quote) == ("raised", "nobody called"), "it stands on what was said earlier"
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert "your manager" not in str(record) and "three weeks" in str(record)
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, DURING, "your manager")


@pytest.mark.parametrize("taken_over", ["just before the pause", "after it"])
def test_a_promise_that_a_pause_has_taken_back_is_not_told_later_and_may_be_made_again(taken_over, tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        await stage.hear(said("I have been waiting for three weeks and nobody called", 0), ms=4_000)
        await stage.hear(said("I'll ring you tomorrow", 4_000, Speaker.AGENT), ms=3_000)
        await stage.hear(said(f"I will ring Mrs {DURING} by Friday", 7_000, Speaker.AGENT), ms=2_200)
        if taken_over == "just before the pause":
            act(stage, "claim", role="supervisor")
        await stage.written()
        assert hits(tmp_path, DURING), "it was written before the pause"
        act(stage, "pause")
        await stage.written()
        assert not hits(tmp_path, DURING)
        act(stage, "resume")
        await stage.hear(said("and my bill is wrong again", 10_000), ms=4_000)
        if taken_over == "after it":
            act(stage, "claim", role="supervisor")
            told = stage.service.hub.latest(f"call/{stage.call}", "told")
            assert told.done == ["promised: ring you, tomorrow"]
        await stage.written()
        rooms = [stage.service.hub.snapshot(room) for room in ("agent/Dana", "board", f"call/{stage.call}")]
        assert not any(DURING in body for room in rooms for body in room.values())
        assert not hits(tmp_path, DURING)
        await stage.hear(said(f"I will ring Mrs {AFTER} by Friday", 14_000, Speaker.AGENT), ms=4_000)
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert [each["what"] for each in record["follow_ups"]] == ["ring you", f"ring Mrs {AFTER}"]
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, DURING)


THREAT = f"I want your manager now {DURING}"


def test_a_pause_takes_what_was_written_of_an_unfinished_utterance_long_before_it(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        await stage.hear(said("I have been waiting for three weeks and nobody called", 0), ms=5_000)
        await stage.hear(saying(THREAT, 5_200), ms=3_000)
        await stage.hear(saying(f"{THREAT} and that is what I think and now about the number", 5_200), ms=3_000)
        await stage.written()
        assert hits(tmp_path, "your manager")
        act(stage, "pause")
        await asyncio.wrap_future(stage.service.call_logs[stage.call].receipt)
        assert not hits(tmp_path, "your manager"), "acknowledged when it is gone"
        await stage.written()
        assert stage.shown("health").state == "paused"
        await stage.end()
        levels = [event.level for _, event in stage.service.store.events(stage.call) if isinstance(event, LevelChange)]
        assert levels[-1] != "escalated" and "your manager" not in str(stage.service.store.record(stage.call))
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, DURING, "your manager") and hits(tmp_path, "three weeks")


@pytest.mark.parametrize("resumed", [False, True])
def test_a_pause_by_itself_takes_what_was_written_of_the_utterance_in_which_a_card_is_said(resumed, tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(saying(THREAT, 0), ms=3_000)
        await stage.hear(saying(f"{THREAT} okay my card number is", 0), ms=1_000)
        await stage.written()
        assert hits(tmp_path, "your manager") and stage.shown("health").state == "paused"
        if resumed:
            act(stage, "resume")
        stage.ears.late = [said(f"{THREAT} okay my card number is {CANARY}", 0)]
        await stage.hear()
        await stage.end()
        assert "your manager" not in str(stage.service.store.record(stage.call))
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY, DURING, "your manager")


def test_what_was_written_of_an_utterance_that_began_as_a_pause_ended_stays_though_it_settles_without_words(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(ms=2_000)
        act(stage, "pause")
        await stage.hear(ms=3_000)
        act(stage, "resume")
        await stage.hear(saying(THREAT, 4_770), ms=3_000)
        await stage.hear(replace(said(THREAT, 4_770), words=()))
        await stage.end()
        kinds = [type(event) for _, event in stage.service.store.events(stage.call)]
        await stage.close()
        return kinds

    assert SignalRaised in asyncio.run(scene())


def listen_without_consent(folder, pause, pipe):
    """A call without consent to being kept, and without end; a line with its id once its pause is in the notes."""

    async def run():
        one = fault_service(folder, consent="unknown")
        one.open()
        call, task = one.start(Sound(), agent="Dana")
        await asyncio.sleep(0)
        if pause:
            one.calls[call].act(Action(one.calls[call].session.now_ms, "Dana", "agent", "pause"))
        await asyncio.wrap_future(one.call_logs[call].receipt)
        os.write(pipe, f"{call}\n".encode())
        await task

    asyncio.run(run())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("pause", [True, False])
def test_a_call_that_was_not_kept_goes_on_paused_as_it_was_and_is_still_not_kept(pause, tmp_path):
    [call] = killed_after(*in_a_child(listen_without_consent, tmp_path, pause), 1)

    async def scene():
        service, ears = open_service(tmp_path)
        assert service.calls == {} and service.store.events(call) == []
        source, heard = Source(), []
        _, task = await service.resume(
            call, source, agent="Dana", queue="refunds", caller="…0142", value="gold", on_event=heard.append
        )
        stage = Stage(service, ears, source, call, task, heard)
        await stage.hear(said(f"my number {CANARY}", 0))
        await stage.written()
        assert service.calls[call].session.suspended == pause
        assert (stage.shown("health").state, stage.ears.silent_ms) == (("paused", 1_000) if pause else ("ok", 0))
        shown = any(CANARY in body for body in service.hub.snapshot("agent/Dana").values())
        assert shown != pause
        act(stage, "resume")
        await stage.hear(said(f"hello {AFTER}", 1_200))
        await stage.end()
        assert any(isinstance(event, Utterance) and AFTER in event.text for event in heard)
        assert service.store.record(call) is None and service.store.gate(call).consent == "unknown"
        with pytest.raises(AssistError, match="no call"):
            await service.resume("20260101-000000-beef", Source())
        started = stage.heard[0]
        assert (started.queue, started.caller, started.value) == ("refunds", "…0142", "gold")
        with pytest.raises(AssistError, match="was not cut short"):
            await service.resume(call, Source(), agent="Dana")
        with pytest.raises(AssistError, match="began more than 12 h ago"):
            await service.resume(call, Source(), now=datetime.now(UTC) + timedelta(days=1))
        await service.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY, AFTER)


def test_listening_pauses_by_itself_for_a_card_number_and_goes_on_after_a_while(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause_s=10)
        await stage.hear(said("Could you read me the long card number please", 0, Speaker.AGENT), ms=3_000)
        await stage.written()
        assert stage.shown("health").state == "paused" and "automatically" in stage.shown("health").text
        await stage.hear(said(f"sure {CANARY}", 3_200), ms=9_000)
        assert stage.ears.silent_ms == 9_000
        await stage.hear(ms=1_500)
        await stage.hear(said(f"is that all {AFTER}", 13_600), ms=1_500)
        await stage.end()
        record = stage.service.store.record(stage.call)
        texts = [line["text"] for line in record["transcript"]]
        assert texts == ["Could you read me the long card number please", f"is that all {AFTER}"]
        await stage.close()

    asyncio.run(scene())
    assert not hits(tmp_path, CANARY)


def test_a_number_that_is_said_when_an_automatic_pause_has_ended_is_masked_as_if_just_asked_for(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause_s=40)
        await stage.hear(said("Could you read me the long card number please", 0, Speaker.AGENT), ms=3_000)
        await stage.hear(ms=45_000)
        await stage.hear(said("well it starts four five three nine there you are", 50_000), ms=9_000)
        await stage.end()
        texts = [line["text"] for line in stage.service.store.record(stage.call)["transcript"]]
        assert texts[-1] == "well it starts [card number] there you are"
        await stage.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("text", "who", "pauses"),
    [
        ("can I take the card number", Speaker.AGENT, True),
        ("and what are the three digits on the back of the card", Speaker.AGENT, True),
        ("could you give me the security code please", Speaker.AGENT, True),
        ("please read out the sixteen digit card number", Speaker.AGENT, True),
        ("go ahead and read me the long number across the front of the card", Speaker.AGENT, True),
        ("okay my card number is", Speaker.CUSTOMER, True),
        ("I already gave you my card number", Speaker.CUSTOMER, False),
        ("you took the money from my card", Speaker.CUSTOMER, False),
        ("I don't need your card number for that", Speaker.AGENT, False),
        ("can I take your name and address", Speaker.AGENT, False),
        ("what is your account number", Speaker.AGENT, False),
        ("my credit card was stolen", Speaker.CUSTOMER, False),
    ],
)
def test_only_a_request_or_an_announcement_pauses(text, who, pauses):
    assert bool(AutoPause().reason_to_pause(said(text, 0, who))) == pauses


def test_consent_is_an_event_with_who_said_so(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, start={"consent": Consent.GRANTED, "consent_by": "demo"})
        await stage.hear(said("hello", 0))
        act(stage, "consent", "refused")
        await stage.hear()
        await stage.end()
        told = [event for event in stage.heard if isinstance(event, ConsentSet)]
        assert [(event.consent, event.by) for event in told] == [("granted", "demo"), ("refused", "Dana")]
        assert not any(
            isinstance(event, Utterance) and event.words for event in stage.heard[stage.heard.index(told[1]) :]
        )
        await stage.close()

    asyncio.run(scene())


def test_the_terminal_says_what_is_kept_and_who_pauses():
    from io import StringIO

    from rich.console import Console

    from assist.live.terminal import Terminal

    out = StringIO()
    terminal = Terminal(Console(file=out, width=200))
    terminal.show(ConsentSet(0, "unknown", "settings", "all-party"))
    terminal.show(Action(5_000, "call-assist", "system", "pause", detail="a card number or its code was asked for"))
    assert "unknown (settings): heard, nothing is kept" in out.getvalue()
    assert "by call-assist: a card number or its code was asked for" in out.getvalue()
    found = Signal("insult", "ours [/b]", "1", Speaker.CUSTOMER, 0, 1.0, Severity.HELP, Evidence(0, 900, "you clown"))
    terminal.show(SignalRaised(0, found))
    assert "“you clown” (ours [/b])" in out.getvalue(), "a rule of one's own is named as it is"


def test_what_a_pause_has_taken_out_is_not_written_again_with_what_it_takes_back(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    call_log = CallLog(store, "c1", Gate(ConsentPolicy.ALL_PARTY, Consent.GRANTED))

    def because(utterance, at_ms):
        evidence = Evidence(at_ms - 400, at_ms, f"{DURING} {utterance}", utterance, 0, 1)
        return Signal("swearing", "rule", "1", Speaker.CUSTOMER, at_ms, 0.9, Severity.HELP, evidence, settled=False)

    early, late = because("u1", 9_000), because("u2", 12_500)
    started = CallStarted(0, "c1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})
    events = [
        started,
        LevelChange(9_500, Level.TENSE, Level.CALM, 40.0, (early, because("u2", 9_400))),
        LevelChange(12_600, Level.ESCALATED, Level.TENSE, 60.0, (because("u0", 12_400), late)),
        Action(13_000, "Dana", "agent", "pause"),
        Utterance("u1", Speaker.CUSTOMER, 8_000, 13_000, ()),
        Utterance("u2", Speaker.CUSTOMER, 9_000, 13_000, ()),
    ]
    for number, event in enumerate(events):
        call_log.write(number, event)
    call_log.receipt.result(timeout=30)
    levels = [event for _, event in store.events("c1") if isinstance(event, LevelChange)]
    assert [(each.level, each.because) for each in levels] == [(Level.TENSE, ()), (Level.ESCALATED, ())]
    assert not hits(tmp_path, DURING)
    store.close()


def test_what_stands_on_words_before_the_reach_of_a_pause_too_stays_without_those_it_takes_back(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    call_log = CallLog(store, "c1", Gate(ConsentPolicy.ALL_PARTY, Consent.GRANTED))

    def heard(utterance, end_ms, quote):
        evidence = Evidence(end_ms - 400, end_ms, quote, utterance, 0, 1)
        return Signal("swearing", "rule", "1", Speaker.CUSTOMER, end_ms, 0.9, Severity.HELP, evidence)

    both = (heard("u1", 9_000, BEFORE), heard("u2", 12_500, DURING))
    keys = tuple(signal.key for signal in both)
    why = tuple(signal.evidence.quote for signal in both)
    events = [
        CallStarted(0, "c1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {}),
        *(SignalRaised(signal.at_ms, signal) for signal in both),
        LevelChange(12_600, Level.ESCALATED, Level.TENSE, 60.0, both),
        AlertRaised(12_600, "a1", Severity.HELP, f"“{BEFORE}”, “{DURING}”", keys),
        AlertRaised(12_600, "a2", Severity.HELP, "Dana asks for help", (), "help"),
        PromptShown(12_600, "p1", "play", "", "title", "say", why, Severity.HELP, keys),
        Action(13_000, "Dana", "agent", "pause"),
    ]
    for number, event in enumerate(events):
        call_log.write(number, event)
    call_log.receipt.result(timeout=30)
    [_, raised, level, alert, asked, prompt, _] = [event for _, event in store.events("c1")]
    assert (raised, level.because) == (SignalRaised(9_000, both[0]), both[:1])
    assert (alert.reason, alert.signals) == (f"“{BEFORE}”", keys[:1]) and asked == events[5]
    assert (prompt.why, prompt.signals) == ((), keys[:1])
    assert not hits(tmp_path, DURING)
    store.close()


async def paused_after(folder, *heard, late_ms, done=()):
    """The record of a call with these words, paused by hand `late_ms` after the last of them were judged."""
    stage = await on_stage(folder, consent="granted", auto_pause=False)
    for each in heard:
        while stage.source.end_ms < each.end_ms + 1_100:
            await stage.hear(ms=500)
        await stage.hear(each, ms=250)
    await stage.hear(ms=late_ms)
    for what, target, detail in done:
        live = stage.service.calls[stage.call]
        live.act(Action(live.session.now_ms, "Dana", "agent", what, target, detail))
    act(stage, "pause")
    await stage.written()
    await stage.hear(ms=3_000)
    act(stage, "resume")
    await stage.hear()
    await stage.end()
    record = read_record(stage.service.store.record(stage.call))
    await stage.close()
    return record


def test_a_pause_does_not_take_out_what_words_before_its_reach_have_led_to(tmp_path):
    threat = said("this is ridiculous I am cancelling my contract and get me your manager right now", 1_000)
    record = asyncio.run(paused_after(tmp_path, threat, late_ms=750))
    [level], [alert], [prompt] = record.levels, record.alerts, record.prompts
    assert record.pauses[0].from_ms - level.at_ms < 2_000 < record.pauses[0].from_ms - threat.end_ms
    assert (record.level_reached, len(level.because)) == ("escalated", 4)
    assert "get me your manager" in alert.reason and alert.at_ms == prompt.shown_ms == level.at_ms


def test_a_pause_leaves_what_was_promised_and_accepted_before_its_reach_and_what_was_done_by_hand(tmp_path):
    angry = said("this is ridiculous I am cancelling my contract and get me your manager right now", 1_000)
    offer = said("I am sorry and I will call you back tomorrow at ten", 8_000, Speaker.AGENT)
    yes = said("yes that is fine thank you that works for me", 13_000)
    ticked = ("step", "empathize", "done")
    record = asyncio.run(paused_after(tmp_path / "a", angry, offer, yes, late_ms=750, done=[ticked]))
    assert [(use.id, use.answer) for use in record.plan if use.answer] == [("named-callback", "accepted")]
    assert ("empathize", "hand") in [(step.step, step.by) for step in record.steps]
    record = asyncio.run(paused_after(tmp_path / "b", angry, offer, late_ms=750))
    assert [(each.what, each.due) for each in record.follow_ups] == [("call you back", "tomorrow at ten")]
    taken = ("plan-accepted", "named-callback", "")
    record = asyncio.run(paused_after(tmp_path / "c", angry, offer, said("okay", 13_000), late_ms=1, done=[taken]))
    assert [each.due for each in record.follow_ups] == ["tomorrow at ten"], "the words are those of the offer"
    assert [line.text for line in record.transcript] == [angry.text, offer.text]


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_a_call_is_paused_whenever_the_program_dies_while_a_pause_begins_or_ends(what, tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        call_log = CallLog(store, "c1", Gate(ConsentPolicy.ALL_PARTY, Consent.GRANTED))
        started = CallStarted(0, "c1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})
        call_log.write(0, started)
        if what == "resume":
            call_log.write(1, Action(1000, "Dana", "agent", "pause"))
        append, stood = store.append, []

        def appended(call, number, event):
            store.flush().result()
            gate = store.gate(call)
            stood.append(gate is not None and gate.paused_ms is not None)
            return append(call, number, event)

        store.append = appended
        call_log.write(2, Action(2000, "Dana", "agent", what)).result()
        assert stood == [True] and (store.gate("c1").paused_ms is None) == (what == "resume")


def test_a_pause_is_told_while_somebody_reads_the_store_and_its_bytes_go_afterwards(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    call_log = CallLog(store, "c1", Gate(ConsentPolicy.ALL_PARTY, Consent.GRANTED))
    started = CallStarted(0, "c1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})
    call_log.write(0, started)
    call_log.write(1, said(f"my number is {DURING}", 5_000))
    store.flush().result(timeout=30)
    with closing(sqlite3.connect(tmp_path / "assist.db")) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (2,)
        call_log.write(2, Action(6_500, "Dana", "agent", "pause")).result(timeout=20)
        assert DURING not in str(store.events("c1"))
    store.close()
    assert not hits(tmp_path, DURING)


def kept_of(folder, *events):
    """The record of a call under the all-party policy, of which these happen after its start; and its log."""
    store = open_store(f"sqlite:///{folder / 'assist.db'}")
    call_log = CallLog(store, "c1", Gate(ConsentPolicy.ALL_PARTY, Consent.UNKNOWN))
    started = CallStarted(0, "c1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})
    for number, event in enumerate([started, ConsentSet(0, "unknown", "settings", "all-party"), *events]):
        call_log.write(number, event)
    store.flush().result()
    close_interrupted(store)
    record = read_record(store.record("c1"))
    store.close()
    return record


def test_a_pause_that_is_on_when_consent_comes_is_in_the_record_and_one_that_is_over_is_not(tmp_path):
    record = kept_of(
        tmp_path,
        Action(1_000, "Dana", "agent", "pause"),
        Action(2_000, "Dana", "agent", "resume"),
        Action(4_000, "call-assist", "system", "pause", detail="a card number or its code was asked for"),
        ConsentSet(9_000, "granted", "Dana", "all-party"),
        Action(19_000, "Dana", "agent", "resume"),
        ConsentSet(20_000, "unknown", "api", "all-party"),
        Action(21_000, "Dana", "agent", "pause"),
        ConsentSet(25_000, "granted", "api", "all-party"),
        ConsentSet(26_000, "unknown", "api", "all-party"),
        Action(27_000, "Dana", "agent", "resume"),
        ConsentSet(28_000, "granted", "api", "all-party"),
        CallEnded(30_000, "hang-up"),
    )
    assert [(each.from_ms, each.to_ms) for each in record.pauses] == [(4_000, 19_000), (21_000, 27_000)]
    assert (record.actions[0].who, record.actions[0].text) == ("call-assist", ""), "nor of what was said before it"
    assert "00:04 to 00:19, 00:21 to 00:27" in page(record)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_not_kept_since_consent_was_taken_back_is_told_and_the_call_has_ended_when_it_did(again, tmp_path):
    record = kept_of(
        tmp_path,
        ConsentSet(2_000, "granted", "Dana", "all-party"),
        LevelChange(3_000, Level.ESCALATED, Level.CALM, 70.0, ()),
        ConsentSet(5_000, "unknown", "api", "all-party"),
        said(f"more {DURING}", 6_000),
        LevelChange(40_000, Level.CALM, Level.ESCALATED, 0.0, ()),
        *([ConsentSet(50_000, "granted", "api", "all-party")] if again else []),
        *([LevelChange(50_000, Level.CALM, Level.CALM, 0.0, ())] if again else []),
        CallEnded(60_000, "hang-up", {"agent.silence": 60_000}),
    )
    until = 50_000 if again else None
    assert [(each.from_ms, each.to_ms) for each in record.unkept] == [(0, 2_000), (5_000, until)]
    assert (record.ended, record.duration_ms) == ("hang-up", 60_000)
    assert f"the first 00:02, 00:05 to {'00:50' if again else 'the end'}" in page(record)
    assert record.level_at_end == ("calm" if again else "escalated") and not hits(tmp_path, DURING)


def test_a_call_that_was_cut_short_accounts_for_its_time_as_others_do(tmp_path):
    record = kept_of(
        tmp_path,
        ConsentSet(2_000, "granted", "Dana", "all-party"),
        said(f"I want my {CANARY}", 3_000),
        said("now", 5_000),
    )
    sums, end_ms = record.accounted_ms, record.duration_ms
    assert record.ended == "interrupted" and sums["customer.withheld"] == 2_000 and sums["customer.speech"] > 0
    assert sum(ms for what, ms in sums.items() if what.startswith("agent.")) == end_ms
    assert "The words of this call are not kept" in page(record.model_copy(update={"transcript": []}))
