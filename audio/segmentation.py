"""Segments one channel into utterances, and says when a partial hypothesis is due.

No recogniser, no threads, no clock but the samples: frames in, events out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audio.activity import ENDPOINT_SILENCE, FRAME, ONSET_WITHIN, Endpoint, Endpointer, Frame, Onset
from audio.events import SAMPLE_RATE, Pcm

SAMPLES_PER_MS = SAMPLE_RATE // 1000
PRE_ROLL = 200 * SAMPLES_PER_MS
"""Samples before the onset that belong to the utterance: soft first consonants."""
POST_ROLL = 200 * SAMPLES_PER_MS
"""Samples after the last frame of speech that belong to it."""
LONG_UTTERANCE = 8 * SAMPLE_RATE
LONG_ENDPOINT = 200 * SAMPLES_PER_MS
"""An utterance of 8 s ends at a shorter pause than others, so that few have to be cut in mid-speech."""
MAX_UTTERANCE = 12 * SAMPLE_RATE
"""Samples after which an utterance is cut: longer windows are slower and get worse."""
CUT_SEARCH_FROM = MAX_UTTERANCE - SAMPLE_RATE
"""From here on nothing is handed out, so that the cut can fall on the least speech-like frame of the last second."""
PARTIAL_INTERVAL = 500 * SAMPLES_PER_MS
"""Samples of new speech between two partial hypotheses of an utterance."""


@dataclass(frozen=True, slots=True)
class UtteranceStart:
    """An utterance began."""

    start: int
    """Its first sample, pre-roll included."""
    onset: int
    """First sample of speech."""
    continued: bool = False
    """The one before was cut in mid-speech."""


@dataclass(frozen=True, slots=True)
class PartialDue:
    """A partial hypothesis is due."""

    pcm: Pcm
    """The utterance's samples since the last event."""
    paused: bool = False
    """The speaker has paused: if no speech follows, the utterance is complete."""


@dataclass(frozen=True, slots=True)
class UtteranceEnd:
    """The utterance ended."""

    pcm: Pcm
    """Its samples since the last event."""
    end: int
    """The sample after its last one."""
    paused: bool
    """False where it was cut in mid-speech for its length."""
    speech_end: int
    """The sample after the last speech."""


SegmenterEvent = UtteranceStart | PartialDue | UtteranceEnd


class UtteranceSegmenter:
    """The utterances of one channel."""

    def __init__(self) -> None:
        self._endpointer = Endpointer()
        self._buffer: Pcm = np.zeros(0, np.float32)
        """Samples not yet handed out, the newest last; before an utterance only the pre-roll."""
        self._cut_candidates: list[tuple[float, int]] = []
        """(speech probability, end sample) of the frames since CUT_SEARCH_FROM."""
        self._start = 0
        """First sample of the open utterance."""
        self._new_speech = 0
        """Samples of speech since the last event."""
        self.samples = 0
        """Taken so far."""

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._endpointer.speaking

    @property
    def frame_is_speech(self) -> bool:
        """Whether the last frame was speech."""
        return self._endpointer.frame_is_speech

    def push(self, frame: Frame, *, interval_factor: int = 1) -> Iterator[SegmenterEvent]:
        """Take the next frame.

        Args:
            frame: of the channel.
            interval_factor: multiplies PARTIAL_INTERVAL; with 0 no partial hypothesis is due.
        """
        was_speaking = self._endpointer.speaking
        long = was_speaking and self.samples - self._start >= LONG_UTTERANCE
        change = self._endpointer.push(frame, endpoint_silence=LONG_ENDPOINT if long else ENDPOINT_SILENCE)
        self.samples += len(frame.pcm)
        self._buffer = np.concatenate([self._buffer, frame.pcm])
        if isinstance(change, Onset):
            yield self._start_utterance(change.sample)
        elif isinstance(change, Endpoint):
            yield self._end_utterance(change.sample, paused=True)
        elif not was_speaking:
            self._buffer = self._buffer[-(PRE_ROLL + ONSET_WITHIN * FRAME) :]
        elif self._endpointer.speaking:
            yield from self._extend(frame, interval_factor)

    def finish(self) -> Iterator[SegmenterEvent]:
        """The call is over: ends an open utterance."""
        end = self._endpointer.end()
        if end is not None:
            yield self._end_utterance(end.sample, paused=True)

    def _start_utterance(self, onset: int) -> UtteranceStart:
        buffer_start = self.samples - len(self._buffer)
        self._start = max(buffer_start, onset - PRE_ROLL)
        self._buffer = self._buffer[self._start - buffer_start :]
        self._new_speech = self.samples - onset
        self._cut_candidates = []
        return UtteranceStart(self._start, onset)

    def _extend(self, frame: Frame, interval_factor: int) -> Iterator[SegmenterEvent]:
        length = self.samples - self._start
        interval = interval_factor * PARTIAL_INTERVAL
        if self._endpointer.frame_is_speech:
            self._new_speech += len(frame.pcm)
        if length > CUT_SEARCH_FROM:
            self._cut_candidates.append((frame.speech_probability, self.samples))
            if length >= MAX_UTTERANCE:
                cut = min(self._cut_candidates)[1]
                yield self._end_utterance(cut, paused=False)
                self._start = cut
                self._new_speech, self._cut_candidates = self.samples - cut, []
                yield UtteranceStart(cut, cut, continued=True)
        elif interval and self._endpointer.frame_is_speech and self._new_speech >= interval:
            self._new_speech = 0
            pcm, self._buffer = self._buffer, np.zeros(0, np.float32)
            yield PartialDue(pcm)
        elif interval and self._new_speech and self.samples - self._endpointer.speech_end >= POST_ROLL:
            self._new_speech = 0
            yield PartialDue(self._pop_until(self._endpointer.speech_end + POST_ROLL), paused=True)

    def _end_utterance(self, speech_end: int, *, paused: bool) -> UtteranceEnd:
        end = max(self._start, min(speech_end + POST_ROLL, self.samples)) if paused else speech_end
        return UtteranceEnd(self._pop_until(end), end, paused, speech_end)

    def _pop_until(self, end: int) -> Pcm:
        """Take the samples up to `end` out of the buffer."""
        count = end - (self.samples - len(self._buffer))
        pcm, self._buffer = self._buffer[:count], self._buffer[count:]
        return pcm
