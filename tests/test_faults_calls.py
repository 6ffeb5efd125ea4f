"""Calls under fault: cut short and gone on with, sound that stops coming, dead channels, clocks that jump, load."""

import asyncio
import gc
import os
import resource
import shutil
import time
from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from assist.errors import AssistError
from assist.events import Action, AlertRaised, CallStarted, ConsentSet, PromptShown, Recovery, StepTicked
from assist.live.accounting import ORDER, Ledger, accounted
from assist.live.desk import Desk
from assist.live.joining import Joining, join_and_stay, open_to_calls
from assist.live.resuming import RESUME_S
from audio.channels import SILENT_MS, ChannelWatch
from audio.events import Chunk, Gap, Speaker, Trouble, Utterance
from audio.recording import open_recording
from overlay import doing
from overlay.errors import OverlayError
from overlay.hub import Hub
from overlay.identity import Identity
from tests.fault_rig import BOTH, SILENCE, Sound, acknowledging, in_a_child, killed_after, service
from tests.quiet_calls import QuietLine
from tests.scripted_call import Source, Stage, on_stage, open_service, said, saying
from tests.test_detectors_raised_voice import CALM, UP, sustained

DANA, MARIA, TOM = Identity("Dana", "agent"), Identity("Maria", "supervisor"), Identity("Tom", "supervisor")
STARTED = CallStarted(0, "k1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})


def speech(start, end, speaker=Speaker.CUSTOMER):
    return Utterance(f"c{start}", speaker, start, end, ())


def action(at, what):
    return Action(at, "Dana", "agent", what)


@st.composite
def histories(draw):
    """A call's log as far as it says where time went, and how long the call was."""
    events, at = [STARTED], 0
    paused = False
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 900))
        length = draw(st.integers(0, 1500))
        who = draw(st.sampled_from(BOTH))
        match draw(st.sampled_from(["speech", "lost", "failed", "untranscribed", "pause", "granted", "refused"])):
            case "speech":
                events.append(speech(at, at + length, who))
            case "pause":
                events.append(action(at, "resume" if paused else "pause"))
                paused = not paused
            case ("granted" | "refused") as consent:
                events.append(ConsentSet(at, consent, "Dana", "all-party"))
            case why:
                events.append(Gap(who, at, at + length, why))
    return events, at + draw(st.integers(0, 2000))


def painted_by_the_millisecond(events, end_ms):
    """The slow and obvious way: one label for each millisecond of each channel."""
    cells = {who: ["silence"] * end_ms for who in ("agent", "customer")}

    def paint(who, start, end, what):
        for ms in range(max(0, start), min(end, end_ms)):
            if cells[who][ms] == "silence" or ORDER.index(what) < ORDER.index(cells[who][ms]):
                cells[who][ms] = what

    since = {"paused": None, "withheld": None}
    for event in events:
        match event:
            case Utterance():
                paint(event.speaker, event.start_ms, event.end_ms, "speech")
            case Gap():
                paint(event.speaker, event.start_ms, event.end_ms, event.why)
            case Action(what="pause") if since["paused"] is None:
                since["paused"] = event.at_ms
            case ConsentSet(consent="refused") if since["withheld"] is None:
                since["withheld"] = event.at_ms
            case Action(what="resume") | ConsentSet(consent="granted"):
                what = "paused" if isinstance(event, Action) else "withheld"
                if since[what] is not None:
                    for who in cells:
                        paint(who, since[what], event.at_ms, what)
                since[what] = None
    for what, at in since.items():
        if at is not None:
            for who in cells:
                paint(who, at, end_ms, what)
    return {(who, what): cells[who].count(what) for who in cells for what in (*ORDER, "silence")}


@given(histories())
def test_every_millisecond_of_every_channel_has_one_account(history):
    events, end_ms = history
    sums = accounted(events, end_ms)
    wanted = painted_by_the_millisecond(events, end_ms)
    assert {key: sums.get(f"{key[0]}.{key[1]}", 0) for key in wanted} == wanted
    for who in ("agent", "customer"):
        assert sum(ms for key, ms in sums.items() if key.startswith(f"{who}.")) == end_ms


