"""Dialogue context: what both speakers said just before."""

from audio.events import Speaker, Utterance
from detectors.dialogue_context import (
    MAX_CURRENT_WORDS,
    MAX_OTHER_WORDS,
    MAX_PREVIOUS_WORDS,
    context_after,
    window_context,
)
from detectors.signals import Window
from tests.heard import words

A, C = Speaker.AGENT, Speaker.CUSTOMER


def test_both_sides_in_order_and_what_belongs_to_the_turn():
    said = [
        (C, "I had a plumber out."),
        (A, "Then it would"),
        (A, "be the meter."),
        (C, "Right, and the meter"),
        (C, "is new."),
    ]
    context = context_after([(who, words(text)) for who, text in said], C)
    assert " ".join(context.previous_turn) == "I had a plumber out."
    assert " ".join(context.other_turn) == "Then it would be the meter."
    assert " ".join(context.current_turn) == "Right, and the meter is new."


def test_nods_of_either_take_no_turn():
    said = [(A, "It says completed."), (C, "okay"), (A, "At nine fifteen."), (C, "I was in all day,"), (A, "mhm")]
    context = context_after([(who, words(text)) for who, text in said], C)
    assert " ".join(context.other_turn) == "It says completed. At nine fifteen."
    assert " ".join(context.current_turn) == "I was in all day,"
    assert not context.previous_turn


def test_of_each_side_the_last_words():
    said = [(C, "b " * 40 + "end"), (A, "o " * 40 + "end"), (C, "t " * 40 + "end")]
    context = context_after([(who, words(text)) for who, text in said], C)
    assert [len(each) for each in (context.previous_turn, context.other_turn, context.current_turn)] == [
        MAX_PREVIOUS_WORDS,
        MAX_OTHER_WORDS,
        MAX_CURRENT_WORDS,
    ]
    assert {each[-1] for each in (context.previous_turn, context.other_turn, context.current_turn)} == {"end"}


def test_nothing_of_what_comes_later_or_of_the_words_themselves():
    def one(name, who, at_ms, text):
        spoken = words(text, at_ms)
        return Utterance(name, who, at_ms, spoken[-1].end_ms, spoken)

    agent, latest = one("u1", A, 0, "It says completed."), one("u2", C, 2000, "Nobody came.")
    later = one("u3", A, 4000, "I could rebook it.")
    context = window_context(Window(6000, (agent, latest, later), latest), latest)
    assert context.other_turn == ("It", "says", "completed.")
    assert not context.current_turn and not context.previous_turn


def test_what_was_said_before_a_long_pause_is_over():
    def one(name, at_ms, text):
        spoken = words(text, at_ms)
        return Utterance(name, C, at_ms, spoken[-1].end_ms, spoken)

    long_ago, lately = one("u1", 0, "I was in all day."), one("u2", 9000, "Nobody came.")
    latest = one("u3", lately.end_ms + 1500, "So what now?")
    context = window_context(Window(latest.end_ms, (long_ago, lately, latest), latest), latest)
    assert context.current_turn == ("Nobody", "came.") and not context.previous_turn
