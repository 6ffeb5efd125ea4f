import csv
from dataclasses import replace
from pathlib import Path

import pytest

from assist.evaluation.cases import Clip
from assist.evaluation.tone import auc, in_condition, measures, natural_alarms, sound
from audio.events import VoiceMeasure
from detectors.raised_voice import LEAST_MS, RAISED, RaisedVoice
from detectors.signals import Severity, Window

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
CALM = VoiceMeasure(0, 1000, -28.0, 10.0, 6.4, 0.6)
UP = replace(CALM, level_db=-18.0, pitch_semitones=15.0, centroid=6.75, flux=0.72)


def speak(judge, measure, seconds, start_ms=0):
    """So many seconds of the same voice, a measure every 0.2 s; a little wobble, as voices have."""
    found = []
    for n in range(int(seconds * 5)):
        wobble = (n % 5 - 2) * 0.5
        now = replace(measure, at_ms=start_ms + 200 * (n + 1), level_db=measure.level_db + wobble)
        found += list(judge(Window(now.at_ms, voice=now)))
    return found


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


def test_one_loud_word_is_nothing():
    judge = RaisedVoice()
    speak(judge, CALM, 15)
    assert speak(judge, UP, LEAST_MS / 1000 - 0.2, 15_000) == []


def test_a_steadily_loud_voice_is_that_callers_normal():
    judge = RaisedVoice()
    speak(judge, replace(CALM, level_db=-12.0), 20)
    assert not judge.raised


def test_the_normal_does_not_drift_into_a_long_anger():
    judge = RaisedVoice()
    speak(judge, CALM, 20)
    speak(judge, UP, 40, 20_000)
    assert judge.raised and judge.score >= RAISED


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


def test_nothing_is_said_when_nothing_was_measured():
    assert list(RaisedVoice()(Window(1_000))) == []


@pytest.mark.skipif(not (DATA / "emotion").is_dir(), reason="the tuning clips (emotion) are not beside this checkout")
def test_raised_clips_score_above_calm_ones_of_the_same_speakers():
    """A subset of the tuning clips: a regression test of the figures in the README, not an acceptance."""
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
            heard = [judge.judge(replace(m, at_ms=m.at_ms + offset)) for m in in_line(each)]
            offset += 10_000
        if heard:
            scores[clip.label].append(max(heard))
    assert len(scores["anger"]) > 30 and len(scores["neutral"]) > 30
    found = auc(scores["anger"], scores["neutral"])
    assert found >= 0.93, f"AUC {found:.3f}"


_LINES: dict[Path, list[VoiceMeasure]] = {}


def in_line(clip):
    if clip.path not in _LINES:
        _LINES[clip.path] = measures(in_condition(sound(clip.path), "tel", clip.speaker))
    return _LINES[clip.path]


@pytest.mark.skipif(not (DATA / "calls").is_dir(), reason="the calm calls are not beside this checkout")
def test_calm_agents_of_a_bank_rarely_sound_raised():
    alarms, hours = natural_alarms(sorted((DATA / "calls" / "lca_demo").glob("*.flac")))
    assert hours > 0.1
    assert alarms <= 5, f"{alarms} alarms in {hours:.2f} h"


def test_auc_counts_ties_half():
    assert auc([1.0, 2.0], [0.0, 1.0]) == pytest.approx(0.875)


def test_the_course_over_minutes_counts_what_it_says():
    from assist.evaluation.tone_course import course, table

    calm = [replace(CALM, level_db=CALM.level_db + (n % 5 - 2) * 0.5) for n in range(100)]
    loud = [replace(UP, level_db=UP.level_db + (n % 5 - 2) * 0.5) for n in range(200)]
    found = course([calm], [loud], [calm, [*calm, *loud]])
    assert 65 <= found.last_third[1] <= 68 and found.last_third[0] > 0.7 * found.last_third[1]
    assert len(found.clears_s) == 1 and found.clears_s[0] <= 3.0
    assert found.steps[1] == 1
    assert found.alarms >= 1 and found.natural_s == pytest.approx(0.2 * 400)
    assert course([[]], [[]], []).last_third == (0, 0)
    assert table({"tel": found}).row_count == 1
