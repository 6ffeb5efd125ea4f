import pytest

from audio.events import Hypothesis, Speaker, Utterance
from detectors.sentiment import Sentiment, compound
from detectors.signals import Severity, Window
from tests.heard import words


def said(text, start_ms=0, who=Speaker.CUSTOMER, name="c1"):
    spoken = words(text, start_ms)
    return Utterance(name, who, start_ms, spoken[-1].end_ms, spoken)


def judged(*utterances):
    detector = Sentiment()
    return [signal for each in utterances for signal in detector(Window(each.end_ms, (each,), each))]


def test_clearly_negative_words_are_a_note_with_their_score_and_quote():
    (signal,) = judged(said("this is the worst and most horrible service I have ever had"))
    assert signal.severity is Severity.NOTE
    assert signal.evidence.measured["compound"] < -0.5
    assert signal.evidence.quote.startswith("this is the worst")
    assert signal.evidence.last_word == -1, "the mood of a whole line is no phrase to underlay"


@pytest.mark.parametrize(
    "text",
    [
        "I would like to cancel my order because there is a problem with the delivery",
        "I lost my card and I need to block it and dispute a charge please",
        "there was an error on my bill and I was charged a late fee",
        "my house insurance claim is for storm damage after the accident",
    ],
)
def test_the_subject_of_a_service_call_is_not_a_feeling(text):
    assert compound(text) > -0.3
    assert judged(said(text)) == []


def test_few_words_are_not_judged_alone_but_together():
    assert judged(said("awful, horrible")) == []
    assert judged(said("awful, horrible"), said("and you are useless and rude", 4000, name="c2"))


def test_bad_words_long_ago_do_not_colour_new_ones():
    bad = said("this is horrible awful terrible disgusting service")
    assert judged(bad, said("my number is five five two three", 60_000, name="c2")) == judged(bad)


def test_the_agents_words_and_unsettled_ones_are_not_judged():
    text = "this is the worst and most horrible service ever"
    assert judged(said(text, who=Speaker.AGENT)) == []
    growing = Hypothesis("c1", Speaker.CUSTOMER, 0, said(text).words, ())
    assert list(Sentiment()(Window(5000, (growing,), growing))) == []
