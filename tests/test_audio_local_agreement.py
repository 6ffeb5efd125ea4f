from hypothesis import given
from hypothesis import strategies as st

from audio.events import Word
from audio.local_agreement import LocalAgreement
from audio.normalisation import normalised


def words(text):
    return tuple(Word(word, 100 * i, 100 * i + 80) for i, word in enumerate(text.split()))


def texts(found):
    return " ".join(word.text for word in found)


def test_words_are_agreed_when_two_hypotheses_begin_alike():
    agreement = LocalAgreement()
    agreement.push(words("I want my"))
    assert agreement.agreed == ()
    agreement.push(words("I want money back"))
    assert texts(agreement.agreed) == "I want"
    assert texts(agreement.tentative) == "money back"


def test_case_and_punctuation_do_not_delay_agreement():
    agreement = LocalAgreement()
    agreement.push(words("my account"))
    agreement.push(words("My account, please"))
    assert texts(agreement.agreed) == "My account,"
    assert normalised("Account,") == normalised("account")


def test_a_genuine_repetition_is_kept():
    agreement = LocalAgreement()
    agreement.push(words("no no"))
    agreement.push(words("no no no"))
    agreement.push(words("no no no stop"))
    assert texts(agreement.agreed) == "no no no"
    assert texts(agreement.tentative) == "stop"


def test_agreed_words_stay_and_the_rest_is_found_when_a_later_hypothesis_contradicts_them():
    agreement = LocalAgreement()
    agreement.push(words("the third time my am"))
    agreement.push(words("the third time my am calling"))
    agreement.push(words("the third time I am calling about"))
    agreement.push(words("the third time I am calling about this"))
    assert texts(agreement.agreed) == "the third time my am calling about"
    assert texts(agreement.tentative) == "this"


def test_a_sure_word_well_before_the_end_is_agreed_at_once_if_none_before_it_is_unsure():
    sure, unsure = (lambda at: Word("yes", at, at + 80, 0.95)), (lambda at: Word("uh", at, at + 80, 0.5))
    for trust_probabilities, expected in ((True, 2), (False, 0)):
        agreement = LocalAgreement(trust_probabilities=trust_probabilities)
        agreement.push((sure(0), sure(100), unsure(200), sure(300), sure(900)), audio_ms=1000)
        assert len(agreement.agreed) == expected
    agreement = LocalAgreement(trust_probabilities=True)
    agreement.push((sure(0), sure(900)), audio_ms=1000)
    assert len(agreement.agreed) == 1


def test_a_followed_word_is_believed_sooner_and_every_word_in_a_pause():
    hypothesis = (Word("refund", 0, 600, 0.95), Word("now", 650, 850, 0.75))
    for audio_ms, paused, expected in ((780, False, 0), (820, False, 1), (1000, True, 2)):
        agreement = LocalAgreement(trust_probabilities=True)
        agreement.push(hypothesis, audio_ms=audio_ms, paused=paused)
        assert len(agreement.agreed) == expected


def test_a_doubtful_word_does_not_hold_up_what_follows_for_ever():
    for audio_ms, expected in ((1100, 0), (1300, 2)):
        agreement = LocalAgreement(trust_probabilities=True)
        agreement.push((Word("ombud", 0, 100, 0.2), Word("man", 150, 900, 0.95)), audio_ms=audio_ms)
        assert len(agreement.agreed) == expected


@given(st.lists(st.lists(st.sampled_from("a b c d".split()), max_size=8), max_size=8))
def test_agreed_words_only_grow(hypotheses):
    agreement = LocalAgreement()
    before = ()
    for hypothesis in hypotheses:
        agreement.push(words(" ".join(hypothesis)))
        assert agreement.agreed[: len(before)] == before
        before = agreement.agreed


@given(st.lists(st.sampled_from("a b c d".split()), min_size=1, max_size=12))
def test_a_sentence_heard_without_error_settles_whole(sentence):
    agreement = LocalAgreement()
    for end in (*range(1, len(sentence) + 1), len(sentence)):
        agreement.push(words(" ".join(sentence[:end])))
    assert texts(agreement.agreed) == " ".join(sentence)
