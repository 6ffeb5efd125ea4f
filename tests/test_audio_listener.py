import gc
import json
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.activity import FRAME, Frame, power_to_db
from audio.crosstalk import Crosstalk
from audio.decode_queue import DECODE_TIMEOUT_MS, UtteranceTask
from audio.events import (
    SAMPLE_RATE,
    Chunk,
    Gap,
    Hypothesis,
    Speaker,
    SpeechActivity,
    Trouble,
    Utterance,
    VoiceMeasure,
    Word,
)
from audio.line_sounds import telephone
from audio.listener import BEHIND_MS, Listener
from audio.normalisation import normalised
from audio.scheduling import Scheduler
from audio.whisper import WhisperRecogniser

MODEL = Path(__file__).parent / "models" / "test-recogniser"
DATA = Path(__file__).parent / "data"
BOTH = (Speaker.AGENT, Speaker.CUSTOMER)


@pytest.fixture(scope="module")
def sound():
    return soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0].T.copy()


@pytest.fixture(scope="module")
def truth():
    return json.loads((DATA / "spoken-call.json").read_text())


@pytest.fixture(scope="module")
def recogniser():
    return WhisperRecogniser(MODEL, device="cpu", floor_frames=300)


@pytest.fixture
def scheduler(recogniser):
    scheduler = Scheduler(recogniser, 1)
    yield scheduler
    scheduler.close()


@pytest.fixture
def deaf():
    """For what is known of the sound alone."""
    scheduler = Scheduler(None, 1)
    yield scheduler
    scheduler.close()


@pytest.fixture(scope="module")
def heard(recogniser, sound):
    """The whole call, heard in step."""
    scheduler = Scheduler(recogniser, 1)
    yield listen(Listener(scheduler, BOTH, in_step=True), sound)
    scheduler.close()


def chunks(sound, speakers=BOTH, size=1600):
    for at in range(0, sound.shape[1], size):
        yield Chunk(
            at * 1000 // SAMPLE_RATE,
            {who: pcm[at : at + size] for who, pcm in zip(speakers, sound, strict=True)},
        )


def listen(listener, sound, speakers=BOTH, size=1600):
    heard = []
    for chunk in chunks(sound, speakers, size):
        heard += listener.push(chunk)
    return heard + listener.finish()


def lines(heard, who):
    return [
        [normalised(word.text) for word in item.words]
        for item in heard
        if isinstance(item, Utterance) and item.speaker is who
    ]


def errors(said, wanted):
    row = list(range(len(said) + 1))
    for at, want in enumerate(wanted, start=1):
        above, row = row, [at]
        for column, word in enumerate(said, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (word != want)))
    return row[-1]


class Counted:
    """A recogniser whose decodings can be looked for afterwards."""

    def __init__(self, recogniser):
        self.embedded = recogniser.embedded
        self.name, self.version = recogniser.name, recogniser.version
        self._recogniser = recogniser
        self.begun = []

    def begin(self, *, phrases=()):
        decoding = self._recogniser.begin(phrases=phrases)
        self.begun.append(weakref.ref(decoding))
        return decoding


@pytest.mark.parametrize("missing", [False, True])
def test_an_utterance_is_let_go_of_when_its_words_are_known_without_waiting_for_the_collector(
    recogniser, sound, missing
):
    counted = Counted(recogniser)
    scheduler = Scheduler(None if missing else counted, 1)
    listener = Listener(scheduler, BOTH, in_step=True)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, UtteranceTask) for each in gc.get_objects())
        ended = sum(isinstance(item, (Utterance, Gap)) for chunk in chunks(sound) for item in listener.push(chunk))
        held = sum(isinstance(each, UtteranceTask) for each in gc.get_objects()) - before
        decodings = sum(ref() is not None for ref in counted.begun)
    finally:
        gc.enable()
        listener.finish()
        scheduler.close()
    assert ended >= 7 and (len(counted.begun) >= 7 or missing)
    assert decodings == 0 and held <= 1  # the worker remembers its last task


