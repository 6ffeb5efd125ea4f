import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audio.calibration import utterances
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Word
from audio.hallucinations import (
    DecodeStatistics,
    hallucination_sign,
    is_genuine_repetition,
    is_loop,
    without_hallucinations,
)
from audio.normalisation import normalised
from audio.scoring import word_errors
from audio.whisper import FLOOR_FILE, WhisperRecogniser, stored_floor
from audio.windows import BUCKETS, FULL, SAFE_FLOOR, TAIL, LogMelSpectrogram, check_window, window_frames

MODEL = Path(__file__).parent / "models" / "test-recogniser"
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def recogniser():
    return WhisperRecogniser(MODEL, device="cpu")


@pytest.fixture(scope="module")
def sentence():
    """ "I want my money back or I will cancel my account." """
    pcm = soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0][:, 1]
    words = [word for word in json.loads((DATA / "spoken-call.json").read_text()) if word["who"] == "customer"]
    spoken = words[10:21]
    start = spoken[0]["start_ms"] - 200
    return pcm[start * 16 : (spoken[-1]["end_ms"] + 200) * 16].copy(), start, spoken


def text(words):
    return " ".join(normalised(word.text) for word in words)


SAID = "i want my money back or i will cancel my account"


def heard(recogniser, pcm, **options):
    decoding = recogniser.begin(**options)
    decoding.extend(pcm)
    return decoding.final()


def test_a_sentence_is_heard_with_true_word_times(recogniser, sentence):
    pcm, start, spoken = sentence
    words = heard(recogniser, pcm)
    assert text(words) == SAID
    off = [abs(word.start_ms + start - true["start_ms"]) for word, true in zip(words, spoken, strict=True)]
    assert np.median(off) < 200 and max(off) < 600
    assert all(0 < word.probability <= 1 and word.start_ms <= word.end_ms for word in words)


def test_what_is_written_without_a_space_is_one_word(recogniser):
    said = " My brother-in-law owes $15.50, at 9:30 p.m. or so – john.smith@example.com."
    tokens = recogniser._tokens.encode(said)
    aligned = SimpleNamespace(
        alignments=[(n, 10 * n) for n in range(len(tokens))],
        text_token_probs=[0.9 - 0.01 * n for n in range(len(tokens))],
    )
    words = recogniser._timed(tokens, aligned, 60 * SAMPLE_RATE)
    assert [word.text for word in words] == said.replace(" –", "–").split()
    assert words[1].end_ms == words[2].start_ms
    assert all(before.probability > after.probability for before, after in itertools.pairwise(words))


def test_a_short_window_hears_what_a_full_one_hears(sentence):
    pcm, _, _ = sentence
    short = WhisperRecogniser(MODEL, device="cpu", floor_frames=300)
    full = WhisperRecogniser(MODEL, device="cpu", floor_frames=FULL)
    assert (short.floor, full.floor) == (300, FULL)
    assert text(heard(short, pcm)) == text(heard(full, pcm)) == SAID


def test_expected_phrases_are_a_prompt_and_do_not_appear_unsaid(recogniser, sentence):
    words = heard(recogniser, sentence[0], phrases=("speak to a supervisor", "lawyer", "refund"))
    assert text(words) == SAID


def test_utterances_decoded_together_are_heard_as_alone(recogniser, sentence):
    pcm, _, _ = sentence
    cuts = [pcm[: int(share * len(pcm))] for share in (0.5, 0.7, 0.9)]
    alone, together = [], []
    for truncated in cuts:
        decoding = recogniser.begin()
        decoding.extend(truncated)
        alone.append(decoding.hypothesis())
        again = recogniser.begin()
        again.extend(truncated)
        together.append(again)
    assert len({decoding.batch_key(1) for decoding in together}) == 1
    assert [text(words) for words in recogniser.hypotheses(together)] == [text(words) for words in alone]
    assert text(alone[-1]).startswith("i want my money back")


