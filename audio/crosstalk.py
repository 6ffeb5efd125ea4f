"""Crosstalk: removes words of one party whose voice leaks into the other's channel.

Where both channels have the same three or more words within half a second, the channel that is more than 6 dB louder
keeps them. Leaked speech is often misrecognised, so an utterance whose level rises and falls as the louder channel's
does is a leak whatever its words, unless it comes first: a leak is later. An utterance that is the quieter one waits
until the other channel's utterances of that time are final.
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
MIN_WORDS = 3
MAX_OFFSET_MS = 500
LEAK_CORRELATION = 0.86
"""Correlation of the two channels' levels (dB per 32 ms, best within 0.26 s) from which they are the same speech.
Between 190 pairs of unrelated synthetic sentences at most 0.855; between a sentence and its telephone leak at -8 to
-30 dB 0.90 in the median: about three leaks of four are found so, the others by their words."""
SPEECH_CORRELATION, SPEECH_LOG_POWER, FAINT_DB = 0.5, -6.8, 20.0
"""Where both channels have sound (mean square above -68 dB, as log10) their levels must correlate so far as well: two
parties who say something short at once begin and end together too. Not where the difference in level is so large: then
too little of a leak is above that level, and nobody speaks so softly. Of 830 pairs of unlike bits of speech that begin
and end together, 9 dB apart, 21 are taken for a leak instead of 95. Of 440 bits of five and more words leaking at -8 to
-20 dB 265 are found as before, of 368 shorter ones 265 instead of 272."""
MAX_LAG = 8
"""Frames by which either channel may be late."""
COPY_LAG = 2
"""A copy that comes so many frames later (64 ms) is the leak though it is louder: the customer out of loudspeakers. Of
317 pairs of unlike bits of speech, 9 dB apart, one louder bit is taken for a copy; leaks 0 to 200 ms late are found as
before."""
Pending = Mapping[Speaker, Sequence[tuple[int, int | None]]]
"""(start, end) in ms of a channel's utterances that are not final; without an end of the one being said."""
LEVEL_HISTORY = 60 * SAMPLE_RATE
"""Samples for which levels are kept before the oldest utterance that is not final or not released yet."""
UTTERANCE_HISTORY = 8


