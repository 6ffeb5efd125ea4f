import pytest

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.overlap import Overlap
from detectors.signals import Window

A, C = Speaker.AGENT, Speaker.CUSTOMER


def said(name, who, start_ms, end_ms, words=6, text=""):
    texts = text.split() or ["word"] * words
    step = (end_ms - start_ms) / len(texts)
    parts = tuple(Word(t, round(start_ms + i * step), round(start_ms + (i + 1) * step)) for i, t in enumerate(texts))
    return Utterance(name, who, start_ms, end_ms, parts)


def judged(turns, detector=None):
    """Findings of a call given as turns, each judged when it ends."""
    detector = detector or Overlap()
    found = []
    for latest in sorted(turns, key=lambda each: each.end_ms):
        known = tuple(sorted((t for t in turns if t.end_ms <= latest.end_ms), key=lambda t: t.start_ms))
        found += detector(Window(latest.end_ms, known, latest))
    return found


def breaking_in(times, shared_ms=1500, words=6, text=""):
    turns = []
    for n in range(times):
        at = 10_000 * n
        turns.append(said(f"a{n}", A, at, at + 5000, 12))
        turns.append(said(f"c{n}", C, at + 5000 - shared_ms, at + 8000, words, text))
    return turns


def test_breaking_in_three_times_within_a_minute_is_found_with_count_and_seconds():
    assert judged(breaking_in(2)) == []
    (signal,) = judged(breaking_in(3))
    assert signal.id == "overlap" and signal.speaker is C
    assert signal.evidence.measured == {"count": 3.0, "seconds": 4.5}
    assert "3 times" in signal.evidence.summary and "4.5 s" in signal.evidence.summary


def test_more_of_the_same_is_the_same_finding_with_newer_measures():
    signals = judged(breaking_in(5))
    assert [signal.evidence.measured["count"] for signal in signals] == [3.0, 4.0, 5.0]
    assert len({signal.key for signal in signals}) == 1
    assert [signal.at_ms for signal in signals] == sorted({signal.at_ms for signal in signals})


def test_listening_signals_and_short_overruns_are_no_interruptions():
    assert judged(breaking_in(6, words=2)) == []
    assert judged(breaking_in(6, shared_ms=400)) == []


@pytest.mark.parametrize(
    ("text", "nods"),
    [
        ("yeah okay right sure", True),
        ("oh okay, I see, I see, thank you", True),
        ("mm-hm, yes, that's right, of course", True),
        ("no no no no", False),
        ("yeah but you said Monday", False),
        ("I know, I know, I know", False),
    ],
)
def test_nods_of_several_words_are_no_interruptions(text, nods):
    assert bool(judged(breaking_in(4, text=text))) != nods


def test_the_agent_breaking_in_is_not_the_customers_doing():
    swapped = [Utterance(t.id, A if t.speaker is C else C, t.start_ms, t.end_ms, t.words) for t in breaking_in(5)]
    assert judged(swapped) == []


def test_who_is_broken_into_and_speaks_on_interrupts_nobody():
    """Long speech comes in pieces, cut at short pauses; the agent breaks in three times."""
    pieces = [said(f"c{n}", C, 10_000 * n, 10_000 * n + 9_800, 20) for n in range(4)]
    agent = [said(f"a{n}", A, 10_000 * n + 9_000, 10_000 * n + 12_000, 9) for n in range(3)]
    assert judged(pieces + agent) == []
    later = [said(f"c{n}", C, 10_000 * n + 1_000, 10_000 * n + 9_000, 20) for n in range(4)]
    assert judged(later + agent)[0].evidence.measured["count"] == 3.0


def test_starting_together_is_no_interruption():
    together = [said(f"{who}{n}", who, 10_000 * n, 10_000 * n + 4000) for n in range(5) for who in (A, C)]
    assert judged(together) == []


def test_interruptions_minutes_apart_are_ordinary():
    far = [t for n in range(5) for t in (said(f"a{n}", A, 90_000 * n, 90_000 * n + 5000, 12),
                                         said(f"c{n}", C, 90_000 * n + 3500, 90_000 * n + 8000))]  # fmt: skip
    assert judged(far) == []


def test_an_echo_of_the_agent_that_settles_without_words_is_no_interruption():
    """It is found out when it settles, often after the agent's own words have settled."""

    def heard(detector, times, echoes):
        found, settled = [], []
        for agent, customer in zip(breaking_in(times)[::2], breaking_in(times)[1::2], strict=True):
            spoken = Hypothesis(customer.id, C, customer.start_ms, customer.words, ())
            found += detector(Window(agent.end_ms, (*settled, agent, spoken), agent))
            settled.append(agent)
            if customer.id in echoes:
                customer = Utterance(customer.id, C, customer.start_ms, customer.end_ms, ())
            else:
                settled.append(customer)
            found += detector(Window(customer.end_ms, tuple(settled), customer))
        return [signal.evidence.measured["count"] for signal in found]

    assert heard(Overlap(), 4, {"c0", "c1", "c2", "c3"}) == []
    assert heard(Overlap(), 3, {"c2"}) == []
    assert heard(Overlap(), 4, {"c1"}) == [3.0]
    assert heard(Overlap(), 3, set()) == [3.0]
