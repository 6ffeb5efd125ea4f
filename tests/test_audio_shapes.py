import json

import numpy as np
import pytest

from audio.events import SAMPLE_RATE
from audio.hallucinations import hallucination_sign
from audio.models import verify_model
from audio.shapes import SHAPES, TOKENS_PER_S, ShapeRecogniser, make_shape
from audio.whisper import WhisperRecogniser


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_shape("tiny", tmp_path_factory.mktemp("shapes") / "tiny")


@pytest.fixture(scope="module")
def recogniser(tiny):
    return ShapeRecogniser(tiny, device="cpu", floor_frames=300)


def noise(seconds):
    return np.random.default_rng(3).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def begun(recogniser, pcm, **options):
    decoding = recogniser.begin(**options)
    decoding.extend(pcm)
    return decoding


def test_a_shape_is_a_whole_whisper_model_of_the_published_size(tiny):
    assert verify_model(tiny)
    weights = (tiny / "model.bin").stat().st_size
    assert 36e6 < weights < 45e6, "tiny has 37.8 million parameters, one byte each in int8"
    tokenizer = json.loads((tiny / "tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == 51_864
    assert set(SHAPES) == {"tiny", "base", "small"}


def test_faster_whisper_itself_loads_it(tiny):
    from faster_whisper import WhisperModel

    model = WhisperModel(str(tiny), device="cpu", compute_type="int8")
    assert not model.model.is_multilingual and model.model.n_mels == 80
    assert model.hf_tokenizer.get_vocab_size() == 51_864


def test_it_says_as_many_tokens_as_are_spoken_and_nothing_looks_invented(recogniser):
    for seconds in (1.0, 4.0, 9.5):
        words = begun(recogniser, noise(seconds)).final()
        assert len(words) == round(TOKENS_PER_S * seconds)
        assert all(word.end_ms <= 1000 * seconds for word in words)
        assert abs(words[-1].end_ms - 1000 * seconds) < 500
        assert len({word.text for word in words}) == len(words)
    assert recogniser.retries == 0


def test_growing_speech_and_batches_agree_with_what_was_said_before(recogniser):
    short, long = begun(recogniser, noise(1.2)), begun(recogniser, noise(1.6))
    assert short.batch_key(int(1.2 * SAMPLE_RATE)) == long.batch_key(int(1.6 * SAMPLE_RATE))
    before, longer = recogniser.hypotheses([short, long])
    assert [word.text for word in longer[: len(before)]] == [word.text for word in before]


def test_the_model_really_works_as_long_as_the_text(recogniser, monkeypatch):
    asked = []
    model = recogniser._model._model

    class Watched:
        def __getattr__(self, name):
            return getattr(model, name)

        def generate(self, encoded, prompts, **options):
            answer = model.generate(encoded, prompts, **options)
            asked.append([len(each.sequences_ids[0]) for each in answer])
            return answer

    monkeypatch.setattr(recogniser._model, "_model", Watched())
    begun(recogniser, noise(4.0)).hypothesis()
    assert asked == [[round(4 * TOKENS_PER_S)]]


@pytest.mark.parametrize(
    "seconds, phrases", [(1.0, ()), (4.0, ()), (4.0, ("speak to a manager", "cancel")), (12.0, ())]
)
def test_a_text_that_never_ends_is_cut_at_seven_tokens_a_second_and_said_to_be(tiny, seconds, phrases):
    """CTranslate2 halves max_length: a cap handed to it as it is cuts fast talkers off at 3.5 tokens a second."""
    bare = WhisperRecogniser(tiny, device="cpu", floor_frames=300)
    decoding = begun(bare, noise(seconds), phrases=phrases)
    (result,) = bare.decode([decoding], decoding.window(128))
    assert result.statistics.tokens == 6 + 7 * seconds and result.statistics.truncated


def test_encoding_less_is_cheaper(recogniser):
    assert recogniser.encoder_ms(300, times=3) < recogniser.encoder_ms(3000, times=1)


def test_random_tokens_have_a_sign_of_hallucination():
    """Why the words are replaced: a stuck text would be decoded again with the full window, and cost more."""
    from audio.hallucinations import DecodeStatistics

    statistics = DecodeStatistics(tokens=30, audio_ms=9000, mean_log_probability=-0.1, no_speech=0.0, truncated=True)
    assert hallucination_sign("aaab " * 30, statistics) is not None
