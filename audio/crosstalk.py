"""The same words on both channels: one party's voice leaking into the other's line.

Where both channels have the same three or more words within half a second, the channel that is more than 6 dB louder
keeps them. Leaked speech is often misheard, so an utterance whose level rises and falls as the louder channel's does is
a leak whatever its words. An utterance that is the quieter one waits until the other channel's words for that time are
known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audio.activity import FRAME, Frame, power_to_db
from audio.events import SAMPLE_RATE, Speaker, Utterance, Word
from audio.normalisation import normalised

LOUDER_DB = 6.0
WORDS = 3
WITHIN_MS = 500
ALIKE = 0.86
"""Correlation of the two channels' levels (dB per 32 ms, best within 0.26 s) from which they are the same sound.
Between 190 pairs of unrelated synthetic sentences at most 0.855; between a sentence and its telephone leak at -8 to
-30 dB 0.90 in the median: about three leaks of four are found so, the others by their words."""
INSIDE, SOUND, FAINT_DB = 0.5, -6.8, 20.0
"""And where both channels hold sound (mean squares above -68 dB, log10) their levels correlate so far: two parties who
say something short at once begin and end together too. Not asked where the difference is so large: then too little of
a leak is above that level, and nobody speaks so softly. Of 830 pairs of unlike bits of speech that begin and end
together, 9 dB apart, 21 are taken for a leak instead of 95. Of 440 bits of five and more words leaking at -8 to -20 dB
265 are found as before, of 368 shorter ones 265 instead of 272."""
LAG = 8
"""Frames either way."""
KEEP = 60 * SAMPLE_RATE
"""Samples for which levels are remembered, beyond the oldest utterance whose last words are not known yet."""
UTTERANCES = 8


class Crosstalk:
    """Both channels of one call; a call with one channel passes through."""

    def __init__(self, speakers: Sequence[Speaker]) -> None:
        self._levels: dict[Speaker, deque[tuple[int, float]]] = {speaker: deque() for speaker in speakers}
        self._at = dict.fromkeys(speakers, 0)
        self._known: dict[Speaker, deque[Utterance]] = {speaker: deque(maxlen=UTTERANCES) for speaker in speakers}
        self._held: dict[Speaker, deque[Utterance]] = {speaker: deque() for speaker in speakers}

    def level(self, speaker: Speaker, frame: Frame, pending_ms: int | None = None) -> None:
        """Take the level of a channel's next frame; `pending_ms`: the beginning of the earliest undecided utterance."""
        levels = self._levels[speaker]
        self._at[speaker] += len(frame.pcm)
        levels.append((self._at[speaker], 10 ** (frame.level_db / 10)))
        began = [held[0].start_ms for held in self._held.values() if held]
        if pending_ms is not None:
            began.append(pending_ms)
        oldest = min([self._at[speaker], *(ms * SAMPLE_RATE // 1000 for ms in began)])
        while levels[0][0] < oldest - KEEP:
            levels.popleft()

    def hear(self, utterance: Utterance, pending_ms: Mapping[Speaker, int | None]) -> Iterator[Utterance]:
        """Take a final utterance; `pending_ms` says when each channel's earliest undecided utterance began."""
        self._held[utterance.speaker].append(utterance)
        self._known[utterance.speaker].append(utterance)
        for speaker in self._held:
            yield from self._release(speaker, pending_ms)

    def finish(self) -> Iterator[Utterance]:
        """The call is over: what is still held."""
        for speaker in self._held:
            yield from self._release(speaker, {})

    def _release(self, speaker: Speaker, pending_ms: Mapping[Speaker, int | None]) -> Iterator[Utterance]:
        held = self._held[speaker]
        while held:
            utterance = held[0]
            for other in self._levels:
                if other is speaker or not utterance.words:
                    continue
                louder_db = self._mean(other, utterance) - self._mean(speaker, utterance)
                if louder_db <= LOUDER_DB:
                    continue
                began = pending_ms.get(other)
                if began is not None and began < utterance.end_ms + WITHIN_MS:
                    return
                if self._same_sound(utterance, other, faint=louder_db > FAINT_DB):
                    utterance = replace(utterance, words=())
                else:
                    utterance = self._without_echo(utterance, other)
            held.popleft()
            yield utterance

    def _mean(self, speaker: Speaker, span: Utterance) -> float:
        powers = self._powers(speaker, span)
        return power_to_db(sum(powers) / len(powers)) if powers else -120.0

    def _powers(self, speaker: Speaker, span: Utterance) -> list[float]:
        begin, end = span.start_ms * SAMPLE_RATE // 1000, span.end_ms * SAMPLE_RATE // 1000
        return [power for at, power in self._levels[speaker] if begin < at <= end + FRAME]

    def _same_sound(self, utterance: Utterance, other: Speaker, *, faint: bool) -> bool:
        own, theirs = (
            np.log10(np.array(self._powers(speaker, utterance)) + 1e-7) for speaker in (utterance.speaker, other)
        )
        length = min(len(own), len(theirs))
        if length < 4 * LAG:
            return False
        for lag in range(-LAG, LAG + 1):
            a = own[max(0, lag) : length + min(0, lag)]
            b = theirs[max(0, -lag) : length + min(0, -lag)]
            both = (a > SOUND) & (b > SOUND)
            if _correlation(a, b) >= ALIKE and (faint or _correlation(a[both], b[both]) >= INSIDE):
                return True
        return False

    def _without_echo(self, utterance: Utterance, other: Speaker) -> Utterance:
        said = [word for known in self._known[other] for word in known.words]
        kept: list[Word] = []
        at = 0
        while at < len(utterance.words):
            length = max((_alike(utterance.words[at:], said[start:]) for start in range(len(said))), default=0)
            if length >= WORDS:
                at += length
            else:
                kept.append(utterance.words[at])
                at += 1
        return replace(utterance, words=tuple(kept))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """0 where there is none: too few, or always the same."""
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 3 and a.std() > 0 and b.std() > 0 else 0.0


def _alike(ours: Sequence[Word], theirs: Sequence[Word]) -> int:
    """How many words both begin with, the same and at the same time."""
    count = 0
    for a, b in zip(ours, theirs, strict=False):
        if normalised(a.text) != normalised(b.text) or abs(a.start_ms - b.start_ms) > WITHIN_MS:
            break
        count += 1
    return count
