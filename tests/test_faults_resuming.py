"""Interrupted calls that are resumed: what their log, pages and record say."""

import asyncio
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from assist.access.audit import open_audit
from assist.errors import AssistError
from assist.events import Action, AlertRaised, CallEnded, CallResumed, CallStarted, PromptShown, Recovery, StepTicked
from assist.live.call_setup import new_call_id, started_at_of
from assist.live.page_actions import PageActions
from assist.live.resuming import RESUME_S, rebuild
from assist.store.store import open_store
from audio.events import Gap, Speaker, Trouble, Utterance
from overlay import doing
from overlay.errors import OverlayError
from overlay.identity import Identity
from tests.fault_rig import BOTH, Sound, acknowledging, in_a_child, killed_after, service
from tests.quiet_calls import QuietLine
from tests.scripted_call import Source, on_stage, said, saying, taken_up
from tests.test_detectors_raised_voice import CALM, UP, sustained

DANA, MARIA, TOM = Identity("Dana", "agent"), Identity("Maria", "supervisor"), Identity("Tom", "supervisor")


def listen(folder, paused, pipe):
    """A call without end; a line for every acknowledged event."""

    async def run():
        one = service(folder)
        one.open()
        acknowledging(one, lambda call, n: os.write(pipe, f"{call} {n}\n".encode()))
        call, task = one.start(Sound(), agent="Dana")
        await asyncio.sleep(0)
        if paused:
            one.calls[call].act(Action(0, "Dana", "agent", "pause"))
        await task

    asyncio.run(run())


def interrupted_call(folder, acknowledgements=30, paused=False):
    """The id of a call whose process was killed."""
    return killed_after(*in_a_child(listen, folder, paused), acknowledgements)[0].split()[0]


def test_a_call_that_was_cut_short_goes_on_where_its_log_left_off(tmp_path):
    call = interrupted_call(tmp_path)

    async def run():
        one = service(tmp_path)
        assert one.open() == [call]
        before = [event for _, event in one.store.events(call)]
        same, task = await one.resume(call, Sound(60))
        assert same == call
        live = one.calls[call]
        assert live.session.escalation.level.value == before_level(before)
        await task
        after = one.store.events(call)
        assert [n for n, _ in after] == list(range(len(after)))
        assert [event for _, event in after][: len(before)] == before
        record = one.store.record(call)
        await one.close()
        return before, [event for _, event in after], record

    before, after, record = asyncio.run(run())
    resumed = after[len(before) :]
    [trouble] = [event for event in resumed if isinstance(event, Trouble) and event.code == "call-resumed"]
    gaps = [event for event in resumed if isinstance(event, Gap)]
    assert {gap.speaker for gap in gaps} == set(BOTH)
    assert all(gap.start_ms == before[-1].at_ms and gap.end_ms == trouble.at_ms for gap in gaps)
    said = [event for event in resumed if isinstance(event, Utterance)]
    assert said and all(event.start_ms >= trouble.at_ms for event in said)
    ids = [event.id for event in after if isinstance(event, Utterance)]
    assert len(ids) == len(set(ids))
    assert record["ended"] == "end-of-recording"
    end_ms = trouble.at_ms + 6_000
    for who in BOTH:
        parts = {key: ms for key, ms in record["accounted_ms"].items() if key.startswith(f"{who}.")}
        assert sum(parts.values()) == end_ms and parts.get(f"{who}.lost", 0) == gaps[0].end_ms - gaps[0].start_ms


def before_level(events):
    levels = [event.level.value for event in events if type(event).__name__ == "LevelChange"]
    return levels[-1] if levels else "calm"


def test_a_call_that_was_paused_when_it_was_cut_short_is_still_paused(tmp_path):
    call = interrupted_call(tmp_path, 3, paused=True)

    async def run():
        one = service(tmp_path)
        one.open()
        _, task = await one.resume(call, Sound(20))
        assert one.calls[call].session.paused_since is not None
        await task
        words = [event for _, event in one.store.events(call) if isinstance(event, Utterance) and event.words]
        await one.close()
        return words

    assert asyncio.run(run()) == []


