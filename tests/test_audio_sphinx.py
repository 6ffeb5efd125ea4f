"""The embedded recogniser on the demo call's real sound."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audio.events import Pcm, Word
from audio.line_sounds import telephone
from audio.sphinx import LINE_NOISE, MAX_WORD_MS, UNSURE_BELOW, SphinxRecogniser, with_line_noise, without_implausible

DEMO = Path(__file__).parent.parent / "assist" / "demo"


@pytest.fixture(scope="module")
def recogniser() -> SphinxRecogniser:
    return SphinxRecogniser()


@pytest.fixture(scope="module")
def lines() -> list[Pcm]:
    sound, _ = soundfile.read(DEMO / "call.ogg", dtype="float32")
    written = json.loads((DEMO / "lines.json").read_text(encoding="utf-8"))
    return [
        sound[line["start_ms"] * 16 - 2000 : line["end_ms"] * 16 + 2000, int(line["speaker"] == "customer")].copy()
        for line in written
    ]


def test_reused_decoder_hears_the_same_as_a_fresh_one(lines: list[Pcm]) -> None:
    reused = SphinxRecogniser(decoders=1)
    for line in (lines[7], lines[3]):
        reused.decode(line)
    again = reused.decode(lines[16])
    assert again and again == SphinxRecogniser(decoders=1).decode(lines[16])


def test_two_threads_at_once_hear_what_one_does(recogniser: SphinxRecogniser, lines: list[Pcm]) -> None:
    some = [lines[16], lines[3]]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(recogniser.decode, some))
    assert together == [recogniser.decode(line) for line in some]


def test_more_threads_than_decoders_wait_their_turn(lines: list[Pcm]) -> None:
    narrow = SphinxRecogniser(decoders=1)
    with ThreadPoolExecutor(3) as threads:
        heard = list(threads.map(narrow.decode, [lines[3]] * 3))
    assert heard[0] and all(words == heard[0] for words in heard)


def test_last_words_do_not_wait_for_others_to_stop_speaking(lines: list[Pcm]) -> None:
    narrow, line = SphinxRecogniser(decoders=2), lines[3][:24_000]
    first, second, third = speaking = [narrow.begin() for _ in range(3)]
    for decoding in speaking:
        decoding.extend(line)
    assert first.hypothesis() == second.hypothesis() != () == third.hypothesis()
    with ThreadPoolExecutor(1) as thread:
        last = thread.submit(third.final)
        try:
            words = last.result(timeout=60)
        finally:
            first.final()  # so that the thread comes to its end
    assert words and words == narrow.decode(line)


def test_words_in_pieces_are_the_words_of_the_whole(recogniser: SphinxRecogniser, lines: list[Pcm]) -> None:
    decoding = recogniser.begin(phrases=("call my guy",))
    for at in range(0, len(lines[8]), 1600):
        decoding.extend(lines[8][at : at + 1600])
        if at == 32_000:
            partial = decoding.hypothesis()
    final = decoding.final()
    assert final == recogniser.decode(lines[8])
    assert 0 < len(partial) < len(final)


def test_word_times_are_ordered_and_inside_the_utterance(recogniser: SphinxRecogniser, lines: list[Pcm]) -> None:
    words = recogniser.decode(lines[8])
    assert len(words) > 10
    for word in words:
        assert 0 <= word.start_ms < word.end_ms <= len(lines[8]) // 16
        assert 0.0 <= word.probability <= 1.0
        assert word.text == word.text.strip() and not set(word.text) & set("<>[]()+")
    assert all(a.end_ms <= b.start_ms for a, b in zip(words, words[1:], strict=False))


@pytest.mark.parametrize("seconds", [0.0, 0.05, 7.0])
def test_silence_holds_no_words(recogniser: SphinxRecogniser, seconds: float) -> None:
    silence = np.zeros(int(seconds * 16_000), np.float32)
    assert recogniser.decode(silence) == ()
    decoding = recogniser.begin()
    decoding.extend(silence)
    assert decoding.hypothesis() == ()
    assert decoding.final() == ()


def test_line_noise_holds_no_words(recogniser: SphinxRecogniser) -> None:
    noise = (np.random.default_rng(0).standard_normal(3 * 16_000) * 10 ** (-60 / 20)).astype(np.float32)
    assert recogniser.decode(noise) == ()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ([("i'm", 220, 490, 0.10)], []),  # in 2.3 s of many people talking
        ([("refer", 20, 310, 0.07), ("to", 310, 490, 0.18)], []),  # in a ringtone
        ([("wait", 140, 1990, 0.13)], []),
        ([("and", 10, 1220, 1.0), ("no", 1300, 1500, 0.4)], ["no"]),
        ([("i'm", 220, 490, 0.10), ("done", 500, 900, 0.2)], ["i'm", "done"]),
    ],
)
def test_what_nobody_can_have_said_is_taken_out(words: list[tuple[str, int, int, float]], kept: list[str]) -> None:
    assert [word.text for word in without_implausible([Word(*word) for word in words], 2300)] == kept


def test_an_unsure_answer_that_takes_up_all_of_the_speech_stands() -> None:
    answer = Word("yes", 10, 330, 0.14)
    assert without_implausible([answer], 590) == (answer,)
    assert without_implausible([answer], 900) == ()


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3000), st.floats(0, 1)), max_size=6))
def test_no_sure_word_of_a_possible_length_is_lost(found: list[tuple[int, int, float]]) -> None:
    words = [Word("word", start, start + length, probability) for start, length, probability in found]
    kept = without_implausible(words, 9000)
    sure = [word for word in words if word.probability >= UNSURE_BELOW and word.end_ms - word.start_ms <= MAX_WORD_MS]
    assert set(sure) <= set(kept) <= set(words)


def test_words_of_complaints_that_the_model_lacks_are_heard(recogniser: SphinxRecogniser) -> None:
    sound, _ = soundfile.read(Path(__file__).parent / "data" / "calling-ofcom.flac", dtype="float32")
    assert "calling ofcom" in " ".join(word.text for word in recogniser.decode(sound))


def test_only_telephone_sound_gets_noise_in_the_band_it_lacks(lines: list[Pcm]) -> None:
    for line in lines[:4]:
        assert with_line_noise(line) is line
        narrow = telephone(line[: len(line) // 2 * 2])
        added = with_line_noise(narrow) - narrow
        assert np.std(added) / np.sqrt(np.mean(narrow**2)) == pytest.approx(LINE_NOISE, rel=0.02)
    assert not np.any(with_line_noise(np.zeros(8000, np.float32)))