class Crosstalk:
    """Both channels of one call; a call with one channel passes through."""

    def __init__(self, speakers: Sequence[Speaker]) -> None:
        self._levels: dict[Speaker, deque[tuple[int, float]]] = {speaker: deque() for speaker in speakers}
        self._position = dict.fromkeys(speakers, 0)
        self._recent: dict[Speaker, deque[Utterance]] = {
            speaker: deque(maxlen=UTTERANCE_HISTORY) for speaker in speakers
        }
        self._held: dict[tuple[Speaker, bool], deque[Utterance]] = {
            (speaker, late): deque() for speaker in speakers for late in (False, True)
        }
        """(channel, late) -> utterances that wait: those from long before keep no others waiting."""

    def push_level(self, speaker: Speaker, frame: Frame, pending_ms: int | None = None) -> None:
        """Take the level of a channel's next frame; `pending_ms`: start of the earliest utterance not final yet."""
        levels = self._levels[speaker]
        self._position[speaker] += len(frame.pcm)
        levels.append((self._position[speaker], 10 ** (frame.level_db / 10)))
        pending_from = [held[0].start_ms for held in self._held.values() if held]
        if pending_ms is not None:
            pending_from.append(pending_ms)
        oldest = min([self._position[speaker], *(ms * SAMPLE_RATE // 1000 for ms in pending_from)])
        while levels[0][0] < oldest - LEVEL_HISTORY:
            levels.popleft()

    def push_utterance(self, utterance: Utterance, pending_ms: Pending, *, late: bool = False) -> Iterator[Utterance]:
        """Take a final utterance; yields those that can be released, without leaked words.

        `pending_ms`: of each channel's utterances that are not final yet. `late`: it is from long before.
        """
        self._held[utterance.speaker, late].append(utterance)
        self._recent[utterance.speaker].append(utterance)
        for (speaker, _), held in self._held.items():
            yield from self._release(speaker, held, pending_ms)

    def may_be_leak(self, speaker: Speaker, start_ms: int, end_ms: int) -> bool:
        """Whether another channel is so much louder in this span that the words heard in it may be that party's."""
        others = (other for other in self._levels if other is not speaker)
        return any(self._louder_db(other, speaker, start_ms, end_ms) > LOUDER_DB for other in others)

    def finish(self) -> Iterator[Utterance]:
        """The call is over: yields what is still held."""
        for (speaker, _), held in self._held.items():
            yield from self._release(speaker, held, {})

    def _release(self, speaker: Speaker, held: deque[Utterance], pending_ms: Pending) -> Iterator[Utterance]:
        while held:
            utterance = held[0]
            for other in self._levels:
                if other is speaker or not utterance.words:
                    continue
                louder_db = self._louder_db(other, speaker, utterance.start_ms, utterance.end_ms)
                faint = abs(louder_db) > FAINT_DB
                if louder_db < -LOUDER_DB and self._is_late_copy(utterance, other, faint=faint):
                    utterance = replace(utterance, words=())
                if louder_db <= LOUDER_DB:
                    continue
                since, until = utterance.start_ms - MAX_OFFSET_MS, utterance.end_ms + MAX_OFFSET_MS
                if any(start < until and (end is None or end > since) for start, end in pending_ms.get(other, ())):
                    return
                lag = self._lag_of_same_speech(utterance, other, faint=faint)
                if lag is None:
                    utterance = self._without_shared_words(utterance, other)
                elif lag > -COPY_LAG:
                    utterance = replace(utterance, words=())
            held.popleft()
            yield utterance

    def _louder_db(self, other: Speaker, speaker: Speaker, start_ms: int, end_ms: int) -> float:
        """By how much the other's channel is louder in this span."""
        return self._mean_level_db(other, start_ms, end_ms) - self._mean_level_db(speaker, start_ms, end_ms)

    def _mean_level_db(self, speaker: Speaker, start_ms: int, end_ms: int) -> float:
        powers = self._powers(speaker, start_ms, end_ms)
        return power_to_db(sum(powers) / len(powers)) if powers else -120.0

    def _powers(self, speaker: Speaker, start_ms: int, end_ms: int) -> list[float]:
        begin, end = start_ms * SAMPLE_RATE // 1000, end_ms * SAMPLE_RATE // 1000
        return [power for at, power in self._levels[speaker] if begin < at <= end + FRAME]

    def _is_late_copy(self, utterance: Utterance, other: Speaker, *, faint: bool) -> bool:
        """Whether it is the other party's speech, louder and later than that party's own utterance of that time."""
        start_ms, end_ms = utterance.start_ms, utterance.end_ms
        said = any(each.words and each.start_ms < end_ms and start_ms < each.end_ms for each in self._recent[other])
        lag = self._lag_of_same_speech(utterance, other, faint=faint) if said else None
        return lag is not None and lag >= COPY_LAG

    def _lag_of_same_speech(self, utterance: Utterance, other: Speaker, *, faint: bool) -> int | None:
        """Frames by which the utterance is later than the same speech on the other channel; None where it is not."""
        ours, theirs = (
            np.log10(np.array(self._powers(speaker, utterance.start_ms, utterance.end_ms)) + 1e-7)
            for speaker in (utterance.speaker, other)
        )
        length = min(len(ours), len(theirs))
        if length < 4 * MAX_LAG:
            return None
        found: list[tuple[float, int]] = []
        for lag in range(-MAX_LAG, MAX_LAG + 1):
            a = ours[max(0, lag) : length + min(0, lag)]
            b = theirs[max(0, -lag) : length + min(0, -lag)]
            both = (a > SPEECH_LOG_POWER) & (b > SPEECH_LOG_POWER)
            correlation = _correlation(a, b)
            if correlation >= LEAK_CORRELATION and (faint or _correlation(a[both], b[both]) >= SPEECH_CORRELATION):
                found.append((correlation, lag))
        return max(found)[1] if found else None

    def _without_shared_words(self, utterance: Utterance, other: Speaker) -> Utterance:
        others = [word for known in self._recent[other] for word in known.words]
        kept: list[Word] = []
        at = 0
        while at < len(utterance.words):
            length = max(
                (_common_prefix(utterance.words[at:], others[start:]) for start in range(len(others))), default=0
            )
            if length >= MIN_WORDS:
                at += length
            else:
                kept.append(utterance.words[at])
                at += 1
        return replace(utterance, words=tuple(kept))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's; 0 where it is undefined: too few values, or constant ones."""
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 3 and a.std() > 0 and b.std() > 0 else 0.0


def _common_prefix(ours: Sequence[Word], theirs: Sequence[Word]) -> int:
    """Number of words with which both begin, the same at the same time."""
    count = 0
    for a, b in zip(ours, theirs, strict=False):
        if normalised(a.text) != normalised(b.text) or abs(a.start_ms - b.start_ms) > MAX_OFFSET_MS:
            break
        count += 1
    return count
