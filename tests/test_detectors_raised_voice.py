import csv
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assist.evaluation.cases import Clip
from assist.evaluation.report import page
from assist.evaluation.tone import auc, evaluate_tone, natural_alarms
from assist.evaluation.tone_course import ConditionFigures, SpeakerClips
from assist.evaluation.tone_lines import in_condition, measures, sound
from audio.errors import AudioError
from audio.events import VoiceMeasure
from detectors.raised_voice import CLIP, FEATURES, OFFSET_SCORE, ONSET_SCORE, RaisedVoice
from detectors.signals import Severity, Window
from tests.test_audio_voice import voice

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
CALM = VoiceMeasure(0, 1000, -28.0, 5.0, -14.0, 0.55, 11.0)
UP = replace(CALM, level_db=-18.0, pitch_semitones=10.0, balance_db=-7.0, flux=0.68, period_semitones=15.0)


def sustained(measure, seconds, start_ms=0):
    """So many seconds of the same voice, a measure every 0.2 s; a little wobble, as voices have."""
    for n in range(int(seconds * 5)):
        wobble = (n % 5 - 2) * 0.5
        yield replace(measure, at_ms=start_ms + 200 * (n + 1), level_db=measure.level_db + wobble)


def speak(judge, measure, seconds, start_ms=0):
    """What is found in them."""
    return [each for now in sustained(measure, seconds, start_ms) for each in judge(Window(now.at_ms, voice=now))]


def test_a_raised_voice_is_said_in_physical_words_and_soon():
    judge = RaisedVoice()
    assert speak(judge, CALM, 15) == []
    found = speak(judge, UP, 3, 15_000)
    assert found and found[0].at_ms <= 15_000 + 1_500
    signal = found[-1]
    assert signal.id == "raised_voice" and signal.severity is Severity.NOTE
    assert signal.evidence.measured["level_db"] == pytest.approx(10, abs=2)
    assert signal.evidence.measured["pitch_semitones"] == pytest.approx(5, abs=2)
    assert "dB" in signal.evidence.summary and "over this caller's normal" in signal.evidence.summary
    assert len({each.key for each in found}) == 1, "one rise is one signal, refreshed"


def test_who_begins_loudly_is_not_held_against_a_normal_that_nobody_has_heard():
    judge = RaisedVoice()
    found = speak(
        judge, replace(UP, level_db=-10.0, pitch_semitones=15.0, period_semitones=19.0, balance_db=2.0, flux=0.8), 3
    )
    assert found
    for signal in found:
        assert signal.evidence.summary.startswith("higher and brighter than most callers (this one's normal is not")
        assert not signal.evidence.measured.keys() & {"level_db", "pitch_semitones"}


def test_every_word_of_a_rise_is_true_of_what_was_measured():
    judge = RaisedVoice()
    speak(judge, CALM, 15)
    found = speak(judge, UP, 2, 15_000)
    found += speak(judge, replace(CALM, flux=0.8), 2, 17_000)  # neither louder nor higher nor brighter any more
    found += speak(judge, replace(CALM, pitch_semitones=CALM.pitch_semitones + 1.2, flux=0.8), 2, 19_000)
    assert max(signal.at_ms for signal in found) > 20_000
    for signal in found:
        said, measured = signal.evidence.summary, signal.evidence.measured
        assert ("brighter" in said) == (measured["brighter_db"] >= 2.0)
        assert ("dB" in said) == (measured["level_db"] >= 1.5)
        assert ("semitone" in said) == (measured["pitch_semitones"] >= 1.0)
    assert "+1 semitone over this caller's normal" in found[-1].evidence.summary


def test_a_rise_does_not_go_on_after_the_caller_was_on_hold():
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    before = speak(judge, UP, 3, 20_000)
    assert before and judge.raised
    after = speak(judge, voice_of(CALM, UP, 0.5), 2, 143_000)
    assert OFFSET_SCORE < judge.score < ONSET_SCORE, "neither calm nor raised"
    assert after == [] and not judge.raised
    again = speak(judge, UP, 3, 145_000)
    assert again and again[0].key != before[0].key and again[0].evidence.start_ms > 145_000


def test_the_seconds_said_are_those_of_raised_speech():
    calm = [spoken(n) for n in range(8)]
    loud = [spoken(100 + n, pitch=160.0, level=0.3, bright=3.0, restless=0.7) for n in range(3)]
    heard = measures(np.concatenate([*calm, *loud]))
    judge = RaisedVoice()
    found = [signal for measure in heard for signal in judge(Window(measure.at_ms, voice=measure))]
    began_ms = 1000 * len(np.concatenate(calm)) // 16_000
    assert found[-1].at_ms - found[0].at_ms > 3_000
    for signal in found:
        assert signal.evidence.measured["seconds"] == pytest.approx((signal.at_ms - began_ms) / 1000, abs=0.6)


