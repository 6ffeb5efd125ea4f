"""Words a recogniser invents: signs of them in a decoded text.

Whisper's own failure signs (no-speech probability, log probability, compression) where they mean something on a few
seconds of telephone speech, and loops and crowding, which short windows bring out.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Word
from audio.normalisation import normalised

STOCK = frozenset(
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
"""What Whisper models write on noise. Real in calls, so never dropped for the text alone."""


SHORT_MS = 1000
"""An utterance with 0.6 s of voice and the 0.4 s kept around it."""

UNSURE, UNSURE_SHORT = 0.2, 0.35
"""Mean word probability under which nothing is believed. On recorded signalling tones the one invented word had 0.23
(test recogniser); spoken one-word announcements that it does not know had 0.47 and more."""

DOUBTFUL, DOUBTFUL_WORD = -1.1, 0.45
"""In a text with a lower mean log probability a word must have this probability. Set on 20 sentences of three synthetic
voices (telephone band, test recogniser), of which right / wrong words go: clean, 25 dB quieter and with noise 20 dB
below 1 of 467 / 3 of 44; noise or 8 talkers 10 and 15 dB below 6 of 354 / 31 of 196. On kitchen noise and 8 talkers
alone whole sentences are written at -1.2 to -1.8."""


SURE = -0.5
"""Mean log probability above which a model means its repetitions. An invented loop as sure as that seldom ends by
itself: it is cut at the token cap, or crowded."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about one decoding besides its words."""

    tokens: int
    voiced_ms: int
    """Length of the sound given."""
    mean_log_probability: float
    no_speech: float
    """0..1"""
    cut: bool = False
    """The text was stopped at the token cap."""
    tonal: bool = False
    """Nobody speaks in the sound: a beep, a held note (audio/steadiness.py)."""


def looping(words: Sequence[str]) -> bool:
    """One word five times running, or a phrase of 2 to 8 words three times running, over most of the text.

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


def suspicion(text: str, evidence: Evidence) -> str | None:
    """Why a text should be decoded again with the full window, or None."""
    words = [normalised(word) for word in text.split()]
    if not words or evidence.tonal:  # a tone: nothing will be believed, so nothing is worth 30 s
        return None
    if evidence.cut:
        return "unending"
    if evidence.tokens >= 8 and evidence.tokens > 9 * evidence.voiced_ms / 1000 + 4:
        return "crowded"
    if looping(words):
        return "loop"
    if evidence.tokens >= 20 and len(data := text.encode()) / len(zlib.compress(data)) > 2.4:
        return "repetitive"
    if evidence.no_speech > 0.6 and evidence.mean_log_probability < -0.7:
        return "no-speech"
    return None


def insisted(doubt: str | None, evidence: Evidence) -> bool:
    """Whether a text that repeats itself, also in a full window, was said so: "No, no, no, no, no"."""
    return doubt in ("loop", "repetitive") and evidence.mean_log_probability > SURE


def believable(words: Sequence[Word], evidence: Evidence) -> tuple[Word, ...]:
    """The words left when those that cannot have been said are taken out."""
    if not words or evidence.tonal:
        return ()
    mean = sum(word.probability for word in words) / len(words)
    text = " ".join(normalised(word.text) for word in words)
    if evidence.no_speech > 0.6 and evidence.mean_log_probability < -0.7:
        return ()
    if text in STOCK and (evidence.voiced_ms < SHORT_MS or mean < 0.5) and mean < 0.8:
        return ()
    if mean < (UNSURE_SHORT if evidence.voiced_ms < SHORT_MS else UNSURE):
        return ()
    if evidence.mean_log_probability < DOUBTFUL:
        return tuple(word for word in words if word.probability >= DOUBTFUL_WORD)
    return tuple(words)