def listen_with_alerts(folder, pipe):
    """A call in which help was asked for, a request is claimed and somebody reads along; its id when that is kept."""

    async def run():
        one = service(folder)
        one.open()
        actions = PageActions(one)
        actions.presence(MARIA, "board", True)
        call, task = one.start(QuietLine(), agent="Dana")
        await asyncio.sleep(0)
        await actions.do(DANA, doing.DoHelp(do="help", call=call))
        await actions.do(DANA, doing.DoPlan(do="plan", call=call, option="month-credit", what="asked"))
        await asyncio.sleep(0)
        await actions.do(MARIA, doing.DoAlert(do="alert", call=call, alert="a2", what="claim"))
        await actions.do(TOM, doing.DoWatch(do="watch", call=call, on=True))
        await asyncio.wrap_future(one.store.flush())
        os.write(pipe, f"{call}\n".encode())
        await task

    asyncio.run(run())


def test_alerts_of_a_call_that_was_cut_short_go_on_and_nobody_is_shown_who_read_it_along(tmp_path):
    [call] = killed_after(*in_a_child(listen_with_alerts, tmp_path), 1)

    async def run():
        one = service(tmp_path)
        one.open()
        actions, hub = PageActions(one), one.hub
        actions.presence(TOM, "board", True)
        _, task = await one.resume(call, QuietLine(), now=datetime.now(UTC) - timedelta(hours=1))
        await asyncio.sleep(0)
        a1, a2 = (hub.latest("board", f"alert/{call}-{name}") for name in ("a1", "a2"))
        assert (a1.state, a1.to, a2.state, a2.by) == ("raised", "Tom", "claimed", "Maria")
        assert [(each.who, each.open, each.away) for each in hub.latest("board", "duty").people] == [
            ("Maria", 1, True), ("Tom", 1, False)]  # fmt: skip
        assert hub.latest("agent/Dana", "notice/reading") is None
        assert hub.latest("board", f"row/{call}").read_by == []
        await actions.do(TOM, doing.DoAlert(do="alert", call=call, alert="a1", what="claim"))
        await actions.do(TOM, doing.DoAlert(do="alert", call=call, alert="a1", what="resolve", how="took over"))
        with pytest.raises(OverlayError, match="Maria is on it already"):
            await actions.do(TOM, doing.DoAnswer(do="answer", call=call, alert="a2", allow=True))
        actions.presence(MARIA, "board", True)
        await actions.do(MARIA, doing.DoAnswer(do="answer", call=call, alert="a2", allow=True))
        await actions.do(DANA, doing.DoHelp(do="help", call=call))
        assert hub.latest("board", f"alert/{call}-a3").kind == "help"
        one.calls[call].hang_up()
        await task
        alerts = one.store.record(call)["alerts"]
        await one.close()
        return [[what for _, what, _ in alert["course"]] for alert in alerts]

    first, second, _ = asyncio.run(run())
    assert first == ["turn", "turn", "claim", "resolve"] and second == ["turn", "claim", "allowed"]