def voice_of(calm, loud, share):
    """The mean over a second of which so much is loud."""
    names = ("level_db", "balance_db", "flux", "period_semitones", "pitch_semitones")
    mixed = {name: (1 - share) * getattr(calm, name) + share * getattr(loud, name) for name in names}
    return replace(calm, **mixed)


def test_one_loud_word_is_nothing():
    judge = RaisedVoice()
    speak(judge, CALM, 15)
    word = [voice_of(CALM, UP, share) for share in (0.2, 0.4, 0.4, 0.4, 0.2, 0.0)]
    found = []
    for n, measure in enumerate(word):
        now = replace(measure, at_ms=15_000 + 200 * (n + 1))
        found += list(judge(Window(now.at_ms, voice=now)))
    assert found == []


def test_a_steadily_loud_voice_is_that_callers_normal():
    judge = RaisedVoice()
    speak(judge, replace(CALM, level_db=-12.0), 20)
    assert not judge.raised


def test_the_normal_does_not_drift_into_a_long_anger():
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    speak(judge, UP, 40, 20_000)
    assert judge.raised and judge.score >= ONSET_SCORE


def test_it_comes_down_again():
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    speak(judge, UP, 6, 20_000)
    assert judge.raised
    speak(judge, CALM, 3, 26_000)
    assert not judge.raised


def test_level_alone_is_not_enough():
    """A phone moved closer: louder, but neither higher nor brighter."""
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    assert speak(judge, replace(CALM, level_db=CALM.level_db + 6), 5, 20_000) == []


def test_the_level_alone_can_never_reach_the_threshold():
    assert FEATURES["level_db"].weight * CLIP[1] < ONSET_SCORE
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    assert speak(judge, replace(CALM, level_db=CALM.level_db + 30), 10, 20_000) == []


def test_nothing_is_said_when_nothing_was_measured():
    assert list(RaisedVoice()(Window(1_000))) == []


@pytest.mark.skipif(not (DATA / "emotion").is_dir(), reason="the tuning clips (emotion) are not beside this checkout")
def test_raised_clips_score_above_calm_ones_of_the_same_speakers():
    """A subset of the tuning clips: a regression test of the figures in tests/figures.md, not an acceptance."""
    table = (DATA / "emotion" / "labels.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    clips = [
        Clip(path=DATA / row["path"], speaker=row["set"] + row["speaker"], label=row["label"])
        for n, row in enumerate(rows)
        if row["label"] in ("anger", "neutral") and n % 3 == 0
    ]
    scores = {"anger": [], "neutral": []}
    for clip in clips:
        judge = RaisedVoice()
        calm = [each for each in clips if each.speaker == clip.speaker and each.label == "neutral" and each != clip][:6]
        offset = 0
        for each in [*calm, clip]:
            heard = [judge.update(replace(m, at_ms=m.at_ms + offset)) for m in in_line(each)]
            offset += 10_000
        if heard:
            scores[clip.label].append(max(heard))
    assert len(scores["anger"]) > 30 and len(scores["neutral"]) > 30
    found = auc(scores["anger"], scores["neutral"])
    assert found >= 0.93, f"AUC {found:.3f}"


_LINES: dict[Path, list[VoiceMeasure]] = {}


def in_line(clip):
    if clip.path not in _LINES:
        _LINES[clip.path] = measures(in_condition([sound(clip.path)], "tel", clip.speaker))
    return _LINES[clip.path]


@pytest.mark.skipif(not (DATA / "calls").is_dir(), reason="the calm calls are not beside this checkout")
def test_calm_agents_of_a_bank_rarely_sound_raised():
    alarms, hours = natural_alarms(sorted((DATA / "calls" / "lca_demo").glob("agent_*.flac")))
    assert hours > 0.015
    assert alarms == 0, f"{alarms} alarms in {hours:.2f} h"


