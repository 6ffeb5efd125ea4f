"""Records the sound of live calls, where recordings are switched on: only what may be kept, after a delay.

Sound waits in memory for DELAY_MS, until its words have settled and are masked. Then only what is close to a settled
word is kept, on that speaker's channel. All else is silence, so that nothing is kept that could not be checked for
numbers: speech not transcribed in time or at all, keypad tones, music. Both channels are silent at and around masked
words, in pauses with their lookback, and while consent is not granted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from assist.events import Action, ConsentSet, Event
from assist.privacy.consent import PAUSE_LOOKBACK_MS, Consent
from assist.privacy.redaction import is_masked
from assist.store.recordings import MU_LAW_SILENCE, RATE, MuLaw, RecordingFile, Recordings, encode_mu_law
from audio.events import Chunk, Speaker, Trouble, Utterance

DELAY_MS = 30_000
"""An utterance is at most 12 s long (audio/segmentation.py); words may be 18 s late. A crash loses so much."""
FRAME_MS = 1_000
WORD_MARGIN_MS = 400
"""Kept on either side of a word, inside its utterance: recognisers' word times are off by some 200 ms."""
MASKED_MARGIN_MS = 250
"""Silenced on either side of a masked word, on both channels."""
MASKED_CHANNEL_MARGIN_MS = 2_000
"""Silenced on either side of a masked word on its own channel: digits of the same number may be misheard as other
words, which cannot be masked. Of 80 card numbers read aloud (flite's four voices, embedded recogniser, half asked for)
sound was left of 32 with MASKED_MARGIN_MS alone; of 3 with 1.5 s, as with 2, 3 and 4: those misheard as a whole."""
OPEN_END_MS = 1 << 62
MAX_QUEUED_FRAMES = 60
"""Frames that may wait for a slow disk (2 MB); with more, recording of the call stops."""

Span = tuple[int, int]
"""From and to, in ms of call time."""


class UtteranceSpans(NamedTuple):
    """What may be kept of an utterance, and what may not."""

    channel: int
    kept: list[Span]
    """Around its words."""
    masked: list[Span]


class RecordingWriter:
    """Writes one call's recording on a thread of its own: key, encryption and disk never block the event loop."""

    def __init__(
        self, recordings: Recordings, call: str, speakers: tuple[Speaker, ...], is_held: Callable[[], bool]
    ) -> None:
        self._recordings, self._call, self._speakers, self._is_held = recordings, call, speakers, is_held
        self._file: RecordingFile | None = None
        self._thread = ThreadPoolExecutor(1, "sound")
        self._pending: deque[Future[None]] = deque()

    def append(self, second: int, frame: MuLaw) -> None:
        """Write the frame of this second; seconds that were skipped before it are silence."""
        self._pending.append(self._thread.submit(self._append, second, frame))

    def discard(self) -> None:
        """Delete the recording, after what was queued before; not that of a call on hold."""
        self._pending.append(self._thread.submit(self._discard))

    def failure(self) -> Exception | None:
        """The first error so far, or that too much waits; None where there is neither."""
        while self._pending and self._pending[0].done():
            error = self._pending.popleft().exception()
            if error is not None:
                return error if isinstance(error, Exception) else OSError(str(error))
        return OSError("the disk is too slow") if len(self._pending) > MAX_QUEUED_FRAMES else None

    async def close(self) -> Exception | None:
        """Write what is queued and close the file; the first error, or None."""
        self._pending.append(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)
        await asyncio.wait([asyncio.wrap_future(future) for future in self._pending])
        return self.failure()

    def _append(self, second: int, frame: MuLaw) -> None:
        if self._file is None:
            self._file = RecordingFile(
                self._recordings.path(self._call), self._recordings.keys, self._call, self._speakers
            )
        while self._file.frames < second:
            self._file.append(np.full(frame.shape, MU_LAW_SILENCE, np.uint8))
        if self._file.frames == second:  # a resumed call may begin in the second that was its last
            self._file.append(frame)

    def _discard(self) -> None:
        if self._is_held():
            return
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        self._file = None
        self._recordings.remove([self._call])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass
