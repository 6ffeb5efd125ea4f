"""Types of the audio package: speakers, chunks of audio, recognised words, voice measures, gaps, trouble.

Time everywhere is an int: milliseconds since the call began, counted in samples, never read from a clock.
Sound everywhere is float32 in [-1, 1] at 16 kHz, one 1-D array per speaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz; call sources resample to it, and nothing else has another rate."""
CHUNK = SAMPLE_RATE // 10
"""Samples of a chunk (100 ms); the last one of a recording may be shorter."""

Pcm = NDArray[np.float32]
"""Mono sound, shape (samples,), float32 in [-1, 1], 16 kHz."""


class Speaker(StrEnum):
    """Who a channel belongs to. UNKNOWN is a mono recording in which both parties are mixed."""

    AGENT = "agent"
    CUSTOMER = "customer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CustomerAudio:
    """Sound that is certainly the customer's alone: the only type the tone measures accept.

    Made by `Chunk.customer_audio` and nowhere else, so that no path leads from the agent's voice,
    or from a mixed channel, to the measuring of tone.
    """

    start_ms: int
    pcm: Pcm
    crosstalk: bool = False
    """The agent was speaking at the same time, not far softer than the customer: measure nothing here."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of a call, all speakers on one sample clock."""

    start_ms: int
    channels: Mapping[Speaker, Pcm]
    """Equal lengths for all speakers."""

    @property
    def end_ms(self) -> int:
        """Milliseconds since the call began at the end of this chunk."""
        samples = len(next(iter(self.channels.values())))
        return self.start_ms + samples * 1000 // SAMPLE_RATE

    def customer_audio(self, *, crosstalk: bool = False) -> CustomerAudio | None:
        """The customer's clean channel, or None where there is no such channel."""
        if Speaker.AGENT not in self.channels or Speaker.CUSTOMER not in self.channels:
            return None
        return CustomerAudio(self.start_ms, self.channels[Speaker.CUSTOMER], crosstalk)


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of one channel without words.

    Lost audio never arrived: the source has put silence in its place, so that later times stay correct.
    """

    speaker: Speaker
    start_ms: int
    end_ms: int
    why: Literal["lost", "failed", "untranscribed", "paused"] = "lost"
    """lost: never came; failed: the recogniser failed twice on it; untranscribed: there was no recogniser; paused: said
    before a pause that has taken its words."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something a person should know: shown on the screens and kept in the record."""

    at_ms: int
    code: str
    """Stable: audio-lost, audio-swapped, transcriber-behind, transcriber-failed, detector-off, store-failed ..."""
    text: str
    """One plain line: what is wrong and what to do. Never a caller's words."""
    cleared: bool = False
    """True when the trouble of this code is over."""
    lag_ms: int = 0
    """transcriber-behind only: how late words are."""


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word."""

    text: str
    """As the recogniser wrote it, without surrounding spaces."""
    start_ms: int
    end_ms: int
    probability: float = 1.0
    """0..1, the recogniser's own."""


def mean_probability(words: Sequence[Word]) -> float:
    """Of the words, of which there must be one."""
    return sum(word.probability for word in words) / len(words)


def shifted_words(words: Sequence[Word], by_ms: int) -> tuple[Word, ...]:
    """The same words so much later."""
    return tuple(replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in words)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An utterance still being spoken: replaces every earlier hypothesis of the same id."""

    id: str
    speaker: Speaker
    start_ms: int
    agreed: tuple[Word, ...]
    """Words that two successive hypotheses agreed on: detectors may act on them."""
    tentative: tuple[Word, ...]
    """Words that may still change: screens only."""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words a detector may look at."""
        return self.agreed

    settled: Literal[False] = False


@dataclass(frozen=True, slots=True)
class Utterance:
    """A final utterance of one speaker: its words will not change any more."""

    id: str
    """Unique in the call and shared with its hypotheses, such as "c12"."""
    speaker: Speaker
    start_ms: int
    end_ms: int
    words: tuple[Word, ...]
    """May be empty: speech in which no words were recognised (withdraws the hypotheses of the same id)."""
    settled: Literal[True] = True

    @property
    def text(self) -> str:
        """The words as one line."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Voice activity of one speaker turned on or off."""

    speaker: Speaker
    at_ms: int
    speaking: bool


@dataclass(frozen=True, slots=True)
class VoiceMeasure:
    """Physical measures of the customer's voiced speech over about the last second; no baseline, no judgement."""

    at_ms: int
    voiced_ms: int
    """Voiced time inside the window."""
    level_db: float
    """Mean level of the voiced frames, dB relative to full scale."""
    pitch_semitones: float
    """Median F0 of the voiced frames, semitones relative to 100 Hz."""
    balance_db: float
    """Mean of the levels in 650-950 and 950-1400 Hz over those in 300-450 and 450-650 Hz."""
    flux: float
    """Mean change between successive spectra, each normalised to a sum of 1."""
    period_semitones: float
    """Mean of the shortest period, semitones relative to 100 Hz: F0, or the first formant where that is stronger."""


Heard = Hypothesis | Utterance | SpeechActivity | VoiceMeasure | Gap | Trouble
"""The events of a listener."""