def test_an_account_can_be_asked_for_in_the_middle_of_a_pause():
    ledger = Ledger()
    for event in (STARTED, action(1_000, "pause")):
        ledger.take(event)
    assert ledger.sums(3_000)["customer.paused"] == 2_000
    assert ledger.sums(5_000) == {
        "agent.paused": 4_000, "agent.speech": 0, "agent.silence": 1_000,
        "customer.paused": 4_000, "customer.speech": 0, "customer.silence": 1_000,
    }  # fmt: skip


def listen(folder, paused, pipe):
    """A call without end; a line for every acknowledged event."""

    async def run():
        one = service(folder)
        one.open()
        acknowledging(one, lambda call, n: os.write(pipe, f"{call} {n}\n".encode()))
        call, task = one.start(Sound(), agent="Dana")
        await asyncio.sleep(0)
        if paused:
            one.calls[call].act(action(0, "pause"))
        await task

    asyncio.run(run())


def cut_short(folder, acknowledgements=30, paused=False):
    """The id of a call whose process was killed."""
    return killed_after(*in_a_child(listen, folder, paused), acknowledgements)[0].split()[0]


def test_a_call_that_was_cut_short_goes_on_where_its_log_left_off(tmp_path):
    call = cut_short(tmp_path)

    async def run():
        one = service(tmp_path)
        assert one.open() == [call]
        before = [event for _, event in one.store.events(call)]
        same, task = one.resume(call, Sound(60))
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
    call = cut_short(tmp_path, 3, paused=True)

    async def run():
        one = service(tmp_path)
        one.open()
        _, task = one.resume(call, Sound(20))
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
        desk = Desk(one)
        desk.presence(MARIA, "board", True)
        call, task = one.start(QuietLine(), agent="Dana")
        await asyncio.sleep(0)
        await desk.do(DANA, doing.DoHelp(do="help", call=call))
        await desk.do(DANA, doing.DoPlan(do="plan", call=call, option="month-credit", what="asked"))
        await asyncio.sleep(0)
        await desk.do(MARIA, doing.DoAlert(do="alert", call=call, alert="a2", what="claim"))
        await desk.do(TOM, doing.DoWatch(do="watch", call=call, on=True))
        await asyncio.wrap_future(one.store.flush())
        os.write(pipe, f"{call}\n".encode())
        await task

    asyncio.run(run())


def test_alerts_of_a_call_that_was_cut_short_go_on_and_nobody_is_shown_who_read_it_along(tmp_path):
    [call] = killed_after(*in_a_child(listen_with_alerts, tmp_path), 1)

    async def run():
        one = service(tmp_path)
        one.open()
        desk, hub = Desk(one), one.hub
        desk.presence(TOM, "board", True)
        _, task = one.resume(call, QuietLine(), now=datetime.now(UTC) - timedelta(hours=1))
        await asyncio.sleep(0)
        a1, a2 = (hub.latest("board", f"alert/{call}-{name}") for name in ("a1", "a2"))
        assert (a1.state, a1.to, a2.state, a2.by) == ("raised", "Tom", "claimed", "Maria")
        assert [(each.who, each.open, each.away) for each in hub.latest("board", "duty").people] == [
            ("Maria", 1, True), ("Tom", 1, False)]  # fmt: skip
        assert hub.latest("agent/Dana", "notice/reading") is None
        assert hub.latest("board", f"row/{call}").read_by == []
        await desk.do(TOM, doing.DoAlert(do="alert", call=call, alert="a1", what="claim"))
        await desk.do(TOM, doing.DoAlert(do="alert", call=call, alert="a1", what="resolve", how="took over"))
        with pytest.raises(OverlayError, match="Maria is on it already"):
            await desk.do(TOM, doing.DoAnswer(do="answer", call=call, alert="a2", allow=True))
        desk.presence(MARIA, "board", True)
        await desk.do(MARIA, doing.DoAnswer(do="answer", call=call, alert="a2", allow=True))
        await desk.do(DANA, doing.DoHelp(do="help", call=call))
        assert hub.latest("board", f"alert/{call}-a3").kind == "help"
        one.calls[call].hang_up()
        await task
        alerts = one.store.record(call)["alerts"]
        await one.close()
        return [[what for _, what, _ in alert["course"]] for alert in alerts]

    first, second, _ = asyncio.run(run())
    assert first == ["turn", "turn", "claim", "resolve"] and second == ["turn", "claim", "allowed"]


