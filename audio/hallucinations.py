"""Hallucinations: signs that a recogniser has invented words.

Whisper's own (no-speech probability, mean log probability, compression ratio) where they mean something on a few
seconds of telephone speech; and loops and too many words for the time, which short windows bring out.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Word, mean_probability
from audio.normalisation import normalised

STOCK_PHRASES = frozenset(
    (
        "thank you",
        "thanks for watching",
        "thank you for watching",
        "thank you very much",
        "you",
        "bye",
        "bye bye",
        "okay",
        "so",
        "the",
        "please subscribe",
    )
)
"""What Whisper models write on noise. Also said in calls, so never dropped for the text alone."""


SHORT_MS = 1000
"""An utterance with 0.6 s of speech, and 0.4 s of pre-roll and post-roll."""

MIN_MEAN_PROBABILITY, MIN_MEAN_PROBABILITY_SHORT = 0.2, 0.35
"""Mean word probability under which no word is accepted, in any utterance and in a short one. On recorded signalling
tones the one invented word had 0.23 (test recogniser); spoken one-word announcements that it does not know had 0.47 and
more."""

LOW_LOG_PROBABILITY, MIN_WORD_PROBABILITY = -1.1, 0.45
"""In a text with a lower mean log probability a word must have this probability. Set on 20 sentences of three synthetic
voices (telephone band, test recogniser), of which right / wrong words go: clean, 25 dB quieter and with noise 20 dB
below 1 of 467 / 3 of 44; noise or 8 talkers 10 and 15 dB below 6 of 354 / 31 of 196. On kitchen noise and 8 talkers
alone whole sentences are written at -1.2 to -1.8."""


CONFIDENT_LOG_PROBABILITY = -0.5
"""Mean log probability above which repetitions were really said. A hallucinated loop as probable as that seldom ends by
itself: it is stopped at the token limit, or has too many words for the time."""


TIMELESS_WORDS = 3
"""So many words at the end of a text that all begin at the same moment are invented: alignment finds no sound for them.
A beam writes some sentences twice (4 of 300 recorded prompts, Whisper base): the second time they have none."""


@dataclass(frozen=True, slots=True)
class DecodeStatistics:
    """What is known of one decode besides its words."""

    tokens: int
    audio_ms: int
    """Length of the audio."""
    mean_log_probability: float
    no_speech: float
    """0..1"""
    truncated: bool = False
    """The text was stopped at the token limit."""
    tonal: bool = False
    """The audio is a beep or a held note, not speech (audio/steadiness.py)."""


def is_loop(words: Sequence[str]) -> bool:
    """Whether a word five times in a row, or a phrase of 2 to 8 words three times, makes up most of the text.

    WhisperLiveKit's rule: repeats must cover at least 55 % of the words.
    """
    for size in range(1, 9):
        least = 5 if size == 1 else 3
        for start in range(len(words) - least * size + 1):
            phrase = words[start : start + size]
            times = 1
            while words[start + times * size : start + (times + 1) * size] == phrase:
                times += 1
            if times >= least and times * size >= 0.55 * len(words):
                return True
    return False


def hallucination_sign(text: str, statistics: DecodeStatistics) -> str | None:
    """Why a text should be decoded again with the full window (unending, crowded, loop ...); or None."""
    words = [normalised(word) for word in text.split()]
    if not words or statistics.tonal:  # of a tone no word is accepted: decoding 30 s would be for nothing
        return None
    if statistics.truncated:
        return "unending"
    if statistics.tokens >= 8 and statistics.tokens > 9 * statistics.audio_ms / 1000 + 4:
        return "crowded"
    if is_loop(words):
        return "loop"
    if statistics.tokens >= 20 and len(data := text.encode()) / len(zlib.compress(data)) > 2.4:
        return "repetitive"
    if statistics.no_speech > 0.6 and statistics.mean_log_probability < -0.7:
        return "no-speech"
    return None


def is_genuine_repetition(sign: str | None, statistics: DecodeStatistics) -> bool:
    """Whether a repetition that a full window gives as well was really said: "No, no, no, no, no"."""
    return sign in ("loop", "repetitive") and statistics.mean_log_probability > CONFIDENT_LOG_PROBABILITY


def without_hallucinations(words: Sequence[Word], statistics: DecodeStatistics) -> tuple[Word, ...]:
    """The words without those that are too improbable to have been said, or for which there is no sound."""
    words = _without_timeless_end(words)
    if not words or statistics.tonal:
        return ()
    mean = mean_probability(words)
    text = " ".join(normalised(word.text) for word in words)
    if statistics.no_speech > 0.6 and statistics.mean_log_probability < -0.7:
        return ()
    if text in STOCK_PHRASES and (statistics.audio_ms < SHORT_MS or mean < 0.5) and mean < 0.8:
        return ()
    if mean < (MIN_MEAN_PROBABILITY_SHORT if statistics.audio_ms < SHORT_MS else MIN_MEAN_PROBABILITY):
        return ()
    if statistics.mean_log_probability < LOW_LOG_PROBABILITY:
        return tuple(word for word in words if word.probability >= MIN_WORD_PROBABILITY)
    return tuple(words)


def _without_timeless_end(words: Sequence[Word]) -> Sequence[Word]:
    """The words without those at their end that begin at the same moment, if these are `TIMELESS_WORDS` or more."""
    timeless = sum(1 for word in words if word.start_ms == words[-1].start_ms)
    return words[:-timeless] if timeless >= TIMELESS_WORDS else words
