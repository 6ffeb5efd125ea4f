import random

from hypothesis import given
from hypothesis import strategies as st

from audio.events import Hypothesis, Speaker, Utterance, Word
from audio.measuring import Load, Transcript, capacity, load_of, within
from audio.scoring import EMPTY_SCORE, Score, SpokenWord, State, score, word_errors


def spoken(text, *, speaker=Speaker.CUSTOMER):
    """One word each second, 500 ms long."""
    return [SpokenWord(speaker, word, 1000 * at, 1000 * at + 500) for at, word in enumerate(text.split())]


def state(at_ms, settled, tentative=""):
    return State(at_ms, tuple(settled.split()), tuple(tentative.split()))


def test_lateness_runs_from_the_words_end_to_its_first_sight_and_to_when_it_stays():
    states = [
        state(700, "", "my"),
        state(1800, "My", "account"),
        state(2900, "my account,", ""),
    ]
    found = score(spoken("my account"), states)
    assert found == Score(2, 0, 0, shown_ms=(200, 300), settled_ms=(1300, 1400))


def test_a_word_taken_back_counts_from_when_it_came_again():
    states = [state(600, "my"), state(900, "by"), state(1600, "my account")]
    found = score(spoken("my account"), states)
    assert found.settled_ms == (1100, 100) and found.withdrawn == 1
    assert found.shown_ms == (100, 100)


def test_a_word_said_twice_is_not_found_before_it_was_said():
    words = spoken("thank you for calling thank you")
    states = [state(1600, "thank you"), state(5900, "thank you for calling thank you")]
    assert score(words, states).settled_ms == (1100, 100, 3400, 2400, 1400, 400)


def test_only_words_right_in_the_end_have_a_lateness_and_errors_are_counted_in_the_last_text():
    states = [state(900, "my"), state(1900, "my a count")]
    found = score(spoken("my account"), states)
    assert found.errors == 2 and len(found.settled_ms) == 1
    assert score(spoken("my account"), states, last=["my", "account"]).errors == 0


def test_a_channel_that_said_nothing_is_all_errors():
    assert score(spoken("my account"), []) == Score(2, 2, 0, (), ())
    assert score([], [state(100, "boo")]).errors == 1


@given(st.lists(st.sampled_from("a b c d".split()), max_size=12), st.integers(0, 2**30))
def test_a_perfect_listener_makes_no_error_and_is_never_early(words, seed):
    truth = spoken(" ".join(words))
    chance = random.Random(seed)
    states = []
    for known, word in enumerate(truth, start=1):
        states.append(State(word.end_ms + chance.randrange(400), tuple(w.text for w in truth[:known])))
    found = score(truth, states)
    assert found.errors == found.withdrawn == 0 and len(found.settled_ms) == len(truth)
    assert all(0 <= late < 400 for late in found.settled_ms)


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_word_errors_are_a_distance(one, other):
    assert word_errors(one, other) == word_errors(other, one)
    assert word_errors(one, one) == 0 and abs(len(one) - len(other)) <= word_errors(one, other) <= 8


def test_a_transcript_follows_hypotheses_until_they_are_final():
    def word(text, at):
        return Word(text, at, at + 400)

    transcript = Transcript()
    first = Hypothesis("c1", Speaker.CUSTOMER, 0, (word("my", 0),), (word("count", 1000),))
    transcript.note(800, [first, "anything else"])
    transcript.note(1900, [Utterance("c1", Speaker.CUSTOMER, 0, 1500, (word("my", 0), word("account", 1000)))])
    assert transcript.states == {
        Speaker.CUSTOMER: [State(800, ("my",), ("count",)), State(1900, ("my", "account"), ())]
    }
    assert transcript.score(spoken("my account")) == Score(2, 0, 0, (300, 400), (300, 400))
    assert [w.text for w in transcript.spoken()] == ["my", "account"]
    agent = spoken("hello", speaker=Speaker.AGENT)
    assert transcript.score(spoken("my account") + agent).errors == 1


def test_figures_of_a_load():
    total = EMPTY_SCORE + Score(10, 1, 0, (100, 300), (500, 700)) + Score(10, 1, 2, (200,), (600,))
    load = load_of(2, total, cpu_s=6, wall_s=12, audio_s=10, peak_mib=50)
    assert load == Load(2, 20, 0.1, (200, 290), (600, 690), 2, 0.3, 0.5, 50)


def loads(carried, most=64):
    """What `capacity` tries on a machine that carries so many calls."""

    def measured(calls):
        late = 900 if calls <= carried else 1500
        return Load(calls, 1, 0.0, (0, 0), (500, late), 0, 0.1, 0.1, 1)

    return capacity(measured, limit_ms=1000, most=most)


@given(st.integers(0, 64), st.integers(1, 64))
def test_capacity_finds_the_most_calls_and_tries_no_number_twice(carried, most):
    tried = loads(carried, most)
    good = [load.calls for load in tried if within(load, 1000)]
    assert max(good, default=0) == min(carried, most)
    numbers = [load.calls for load in tried]
    assert len(set(numbers)) == len(numbers) <= 14 and max(numbers) <= most


def test_a_load_that_heard_nothing_is_not_in_time():
    assert not within(Load(1, 10, 1.0, (0, 0), (0, 0), 0, 0.1, 0.1, 1), 1000)