@pytest.mark.parametrize("restarted", [True, False])
def test_who_is_at_a_board_when_a_call_goes_on_is_told_to_its_agent_and_noted(restarted, tmp_path):
    async def scene():
        one = service(tmp_path)
        interrupted, actions = one.open(), PageActions(one, open_audit(one.store.people, tmp_path))

        async def reads(who, on=True):
            await actions.do(who, doing.DoWatch(do="watch", call=call, on=on))

        async def asks_in_vain(who):
            with pytest.raises(OverlayError, match="That call is over"):
                await reads(who)

        def reading():
            return getattr(one.hub.latest("agent/Dana", "notice/reading"), "text", "")

        if restarted:
            [call] = interrupted
            await asks_in_vain(MARIA)  # her page is back before the call is
        else:
            call, task = one.start(QuietLine(), agent="Dana")
            await asyncio.sleep(0)
            await reads(MARIA)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asks_in_vain(TOM)
        await reads(TOM, on=False)
        _, task = await one.resume(call, QuietLine())
        await asyncio.sleep(0)
        assert reading() == "Maria is reading along"
        await reads(MARIA, on=False)
        assert reading() == ""
        one.calls[call].hang_up()
        await task
        noted = [(row.entry.who, row.entry.what) for row in one.store.people.audit() if row.entry.target == call]
        read = [("Maria", "read-along")]
        looked = [("Maria", "look"), ("Tom", "look")] if restarted else [*read, ("Tom", "look")]
        assert noted == [*looked, *read]
        await one.close()

    if restarted:
        interrupted_call(tmp_path)
    asyncio.run(scene())