def test_a_call_is_heard_word_for_word_on_both_channels(heard, truth):
    wrong = 0
    for who in BOTH:
        wanted = [normalised(word["word"]) for word in truth if word["who"] == who]
        wrong += errors([word for line in lines(heard, who) for word in line], wanted)
    assert wrong <= 3, "of 62 words"
    assert ["you", "people", "are", "useless"] in lines(heard, Speaker.CUSTOMER)


def test_the_same_events_every_time_in_step_and_the_same_utterances_live(scheduler, sound, heard):
    assert listen(Listener(scheduler, BOTH, in_step=True), sound) == heard
    live = listen(Listener(scheduler, BOTH), sound[:, : 16_400 * SAMPLE_RATE // 1000])
    for who in BOTH:
        assert lines(live, who) == lines(heard, who)[:2]
    assert any(isinstance(item, Hypothesis) and item.agreed for item in heard)


def test_words_agree_before_the_utterance_ends_and_hypotheses_belong_to_it(heard):
    final = {item.id: at for at, item in enumerate(heard) if isinstance(item, Utterance)}
    early = [(at, item) for at, item in enumerate(heard) if isinstance(item, Hypothesis)]
    assert early and all(at < final[item.id] for at, item in early)
    kept = total = 0
    for item in heard:
        if isinstance(item, Utterance):
            last = [other for _, other in early if other.id == item.id][-1:]
            agreed = [normalised(word.text) for other in last for word in other.agreed]
            kept += sum(word in {normalised(w.text) for w in item.words} for word in agreed)
            total += len(agreed)
    assert total > 25 and kept / total > 0.9


def test_the_last_words_are_not_lost_when_the_call_is_cut_in_mid_speech(scheduler, sound, truth):
    account = next(word for word in truth if word["word"] == "account.")
    heard = listen(Listener(scheduler, BOTH, in_step=True), sound[:, : account["end_ms"] * 16])
    assert lines(heard, Speaker.CUSTOMER)[-1][-3:] == ["cancel", "my", "account"]


def test_a_mono_recording_has_one_channel(scheduler, sound):
    mono = sound.sum(axis=0, keepdims=True)[:, : 8 * SAMPLE_RATE]
    heard = listen(Listener(scheduler, (Speaker.UNKNOWN,), in_step=True), mono, (Speaker.UNKNOWN,))
    assert lines(heard, Speaker.UNKNOWN)[0][:4] == ["thank", "you", "for", "calling"]
    assert {item.speaker for item in heard if isinstance(item, SpeechActivity)} == {Speaker.UNKNOWN}


def test_words_leaking_into_the_other_channel_stay_with_the_louder(scheduler, sound, heard):
    leaking = listen(Listener(scheduler, BOTH, in_step=True), sound + 0.15 * sound[::-1])
    for who, other in (BOTH, BOTH[::-1]):
        mine = [line for line in lines(leaking, who) if line]
        assert not [line for line in lines(heard, other) if min(errors(own, line) for own in mine) <= 2]
        kept = [min(errors(own, line) for own in mine) for line in lines(heard, who)]
        assert max(kept) <= 2 and sum(kept) <= 3, "the test recogniser may mishear a word through the leak"
        assert len(mine) <= len(kept) + 1, "a leak may be misheard, once"


def leaked(pcm, db, delay=1600):
    """What a telephone makes of it on the other channel, 100 ms later."""
    return np.pad(telephone(pcm) * np.float32(10 ** (db / 20)), (delay, 0))[: len(pcm)]


@pytest.mark.parametrize("speaker", BOTH)
def test_no_detector_sees_leaked_words_before_they_are_known_to_be_the_others(scheduler, sound, heard, speaker):
    own = sound[1, : 17 * SAMPLE_RATE]
    both = [own, leaked(own, -16)] if speaker is Speaker.CUSTOMER else [leaked(own, -16), own]
    leaking = listen(Listener(scheduler, BOTH, in_step=True), np.stack(both))
    hypotheses = [item for item in leaking if isinstance(item, Hypothesis)]
    theirs = [item for item in hypotheses if item.speaker is speaker]
    assert len([item for item in theirs if item.tentative]) > 5 and not any(item.agreed for item in theirs)
    wanted = [item for item in heard if isinstance(item, Hypothesis) and item.speaker is Speaker.CUSTOMER]
    seen = [[word.text for word in item.agreed] for item in hypotheses if item.speaker is not speaker]
    assert seen == [[word.text for word in item.agreed] for item in wanted[: len(seen)]], "the other party's as ever"


def activity(heard, speaker):
    return [
        (item.at_ms, item.speaking) for item in heard if isinstance(item, SpeechActivity) and item.speaker is speaker
    ]


@pytest.mark.parametrize("leak_db", [-30, -16])
def test_the_agent_does_not_speak_while_the_customers_voice_is_in_the_agents_microphone(deaf, sound, leak_db):
    clean = listen(Listener(deaf, BOTH), sound)
    microphone = sound[0] + leaked(sound[1], leak_db)
    heard = listen(Listener(deaf, BOTH), np.stack([microphone, sound[1]]))
    found, wanted = (activity(each, Speaker.AGENT) for each in (heard, clean))
    assert [speaking for _, speaking in found] == [speaking for _, speaking in wanted]
    assert max(abs(at - due) for (at, _), (due, _) in zip(found, wanted, strict=True)) <= 100
    assert activity(heard, Speaker.CUSTOMER) == activity(clean, Speaker.CUSTOMER)


def test_an_agent_who_speaks_into_what_leaks_of_the_customer_is_known_to_speak_and_to_stop(deaf, sound):
    rant = np.tile(sound[1, int(13.2 * SAMPLE_RATE) : int(15.6 * SAMPLE_RATE)], 5)
    customer = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), rant, np.zeros(SAMPLE_RATE, np.float32)])
    said = sound[0, int(8.2 * SAMPLE_RATE) : int(10.2 * SAMPLE_RATE)]
    microphone = leaked(customer, -16)
    microphone[5 * SAMPLE_RATE : 5 * SAMPLE_RATE + len(said)] += said
    found = activity(listen(Listener(deaf, BOTH), np.stack([microphone, customer])), Speaker.AGENT)
    assert [speaking for _, speaking in found] == [True, False]
    assert abs(found[0][0] - 5_000) <= 300 and abs(found[1][0] - 7_000) <= 700


