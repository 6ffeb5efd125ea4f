"""Speech of ended calls that no recogniser was there for: its words come late, where nothing forbids it."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assist.coach.reloading import ReloadingPlaybook
from assist.events import Action, CallEnded, CallStarted, FollowUpNoted, TranscribedLate
from assist.live.backfill import Backfill
from assist.live.late_words import late_events
from assist.live.loading import hearing_with
from assist.live.page_actions import PageActions
from assist.live.service import Service
from assist.live.writing import Erase, handle_write
from assist.records.page import page
from assist.records.record import read_record
from assist.records.seal import verify_log
from assist.settings import Settings
from assist.store.rows import Review
from audio.backfill import BackfillBudget, UntranscribedUtterance
from audio.events import Chunk, Gap, Speaker
from audio.scheduling import Scheduler
from audio.whisper import WhisperRecogniser
from detectors.rulebook import load_rules
from overlay import doing
from overlay.errors import OverlayError
from overlay.hub import Hub
from overlay.identity import Identity
from tests.heard import words as spoken
from tests.scripted_call import said

MODEL = Path(__file__).parent / "models" / "test-recogniser"
SOUND = soundfile.read(Path(__file__).parent / "data" / "spoken-call.flac", dtype="float32")[0].T.copy()
BOTH = (Speaker.AGENT, Speaker.CUSTOMER)
RULES = load_rules()


@pytest.fixture(scope="module")
def recogniser():
    return WhisperRecogniser(MODEL, device="cpu", floor_frames=300)


class Spoken:
    """The spoken call, as fast as it is taken; `acts` are done on the way: at (ms) -> what to do."""

    name, speakers = "spoken", BOTH

    def __init__(self, acts):
        self._acts = dict(acts)

    async def __aiter__(self):
        for at in range(0, SOUND.shape[1], 1600):
            if (act := self._acts.pop(at // 16, None)) is not None:
                act()
            yield Chunk(at // 16, dict(zip(BOTH, SOUND[:, at : at + 1600], strict=True)))
            await asyncio.sleep(0)


class Program:
    """A whole service, without a recogniser until one comes."""

    def __init__(self, data, recogniser=None, **settings):
        self.settings = Settings(data=data, **({"consent": "granted", "agent": "Dana", "backfill_s": 60} | settings))
        self.scheduler = Scheduler(recogniser)
        self.hearing = hearing_with(
            self.scheduler, "none", self.settings.backfill_s * 1000, BackfillBudget(16_000 * 600)
        )
        self.service = Service(self.settings, RULES, ReloadingPlaybook("default"), Hub(), self.hearing)
        self.service.open()
        self.store, self.backfill = self.service.store, self.service.post_call.backfill

    async def call(self, acts=()):
        """The id of a call that has ended; `acts`: at (ms) -> (what, detail) of the agent."""

        def doing(what, detail):
            def do():
                (live,) = self.service.calls.values()
                live.act(Action(live.session.now_ms, "Dana", "agent", what, detail=detail))

            return do

        call, task = self.service.start(Spoken({at: doing(*act) for at, act in dict(acts).items()}), in_step=True)
        await task
        return call

    async def come(self, recogniser):
        """A recogniser is there, and all that can be done with it has been done."""
        self.hearing.use(recogniser, "there")
        self.scheduler.adopt(recogniser)
        self.hearing.on_available()
        await asyncio.sleep(0)
        await self.backfill.idle()


@asynccontextmanager
async def program(data, recogniser=None, **settings):
    one = Program(data, recogniser, **settings)
    try:
        yield one
    finally:
        await one.service.close()


@pytest.fixture(scope="module")
def in_time(recogniser, tmp_path_factory):
    """The record of the same call heard while it went on."""

    async def scene():
        async with program(tmp_path_factory.mktemp("live"), recogniser) as one:
            return one.store.record(await one.call())

    return asyncio.run(scene())


def words(record):
    return [(line["speaker"], word[:3]) for line in record["transcript"] for word in line["words"]]


def found(record):
    return {(signal["id"], signal["quote"], signal["at_ms"]) for signal in record["signals"] if signal["quote"]}


def test_a_call_without_a_recogniser_has_its_words_in_the_record_when_one_comes(recogniser, in_time, tmp_path):
    async def scene():
        async with program(tmp_path) as one:
            call = await one.call()
            before = one.store.record(call)
            assert before["transcript"] == [] and before["accounted_ms"]["customer.untranscribed"] > 8_000
            page_before = one.service.hub.snapshot("agent/Dana"), one.service.hub.snapshot("board")
            exported = tmp_path / "exported.json"
            exported.write_text(json.dumps(before))
            one.store.review(call, Review("2026-11-27T10:00:00+00:00", "Maria", "comment", "", "No words?"))
            await one.come(recogniser)
            now = one.store.record(call)
            assert words(now) == words(in_time) and len(words(now)) > 40
            assert found(now) == found(in_time)
            assert now["level_reached"] == in_time["level_reached"] and now["levels"] == before["levels"]
            assert now["prompts"] == now["alerts"] == []
            assert (one.service.hub.snapshot("agent/Dana"), one.service.hub.snapshot("board")) == page_before
            late = {(each["speaker"], each["start_ms"], each["end_ms"]) for each in now["transcribed_late"]}
            assert len(late) == 7 and "customer.untranscribed" not in now["accounted_ms"]
            assert now["accounted_ms"]["customer.transcribed-late"] == before["accounted_ms"]["customer.untranscribed"]
            assert now["duration_ms"] == before["duration_ms"] and now["versions"]["late recogniser"] == recogniser.name
            assert [each.text for each in one.store.reviews(call)] == ["No words?"]
            assert "unchanged since the record was made" in verify_log(one.store, call)
            assert "words transcribed late" in verify_log(one.store, call, exported)
            shown = page(read_record(now))
            assert "transcribed after the call" in shown and "nobody was prompted" in shown
            assert one.backfill.samples == 0

    asyncio.run(scene())


def test_erased_in_between_nothing_is_heard_any_more(recogniser, tmp_path):
    async def scene():
        async with program(tmp_path) as one:
            gone, stays = await one.call(), await one.call()
            held = one.backfill.samples
            assert (await handle_write(one.service, Erase(calls=[gone]).model_dump_json().encode())) == {
                "written": True
            }
            assert one.backfill.samples == held // 2
            await one.come(recogniser)
            assert one.store.events(gone) == [] and one.store.record(gone) is None
            assert one.store.record(stays)["transcript"]

    asyncio.run(scene())


def test_a_log_that_was_erased_or_goes_on_is_not_added_to(tmp_path):
    async def scene():
        async with program(tmp_path) as one:
            call = await one.call()
            record, log = one.store.record(call), one.store.raw_events(call)
            late = [(log[-1][0] + 1, said("never written", 0))]
            one.store.reopen(call)
            await asyncio.wrap_future(one.store.amend(call, log[-1][0], late, record))
            assert one.store.raw_events(call) == log
            one.store.erase([call])
            await asyncio.wrap_future(one.store.amend(call, log[-1][0], late, record))
            assert one.store.raw_events(call) == [] and one.store.record(call) is None

    asyncio.run(scene())


def test_a_program_that_ends_first_loses_the_sound_and_still_says_untranscribed(recogniser, tmp_path):
    async def scene():
        one = Program(tmp_path)
        call = await one.call()
        before = one.store.record(call)
        one.hearing.use(recogniser, "there")
        one.scheduler.adopt(recogniser)
        one.hearing.on_available()
        await asyncio.sleep(0)  # it has begun to listen
        await one.service.close()
        assert one.backfill.samples == 0
        return call, before

    call, before = asyncio.run(scene())

    async def again():
        async with program(tmp_path) as one:
            assert one.store.record(call) == before

    asyncio.run(again())


def test_what_was_said_before_consent_or_around_a_pause_is_not_filled(recogniser, in_time, tmp_path):
    consent_ms, pause_ms, resume_ms = 7_000, 16_000, 19_000

    async def scene():
        async with program(tmp_path, consent="unknown") as one:
            call = await one.call(
                {consent_ms: ("consent", "granted"), pause_ms: ("pause", ""), resume_ms: ("resume", "")}
            )
            await one.come(recogniser)
            return one.store.record(call)

    record = asyncio.run(scene())
    spans = [(start, end) for _, (_, start, end) in words(record)]
    assert spans and all(start >= consent_ms for start, _ in spans)
    assert all(end <= pause_ms - 2_000 or start >= resume_ms for start, end in spans)
    assert {(word[0], word[1][0]) for word in words(record)} <= {(word[0], word[1][0]) for word in words(in_time)}
    assert record["accounted_ms"]["customer.untranscribed"] > 0 < record["accounted_ms"]["customer.transcribed-late"]


class Says:
    """Hears the same words in every utterance."""

    name, version, embedded = "says", "1", False

    def __init__(self, text):
        self._words = spoken(text, 0)

    def begin(self, *, phrases=()):
        return self

    def extend(self, pcm):
        pass

    def final(self):
        return self._words


MARIA, TOM = Identity("Maria", "supervisor"), Identity("Tom", "supervisor")


def test_something_urgent_heard_late_rings_supervisors_until_one_has_ended_it(tmp_path):
    async def scene():
        async with program(tmp_path) as one:
            actions, hub = PageActions(one.service), one.service.hub
            for who in (MARIA, TOM):
                actions.presence(who, "board", True)
            call = await one.call()
            agents_page = hub.snapshot("agent/Dana")
            before = one.store.record(call)
            await one.come(Says("i am going to kill myself"))

            def board():
                return hub.latest("board", f"alert/{call}-late")

            def do(who, **what):
                return actions.do(who, doing.DO.validate_python({"call": call, "do": "alert", "alert": "late", **what}))

            await asyncio.sleep(0)
            assert (board().kind, board().tier, board().to, board().state) == ("late", "urgent", "Maria", "raised")
            assert "kill myself" in board().reason and "over" in board().reason
            assert hub.snapshot("agent/Dana") == agents_page
            await do(MARIA, what="seen")
            await do(MARIA, what="claim")
            assert (board().state, board().by) == ("claimed", "Maria")
            with pytest.raises(OverlayError, match="Maria is on it already"):
                await do(TOM, what="claim")
            with pytest.raises(OverlayError, match="That call is over"):
                await actions.do(MARIA, doing.DO.validate_python({"call": call, "do": "tell", "text": "Hello?"}))
            await do(MARIA, what="resolve", how="settled", note="Called back.")
            assert board() is None
            with pytest.raises(OverlayError, match="That call is over"):
                await do(TOM, what="claim")
            await one.service.hang_up()
            (alert,) = one.store.record(call)["alerts"]
            assert [step[1:] for step in alert["course"]] == [
                ["turn", "Maria"], ["alert-seen", "Maria"], ["claim", "Maria"], ["resolve", "Maria"]
            ]  # fmt: skip
            assert (alert["kind"], alert["note"], alert["at_ms"]) == ("late", "Called back.", before["duration_ms"])
            assert one.store.record(call)["duration_ms"] == before["duration_ms"]
            assert "unchanged" in verify_log(one.store, call)

    asyncio.run(scene())


def test_an_alert_about_a_call_that_is_erased_leaves_the_boards(tmp_path):
    async def scene():
        async with program(tmp_path) as one:
            call = await one.call()
            await one.come(Says("i am going to kill myself"))
            assert one.service.hub.latest("board", f"alert/{call}-late") is not None
            await handle_write(one.service, Erase(calls=[call]).model_dump_json().encode())
            assert one.service.hub.latest("board", f"alert/{call}-late") is None
            await one.service.hang_up()
            assert one.store.events(call) == []

    asyncio.run(scene())


STARTED = CallStarted(0, "k", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})


def late(tmp_path, logged, *utterances):
    """What late words add to a log."""

    async def scene():
        async with program(tmp_path) as one:
            gaps = [Gap(each.speaker, each.start_ms, each.end_ms, "untranscribed") for each in utterances]
            ended = CallEnded(60_000, "hang-up", {"agent.silence": 60_000, "customer.silence": 60_000})
            log = [STARTED, *sorted([*logged, *gaps], key=lambda each: getattr(each, "at_ms", 0)), ended]
            return late_events(lambda: one.service.setup.new_session(STARTED), log, utterances, after_s=60, versions={})

    return asyncio.run(scene())


def texts(events):
    return [event.text for event in events if getattr(event, "text", "")]


def test_late_words_are_masked_and_stop_where_a_card_number_was_asked_for(tmp_path):
    events = late(
        tmp_path,
        [],
        said("my number is 4111 1111 1111 1111 thanks", 0),
        said("can you read me the card number please", 10_000, Speaker.AGENT),
        said("four one one one", 14_000),
    )
    assert texts(events) == ["my number is [card number] thanks", "can you read me the card number please"]
    (marker,) = (event for event in events if isinstance(event, TranscribedLate))
    assert [at for _, at, _ in marker.ranges] == [0, 10_000]
    assert marker.accounted_ms["customer.untranscribed"] > 0


def test_what_a_pause_by_hand_reaches_back_to_is_cut_off_with_all_that_stood_on_it(tmp_path):
    words = said("well then one moment now i want to speak to your manager", 0)
    events = late(tmp_path, [Action(words.end_ms + 100, "Dana", "agent", "pause")], words)
    assert texts(events) == ["well then one moment now"]
    assert [type(event).__name__ for event in events] == ["TranscribedLate", "Utterance"]


def test_a_promise_heard_late_is_a_follow_up_unless_it_is_known(tmp_path):
    promise = said("I will call you back on Friday", 0, Speaker.AGENT)
    (noted,) = (event for event in late(tmp_path, [], promise) if isinstance(event, FollowUpNoted))
    assert noted.id.startswith("late-") and "Friday" in noted.due
    assert not any(isinstance(event, FollowUpNoted) for event in late(tmp_path, [noted], promise))
    courier = FollowUpNoted(0, "f1", "call the courier back", "on Friday", "Dana")
    assert any(isinstance(event, FollowUpNoted) for event in late(tmp_path, [courier], promise)), "that is another one"


def owed(seconds, start_ms=0, speaker=Speaker.CUSTOMER):
    return UntranscribedUtterance(
        f"{speaker[0]}{start_ms}", speaker, start_ms, start_ms + 1000 * seconds, np.zeros(16_000 * seconds, "i2")
    )


def test_of_too_much_the_oldest_calls_goes_first_and_what_is_too_old_goes_too():
    async def scene():
        def held(backfill):
            return {waiting.call: [each.id for each in waiting.speech] for waiting in backfill._calls}

        backfill = Backfill(lambda *_: None, lambda: False, None, budget=BackfillBudget(6 * 16_000), wait_s=3600)
        backfill.add_call("k1", [owed(2, 0), owed(2, 2_000, Speaker.AGENT), owed(2, 4_000)])
        backfill.add_call("k2", [owed(1)])
        assert held(backfill) == {"k1": ["c0", "c4000"], "k2": ["c0"]}
        backfill.add_call("k3", [owed(5)])
        assert held(backfill) == {"k2": ["c0"], "k3": ["c0"]}
        backfill.add_call("k4", [owed(7)])
        assert held(backfill) == {}
        brief = Backfill(lambda *_: None, lambda: False, None, budget=BackfillBudget(6 * 16_000), wait_s=0)
        brief.add_call("k1", [owed(2)])
        for _ in range(3):
            await asyncio.sleep(0)
        assert brief.samples == 0

    asyncio.run(scene())


def test_what_the_recogniser_fails_on_stays_untranscribed_and_one_that_goes_away_is_waited_for():
    async def scene():
        there, answers, added = True, [None, (), "gone", ()], []

        def decode(pcm, phrases, told):
            nonlocal there
            answer = answers.pop(0)
            there = answer != "gone"
            told(None if answer == "gone" else answer)

        async def add(call, said, after_s):
            added.append((call, [each.start_ms for each in said]))

        backfill = Backfill(decode, lambda: there, add, budget=BackfillBudget(60 * 16_000), wait_s=60)
        backfill.add_call("k1", [owed(1, 0), owed(1, 1_000), owed(1, 2_000)])
        await backfill.idle()
        assert added == [] and backfill.samples == 16_000
        there = True
        backfill.start()
        await backfill.idle()
        assert added == [("k1", [1_000, 2_000])]

    asyncio.run(scene())
