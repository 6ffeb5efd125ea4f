import pytest

from audio.events import Speaker, Utterance, Word
from detectors.repetition import Repetition, content
from detectors.signals import Severity, Window


def judged(*turns):
    """Findings in a call of (speaker, text) turns, ten seconds each."""
    detector, found = Repetition(), []
    for number, (who, text) in enumerate(turns):
        start = number * 10_000
        words = tuple(Word(each, start + 300 * n, start + 300 * n + 300) for n, each in enumerate(text.split()))
        turn = Utterance(f"t{number}", Speaker(who), start, start + 300 * len(words), words)
        found += detector(Window(turn.end_ms, (turn,), turn))
    return found


ASK = "I want to know when the engineer will come and repair my boiler."


def test_content_drops_function_words_numbers_and_endings():
    one, other = "I wanted the engineers repairing my two boilers", "When will an engineer repair the boiler?"
    about = [content([Word(word, 0, 1) for word in text.split()]) for text in (one, other)]
    assert about[0] == about[1] and len(about[0]) == 3


def test_the_same_request_in_other_words_after_an_answer_is_found():
    (signal,) = judged(
        ("customer", ASK),
        ("agent", "Let me look at your account first."),
        ("customer", "Yes, but when is the engineer going to repair the boiler?"),
    )
    assert signal.id == "repeated_request" and signal.severity is Severity.NOTE
    assert signal.evidence.quote.startswith("Yes, but when")
    assert signal.evidence.measured["count"] == 2.0 and "2 times" in signal.evidence.summary


def test_the_third_time_asks_for_help():
    turns = [("customer", ASK), ("agent", "One moment.")] * 3
    assert [signal.severity for signal in judged(*turns)] == [Severity.NOTE, Severity.HELP]


@pytest.mark.parametrize(
    "answer", ["Sorry, could you repeat that?", "I didn't catch the last part.", "Can I just confirm what you need?"]
)
def test_repeating_because_one_was_asked_to_is_no_repeated_request(answer):
    assert judged(("customer", ASK), ("agent", answer), ("customer", ASK)) == []


def test_going_on_without_an_answer_is_no_repeated_request():
    assert judged(("customer", ASK), ("customer", ASK)) == []


def test_another_request_about_the_same_thing_is_not_the_same():
    calm = judged(
        ("customer", "Can you tell me the balance of my savings account?"),
        ("agent", "It is two hundred pounds."),
        ("customer", "Can you move fifty from the savings to the current account for the rent payment?"),
    )
    assert calm == []


def test_numbers_and_statements_do_not_count():
    number = "I need it on one two three four five six seven"
    assert judged(("customer", number), ("agent", "Thank you."), ("customer", number)) == []
    statement = "The engineer repaired the boiler yesterday morning."
    assert judged(("customer", statement), ("agent", "Good."), ("customer", statement)) == []


def test_an_agent_repeating_is_not_the_customer():
    assert judged(("agent", ASK), ("customer", "Hm."), ("agent", ASK)) == []
