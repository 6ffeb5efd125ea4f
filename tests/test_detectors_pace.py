from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assist.privacy.redaction import Redactor
from audio.events import Speaker, Utterance, Word
from detectors.pace import Pace, articulation_rate, syllables
from detectors.signals import Window

TEXT = "i have been waiting for my order and nobody has called me about it"


@pytest.mark.parametrize(
    ("word", "count"),
    [("I", 1), ("called", 1), ("waited", 2), ("order", 2), ("table", 2), ("time", 1), ("customer", 3), ("times", 1),
     ("changes", 2), ("8", 1), ("you're", 1)],
)  # fmt: skip
def test_syllables(word, count):
    assert syllables(word) == count


@given(st.text())
def test_every_word_has_a_syllable(word):
    assert syllables(word) >= 1


def said(number, rate, text=TEXT, who=Speaker.CUSTOMER, pause_ms=0):
    """The text at `rate` syllables per second, with a pause after its first word."""
    words, at = [], number * 20_000.0
    for n, each in enumerate(text.split()):
        long = syllables(each) * 1000 / rate
        words.append(Word(each, round(at), round(at + long)))
        at += long + (pause_ms if n == 0 else 0)
    return Utterance(f"c{number}", who, number * 20_000, round(at), tuple(words))


def judged(utterances):
    detector = Pace()
    return [signal for each in utterances for signal in detector(Window(each.end_ms, (each,), each))]


def test_pace_leaves_pauses_out():
    assert articulation_rate(said(0, 4.0).words)[0] == pytest.approx(4.0, abs=0.05)
    assert articulation_rate(said(0, 4.0, pause_ms=5000).words)[0] == pytest.approx(4.0, abs=0.05)
    assert articulation_rate(()) == (0.0, 0)


def test_a_third_faster_than_before_is_found_with_both_values():
    usual = [said(n, 4.2) for n in range(5)]
    (signal,) = judged([*usual, said(6, 5.9)])
    measured = signal.evidence.measured
    assert measured["syllables_per_s"] == pytest.approx(5.9, abs=0.1)
    assert measured["usual_syllables_per_s"] == pytest.approx(4.2, abs=0.1)
    assert "faster than before" in signal.evidence.summary


def test_fast_speech_does_not_become_the_usual():
    usual = [said(n, 4.2) for n in range(4)]
    fast = [said(n, 5.9) for n in range(4, 14)]
    assert len(judged([*usual, *fast])) == 10
    creeping = [said(n, min(4.2 + 0.15 * (n - 3), 6.0)) for n in range(4, 20)]
    assert judged([*usual, *creeping])[-1].at_ms == creeping[-1].end_ms


def test_who_began_by_spelling_slowly_is_not_fast_for_ever():
    slow = [said(n, 3.0) for n in range(4)]
    signals = judged([*slow, *(said(n, 5.0) for n in range(4, 40))])
    assert 0 < len(signals) <= 21
    assert signals[-1].at_ms < 30 * 20_000


NUMBERS = [
    ("my account number is four four seven one eight eight nine zero", "my account number is 44718890"),
    ("my telephone is oh seven nine four six one one eight two three five", "my telephone is 07946118235"),
    ("I was born on the twenty third of april nineteen seventy eight", "I was born on the 23rd of April 1978"),
    ("and the order number is six six two nine one four zero", "and the order number is 66-29-140"),
]


@pytest.mark.parametrize("as_digits", [False, True])
def test_numbers_that_are_masked_or_written_as_digits_are_no_slow_speech(as_digits):
    redactor = Redactor()
    identity = []
    for n, (spoken, digits) in enumerate(NUMBERS):
        one = said(n, 4.7, spoken)
        long_ms = (one.end_ms - one.start_ms) // len(digits.split())
        written = [
            Word(each, one.start_ms + k * long_ms, one.start_ms + (k + 1) * long_ms)
            for k, each in enumerate(digits.split())
        ]
        identity.append(replace(one, words=tuple(written)) if as_digits else redactor.redact_utterance(one))
    assert as_digits or all("[" in each.text for each in identity)
    assert judged([*identity, *(said(n, 4.7) for n in range(4, 12))]) == []
    assert len(judged([*identity, *(said(n, 4.7) for n in range(4, 12)), said(12, 6.5)])) == 1


def test_one_digit_is_one_syllable_and_is_measured():
    assert articulation_rate(said(0, 4.0, "I have been here since 8 today").words)[0] == pytest.approx(4.0, abs=0.05)
    assert articulation_rate(said(0, 4.0, "I have been here since 18 today").words) == (0.0, 0)


def test_a_fast_talker_is_not_fast_for_themselves():
    assert judged([said(n, 6.5) for n in range(9)]) == []


def test_without_earlier_speech_nothing_is_fast():
    assert judged([said(n, 7.5) for n in range(1)] + [said(n, 3.0 + n) for n in range(2, 5)]) == []


def test_short_answers_and_slow_talkers_are_not_judged():
    usual = [said(n, 4.0) for n in range(5)]
    assert judged([*usual, said(6, 7.0, "yes that is right")]) == []
    assert judged([*[said(n, 2.8) for n in range(5)], said(6, 4.2)]) == []


def test_the_agents_pace_is_never_measured():
    agent = [said(n, 4.0, who=Speaker.AGENT) for n in range(5)]
    assert judged([*agent, said(6, 6.5, who=Speaker.AGENT)]) == []
