import pytest

from audio.events import Speaker, Utterance, Word
from detectors.signals import Severity, Window
from detectors.silence import Silence
from tests.heard import words

A, C = Speaker.AGENT, Speaker.CUSTOMER


def quiet(now_ms, stopped, *, speaking=None, held=False, utterances=()):
    latest = utterances[-1] if utterances else None
    return list(Silence()(Window(now_ms, utterances, latest, None, speaking or {}, stopped, held)))


def test_dead_air_is_noted_at_eight_seconds_and_again_at_twenty():
    stopped = {A: 30_000, C: 28_000}
    assert quiet(37_900, stopped) == []
    (eight,) = quiet(38_000, stopped)
    assert (eight.rule, eight.at_ms, eight.severity) == ("silence.8s", 38_000, Severity.NOTE)
    assert eight.evidence.measured == {"seconds": 8.0}
    assert "8 s" in eight.evidence.summary
    assert [signal.rule for signal in quiet(50_500, stopped)] == ["silence.8s", "silence.20s"]


def test_one_silence_is_one_finding_and_the_next_another():
    keys = {signal.key for now in range(38_000, 45_000, 500) for signal in quiet(now, {A: 30_000, C: 28_000})}
    assert len(keys) == 1
    (later,) = quiet(80_000, {A: 71_000, C: 28_000})
    assert later.key not in keys


def test_no_silence_while_somebody_speaks_or_is_on_hold_or_nobody_has_spoken_yet():
    assert quiet(60_000, {A: 30_000}, speaking={C: 29_000}) == []
    assert quiet(60_000, {A: 30_000, C: 29_000}, held=True) == []
    assert quiet(60_000, {}) == []


def test_words_count_as_speech_even_where_voice_activity_missed_them():
    words = (Word("hello", 35_000, 36_000),)
    utterance = Utterance("c1", C, 35_000, 36_000, words)
    assert quiet(40_000, {A: 30_000, C: 28_000}, utterances=(utterance,)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Thank you, let me look that up for you.",
        "One moment please",
        "bear with me a second",
        "Hang on, I’ll get a pen",
    ],
)
def test_an_announced_wait_is_no_dead_air_until_it_is_long(text):
    words = tuple(Word(each, 20_000, 20_500) for each in text.split())
    before = Utterance("c1", C, 10_000, 11_000, (Word("Yes.", 10_000, 11_000),))
    announced = (before, Utterance("a1", A, 20_000, 20_500, words))
    assert quiet(35_000, {A: 20_500, C: 11_000}, utterances=announced) == []
    (late,) = quiet(41_000, {A: 20_500, C: 11_000}, utterances=announced)
    assert late.rule == "silence.20s"
    assert quiet(35_000, {A: 20_500, C: 31_000}, utterances=announced) == []
    assert quiet(
        41_000, {A: 20_500, C: 31_000}, utterances=(announced[1], Utterance("c2", C, 30_000, 31_000, before.words))
    )


def line(name, who, start_ms, text):
    spoken = words(text, start_ms)
    return Utterance(name, who, start_ms, spoken[-1].end_ms, spoken)


@pytest.mark.parametrize("nod", ["Okay.", "okay thank you", "Yeah, that's fine, thanks.", "Sure, go ahead."])
@pytest.mark.parametrize("who", [A, C])
def test_a_nod_to_an_announced_wait_does_not_end_it(nod, who):
    said = (line("a1", A, 20_000, "let me look that up"), line("n1", who, 22_500, nod))
    end = said[-1].end_ms
    assert quiet(end + 15_000, {A: 21_500, C: end}, utterances=said) == []
    assert [s.rule for s in quiet(end + 20_000, {A: 21_500, C: end}, utterances=said)] == ["silence.20s"]


def test_speech_that_nobody_makes_out_ends_an_announced_wait_when_it_goes_on():
    def after(spoken_ms):
        silence, said = Silence(), line("a1", A, 20_000, "one moment please")
        assert not list(silence(Window(21_000, (said,), said)))
        for now_ms in range(140_000, 140_000 + spoken_ms, 500):
            assert not list(silence(Window(now_ms, speaking_since={C: 140_000})))
        ended_ms = 140_000 + spoken_ms
        return [s.rule for s in silence(Window(ended_ms + 9_000, last_speech_end={A: 20_900, C: ended_ms}))]

    assert (after(1_000), after(8_000)) == ([], ["silence.8s"])


def test_an_answer_that_is_no_nod_ends_the_announced_wait():
    said = (line("a1", A, 20_000, "let me look that up"), line("c1", C, 22_500, "okay and what about Monday"))
    assert [s.rule for s in quiet(33_000, {A: 21_500, C: 24_000}, utterances=said)] == ["silence.8s"]


@pytest.mark.parametrize(
    ("text", "announces"),
    [
        ("I'll stay with you while it loads", True),
        ("stay on the line while I check with them", True),
        ("have a look at the label while we wait", True),
        ("I sat here for an hour while you did nothing", False),
        ("nobody told me anything while it was broken", False),
        ("we paid for it while you people went on holiday", False),
    ],
)
def test_only_what_is_about_to_be_done_announces_a_wait(text, announces):
    said = (line("x1", A, 20_000, text),)
    found = quiet(said[0].end_ms + 9_000, {A: said[0].end_ms}, utterances=said)
    assert [s.rule for s in found] == ([] if announces else ["silence.8s"])


def test_a_wait_that_the_customer_has_announced_is_no_dead_air():
    words = tuple(Word(each, 20_000, 20_500) for each in "hold on it's in the garage".split())
    assert quiet(60_000, {A: 11_000, C: 20_500}, utterances=(Utterance("c1", C, 20_000, 20_500, words),)) == []
