"""Calls while there is no recogniser: what was said is untranscribed, or held until one comes."""

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.backfill import BackfillBudget
from audio.decode_queue import UtteranceTask
from audio.errors import AudioError
from audio.events import Chunk, Gap, Speaker, Trouble, Utterance, Word
from audio.listener import Listener
from audio.scheduling import Scheduler

DATA = Path(__file__).parent / "data"
BOTH = (Speaker.AGENT, Speaker.CUSTOMER)
CHUNK = np.zeros(1600, np.float32)


class Counting:
    """Hears how much sound it was given."""

    name, version, embedded = "counting", "1", False

    def begin(self, *, phrases=()):
        return CountingDecoding()


class CountingDecoding:
    samples = 0

    def extend(self, pcm):
        self.samples += len(pcm)

    def hypothesis(self):
        return ()

    def final(self):
        return (Word(str(self.samples), 0, 1),)


@pytest.fixture(scope="module")
def chunks():
    sound = soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0].T.copy()
    return [
        Chunk(at // 16, dict(zip(BOTH, sound[:, at : at + 1600], strict=True))) for at in range(0, sound.shape[1], 1600)
    ]


def gaps(heard):
    return [item for item in heard if isinstance(item, Gap)]


def utterances(heard):
    return [item for item in heard if isinstance(item, Utterance)]


def pushed(listener, chunks):
    return [item for chunk in chunks for item in listener.push(chunk)]


def test_without_a_recogniser_every_utterance_is_a_gap_and_the_trouble_is_told_once(chunks):
    scheduler = Scheduler(None, 1, missing="No model.")
    listener = Listener(scheduler, BOTH)
    heard = pushed(listener, chunks) + listener.finish()
    assert [(item.code, item.text) for item in heard if isinstance(item, Trouble)] == [
        ("transcriber-missing", "No model.")
    ]
    assert utterances(heard) == [] and {gap.why for gap in gaps(heard)} == {"untranscribed"}
    assert [gap.speaker for gap in gaps(heard)].count(Speaker.CUSTOMER) == 4
    scheduler.close()


def test_a_recogniser_that_comes_in_mid_call_hears_the_rest_and_the_utterance_being_said(chunks):
    scheduler = Scheduler(None, 1)
    listener = Listener(scheduler, BOTH, in_step=True)
    heard = pushed(listener, chunks[:60])  # the customer is speaking at 6 s
    scheduler.adopt(Counting())
    heard += pushed(listener, chunks[60:]) + listener.finish()
    assert [item.cleared for item in heard if isinstance(item, Trouble)] == [False, True]
    assert [gap.speaker for gap in gaps(heard)] == [Speaker.AGENT]
    customer = [item for item in utterances(heard) if item.speaker is Speaker.CUSTOMER]
    assert len(customer) == 4 and customer[0].start_ms < 6000 < customer[0].end_ms
    assert int(customer[0].words[0].text) == (customer[0].end_ms - customer[0].start_ms) * 16
    scheduler.close()


def test_held_speech_is_transcribed_when_a_recogniser_comes(chunks):
    scheduler = Scheduler(None, 1)
    listener = Listener(scheduler, BOTH, in_step=True, backfill_ms=60_000)
    heard = pushed(listener, chunks[:-1])
    assert gaps(heard) == [] == utterances(heard)
    scheduler.adopt(Counting())
    heard += pushed(listener, chunks[-1:]) + listener.finish()
    assert len(utterances(heard)) == 7 and gaps(heard) == []
    scheduler.close()


def test_when_a_recogniser_comes_what_is_said_now_goes_before_what_was_held(chunks):
    scheduler, recogniser = Scheduler(None, 1), Gated()
    listener = Listener(scheduler, BOTH, backfill_ms=60_000)
    pushed(listener, chunks[:100])
    scheduler.adopt(recogniser)
    heard = pushed(listener, chunks[100:101])
    assert recogniser.asked.acquire(timeout=10)  # the first of the backlog has begun
    heard += pushed(listener, chunks[101:])
    recogniser.permits.release(7)
    heard += listener.finish()
    was_held = [each.end_ms < 10_000 for each in utterances(heard)]
    assert was_held == [True, False, False, False, False, False, True]
    scheduler.close()


def test_a_leak_that_is_transcribed_minutes_later_stays_with_the_louder_channel(chunks):
    agent = np.concatenate([chunk.channels[Speaker.AGENT] for chunk in chunks[:40]])
    agent = np.pad(agent, (0, 1600 * 1300))
    scheduler = Scheduler(None, 1)
    listener = Listener(scheduler, BOTH, in_step=True, backfill_ms=60_000)
    for at in range(0, len(agent), 1600):
        pcm = agent[at : at + 1600]
        listener.push(Chunk(at // 16, {Speaker.AGENT: pcm, Speaker.CUSTOMER: 0.15 * pcm}))
    scheduler.adopt(Counting())
    said = utterances(listener.push(Chunk(len(agent) // 16, dict.fromkeys(BOTH, CHUNK))) + listener.finish())
    assert sorted((each.speaker, bool(each.words)) for each in said) == [
        (Speaker.AGENT, True),
        (Speaker.CUSTOMER, False),
    ]
    scheduler.close()


def test_of_too_much_held_speech_the_agents_oldest_goes_first(chunks):
    scheduler = Scheduler(None, 1)
    listener = Listener(scheduler, BOTH, backfill_ms=8_000)
    during = gaps(pushed(listener, chunks))
    assert during and during[0].speaker is Speaker.AGENT
    after = gaps(listener.finish())
    assert len(during) + len(after) == 7
    assert sum(gap.end_ms - gap.start_ms for gap in after) <= 8_000
    scheduler.close()


def test_what_calls_hold_together_has_its_bound_and_whoever_comes_last_gives_way(chunks):
    scheduler, room = Scheduler(None, 1), BackfillBudget(16 * 12_000)
    first, second = (Listener(scheduler, BOTH, backfill_ms=60_000, budget=room) for _ in range(2))
    assert gaps(pushed(first, chunks[:140])) == []  # 8 s of speech
    dropped = gaps(pushed(second, chunks[:140]))
    assert dropped and dropped[0].speaker is Speaker.AGENT
    assert not room.set_held("a third", 0) and room.set_held("a third", 16 * 12_000)
    first.finish(), second.finish()
    assert not room.set_held("a third", 16 * 12_000)
    scheduler.close()


@pytest.mark.parametrize("length_ms", range(7_100, 7_700, 100))  # a line of the customer's ends at 7.17 s
def test_the_last_utterance_is_owed_whole_however_soon_after_it_the_call_ends(chunks, length_ms):
    scheduler, owed = Scheduler(None, 1), []
    listener = Listener(scheduler, BOTH, backfill_ms=60_000, on_untranscribed=owed.append)
    heard = pushed(listener, chunks[: length_ms // 100]) + listener.finish()
    assert [each.speaker for each in owed].count(Speaker.CUSTOMER) == 1
    assert sorted((each.start_ms, each.end_ms) for each in owed) == sorted(
        (gap.start_ms, gap.end_ms) for gap in gaps(heard)
    )
    assert all(len(each.sound) == (each.end_ms - each.start_ms) * 16 for each in owed)
    scheduler.close()


def test_loading_is_tried_again_ever_later_until_it_works():
    from assist.live.loading import hearing_with
    from assist.live.reloading import RecogniserReloader

    scheduler = Scheduler(None, 1, missing="first")
    hearing = hearing_with(scheduler, "nothing")
    tries, delays, ready = [], [], threading.Event()

    def load():
        tries.append(hearing.name)
        if len(tries) < 9:
            raise AudioError("model-corrupt", f"damaged {len(tries)}") if len(tries) % 2 else PermissionError("models")
        return Counting(), "Listening with counting"

    def wait(seconds):
        delays.append(seconds)
        if not scheduler.missing:
            ready.set()
            return True
        return False

    RecogniserReloader(hearing, scheduler, load, wait=wait)
    assert ready.wait(10)
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1]
    assert (hearing.name, hearing.line, scheduler.missing) == ("counting", "Listening with counting", "")
    scheduler.close()


def test_sound_levels_need_no_recogniser(chunks):
    class Meter:
        given = 0

        def push(self, audio, speech):
            self.given += speech
            return ()

    meter, scheduler = Meter(), Scheduler(None, 1)
    listener = Listener(scheduler, BOTH, voice_meter=meter)
    pushed(listener, chunks)
    listener.finish()
    assert meter.given > 50
    scheduler.close()


class Gated(Counting):
    """Decodes one utterance for each permit."""

    def __init__(self):
        self.permits, self.asked = threading.Semaphore(0), threading.Semaphore(0)

    def begin(self, *, phrases=()):
        decoding = super().begin(phrases=phrases)
        final = decoding.final

        def later():
            self.asked.release()
            assert self.permits.acquire(timeout=10)
            return final()

        decoding.final = later
        return decoding


def test_a_call_that_ends_hands_over_what_has_not_been_transcribed_yet_and_does_not_wait_for_it(chunks):
    scheduler, recogniser, owed = Scheduler(None, 1), Gated(), []
    listener = Listener(scheduler, BOTH, backfill_ms=60_000, on_untranscribed=owed.append)
    heard = pushed(listener, chunks[:-1])
    scheduler.adopt(recogniser)
    heard += pushed(listener, chunks[-1:])
    recogniser.permits.release()
    assert recogniser.asked.acquire(timeout=10) and recogniser.asked.acquire(timeout=10)
    wait = scheduler.wait  # one is done, one is being decoded: that one is waited for
    scheduler.wait = lambda lines: (recogniser.permits.release(), wait(lines))
    heard += listener.finish()
    assert len(owed) == 5 and len(utterances(heard)) == 2
    assert sorted((each.start_ms, each.end_ms) for each in owed) == sorted(
        (gap.start_ms, gap.end_ms) for gap in gaps(heard)
    )
    assert all(len(each.sound) == (each.end_ms - each.start_ms) * 16 for each in owed)
    scheduler.close()


def test_speech_of_ended_calls_is_decoded_only_when_no_live_call_waits():
    scheduler, recogniser, order, done = Scheduler(None, 1), Gated(), [], threading.Event()
    said = []
    scheduler.decode_in_background(CHUNK, (), said.append)
    assert said == [None]  # there is no recogniser
    scheduler.adopt(recogniser)
    for _ in range(3):
        scheduler.decode_in_background(
            CHUNK, (), lambda words: (order.append("later"), done.set() if len(order) == 5 else None)
        )
    assert recogniser.asked.acquire(timeout=10)
    line = scheduler.open_channel(Speaker.CUSTOMER)
    for _ in range(2):
        scheduler.submit(UtteranceTask(line, (), lambda answer: order.append("live")), CHUNK, final=True)
    recogniser.permits.release(5)
    assert done.wait(10) and order == ["later", "live", "live", "later", "later"]
    assert scheduler.interval_factor() == 1
    scheduler.close()
