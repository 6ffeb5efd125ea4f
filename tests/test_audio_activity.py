import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from audio.activity import COMFORT_NOISE_FRAMES, FRAME, Endpoint, Endpointer, Onset, VoiceActivityDetector
from audio.events import SAMPLE_RATE
from audio.line_sounds import synthetic
from audio.line_sounds import telephone as narrow
from audio.segmentation import MAX_UTTERANCE, PartialDue, UtteranceEnd, UtteranceSegmenter, UtteranceStart

DATA = Path(__file__).parent / "data"
RATE = SAMPLE_RATE


@pytest.fixture(scope="module")
def spoken():
    return soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0].T.copy()


@pytest.fixture(scope="module")
def customer(spoken):
    return spoken[1]


@pytest.fixture(scope="module")
def two_turns(customer):
    """The customer's first two turns: 16.5 s."""
    return customer[: 33 * RATE // 2]


def marks(pcm):
    activity, ends = VoiceActivityDetector(), Endpointer()
    return [mark for frame in activity.push(pcm) if (mark := ends.push(frame)) is not None]


def telephone(pcm):
    """8 kHz mu-law and back (ITU-T G.711, the continuous curve); no band filter, which would move onsets by itself."""
    low = np.clip(soxr.resample(pcm.astype(np.float32), RATE, 8000), -1, 1)
    code = np.round(np.sign(low) * np.log1p(255 * np.abs(low)) / np.log(256) * 127) / 127
    back = np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255
    return soxr.resample(back.astype(np.float32), 8000, RATE).astype(np.float32)


def tone(seconds, *frequencies, level=0.3):
    t = np.arange(int(seconds * RATE)) / RATE
    return (level * np.mean([np.sin(2 * np.pi * f * t) for f in frequencies], axis=0)).astype(np.float32)


def test_every_turn_has_an_onset_and_an_endpoint_near_its_words(customer):
    found = marks(customer)
    assert [type(mark) for mark in found] == [Onset, Endpoint] * 4
    words = [(3.5, 6.4), (10.6, 14.1), (17.6, 19.5), (20.0, 22.5)]
    assert len(found) // 2 == len(words)


def test_the_same_marks_over_the_telephone(customer):
    clean, phone = marks(customer), marks(telephone(customer))
    assert [type(mark) for mark in phone] == [type(mark) for mark in clean]
    assert all(abs(a.sample - b.sample) < 0.35 * RATE for a, b in zip(clean, phone, strict=True))


def test_one_word_out_of_silence_is_heard_by_telephone(spoken):
    """An answer said alone: every longer word of a call, cut out and put into digital silence."""
    silence = np.zeros(RATE, np.float32)
    words = [
        word for word in json.loads((DATA / "spoken-call.json").read_text()) if word["end_ms"] - word["start_ms"] >= 200
    ]
    found = 0
    for word in words:
        said = spoken[int(word["who"] == "customer"), word["start_ms"] * 16 : word["end_ms"] * 16]
        found += any(isinstance(mark, Onset) for mark in marks(narrow(np.concatenate([silence, said, silence]))))
    assert len(words) == 38 and found >= 35  # 29 without noise


class Watched:
    """The network, and what it was shown."""

    def __init__(self, session):
        self._session, self.shown = session, []

    def run(self, wanted, feed):
        self.shown.append(feed["input"][0, -FRAME:].copy())
        return self._session.run(wanted, feed)


def test_a_channel_with_noise_of_its_own_is_heard_as_it_is(customer):
    noise = np.random.default_rng(3).normal(0, 10 ** (-50 / 20), 6 * RATE).astype(np.float32)
    noisy = customer[: 6 * RATE] + noise
    activity = VoiceActivityDetector()
    activity._session = Watched(activity._session)
    frames = activity.push(noisy)
    same = [np.array_equal(shown, frame.pcm) for shown, frame in zip(activity._session.shown, frames, strict=True)]
    assert not any(same[: COMFORT_NOISE_FRAMES - 1]) and all(same[COMFORT_NOISE_FRAMES:])


@pytest.mark.parametrize("below", ["offset", "hum", "rumble"])
def test_what_lies_below_speech_hides_none_of_it(two_turns, below):
    """A sound card's offset, mains hum, traffic: stronger than the speech, with pauses long enough to be a floor."""
    quiet = np.concatenate([np.zeros(4 * RATE, np.float32), two_turns * np.float32(0.3)])
    rms = float(np.sqrt(np.mean(two_turns**2))) * 0.3
    under = {
        "offset": np.full(len(quiet), 3 * rms),
        "hum": 3 * rms * np.sin(2 * np.pi * 50 * np.arange(len(quiet)) / RATE),
        "rumble": 3 * rms * np.sin(2 * np.pi * 30 * np.arange(len(quiet)) / RATE),
    }[below]
    clean, heard = marks(quiet), marks((quiet + under).astype(np.float32))
    spoken_for = [
        sum(b.sample - a.sample for a, b in zip(found[::2], found[1::2], strict=False)) for found in (clean, heard)
    ]
    assert spoken_for[1] > 0.9 * spoken_for[0]


def test_chunk_sizes_change_nothing(customer):
    whole, pieces = VoiceActivityDetector(), VoiceActivityDetector()
    together = [frame.speech_probability for frame in whole.push(customer[: 8 * RATE])]
    apart = []
    for at in range(0, 8 * RATE, 777):
        apart += [frame.speech_probability for frame in pieces.push(customer[at : min(at + 777, 8 * RATE)])]
    assert together == apart and max(together) > 0.9


NOT_SPEECH_S = 12
T = np.arange(NOT_SPEECH_S * RATE) / RATE
NOT_SPEECH = {
    "zeros": np.zeros(NOT_SPEECH_S * RATE, np.float32),
    "constant": np.full(NOT_SPEECH_S * RATE, 0.2, np.float32),
    "ringback": tone(NOT_SPEECH_S, 440, 480) * ((T % 6) < 2),
    "european ringback": tone(NOT_SPEECH_S, 425) * ((T % 5) < 1),
    "busy": tone(NOT_SPEECH_S, 480, 620) * ((T % 1) < 0.5),
    "fax": tone(NOT_SPEECH_S, 1100) * ((T % 3.5) < 0.5),
    "hold chord": tone(NOT_SPEECH_S, 262, 330, 392, 523),
    "dtmf": np.concatenate(
        [np.pad(tone(0.1, a, b), (0, RATE // 10)) for a in (697, 770, 852, 941) for b in (1209, 1336, 1477)] * 4
    ),
    "hiss": np.random.default_rng(2).normal(0, 0.02, NOT_SPEECH_S * RATE).astype(np.float32),
    "idle mu-law": np.random.default_rng(2).choice([0, 8 / 32768, -8 / 32768], NOT_SPEECH_S * RATE).astype(np.float32),
}


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_nothing_but_speech_is_speech(name):
    assert marks(NOT_SPEECH[name]) == []
    assert marks(telephone(NOT_SPEECH[name])) == []


def test_speech_after_a_long_mute_is_heard_at_once(customer):
    mute = np.zeros(40 * RATE, np.float32)
    speech = customer[: 8 * RATE]
    clean = marks(speech)[0].sample
    first = marks(np.concatenate([mute, speech]))[0]
    assert isinstance(first, Onset) and abs(first.sample - len(mute) - clean) <= 2 * FRAME


@pytest.mark.parametrize("name", ["ringback", "european ringback", "hold chord"])
def test_who_answers_after_ringback_or_music_on_a_clean_line_is_heard_at_once(customer, name):
    speech = 0.5 * customer[: 8 * RATE]
    clean = marks(speech)
    heard = marks(np.concatenate([NOT_SPEECH[name], np.zeros(RATE, np.float32), speech]))
    assert [type(mark) for mark in heard] == [Onset, Endpoint]
    assert abs(heard[0].sample - (NOT_SPEECH_S + 1) * RATE - clean[0].sample) <= 2 * FRAME


def at_level(pcm, db):
    """Scaled so that what is not silent has this RMS level, dBFS."""
    return pcm * np.float32(10 ** (db / 20) / np.sqrt(np.mean(np.square(pcm[np.abs(pcm) > 0.01]))))


@pytest.mark.parametrize("gap_s", [0.1, 0.5])
@pytest.mark.parametrize("name", ["held music", "held music, sung on one vowel", "hiss"])
def test_who_speaks_when_hold_music_or_noise_has_ended_is_heard_at_once(customer, name, gap_s):
    loud = at_level(synthetic(20.0)[name], -18)
    gap, speech = np.zeros(int(gap_s * RATE), np.float32), at_level(customer[int(3.3 * RATE) : 8 * RATE], -24)
    line = np.random.default_rng(0).normal(0, 10 ** (-62 / 20), 30 * RATE).astype(np.float32)
    clean = marks(speech + line[: len(speech)])
    call = np.concatenate([loud, gap, speech])
    heard = marks(call + line[: len(call)])
    assert [type(mark) for mark in heard] == [type(mark) for mark in clean]
    assert heard[0].sample - len(loud) - len(gap) - clean[0].sample <= 4 * FRAME


def test_a_pause_in_the_noise_makes_no_speech_of_it():
    """Noise that comes and goes: the floor is not known after each pause."""
    loud = at_level(synthetic(40.0)["hiss"], -18)
    gated = loud * np.float32(np.arange(len(loud)) // (RATE // 4) % 16 != 15)  # 0.25 s of 4 s
    line = np.random.default_rng(0).normal(0, 10 ** (-62 / 20), len(loud)).astype(np.float32)
    assert marks(gated + line) == []


def events(pcm, interval_factor=1):
    activity, segmenter = VoiceActivityDetector(), UtteranceSegmenter()
    found = [event for frame in activity.push(pcm) for event in segmenter.push(frame, interval_factor=interval_factor)]
    found += [event for frame in activity.flush() for event in segmenter.push(frame)]
    return [*found, *segmenter.finish()]


def test_utterances_hold_exactly_the_sound_between_their_ends(customer):
    start, sound = None, []
    seen = 0
    for event in events(customer):
        if isinstance(event, UtteranceStart):
            start, sound = event.start, []
        else:
            sound.append(event.pcm)
        if isinstance(event, UtteranceEnd):
            seen += 1
            np.testing.assert_array_equal(np.concatenate(sound), customer[start : event.end])
    assert seen == 4


def test_partials_come_rarer_with_a_factor_and_not_at_all_at_zero(two_turns):
    count = {
        interval_factor: sum(isinstance(event, PartialDue) for event in events(two_turns, interval_factor))
        for interval_factor in (0, 1, 2)
    }
    assert count[0] == 0 < count[2] < count[1]


def test_a_pause_gives_out_all_of_the_sound_so_that_the_end_has_nothing_to_add(customer):
    found = events(customer)
    for before, event in zip(found, found[1:], strict=False):
        if isinstance(event, UtteranceEnd) and event.paused:
            assert isinstance(before, PartialDue) and before.paused and len(event.pcm) == 0
    assert sum(isinstance(event, PartialDue) and event.paused for event in found) >= 4
    none = [event for event in events(customer, interval_factor=0) if isinstance(event, PartialDue)]
    assert none == []


def test_a_long_utterance_ends_at_a_short_pause_instead_of_being_cut(customer):
    speech = customer[marks(customer)[0].sample : marks(customer)[1].sample]
    breath = np.random.default_rng(1).normal(0, 2e-4, 5 * FRAME * 3 // 2).astype(np.float32)
    talk = np.tile(np.concatenate([speech, breath]), 12)
    ended = [event for event in events(talk) if isinstance(event, UtteranceEnd)]
    assert len(ended) >= 3 and all(event.paused for event in ended)


def test_endless_speech_is_cut_into_utterances_that_lose_nothing(customer):
    speech = customer[marks(customer)[0].sample : marks(customer)[1].sample]
    endless = np.tile(speech, 10)
    found = [event for event in events(endless) if not isinstance(event, PartialDue)]
    begun = [event for event in found if isinstance(event, UtteranceStart)]
    ended = [event for event in found if isinstance(event, UtteranceEnd)]
    assert len(begun) == len(ended) >= 3
    assert all(stop.end - go.start <= MAX_UTTERANCE for go, stop in zip(begun, ended, strict=True))
    assert all(stop.end == go.start for stop, go in zip(ended, begun[1:], strict=False) if not stop.paused)