def test_in_noise_a_complete_utterance_is_heard_better_than_its_last_hypothesis(recogniser):
    sound = soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0]
    words = json.loads((DATA / "spoken-call.json").read_text())
    in_hypotheses = in_finals = 0
    for seed, (channel, who) in itertools.product(range(3), enumerate(("agent", "customer"))):
        noise = np.random.default_rng(seed)
        hypotheses, finals = [], []
        for pcm in utterances(sound[:, channel]):
            level = np.sqrt(np.mean(pcm**2)) * 10 ** (-12 / 20)
            decoding = recogniser.begin()
            decoding.extend(pcm + (level * noise.standard_normal(len(pcm))).astype(np.float32))
            hypotheses += text(decoding.hypothesis()).split()
            finals += text(decoding.final()).split()
        spoken = [normalised(word["word"]) for word in words if word["who"] == who]
        in_hypotheses += word_errors(hypotheses, spoken)
        in_finals += word_errors(finals, spoken)
    assert in_finals < 0.85 * in_hypotheses, (in_finals, in_hypotheses)


def test_what_a_pause_has_decoded_is_not_decoded_again_at_the_end(recogniser, sentence, monkeypatch):
    decoding = recogniser.begin()
    decoding.extend(sentence[0])
    paused = decoding.close()
    with monkeypatch.context() as patch:
        patch.setattr(recogniser, "decode", None)
        assert decoding.final() == paused
    assert text(paused) == SAID
    again = recogniser.begin()
    again.extend(sentence[0][:16000])
    again.close()
    again.extend(sentence[0][16000:])
    assert text(again.final()) == SAID


def test_silence_and_nothing_at_all_have_no_words(recogniser):
    assert heard(recogniser, np.zeros(3 * SAMPLE_RATE, np.float32)) == ()
    assert heard(recogniser, np.zeros(0, np.float32)) == ()


def test_frames_taken_in_pieces_are_those_of_the_whole(sentence):
    pcm = sentence[0]
    filters = np.random.default_rng(0).random((80, 201), np.float32)
    whole, pieces = LogMelSpectrogram(filters), LogMelSpectrogram(filters)
    whole.extend(pcm)
    for at in range(0, len(pcm), 1234):
        pieces.extend(pcm[at : at + 1234])
        pieces.window(400)
    np.testing.assert_array_equal(whole.window(600), pieces.window(600), "words must not depend on the pieces")


def test_mel_frames_are_those_of_faster_whisper(sentence):
    from faster_whisper.feature_extractor import FeatureExtractor

    pcm = sentence[0]
    extractor = FeatureExtractor()
    ours = LogMelSpectrogram(extractor.mel_filters)
    ours.extend(pcm)
    count = len(pcm) // 160
    theirs = extractor(np.pad(pcm, (0, 16000)))[:, 2:count]
    np.testing.assert_allclose(ours.window(600)[:, 2:count], theirs, atol=2e-3)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_no_window_falls_into_the_trap(n_mels):
    for content in range(1, FULL):
        for floor in (1, 300, SAFE_FLOOR, FULL):
            frames = window_frames(content, floor=floor)
            check_window(frames, n_mels)
            assert frames in BUCKETS and frames >= min(FULL, max(floor, content + TAIL))
    for trap in (2 * n_mels - 1, 2 * n_mels):
        with pytest.raises(ValueError, match="mel bands"):
            check_window(trap, n_mels)


def test_the_floor_is_ten_seconds_until_one_is_stored_for_these_weights(tmp_path):
    own = WhisperRecogniser(MODEL, device="cpu")
    assert own.floor == 1000
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    good = {"floor_frames": 400, "weights": own.version}
    (model / FLOOR_FILE).write_text(json.dumps(good))
    assert WhisperRecogniser(model, device="cpu").floor == 400
    others = [json.dumps(good | bad) for bad in ({"floor_frames": "x"}, {"floor_frames": 99999}, {"weights": "0ff"})]
    for bad in ("", "{}", "[]", *others):
        (model / FLOOR_FILE).write_text(bad)
        assert stored_floor(model, own.version) is None


