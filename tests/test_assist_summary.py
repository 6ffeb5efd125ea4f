from hypothesis import given
from hypothesis import strategies as st

from assist.coach.summary import MAX_SENTENCES, CustomerSummary
from audio.events import Speaker, Utterance
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.signals import Window
from tests.heard import words

RULES = load_rules()


def said(text, start_ms=0, name="c0"):
    spoken = words(text, start_ms)
    return Utterance(name, Speaker.CUSTOMER, start_ms, spoken[-1].end_ms, spoken)


def told(*texts):
    summary, judge = CustomerSummary(), PhraseDetector(RULES)
    for number, text in enumerate(texts):
        utterance = said(text, 10_000 * number, f"c{number}")
        summary.hear(utterance, judge(Window(utterance.end_ms, (utterance,), utterance)))
    return summary.sentences()


def test_facts_stay_and_greetings_thanks_and_questions_go():
    found = told(
        "Hello, I am calling about my internet.",
        "It has not been working since last week.",
        "How are you today?",
        "An engineer was supposed to come on Monday and nobody came.",
        "Thank you so much for that.",
        "I want a refund for three days.",
    )
    assert [text for _, text in found] == [
        "It has not been working since last week.",
        "An engineer was supposed to come on Monday and nobody came.",
        "I want a refund for three days.",
    ]
    assert [at for at, _ in found] == [10_000, 30_000, 50_000]


def test_abuse_is_left_out():
    found = told("You are a complete idiot and nobody came on Monday.", "This is bullshit, I have waited three weeks.")
    assert found == ()


def test_what_is_said_twice_stands_once():
    found = told("Nobody came on Monday and I waited all day.", "I waited all day on Monday and nobody came.")
    assert len(found) == 1


def test_a_long_sentence_is_cut_and_says_so():
    [(_, text)] = told("I have not had " + "a very long and winding story about it " * 5 + "since Monday")
    assert len(text.split()) == 25 and text.endswith(" …")


TELLING = "I waited nobody came on monday again. it is still broken, want my refund! hello thanks why? bloody".split()


@given(st.lists(st.lists(st.sampled_from(TELLING), min_size=3, max_size=40).map(" ".join), max_size=30))
def test_whatever_is_said_the_summary_is_short_in_order_and_in_the_customers_words(texts):
    spoken = [*texts, "Nobody came on Monday and I waited all day."]
    found = told(*spoken)
    assert 0 < len(found) <= MAX_SENTENCES
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert all(text.removesuffix(" …") in " ".join(spoken) for _, text in found)