def test_while_a_call_is_rebuilt_its_sound_is_taken_and_the_others_are_not_kept_waiting(tmp_path, monkeypatch):
    async def scene():
        loop, rebuilding, went_on, others_ran = asyncio.get_running_loop(), asyncio.Event(), threading.Event(), []

        def slowly(session, events):
            loop.call_soon_threadsafe(rebuilding.set)
            others_ran.append(went_on.wait(2))
            rebuild(session, events)

        monkeypatch.setattr("assist.live.service.rebuild", slowly)
        stage = await on_stage(tmp_path, consent="granted", meaning=False, auto_pause=False)
        await quiet(stage, 1)
        stage.task.cancel()
        await asyncio.wait([stage.task])
        source = Source()
        resuming = asyncio.create_task(stage.service.resume(stage.call, source))
        for _ in range(3):
            source.play(1000)
        source.stop()
        await rebuilding.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert source._sound.empty() and stage.call in stage.service.live_calls
        went_on.set()
        _, task = await resuming
        await task
        assert others_ran == [True]
        log = [event for _, event in stage.service.store.events(stage.call)]
        [resumed] = [event for event in log if isinstance(event, CallResumed)]
        assert resumed.versions == log[0].versions
        assert isinstance(log[-1], CallEnded) and log[-1].at_ms == resumed.at_ms + 3_000
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_ends_before_its_sound_comes_again_has_its_whole_time_accounted_for(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", meaning=False, auto_pause=False)
        await quiet(stage, 2)
        await stage.interrupt()
        stage = await taken_up(tmp_path, stage.call, meaning=False, auto_pause=False)
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert record["duration_ms"] >= 2_000
        assert sum(record["accounted_ms"].values()) == 2 * record["duration_ms"]
        await stage.close()

    asyncio.run(scene())


def test_only_a_call_that_was_cut_short_a_moment_ago_goes_on(tmp_path):
    call = interrupted_call(tmp_path)

    async def run():
        one = service(tmp_path)
        one.open()
        later = datetime.now(UTC) + timedelta(seconds=RESUME_S + 60)
        for asked, now, code in (
            ("nobody", None, "resume-unknown"),
            (call, later, "resume-late"),
        ):
            with pytest.raises(AssistError) as error:
                await one.resume(asked, Sound(1), now=now)
            assert error.value.code == code
        ended, task = one.start(Sound(1))
        await task
        with pytest.raises(AssistError) as error:
            await one.resume(ended, Sound(1))
        assert error.value.code == "resume-not-cut-short"
        await one.close()

    asyncio.run(run())


def test_a_clock_that_was_set_back_gives_no_negative_time(tmp_path):
    call = interrupted_call(tmp_path)

    async def run():
        one = service(tmp_path)
        one.open()
        _, task = await one.resume(call, Sound(10), now=datetime.now(UTC) - timedelta(hours=1))
        await task
        events = [event for _, event in one.store.events(call)]
        times = [getattr(event, "at_ms", getattr(event, "start_ms", 0)) for event in events]
        assert min(times) >= 0
        gaps = [event for event in events if isinstance(event, Gap)]
        assert all(gap.end_ms >= gap.start_ms for gap in gaps)
        await one.close()

    asyncio.run(run())


async def gone_on(stage, tmp_path):
    """The call as a kill leaves it on the disk in its middle, taken up by another program."""
    await stage.written()
    with closing(sqlite3.connect(tmp_path / "a" / "assist.db")) as reader:
        reader.execute("BEGIN")  # while somebody reads, the log is not emptied between the copies of it and of the file
        reader.execute("SELECT name FROM sqlite_master").fetchall()
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    await stage.end()
    await stage.close()
    return await taken_up(tmp_path / "b", stage.call, auto_pause=False)


def act(stage, what, target="", detail="", who=DANA):
    live = stage.service.calls[stage.call]
    live.act(Action(live.session.now_ms, who.who, who.role, what, target, detail))


async def quiet(stage, seconds):
    for _ in range(seconds):
        await stage.hear()


async def unsettled(stage):
    """A prompt and an alert on words that settle otherwise."""
    await stage.hear(saying("I will kill you", 1_000), ms=3_000)
    await stage.hear(said("I will call you", 1_000), ms=3_000)


async def unkept(stage):
    """A prompt on words that were said before they might be kept."""
    await stage.hear(said("I want to cancel my contract today, I want your manager now", 1_000), ms=5_000)
    await quiet(stage, 25)
    act(stage, "consent", detail="granted")


@pytest.mark.parametrize(("before", "consent"), [(unsettled, "granted"), (unkept, "unknown")])
def test_no_card_of_a_call_that_goes_on_takes_the_place_of_an_earlier_one_in_the_record(before, consent, tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent=consent, auto_pause=False)
        await before(stage)
        await stage.hear(said("I will leave a one star review, this is useless", stage.source.end_ms), ms=5_000)
        await quiet(stage, 70)
        stage = await gone_on(stage, tmp_path)
        await stage.hear(said("I will sue you and my lawyer will write to you", stage.source.end_ms), ms=5_000)
        await stage.written()
        await stage.end()
        log = [event for _, event in stage.service.store.events(stage.call)]
        shown = [(event.id, event.play) for event in log if isinstance(event, PromptShown)]
        assert {"review-threat", "legal-threat"} <= {play for _, play in shown}
        assert [(use["id"], use["play"]) for use in stage.service.store.record(stage.call)["prompts"]] == shown
        await stage.close()

    asyncio.run(scene())


def test_the_card_of_a_call_that_goes_on_is_still_the_agents_to_use(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await unsettled(stage)
        await stage.hear(said("I want to cancel my contract today", 7_000), ms=4_000)
        prompt = stage.shown("prompt")
        stage = await gone_on(stage, tmp_path)
        assert stage.shown("prompt") == prompt and prompt.id == "p2"
        act(stage, "used", prompt.id)
        assert stage.shown("prompt") is None
        await stage.end()
        first, second = stage.service.store.record(stage.call)["prompts"]
        assert (first["how"], second["how"]) == ("withdrawn", "used")
        await stage.close()

    asyncio.run(scene())


def test_what_was_offered_before_the_cut_is_forgotten_where_consent_is_refused_after_it(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await stage.hear()
        stage = await gone_on(stage, tmp_path)
        history, record = stage.service.history, stage.service.store.record(stage.call)
        history.take([record | {"plan": [{"id": "fee", "offered_ms": 1_000, "answer": "accepted"}]}])
        act(stage, "consent", detail="refused")
        await stage.end()
        await stage.written()
        assert stage.service.store.record(stage.call) is None and history.accepted_here() == {}
        await stage.close()

    asyncio.run(scene())


def test_consent_refused_erases_a_call_that_was_cut_short_with_nothing_but_its_beginning_on_disk(tmp_path):
    async def scene():
        began = datetime.now(UTC).astimezone()
        store, call = open_store(f"sqlite:///{tmp_path / 'assist.db'}"), new_call_id(began)
        started = CallStarted(0, call, "Dana", "", "", "", began.isoformat(timespec="seconds"), "made", BOTH, {})
        store.begin(call, started.started_at, "Dana")
        store.append(call, 1, started).result()
        store.close()
        stage = await taken_up(tmp_path, call, consent="granted", auto_pause=False)
        act(stage, "consent", detail="refused")
        await stage.end()
        await stage.written()
        assert stage.service.store.record(call) is None and not stage.service.store.raw_events(call)
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_goes_on_alerts_anew_when_its_alert_has_been_dealt_with(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await unsettled(stage)
        await stage.hear(said("I want your manager now, this is useless, you idiot", 7_000), ms=5_000)
        stage = await gone_on(stage, tmp_path)
        act(stage, "resolve", "a2", "took over", MARIA)
        await stage.hear(said("I know where you live and I will kill you", stage.source.end_ms), ms=5_000)
        assert [event.id for event in stage.heard if isinstance(event, AlertRaised)] == ["a3"]
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def test_a_promise_of_a_call_that_goes_on_does_not_take_the_place_of_an_earlier_one(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await stage.hear(said("I'll email you the form", 0, Speaker.AGENT), ms=2_000)
        act(stage, "pause")
        act(stage, "resume")
        await stage.hear(said("I'll call the courier today", 2_500, Speaker.AGENT), ms=3_000)
        stage = await gone_on(stage, tmp_path)
        await stage.hear(said("I'll send you a refund tomorrow", stage.source.end_ms, Speaker.AGENT), ms=3_000)
        await stage.end()
        promised = [each["what"] for each in stage.service.store.record(stage.call)["follow_ups"]]
        assert promised == ["call the courier", "send you a refund"]
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_only_raised_voices_made_tense_goes_on_tense_for_its_coach_too(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        for measure, seconds in ((CALM, 15), (UP, 4), (CALM, 15), (UP, 4), (CALM, 2)):
            for _ in range(seconds):
                await stage.hear(*sustained(measure, 1, stage.source.end_ms))
        assert stage.shown("level").level == "tense"
        stage = await gone_on(stage, tmp_path)
        await stage.hear(said("I am so sorry, I do apologise", stage.source.end_ms, Speaker.AGENT), ms=4_000)
        assert stage.shown("level").level == "tense"
        assert [event.by for event in stage.heard if isinstance(event, StepTicked)] == ["words"]
        await stage.end()
        await stage.close()

    asyncio.run(scene())


async def escalated_before_consent(stage):
    """The clock began on words that are not in the log; a later cue that is there escalates the call as well."""
    await stage.hear(said("I want to cancel my contract today, I want your manager now", 1_000), ms=5_000)
    await quiet(stage, 25)
    act(stage, "consent", detail="granted")
    await stage.hear(said("I will sue you, I want your manager right now, I will cancel", 31_000), ms=5_000)


async def missed_before_consent(stage):
    for start_ms in range(1_000, 66_000, 5_000):
        await stage.hear(said("I know where you live and I will kill you", start_ms), ms=5_000)
    act(stage, "consent", detail="granted")


async def remedy_before_the_cut(stage):
    """The clock has stopped though the level stands."""
    await stage.hear(said("I want to cancel my contract today, I want your manager now", 1_000), ms=5_000)
    act(stage, "consent", detail="granted")
    await stage.hear(said("I will sue you, I want your manager right now, I will cancel", 6_000), ms=5_000)
    act(stage, "plan-accepted", "month-credit")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (escalated_before_consent, ["started", "missed"]),
        (missed_before_consent, ["started", "missed"]),
        (remedy_before_the_cut, ["started", "met"]),
    ],
)
def test_the_clock_of_a_call_that_goes_on_is_that_of_its_log_and_what_is_missed_is_told_once(before, told, tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="unknown", auto_pause=False)
        await before(stage)
        clock = stage.shown("clock")
        stage = await gone_on(stage, tmp_path)
        await quiet(stage, 1)
        assert stage.shown("level").level == "escalated" and stage.shown("clock") == clock
        for start_ms in range(stage.source.end_ms, stage.source.end_ms + 45_000, 5_000):
            await stage.hear(said("I know where you live and I will kill you", start_ms), ms=5_000)
        await stage.written()
        events = [event for _, event in stage.service.store.events(stage.call)]
        ran = [event for event in events if isinstance(event, Recovery)]
        assert [event.what for event in ran] == told
        assert {event.at_ms - event.took_ms for event in ran} == {clock.started_at_ms}
        await stage.end()
        await stage.close()

    asyncio.run(scene())


@pytest.mark.parametrize("restarted", [False, True])
def test_the_cards_of_a_call_that_goes_on_are_counted_once_on_the_board(restarted, tmp_path):
    async def scene():
        def counted():
            quality = stage.service.hub.latest("board", "quality")
            return quality.shown, quality.wrong, quality.median_ms is not None

        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await stage.hear(said("I want to cancel my contract today", 1_000), ms=4_000)
        act(stage, "wrong", stage.shown("prompt").id)
        assert counted() == (1, 1, True)
        if restarted:
            stage = await gone_on(stage, tmp_path)
        else:
            stage.task.cancel()
            await asyncio.wait([stage.task])
            stage.source = Source()
            _, stage.task = await stage.service.resume(stage.call, stage.source)
        await quiet(stage, 1)
        assert counted() == (1, 1, True)
        await stage.hear(said("I will leave a one star review, this is useless", stage.source.end_ms), ms=5_000)
        await quiet(stage, 40)
        assert counted()[0] > 1
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_goes_on_after_its_sound_had_stopped_is_shown_as_heard_again(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        await stage.hear(said("hello there", 0), ms=2_000)
        live = stage.service.calls[stage.call]
        live.stalled_s, live.sound_timeout_s = 0.02, 0.1
        await stage.hear()
        await stage.task
        told = [event for _, event in stage.service.store.events(stage.call) if isinstance(event, Trouble)]
        assert [(event.code, event.cleared) for event in told][-1] == ("audio-stalled", False)
        stage.source = Source()
        _, stage.task = await stage.service.resume(stage.call, stage.source)
        await quiet(stage, 2)
        row = stage.service.hub.latest("board", f"row/{stage.call}")
        assert (stage.shown("health").state, stage.shown("health").text, row.health) == ("ok", "", "ok")
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def test_that_listening_goes_on_is_told_for_a_moment_and_what_lasts_as_long_as_it_does(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await quiet(stage, 2)
        stage.service.calls[stage.call].report_trouble(Trouble(2_000, "store-failed", "Nothing can be written."))
        stage = await gone_on(stage, tmp_path)
        live = stage.service.calls[stage.call]
        live.report_trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is not judged."))
        assert stage.shown("notice/trouble").text == "Pace is not judged."
        live.report_trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is judged.", cleared=True))
        assert stage.shown("notice/trouble").text.startswith("Listening again")
        await quiet(stage, 29)
        assert stage.shown("notice/trouble").text.startswith("Listening again")
        live.report_trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is not judged."))
        await quiet(stage, 60)
        assert stage.shown("notice/trouble").text == "Pace is not judged."
        live.report_trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is judged.", cleared=True))
        assert stage.shown("notice/trouble") is None
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_was_not_kept_began_when_its_id_says_also_in_the_hour_that_comes_twice(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for day, hour in ((25, 0), (25, 1), (24, 1)):
            began = datetime(2026, 10, day, hour, 30, tzinfo=UTC)
            assert started_at_of(new_call_id(began)) == began
        assert new_call_id(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)).startswith("20261025-0230")
        assert started_at_of("20261025-023000-5cbcc5cb") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