def test_only_a_call_that_was_cut_short_a_moment_ago_goes_on(tmp_path):
    call = cut_short(tmp_path)

    async def run():
        one = service(tmp_path)
        one.open()
        later = datetime.now(UTC) + timedelta(seconds=RESUME_S + 60)
        for asked, now, code in (
            ("nobody", None, "resume-unknown"),
            (call, later, "resume-late"),
        ):
            with pytest.raises(AssistError) as error:
                one.resume(asked, Sound(1), now=now)
            assert error.value.code == code
        ended, task = one.start(Sound(1))
        await task
        with pytest.raises(AssistError) as error:
            one.resume(ended, Sound(1))
        assert error.value.code == "resume-not-cut-short"
        await one.close()

    asyncio.run(run())


def test_a_clock_that_was_set_back_gives_no_negative_time(tmp_path):
    call = cut_short(tmp_path)

    async def run():
        one = service(tmp_path)
        one.open()
        _, task = one.resume(call, Sound(10), now=datetime.now(UTC) - timedelta(hours=1))
        await task
        events = [event for _, event in one.store.events(call)]
        times = [getattr(event, "at_ms", getattr(event, "start_ms", 0)) for event in events]
        assert min(times) >= 0
        gaps = [event for event in events if isinstance(event, Gap)]
        assert all(gap.end_ms >= gap.start_ms for gap in gaps)
        await one.close()

    asyncio.run(run())


async def cut(stage, data, copy):
    """What a kill leaves on the disk: the data folder as it is in the middle of the call."""
    await stage.written()
    shutil.copytree(data, copy)
    await stage.end()
    await stage.close()


def going_on(stage, copy, **settings):
    """The call cut short, taken up by another program."""
    service, ears = open_service(copy, auto_pause=False, **settings)
    source, heard = Source(), []
    _, task = service.resume(stage.call, source, listener=heard.append)
    return Stage(service, ears, source, stage.call, task, heard)


def act(stage, what, target="", detail="", who=DANA):
    live = stage.service.calls[stage.call]
    live.act(Action(live.session.now_ms, who.who, who.role, what, target, detail))


async def quiet(stage, seconds):
    for _ in range(seconds):
        await stage.hear()


async def unsettled(stage):
    """A card and an alert on words that settle otherwise."""
    await stage.hear(saying("I will kill you", 1_000), ms=3_000)
    await stage.hear(said("I will call you", 1_000), ms=3_000)


async def unkept(stage):
    """A card on words that were said before they might be kept."""
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
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
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
        card = stage.shown("prompt")
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
        assert stage.shown("prompt") == card and card.id == "p2"
        act(stage, "used", card.id)
        assert stage.shown("prompt") is None
        await stage.end()
        first, second = stage.service.store.record(stage.call)["prompts"]
        assert (first["how"], second["how"]) == ("withdrawn", "used")
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_goes_on_alerts_anew_when_its_alert_has_been_dealt_with(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path / "a", consent="granted", auto_pause=False)
        await unsettled(stage)
        await stage.hear(said("I want your manager now, this is useless, you idiot", 7_000), ms=5_000)
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
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
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
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
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
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
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
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


class Torn(Hub):
    """A board on which no row can be drawn."""

    def show(self, room, key, message):
        if key.startswith("row/"):
            raise RuntimeError("i want to speak to your manager")
        super().show(room, key, message)


def test_a_page_that_cannot_be_drawn_costs_a_call_neither_its_end_nor_an_event(tmp_path, caplog):
    async def run(hub):
        one = service(tmp_path / type(hub).__name__)
        one.hub = hub
        one.open()
        call, task = one.start(Sound(200), agent="Dana")
        await task
        logged, record = one.store.events(call), one.store.record(call)
        await one.close()
        assert [n for n, _ in logged] == list(range(len(logged)))
        return [event for _, event in logged[1:]], record["ended"]

    torn, whole = asyncio.run(run(Torn())), asyncio.run(run(Hub()))
    assert torn == whole and torn[1] == "end-of-recording"
    assert "pages were not drawn: RuntimeError" in caplog.text and "your manager" not in caplog.text


def test_an_event_after_one_that_could_not_be_told_has_a_number_of_its_own(tmp_path):
    def listener(event):
        if isinstance(event, Action) and event.detail == "first":
            raise RuntimeError

    async def run():
        one = service(tmp_path)
        one.open()
        call, task = one.start(Sound(), agent="Dana", listener=listener)
        await asyncio.sleep(0)
        live = one.calls[call]
        with pytest.raises(RuntimeError):
            live.act(Action(0, "Dana", "agent", "note", detail="first"))
        live.act(Action(0, "Dana", "agent", "note", detail="second"))
        live.hang_up()
        await task
        said = [event.detail for _, event in one.store.events(call) if isinstance(event, Action)]
        await one.close()
        return said

    assert asyncio.run(run()) == ["first", "second"]


