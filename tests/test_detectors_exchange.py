"""What was said just before, by both sides."""

from audio.events import Speaker, Utterance
from detectors.exchange import BEFORE_WORDS, OTHER_WORDS, TURN_WORDS, before_turn, exchange
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
    place = before_turn([(who, words(text)) for who, text in said], C)
    assert " ".join(place.before) == "I had a plumber out."
    assert " ".join(place.other) == "Then it would be the meter."
    assert " ".join(place.turn) == "Right, and the meter is new."


def test_nods_of_either_take_no_turn():
    said = [(A, "It says completed."), (C, "okay"), (A, "At nine fifteen."), (C, "I was in all day,"), (A, "mhm")]
    place = before_turn([(who, words(text)) for who, text in said], C)
    assert " ".join(place.other) == "It says completed. At nine fifteen."
    assert " ".join(place.turn) == "I was in all day,"
    assert not place.before


def test_of_each_side_the_last_words():
    said = [(C, "b " * 40 + "end"), (A, "o " * 40 + "end"), (C, "t " * 40 + "end")]
    place = before_turn([(who, words(text)) for who, text in said], C)
    assert [len(each) for each in (place.before, place.other, place.turn)] == [BEFORE_WORDS, OTHER_WORDS, TURN_WORDS]
    assert {each[-1] for each in (place.before, place.other, place.turn)} == {"end"}


def test_nothing_of_what_comes_later_or_of_the_words_themselves():
    def one(name, who, at_ms, text):
        spoken = words(text, at_ms)
        return Utterance(name, who, at_ms, spoken[-1].end_ms, spoken)

    agent, latest = one("u1", A, 0, "It says completed."), one("u2", C, 2000, "Nobody came.")
    later = one("u3", A, 4000, "I could rebook it.")
    place = exchange(Window(6000, (agent, latest, later), latest), latest)
    assert place.other == ("It", "says", "completed.")
    assert not place.turn and not place.before


def test_what_was_said_before_a_long_pause_is_over():
    def one(name, at_ms, text):
        spoken = words(text, at_ms)
        return Utterance(name, C, at_ms, spoken[-1].end_ms, spoken)

    long_ago, lately = one("u1", 0, "I was in all day."), one("u2", 9000, "Nobody came.")
    latest = one("u3", lately.end_ms + 1500, "So what now?")
    place = exchange(Window(latest.end_ms, (long_ago, lately, latest), latest), latest)
    assert place.turn == ("Nobody", "came.") and not place.before