def damaged(tmp_path, change):
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    change(model)
    with pytest.raises(AudioError) as caught:
        WhisperRecogniser(model, device="cpu")
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_a_damaged_model_is_one_clear_line(tmp_path):
    weights = (MODEL / "model.bin").read_bytes()
    assert damaged(tmp_path / "a", lambda m: (m / "model.bin").write_bytes(weights[:100_000])) == "model-corrupt"
    assert damaged(tmp_path / "b", lambda m: (m / "tokenizer.json").write_text("{}")) == "model-corrupt"
    assert damaged(tmp_path / "c", lambda m: (m / "config.json").write_text("{}")) == "model-wrong-family"
    assert damaged(tmp_path / "d", lambda m: (m / "model.bin").unlink()) == "model-corrupt"


STATISTICS = DecodeStatistics(tokens=10, audio_ms=4000, mean_log_probability=-0.2, no_speech=0.1)


def test_loops_are_noticed_and_plain_insistence_is_not():
    assert is_loop("no no no no no".split())
    assert is_loop("i want my money i want my money i want my money".split())
    assert not is_loop("no no no stop it now".split())
    assert not is_loop("i want my money i want my money now please".split())
    assert not is_loop("no no no no no i want to cancel my contract and i want a manager".split())


def test_who_says_one_word_over_and_over_is_heard(recogniser):
    pcm = soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0][:, 1]
    [this] = [word for word in json.loads((DATA / "spoken-call.json").read_text()) if word["word"] == "this."]
    word = np.pad(pcm[(this["start_ms"] - 20) * 16 : (this["end_ms"] + 40) * 16], (0, 2400))
    said = heard(recogniser, np.concatenate([np.zeros(3200, np.float32), *[word] * 9]))
    # How many of the nine depends on the processor; five in a row are a loop.
    assert len(said) >= 5 and {normalised(each.text) for each in said} == {"this"}


def test_a_repetition_is_believed_only_of_a_model_that_is_sure_and_for_nothing_else():
    assert is_genuine_repetition("loop", STATISTICS) and is_genuine_repetition("repetitive", STATISTICS)
    assert not is_genuine_repetition("loop", replace(STATISTICS, mean_log_probability=-0.6))
    assert not any(is_genuine_repetition(sign, STATISTICS) for sign in (None, "unending", "crowded", "no-speech"))


def test_invented_texts_are_suspected():
    def changed(**change):
        return replace(STATISTICS, **change)

    assert hallucination_sign("I want my money back", STATISTICS) is None
    assert hallucination_sign("", changed(truncated=True)) is None
    assert hallucination_sign("a text", changed(truncated=True)) == "unending"
    assert hallucination_sign("one two three four", changed(tokens=30, audio_ms=1000)) == "crowded"
    assert hallucination_sign("very " * 5, STATISTICS) == "loop"
    assert hallucination_sign("so you know", changed(no_speech=0.9, mean_log_probability=-1.0)) == "no-speech"


def test_stock_phrases_are_dropped_only_when_doubtful():
    def said(line, probability):
        return tuple(Word(word, 0, 100, probability) for word in line.split())

    brief = replace(STATISTICS, audio_ms=800)
    assert without_hallucinations(said("Thank you.", 0.95), STATISTICS)
    assert without_hallucinations(said("Thank you.", 0.95), brief)
    assert not without_hallucinations(said("Thank you.", 0.6), brief)
    assert not without_hallucinations(said("Thank you.", 0.4), STATISTICS)
    assert without_hallucinations(said("Cancel it.", 0.6), brief)
    assert not without_hallucinations(said("Cancel it.", 0.1), STATISTICS)
    assert not without_hallucinations(said("Urner.", 0.3), brief)
    assert without_hallucinations(said("Cancel it.", 0.3), STATISTICS)


def test_words_without_a_sound_at_the_end_are_dropped():
    said = [Word(word, 300 * n, 300 * n + 250, 0.9) for n, word in enumerate("press the star key".split())]
    again = [Word(word.text, 1150, 1150, 0.99) for word in said]
    assert without_hallucinations([*said, *again], STATISTICS) == tuple(said)
    assert without_hallucinations([*said, *again[:2]], STATISTICS) == (*said, *again[:2]), (
        "short words may share a moment"
    )