@pytest.mark.parametrize("delay_ms", [64, 120])
def test_the_customer_out_of_loudspeakers_stays_the_customer_though_louder_in_the_agents_microphone(
    scheduler, sound, heard, delay_ms
):
    customer = np.float32(0.15) * sound[1]
    loudspeakers = np.float32(2.5) * np.pad(customer, (delay_ms * 16, 0))[: len(customer)]  # 8 dB
    found = listen(Listener(scheduler, BOTH, in_step=True), np.stack([0.6 * sound[0] + loudspeakers, customer]))
    kept = [line for line in lines(found, Speaker.CUSTOMER) if line]
    assert all(errors(*pair) <= 1 for pair in zip(kept, lines(heard, Speaker.CUSTOMER), strict=True))
    agents = [line for line in lines(found, Speaker.AGENT) if line]
    assert len(agents) == len(lines(heard, Speaker.AGENT)) and not [line for line in kept if line in agents]


def bits(sound, truth, who):
    """Every three words that are said in a row, equally loud."""
    words = [word for word in truth if word["who"] == who]
    for first, last in zip(words, words[2:], strict=False):
        if last["end_ms"] - first["start_ms"] < 1800:
            pcm = sound[BOTH.index(who), first["start_ms"] * 16 : last["end_ms"] * 16]
            yield pcm * np.float32(0.1 / np.sqrt(np.mean(np.square(pcm))))


