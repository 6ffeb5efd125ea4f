"""One channel cut into utterances: where each begins and ends, and when its words are worth asking for again.

No recogniser, no threads, no clock but the samples: frames in, steps out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audio.activity import ENDPOINT_SILENCE, FRAME, ONSET_WITHIN, Endpoint, Endpointer, Frame, Onset
from audio.events import SAMPLE_RATE, Pcm

MS = SAMPLE_RATE // 1000
PRE_ROLL = 200 * MS
"""Sound before the onset that belongs to the utterance: soft first consonants."""
AFTER = 200 * MS
"""Sound after the last frame of speech that belongs to it."""
LONG = 8 * SAMPLE_RATE
LONG_ENDPOINT = 200 * MS
"""An utterance this long ends at a shorter pause than others, so that few have to be cut in mid-speech."""
LONGEST = 12 * SAMPLE_RATE
"""An utterance is cut here at the latest: longer windows are slower and get worse."""
CUT_FROM = LONGEST - SAMPLE_RATE
"""From here on no hop is made, so that the cut can fall on the quietest frame of the last second."""
HOP = 500 * MS
"""New speech between two looks at an unfinished utterance."""


@dataclass(frozen=True, slots=True)
class Began:
    """An utterance began at `start`; its speaker was first heard at `heard`."""

    start: int
    heard: int
    continued: bool = False
    """The one before was cut in mid-speech."""


@dataclass(frozen=True, slots=True)
class Hop:
    """More sound of the utterance; its words so far are worth asking for."""

    pcm: Pcm
    paused: bool = False
    """The speaker has paused: if nothing follows, this was all of it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The utterance ended at sample `end`; these are its last samples."""

    pcm: Pcm
    end: int
    paused: bool
    """False where it was cut in mid-speech for its length."""
    paused_at: int
    """The sample after the last speech."""


Step = Began | Hop | Ended


class Turns:
    """The utterances of one channel."""

    def __init__(self) -> None:
        self._ends = Endpointer()
        self._kept: Pcm = np.zeros(0, np.float32)
        """Samples not yet given out, the newest last; before an utterance only the pre-roll."""
        self._marks: list[tuple[float, int]] = []
        """(speech, end sample) of the frames since hops stopped."""
        self._start = 0
        self._fresh = 0
        self.samples = 0
        """Seen so far."""

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return self._ends.speaking

    def push(self, frame: Frame, *, stretch: int = 1) -> Iterator[Step]:
        """Take a frame. `stretch` makes hops that many times rarer; 0 makes none."""
        was_speaking = self._ends.speaking
        long = was_speaking and self.samples - self._start >= LONG
        change = self._ends.push(frame, endpoint_silence=LONG_ENDPOINT if long else ENDPOINT_SILENCE)
        self.samples += len(frame.pcm)
        self._kept = np.concatenate([self._kept, frame.pcm])
        if isinstance(change, Onset):
            yield self._begin(change.sample)
        elif isinstance(change, Endpoint):
            yield self._end(change.sample, paused=True)
        elif not was_speaking:
            self._kept = self._kept[-(PRE_ROLL + ONSET_WITHIN * FRAME) :]
        elif self._ends.speaking:
            yield from self._grow(frame, stretch)

    def finish(self) -> Iterator[Step]:
        """The call is over."""
        end = self._ends.end()
        if end is not None:
            yield self._end(end.sample, paused=True)

    def _begin(self, onset: int) -> Began:
        kept_from = self.samples - len(self._kept)
        self._start = max(kept_from, onset - PRE_ROLL)
        self._kept = self._kept[self._start - kept_from :]
        self._fresh = self.samples - onset
        self._marks = []
        return Began(self._start, onset)

    def _grow(self, frame: Frame, stretch: int) -> Iterator[Step]:
        length = self.samples - self._start
        if self._ends.frame_is_speech:
            self._fresh += len(frame.pcm)
        if length > CUT_FROM:
            self._marks.append((frame.speech_probability, self.samples))
            if length >= LONGEST:
                cut = min(self._marks)[1]
                yield self._end(cut, paused=False)
                self._start = cut
                self._fresh, self._marks = self.samples - cut, []
                yield Began(cut, cut, continued=True)
        elif self._ends.frame_is_speech and stretch and self._fresh >= stretch * HOP:
            self._fresh = 0
            pcm, self._kept = self._kept, np.zeros(0, np.float32)
            yield Hop(pcm)
        elif stretch and self._fresh and self.samples - self._ends.speech_end >= AFTER:
            self._fresh = 0
            yield Hop(self._give(self._ends.speech_end + AFTER), paused=True)

    def _end(self, speech_end: int, *, paused: bool) -> Ended:
        end = max(self._start, min(speech_end + AFTER, self.samples)) if paused else speech_end
        return Ended(self._give(end), end, paused, speech_end)

    def _give(self, end: int) -> Pcm:
        """The kept samples up to `end`, kept no longer."""
        count = end - (self.samples - len(self._kept))
        pcm, self._kept = self._kept[:count], self._kept[count:]
        return pcm
