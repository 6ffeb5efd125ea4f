from datetime import date

import pytest

from assist.coach.promises import due_date, promises, to_icalendar
from audio.events import Speaker, Utterance, Word


def said(text, speaker=Speaker.AGENT):
    words = tuple(Word(word, 100 * i, 100 * i + 90) for i, word in enumerate(text.split()))
    return Utterance("a1", speaker, 0, 100 * len(words), words)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("I'll call you back by Friday.", "by Friday"),
        ("i will call you back tomorrow afternoon", "tomorrow afternoon"),
        ("I will send an engineer to you tomorrow morning at nine o'clock.", "tomorrow morning at nine o'clock"),
        ("we'll email you within two hours", "within two hours"),
        ("I'll get back to you by the end of the day", None),
        ("our engineer will come on monday", "on monday"),
        ("I will refund the charge today", "today"),
    ],
)
def test_a_promise_with_a_time_is_caught(text, due):
    found = promises(said(text))
    assert len(found) == 1
    assert due is None or found[0].due == due


@pytest.mark.parametrize(
    "text",
    [
        "Shall I call you back tomorrow?",
        "Would you like me to call you tomorrow?",
        "You called us yesterday.",
        "I will look into it.",
        "They were supposed to come on Monday.",
    ],
)
def test_questions_and_vague_words_promise_nothing(text):
    assert promises(said(text)) == []


def test_the_customer_promises_nothing():
    assert promises(said("I will call you back tomorrow", Speaker.CUSTOMER)) == []


@pytest.mark.parametrize(
    ("due", "day"),
    [
        ("today", date(2026, 11, 24)),
        ("within two hours", date(2026, 11, 24)),
        ("tomorrow at ten", date(2026, 11, 25)),
        ("by Friday", date(2026, 11, 27)),
        ("on tuesday", date(2026, 12, 1)),
        ("next week", date(2026, 12, 1)),
        ("soon", None),
    ],
)
def test_due_days_count_from_the_call(due, day):
    assert due_date(due, date(2026, 11, 24)) == day


def test_the_calendar_is_folded_and_escaped():
    what = "call Zoë; bring the file, " + "and read it " * 10
    text = to_icalendar([("k1-f1", what, "Dana", date(2026, 11, 27))], "20261124T101500Z")
    lines = text.split("\r\n")
    assert all(len(line.encode()) <= 75 for line in lines)
    unfolded = text.replace("\r\n ", "").split("\r\n")
    [summary] = [line for line in unfolded if line.startswith("SUMMARY:")]
    assert "Zoë\\; bring the file\\," in summary and summary.endswith("(Dana)")
    assert "DUE;VALUE=DATE:20261127" in unfolded
    assert unfolded[0] == "BEGIN:VCALENDAR" and unfolded[-2:] == ["END:VCALENDAR", ""]