def is_a_leak(customer, agent):
    """Whether what the customer says while the agent says something is taken for the agent's."""
    length = max(len(customer), len(agent))
    crosstalk = Crosstalk(BOTH)
    for who, pcm in zip(BOTH, (agent, customer), strict=True):
        pcm = np.pad(pcm, (3200, 3200 + length - len(pcm)))
        for at in range(0, len(pcm) - FRAME + 1, FRAME):
            frame = pcm[at : at + FRAME]
            crosstalk.push_level(
                who, Frame(frame, 0.0, power_to_db(float(np.mean(np.square(frame, dtype=np.float64)))))
            )
    words = (Word("cancel", 500, 700), Word("it", 800, 900))
    [said] = crosstalk.push_utterance(Utterance("c1", Speaker.CUSTOMER, 0, (length + 6400) // 16, words), {})
    return not said.words


@pytest.mark.parametrize(("span", "late", "waits"), [
    ((0, 4_000), False, False), ((5_200, None), False, True), ((5_200, None), True, True), ((5_900, 9_000), False, True)
])  # fmt: skip
def test_a_quiet_utterance_waits_only_for_those_of_its_own_time(span, late, waits):
    crosstalk = Crosstalk(BOTH)
    for _ in range(0, 10_000, 32):
        for who, level_db in zip(BOTH, (-20.0, -40.0), strict=True):
            crosstalk.push_level(who, Frame(np.zeros(FRAME, np.float32), 0.0, level_db), 0)
    quiet = Utterance("c1", Speaker.CUSTOMER, 5_000, 6_000, (Word("hello", 5_000, 5_500),))
    pending = {Speaker.AGENT: [(0, 1_000), span], Speaker.CUSTOMER: []}
    assert bool(list(crosstalk.push_utterance(quiet, pending, late=late))) == (not waits)
    now = Utterance("c2", Speaker.CUSTOMER, 9_500, 9_900, ())
    assert [each.id for each in crosstalk.push_utterance(now, pending)] == ["c2"] * (late or not waits)


def test_who_says_something_short_while_the_other_does_is_no_leak(sound, truth):
    agents, customers = list(bits(sound, truth, "agent")), list(bits(sound, truth, "customer"))
    pairs = [(theirs, own) for own in agents for theirs in customers if abs(len(own) - len(theirs)) < 4000][:200]
    assert len(pairs) == 200 and sum(is_a_leak(0.35 * theirs, own) for theirs, own in pairs) <= 15
    assert len(agents) == 25 and sum(is_a_leak(0.2 * telephone(own), own) for own in agents) >= 21


@pytest.mark.parametrize("start_ms", range(13_000, 14_500, 250))
def test_sound_that_begins_in_mid_speech_is_somebody_who_speaks(deaf, sound, start_ms):
    sentence = sound[1:, start_ms * 16 : 16_500 * 16]
    heard = listen(Listener(deaf, (Speaker.CUSTOMER,)), sentence, (Speaker.CUSTOMER,))
    assert [item.speaking for item in heard if isinstance(item, SpeechActivity)] == [True, False]


class Meter:
    def __init__(self):
        self.given = []

    def push(self, audio, speech):
        self.given.append((audio, speech))
        return [VoiceMeasure(audio.start_ms, 1000, -20.0, 0.0, 0.0, 0.0, 0.0)] if speech else []


def test_the_voice_meter_gets_the_customers_sound_with_speech_and_crosstalk_marked(deaf, sound):
    meter = Meter()
    heard = listen(Listener(deaf, BOTH, in_step=True, voice_meter=meter), sound)
    together = np.concatenate([audio.pcm for audio, _ in meter.given])
    np.testing.assert_array_equal(together, sound[1])
    assert any(speech for _, speech in meter.given) and any(audio.crosstalk for audio, _ in meter.given)
    assert sum(isinstance(item, VoiceMeasure) for item in heard) == sum(speech for _, speech in meter.given)
    mono = Meter()
    listen(Listener(deaf, (Speaker.UNKNOWN,), voice_meter=mono), sound[:1], (Speaker.UNKNOWN,))
    assert mono.given == []


@pytest.mark.parametrize("leak_db", [-40, -30, -20])
def test_the_customers_own_voice_in_the_agents_microphone_is_no_crosstalk(deaf, sound, leak_db):
    greeting, nobody = sound[:, : 4 * SAMPLE_RATE], np.zeros(4 * SAMPLE_RATE, np.float32)
    leak = np.roll(telephone(sound[1]) * np.float32(10 ** (leak_db / 20)), 480)
    both = np.stack([np.concatenate([greeting[0], leak]), np.concatenate([nobody, sound[1]])])
    meter = Meter()
    listen(Listener(deaf, BOTH, in_step=True, voice_meter=meter), both)
    spoken = [audio for audio, speech in meter.given if speech]
    assert len(spoken) > 50 and not any(audio.crosstalk for audio in spoken)


@pytest.mark.parametrize("microphone_db", [0, -20])
@pytest.mark.parametrize("echo_db", [0, -20])
def test_the_agents_voice_in_the_customers_channel_is_crosstalk_also_between_the_agents_words(
    deaf, sound, echo_db, microphone_db
):
    echo = np.roll(telephone(sound[0]) * np.float32(10 ** (echo_db / 20)), 1600)
    agent = sound[0] * np.float32(10 ** (microphone_db / 20))
    meter = Meter()
    listen(Listener(deaf, BOTH, in_step=True, voice_meter=meter), np.stack([agent, echo]))
    spoken = [audio for audio, speech in meter.given if speech]
    marked = sum(audio.crosstalk for audio in spoken)
    assert len(spoken) > 50 and marked >= 0.9 * len(spoken)  # the rest is the echo's end, after the agent's


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """The test recogniser behind a gate."""

    name, version, embedded = "slow", "1", False

    def __init__(self, recogniser, broken=False):
        self.recogniser, self.gate, self.broken = recogniser, threading.Event(), broken

    def begin(self, *, phrases=()):
        self.gate.wait()
        if self.broken:
            raise RuntimeError("broken")
        return self.recogniser.begin(phrases=phrases)


def test_falling_behind_is_said_once_with_the_lag_and_all_words_come_after_all(recogniser, sound):
    clock, slow, woken = Clock(), Slow(recogniser), threading.Event()
    scheduler = Scheduler(slow, 1, clock=clock)
    listener = Listener(scheduler, BOTH, wake=woken.set)
    heard = []
    for chunk in chunks(sound[:, : 16 * SAMPLE_RATE]):
        clock.now = min(chunk.end_ms, DECODE_TIMEOUT_MS[0] - 5000) / 1000
        heard += listener.push(chunk)
    assert not woken.is_set() and lines(heard, Speaker.CUSTOMER) == []
    behind = [item for item in heard if isinstance(item, Trouble)]
    assert [(item.code, item.cleared) for item in behind] == [("transcriber-behind", False)]
    assert behind[0].lag_ms >= BEHIND_MS
    slow.gate.set()
    rest = listener.finish()
    assert woken.is_set()
    assert [(item.code, item.cleared) for item in rest if isinstance(item, Trouble)] == [("transcriber-behind", True)]
    assert "i want my money back or i will cancel my account".split() in lines(rest, Speaker.CUSTOMER)
    scheduler.close()


def test_a_recogniser_that_fails_is_said_and_its_speech_accounted_as_failed(recogniser, sound, caplog):
    slow = Slow(recogniser, broken=True)
    slow.gate.set()
    scheduler = Scheduler(slow, 1)
    listener = Listener(scheduler, BOTH, in_step=True)
    heard = listen(listener, sound)
    trouble = [item for item in heard if isinstance(item, Trouble)]
    assert [item.code for item in trouble] == ["transcriber-failed"]
    assert [item.words for item in heard if isinstance(item, Utterance)] == [()] * 7
    failed = [(item.speaker, item.why) for item in heard if isinstance(item, Gap)]
    assert len(failed) == 7 and (Speaker.CUSTOMER, "failed") in failed
    scheduler.close()