class Stalling(Sound):
    """Sound that stops coming after three chunks, and comes again when it is told to."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()

    async def __aiter__(self):
        for n in range(3):
            yield Chunk(n * 100, {who: SILENCE for who in BOTH})
        await self.go_on.wait()
        self.go_on.clear()
        yield Chunk(300, {who: SILENCE for who in BOTH})
        await self.go_on.wait()


def test_sound_that_stops_coming_is_told_and_at_last_given_up(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        source, told = Stalling(), []

        def hear(event):
            if isinstance(event, Trouble):
                told.append((event.code, event.cleared))
                if told == [("audio-stalled", False)]:
                    source.go_on.set()

        call, task = one.start(source, listener=hear)
        live = one.calls[call]
        live.stalled_s, live.given_up_s = 0.02, 0.2
        await task
        record = one.store.record(call)
        await one.close()
        return told, record

    told, record = asyncio.run(run())
    assert told == [("audio-stalled", False), ("audio-stalled", True), ("audio-stalled", False)]
    assert record["ended"] == "interrupted"


def test_a_call_that_goes_on_after_its_sound_had_stopped_is_shown_as_heard_again(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        await stage.hear(said("hello there", 0), ms=2_000)
        live = stage.service.calls[stage.call]
        live.stalled_s, live.given_up_s = 0.02, 0.1
        await stage.hear()
        await stage.task
        told = [event for _, event in stage.service.store.events(stage.call) if isinstance(event, Trouble)]
        assert [(event.code, event.cleared) for event in told][-1] == ("audio-stalled", False)
        stage.source = Source()
        _, stage.task = stage.service.resume(stage.call, stage.source)
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
        stage.service.calls[stage.call].trouble(Trouble(2_000, "store-failed", "Nothing can be written."))
        await cut(stage, tmp_path / "a", tmp_path / "b")
        stage = going_on(stage, tmp_path / "b")
        live = stage.service.calls[stage.call]
        live.trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is not judged."))
        assert stage.shown("notice/trouble").text == "Pace is not judged."
        live.trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is judged.", cleared=True))
        assert stage.shown("notice/trouble").text.startswith("Listening again")
        await quiet(stage, 29)
        assert stage.shown("notice/trouble").text.startswith("Listening again")
        live.trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is not judged."))
        await quiet(stage, 60)
        assert stage.shown("notice/trouble").text == "Pace is not judged."
        live.trouble(Trouble(live.session.now_ms, "detector-off:pace", "Pace is judged.", cleared=True))
        assert stage.shown("notice/trouble") is None
        await stage.end()
        await stage.close()

    asyncio.run(scene())


def chunks(seconds, agent, customer):
    """Ten a second; each side a function of the second -> RMS level."""
    rng = np.random.default_rng(3)
    for n in range(seconds * 10):
        sound = {
            who: (level(n / 10) * rng.standard_normal(1600)).astype(np.float32)
            for who, level in ((Speaker.AGENT, agent), (Speaker.CUSTOMER, customer))
        }
        yield Chunk(n * 100, sound)


def watched(*parts):
    watch = ChannelWatch()
    return [(trouble.at_ms, trouble.code, trouble.cleared) for chunk in chunks(*parts) for trouble in watch.push(chunk)]


def test_a_channel_without_any_sound_while_the_other_side_speaks_is_told_within_twelve_seconds():
    [(at_ms, code, cleared)] = watched(20, lambda _: 0.1, lambda second: 0.0 if second >= 3 else 0.01)
    assert code == "channel-silent:customer" and not cleared
    assert 3_000 + SILENT_MS <= at_ms <= 3_000 + SILENT_MS + 2_000


def test_an_idle_line_of_a_law_that_has_no_zero_is_a_dead_channel(tmp_path):
    sound = np.zeros((8_000 * 13, 2))
    sound[:, 0] = 0.1 * np.random.default_rng(1).standard_normal(len(sound))
    soundfile.write(tmp_path / "call.wav", sound, 8_000, subtype="ALAW")
    watch = ChannelWatch()

    async def troubles():
        source = open_recording(tmp_path / "call.wav", speed=inf)
        return [trouble async for chunk in source for trouble in watch.push(chunk)]

    told = asyncio.run(troubles())[0]
    assert told.code == "channel-silent:customer" and not told.cleared


def test_a_channel_that_comes_back_is_told():
    found = watched(30, lambda second: 0.0 if 2 <= second < 20 else 0.01, lambda _: 0.1)
    assert [(code, cleared) for _, code, cleared in found] == [
        ("channel-silent:agent", False), ("channel-silent:agent", True)
    ]  # fmt: skip


def test_a_quiet_line_a_silent_call_and_hold_music_are_no_dead_channel():
    quiet = 10 ** (-75 / 20)  # the noise of a good line
    assert watched(120, lambda _: 0.1, lambda _: quiet) == []
    assert watched(120, lambda _: 0.0, lambda _: 0.0) == []
    assert watched(120, lambda second: 0.2 if second % 40 < 30 else 0.01, lambda second: 0.1 * (second % 9 < 6)) == []


class Broken(Sound):
    async def __aiter__(self):
        yield Chunk(0, {who: SILENCE for who in BOTH})
        raise RuntimeError("the gateway sent nonsense")


def test_one_call_that_fails_touches_no_other(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        bad, failing = one.start(Broken(), agent="Bo")
        good, fine = one.start(Sound(50), agent="Dana")
        with pytest.raises(RuntimeError):
            await failing
        await fine
        records = one.store.record(bad), one.store.record(good)
        await one.close()
        return records

    bad, good = asyncio.run(run())
    assert bad["ended"] == "failed" and good["ended"] == "end-of-recording"
    assert len(good["transcript"]) == 10


def test_a_call_that_fails_in_the_server_is_told_to_its_command_in_one_line_without_what_was_said(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Joining, "source", lambda asked: Broken())

    async def run():
        one = service(tmp_path)
        one.open()
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with open_to_calls(one):
            with pytest.raises(AssistError, match=r"call .* failed \(RuntimeError\); what was heard") as caught:
                await join_and_stay(tmp_path, Joining(microphone="1"), lambda event: None)
        await one.close()
        return caught.value, problems

    told, problems = asyncio.run(run())
    assert told.code == "join-refused" and "nonsense" not in str(told) and problems == []


@pytest.mark.slow
def test_a_hundred_calls_of_plumbing_lose_nothing_and_cost_little(tmp_path):
    """100 calls x 2 channels x 100 ms for 60 s of call time each, as fast as it goes."""

    async def run():
        one = service(tmp_path, every=30)
        one.open()
        cpu = time.process_time()
        tasks = [one.start(Sound(600), agent=f"agent {n}") for n in range(100)]
        await asyncio.gather(*(task for _, task in tasks))
        cpu = time.process_time() - cpu
        for call, _ in tasks:
            numbers = [n for n, _ in one.store.events(call)]
            assert numbers == list(range(len(numbers)))
            assert len(one.store.record(call)["transcript"]) == 20
        await one.close()
        return cpu

    cpu = asyncio.run(run())
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"100 calls of 60 s: {cpu:.1f} CPU-s = {100 * cpu / 60:.0f} % of one core in real time, {mib:.0f} MiB")


@pytest.mark.slow
def test_the_memory_of_a_twelve_hour_call_is_flat(tmp_path):
    """12 h of call time through session, coach, log and screens; resident memory after each hour."""
    sizes = []

    def resident_mib():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)

    class Hours(Sound):
        async def __aiter__(self):
            for n in range(12 * 36_000):
                yield Chunk(n * 100, {who: SILENCE for who in BOTH})
                if n % 100 == 0:
                    await asyncio.sleep(0)
                if n % 36_000 == 0:
                    sizes.append(resident_mib())

    async def run():
        one = service(tmp_path, every=50)
        one.open()
        _, task = one.start(Hours())
        await task
        await one.close()

    asyncio.run(run())
    slope = float(
        np.median([(b - a) / (j - i) for i, a in enumerate(sizes) for j, b in enumerate(sizes) if 1 <= i < j])
    )
    print(f"12 h call: {sizes[1]:.0f} MiB after 1 h, {sizes[-1]:.0f} MiB after 11 h; {slope:.2f} MiB an hour")
    assert slope <= 0.5