class CallRecorder:
    """Records one live call."""

    recordings: Recordings
    call: str
    speakers: tuple[Speaker, ...]
    is_held: Callable[[], bool] = lambda: False
    """Whether the call is on hold: then a refusal ends the recording, but does not delete it."""
    _frames: dict[int, MuLaw] = field(default_factory=dict)
    """Second of the call -> its frame, shape (RATE, channels)."""
    _spans: dict[str, UtteranceSpans] = field(default_factory=dict)
    """By utterance id."""
    _pauses: list[Span] = field(default_factory=list)
    _paused_ms: int | None = None
    _end_sample: int = 0
    """Call time so far, in samples."""
    _next_second: int = 0
    """The next second to be written; those before the first one with consent are silence."""
    _has_consent: bool = False
    """Consent was granted: there is something to write."""
    _failed: bool = False

    def __post_init__(self) -> None:
        self._writer = RecordingWriter(self.recordings, self.call, self.speakers, self.is_held)

    def push(self, chunk: Chunk, offset_ms: int, consent: Consent, *, suspended: bool) -> list[Trouble]:
        """Add the next chunk and write what has waited for DELAY_MS.

        Args:
            chunk: The sound, in time of this run.
            offset_ms: Call time at which this run began.
            consent: As it is now.
            suspended: Nothing may be transcribed now (a pause, or no consent): silence is kept.

        Returns:
            One Trouble where it cannot be written, the first time.
        """
        start = (chunk.start_ms + offset_ms) * RATE // 1000
        start = self._end_sample if abs(start - self._end_sample) < RATE // 50 else start
        pcm = np.stack([chunk.channels[who] for who in self.speakers], axis=1)
        self._end_sample = start + len(pcm)
        if consent is Consent.GRANTED and not suspended and not self._failed:
            if not self._has_consent:
                self._has_consent, self._next_second = True, max(self._next_second, start // RATE)
            self._buffer(start, encode_mu_law(pcm))
        self._write((self._end_sample * 1000 // RATE - DELAY_MS) // FRAME_MS)
        error = self._writer.failure()
        return self._fail(error) if error is not None and not self._failed else []

    def observe(self, event: Event) -> None:
        """Note what an event says about what may be kept: words, pauses, refused consent."""
        match event:
            case Utterance():
                self._add_spans(event)
            case Action(what="pause"):
                since = event.at_ms - (0 if event.role == "system" else PAUSE_LOOKBACK_MS)
                self._paused_ms = since if self._paused_ms is None else min(since, self._paused_ms)
            case Action(what="resume") if self._paused_ms is not None:
                self._pauses.append((self._paused_ms, event.at_ms))
                self._paused_ms = None
            case ConsentSet(consent=Consent.REFUSED):
                self._discard()

    async def finish(self) -> list[Trouble]:
        """Write the rest after the end of the call, when every word is known; returns when it is on disk."""
        self._write(-(-self._end_sample // RATE))
        self._frames.clear()
        error = await self._writer.close()
        return self._fail(error) if error is not None and not self._failed else []

    def _buffer(self, start: int, samples: MuLaw) -> None:
        while len(samples):
            second, at = divmod(start, RATE)
            part = samples[: RATE - at]
            frame = self._frames.setdefault(second, self._silence())
            frame[at : at + len(part)] = part
            start, samples = start + len(part), samples[len(part) :]

    def _add_spans(self, said: Utterance) -> None:
        kept = [
            (max(word.start_ms - WORD_MARGIN_MS, said.start_ms), min(word.end_ms + WORD_MARGIN_MS, said.end_ms))
            for word in said.words
            if not is_masked(word)
        ]
        masked = [
            (word.start_ms - MASKED_MARGIN_MS, word.end_ms + MASKED_MARGIN_MS) for word in said.words if is_masked(word)
        ]
        self._spans[said.id] = UtteranceSpans(self.speakers.index(said.speaker), kept, masked)

    def _write(self, before: int) -> None:
        """Write every second before this one."""
        if not self._has_consent or self._failed:
            return
        while self._next_second < before:
            self._writer.append(self._next_second, self._kept_samples(self._next_second))
            self._frames.pop(self._next_second, None)
            self._next_second += 1
        long_ago = self._next_second * FRAME_MS - 2 * DELAY_MS
        self._spans = {
            name: spans
            for name, spans in self._spans.items()
            if any(end > long_ago for _, end in (*spans.kept, *spans.masked))
        }

    def _kept_samples(self, second: int) -> MuLaw:
        """The frame of a second, with silence for everything that may not be kept."""
        frame = self._frames.get(second)
        if frame is None:
            return self._silence()
        allowed = np.zeros(frame.shape, np.bool_)
        for channel, kept, _ in self._spans.values():
            for span in kept:
                allowed[_sample_range(span, second), channel] = True
        masked: list[Span] = []
        for channel, _, spans in self._spans.values():
            masked += spans
            for begin, end in spans:
                more = MASKED_CHANNEL_MARGIN_MS - MASKED_MARGIN_MS
                near = (begin - more, end + more)
                allowed[_sample_range(near, second), channel] = False
        pauses = [*self._pauses, *([(self._paused_ms, OPEN_END_MS)] if self._paused_ms is not None else [])]
        for span in (*masked, *pauses):
            allowed[_sample_range(span, second)] = False
        return np.where(allowed, frame, np.uint8(MU_LAW_SILENCE))

    def _discard(self) -> None:
        """Delete everything, unless on hold: consent was refused.

        The store deletes the call's key, should the file remain.
        """
        self._writer.discard()
        self._has_consent = False
        self._frames.clear()
        self._spans.clear()

    def _fail(self, error: Exception) -> list[Trouble]:
        self._failed = True
        self._frames.clear()
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        text = f"The sound of this call is no longer kept ({why}): see that the disk has room and can be written."
        return [Trouble(self._end_sample * 1000 // RATE, "recording-failed", text)]

    def _silence(self) -> MuLaw:
        return np.full((RATE, len(self.speakers)), MU_LAW_SILENCE, np.uint8)


def _sample_range(span: Span, second: int) -> slice:
    """The samples of a span inside a second."""
    first, last = ((ms - second * FRAME_MS) * RATE // 1000 for ms in span)
    return slice(min(max(first, 0), RATE), min(max(last, 0), RATE))
