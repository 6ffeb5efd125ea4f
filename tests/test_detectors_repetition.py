import pytest

from audio.events import Speaker, Utterance, Word
from detectors.repetition import Repetition, content_words
from detectors.signals import Severity, Window
from tests.heard import words


def judged(*turns):
    """Findings in a call of (speaker, text) turns, ten seconds each."""
    detector, found = Repetition(), []
    for number, (who, text) in enumerate(turns):
        start = number * 10_000
        spoken = words(text, start)
        turn = Utterance(f"t{number}", Speaker(who), start, spoken[-1].end_ms, spoken)
        found += detector(Window(turn.end_ms, (turn,), turn))
    return found


ASK = "I want to know when the engineer will come and repair my boiler."


def test_content_drops_function_words_numbers_and_endings():
    one, other = "I wanted the engineers repairing my two boilers", "When will an engineer repair the boiler?"
    about = [content_words([Word(word, 0, 1) for word in text.split()]) for text in (one, other)]
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
    "answer",
    [
        "Sorry, could you repeat that?",
        "I didn't catch the last part.",
        "Can I just confirm what you need?",
        "Could you please say all of that again?",
        "Would you mind saying that again",
        "Sorry I did not hear",
        "what was it you needed again",
        "Sorry, say again",
        "Pardon?",
        "The line is breaking up.",
        "What was it you needed again?",
        "Let me double check that I've got you right.",
        "Can you confirm what it is about?",
        "Just to confirm, you want to speak about the bill?",
        "Sorry, could you say that once more?",
        "Can I have your order number again, please?",
        "And your name again?",
    ],
)
def test_repeating_because_one_was_asked_to_is_no_repeated_request(answer):
    assert judged(("customer", ASK), ("agent", answer), ("customer", ASK)) == []


@pytest.mark.parametrize(
    "answer",
    [
        "I can confirm it is planned for Monday",
        "Sorry again for the delay, it is planned for Monday",
        "I have to double check with the depot first",
        "They will try again tomorrow",
        "Let me check if we have somebody free. I am afraid we do not.",
        "Could you try again tomorrow?",
        "I did not hear back from the depot",
        "I couldn't get through to the depot",
        "I'll confirm that in an email",
        "How it went wrong again I do not know",
        "They say that it will be there on Monday",
        "Could you go to the website again and look there?",
    ],
)
def test_an_answer_that_confirms_or_says_again_asks_for_nothing(answer):
    assert len(judged(("customer", ASK), ("agent", answer), ("customer", ASK))) == 1


@pytest.mark.parametrize("nod", ["mhm", "Okay.", "Yes, I see."])
def test_a_nod_is_no_answer(nod):
    assert judged(("customer", ASK), ("agent", nod), ("customer", ASK)) == []


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
    assert judged(("customer", number), ("agent", "I have noted it."), ("customer", number)) == []
    statement = "The engineer repaired the boiler yesterday morning."
    assert judged(("customer", statement), ("agent", "I have noted it."), ("customer", statement)) == []


def test_an_agent_repeating_is_not_the_customer():
    assert judged(("agent", ASK), ("customer", "Hm."), ("agent", ASK)) == []