def test_of_two_channels_only_the_customers_voice_is_measured(tmp_path):
    agent, customer = voice(4, pitch=180.0, level=0.2, seed=1), voice(4, level=0.05)
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([agent, customer], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(sound(path), customer)


def test_auc_counts_ties_half():
    assert auc([1.0, 2.0], [0.0, 1.0]) == pytest.approx(0.875)


def spoken(seed, *, pitch=120.0, level=0.04, bright=1.0, restless=0.3):
    """Two seconds of a synthetic voice whose pitch jumps every 0.1 s, so that its spectrum changes as speech's does."""
    chance = np.random.default_rng(seed)
    parts = [
        voice(0.1, pitch=pitch * 2 ** chance.uniform(-restless, restless), level=level, bright=bright)
        for _ in range(20)
    ]
    return np.concatenate(parts)


def course(voices):
    found = ConditionFigures()
    for each in voices:
        found.add(each, "tel")
    return found


def test_whole_calls_count_what_they_say():
    calm = [spoken(n) for n in range(10)]
    loud = [spoken(100 + n, pitch=160.0, level=0.3, bright=3.0, restless=0.7) for n in range(8)]
    voices = [
        SpeakerClips("one", calm=calm, raised=loud, levels={"shouted": loud}, talk={"lively": calm + loud[:2]}),
        SpeakerClips("two", talk={"natural": calm}),
        SpeakerClips("three", raised=loud),
    ]
    found = course(voices)
    assert found.third[1] > 30 and found.third[0] > 0.7 * found.third[1]
    assert len(found.clears_s) == 1 and found.clears_s[0] <= 3.0
    assert found.steps[1] == 2
    assert len(found.found["shouted"]) == 2 and all(each <= 3.0 for each in found.found["shouted"])
    assert found.talk["natural"][0] == 0 and found.talk["natural"][1] == pytest.approx(20 / 3600, rel=0.2)
    assert found.talk["lively"][0] >= 1 and set(found.talk) == {"natural", "lively", "acted calm"}


def test_how_soon_calm_is_seen_again_is_counted_of_anger_that_was_heard_to_its_end():
    calm = [spoken(n) for n in range(10)]
    found = course([SpeakerClips("unheard", calm=calm, raised=[spoken(100 + n) for n in range(8)])])
    assert found.third[0] == 0 and found.clears_s == []


ANGRY = [("angry", 0), ("angry", 1), ("angry", 2), ("happy", 0)]


def labelled_voices(folder):
    """Clips of one speaker: eight calm ones, four angry and two happy ones of which the last is as calm."""
    loud = {"pitch": 160.0, "level": 0.3, "bright": 3.0, "restless": 0.7}
    sounds = {("calm", n): spoken(n) for n in range(8)}
    sounds |= {(label, n): np.concatenate([spoken(100 + n, **loud)] * 2) for label, n in ANGRY}
    sounds |= {("angry", 3): spoken(50), ("happy", 1): spoken(60)}
    clips = []
    for (label, n), pcm in sounds.items():
        path = folder / f"{label}{n}.wav"
        soundfile.write(path, pcm, 16_000, subtype="FLOAT")
        clips.append(Clip(path=path, speaker="ann", label=label))
    return clips


def test_clips_are_counted_that_alarm_and_that_should(tmp_path):
    clips = labelled_voices(tmp_path)
    found = evaluate_tone(clips, "mine")
    assert len(found.grids) == 1, "what the only folder by itself has stands there"
    (row,) = found.signals
    assert (row.id, row.labelled, row.hits, row.missed, row.false) == ("raised_voice", 4, 3, 1, 1)
    assert {(each.what, each.place) for each in found.examples} == {
        ("missed", "angry, angry3.wav"),
        ("false", "happy, happy0.wav"),
    }
    assert found.hours == pytest.approx((10 * 2 + 4 * 4) / 3600, rel=0.01)
    assert row.false_per_hour.value == pytest.approx(1 / found.hours)
    assert (row.precision.value, row.recall.value, row.f1.value) == (0.75, 0.75, 0.75)
    assert 0.2 <= row.delay_median_s <= 2.5
    assert found.notes[0].startswith("tel: each clip as by telephone")
    assert "mine, voices" in page([found]) and "AUC, own baseline</td><td class=n>.950" in page([found])


def test_a_clip_may_be_a_part_of_a_file(tmp_path):
    clips = [clip for clip in labelled_voices(tmp_path) if clip.label != "angry"]
    whole, at, parts = np.concatenate([sound(clip.path) for clip in clips]), 0.0, []
    soundfile.write(tmp_path / "all.wav", whole, 16_000, subtype="FLOAT")
    for clip in clips:
        ends = at + len(sound(clip.path)) / 16_000
        parts.append(clip.model_copy(update={"path": tmp_path / "all.wav", "start": at, "end": ends}))
        at = ends
    apart, together = (evaluate_tone(each) for each in (clips, parts))
    assert apart.signals == together.signals and apart.signals[0].false == 1
    with pytest.raises(AudioError, match=r"all\.wav has no sound at 99 s: it ends before"):
        evaluate_tone([parts[0].model_copy(update={"start": 99.0, "end": 100.0})])


def test_of_a_long_recording_only_the_labelled_parts_are_in_memory(tmp_path):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(1800 * 8000, np.int16), 8000)
    parts = [Clip(path=path, speaker="ann", label="happy", start=at, end=at + 1) for at in (1, 1790)]
    tracemalloc.start()
    try:
        evaluate_tone(parts)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20, "all of it takes more than 200 MiB"
    finally:
        tracemalloc.stop()


def test_nothing_labelled_is_said_as_nothing(tmp_path):
    assert [len(each.rows) for each in evaluate_tone([]).grids] == [13]
