from hypothesis import given
from hypothesis import strategies as st

from audio.events import Word
from audio.settling import Settling, plain


def words(text):
    return tuple(Word(word, 100 * i, 100 * i + 80) for i, word in enumerate(text.split()))


def texts(found):
    return " ".join(word.text for word in found)


def test_words_are_agreed_when_two_hypotheses_begin_alike():
    settling = Settling()
    settling.push(words("I want my"))
    assert settling.agreed == ()
    settling.push(words("I want money back"))
    assert texts(settling.agreed) == "I want"
    assert texts(settling.tentative) == "money back"


def test_case_and_punctuation_do_not_delay_agreement():
    settling = Settling()
    settling.push(words("my account"))
    settling.push(words("My account, please"))
    assert texts(settling.agreed) == "My account,"
    assert plain("Account,") == plain("account")


def test_a_genuine_repetition_is_kept():
    settling = Settling()
    settling.push(words("no no"))
    settling.push(words("no no no"))
    settling.push(words("no no no stop"))
    assert texts(settling.agreed) == "no no no"
    assert texts(settling.tentative) == "stop"


def test_agreed_words_stay_and_the_rest_is_found_when_a_later_hypothesis_contradicts_them():
    settling = Settling()
    settling.push(words("the third time my am"))
    settling.push(words("the third time my am calling"))
    settling.push(words("the third time I am calling about"))
    settling.push(words("the third time I am calling about this"))
    assert texts(settling.agreed) == "the third time my am calling about"
    assert texts(settling.tentative) == "this"


def test_a_sure_word_well_before_the_end_is_agreed_at_once_if_none_before_it_is_unsure():
    sure, unsure = (lambda at: Word("yes", at, at + 80, 0.95)), (lambda at: Word("uh", at, at + 80, 0.5))
    for trusting, expected in ((True, 2), (False, 0)):
        settling = Settling(trusting=trusting)
        settling.push((sure(0), sure(100), unsure(200), sure(300), sure(900)), heard_ms=1000)
        assert len(settling.agreed) == expected
    settling = Settling(trusting=True)
    settling.push((sure(0), sure(900)), heard_ms=1000)
    assert len(settling.agreed) == 1


def test_a_followed_word_is_believed_sooner_and_every_word_in_a_pause():
    hypothesis = (Word("refund", 0, 600, 0.95), Word("now", 650, 850, 0.75))
    for heard_ms, paused, expected in ((780, False, 0), (820, False, 1), (1000, True, 2)):
        settling = Settling(trusting=True)
        settling.push(hypothesis, heard_ms=heard_ms, paused=paused)
        assert len(settling.agreed) == expected


def test_a_doubtful_word_does_not_hold_up_what_follows_for_ever():
    for heard_ms, expected in ((1100, 0), (1300, 2)):
        settling = Settling(trusting=True)
        settling.push((Word("ombud", 0, 100, 0.2), Word("man", 150, 900, 0.95)), heard_ms=heard_ms)
        assert len(settling.agreed) == expected


@given(st.lists(st.lists(st.sampled_from("a b c d".split()), max_size=8), max_size=8))
def test_agreed_words_only_grow(hypotheses):
    settling = Settling()
    before = ()
    for hypothesis in hypotheses:
        settling.push(words(" ".join(hypothesis)))
        assert settling.agreed[: len(before)] == before
        before = settling.agreed


@given(st.lists(st.sampled_from("a b c d".split()), min_size=1, max_size=12))
def test_a_sentence_heard_without_error_settles_whole(sentence):
    settling = Settling()
    for end in (*range(1, len(sentence) + 1), len(sentence)):
        settling.push(words(" ".join(sentence[:end])))
    assert texts(settling.agreed) == " ".join(sentence)
