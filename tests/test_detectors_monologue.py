from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.monologue import Monologue
from detectors.signals import Window

A, C = Speaker.AGENT, Speaker.CUSTOMER


def said(name, who, start_s, end_s, words=20, text=""):
    texts = text.split() or ["word"] * words
    step = (end_s - start_s) * 1000 / len(texts)
    parts = tuple(
        Word(each, round(start_s * 1000 + i * step), round(start_s * 1000 + (i + 1) * step))
        for i, each in enumerate(texts)
    )
    return Utterance(name, who, start_s * 1000, end_s * 1000, parts)


def judged(turns):
    detector = Monologue()
    return [signal for turn in turns for signal in detector(Window(turn.words[-1].end_ms, tuple(turns), turn))]


def test_fifty_seconds_with_nods_only_are_a_monologue():
    turns = [
        said("a0", A, 0, 3),
        said("c1", C, 4, 18),
        said("a1", A, 18, 19, words=2),
        said("c2", C, 19, 35),
        said("c3", C, 36, 54),
    ]
    (signal,) = judged(turns)
    assert signal.evidence.measured == {"seconds": 50.0} and "50 s" in signal.evidence.summary
    assert (signal.evidence.start_ms, signal.at_ms) == (4000, 54_000)


def test_a_nod_of_several_words_does_not_end_the_run():
    def run(nod):
        return judged([said("c1", C, 0, 30), said("a1", A, 30, 32, text=nod), said("c2", C, 32, 60)])

    assert [s.evidence.measured for s in run("yeah, okay, right, I see")] == [{"seconds": 60.0}]
    assert run("I will send one today") == []


def test_an_answer_of_the_agents_ends_the_run():
    assert judged([said("c1", C, 0, 30), said("a1", A, 30, 35), said("c2", C, 35, 65)]) == []


def test_a_long_pause_ends_the_run():
    assert judged([said("c1", C, 0, 30), said("c2", C, 40, 70)]) == []


def test_it_is_found_while_the_words_still_come_and_is_one_finding():
    turn = said("c1", C, 0, 60, words=60)
    growing = [Hypothesis("c1", C, 0, turn.words[:n], ()) for n in range(40, 60, 2)]
    signals = judged([*growing, turn])
    assert signals[0].at_ms == 46_000
    assert len({signal.key for signal in signals}) == 1


def test_the_agent_may_explain_as_long_as_needed():
    assert judged([said("a1", A, 0, 80, words=80)]) == []
