"""What of a call's sound is kept, where recordings are switched on: less than was heard, and later.

Sound waits in memory for HOLD_MS, until the words in it have settled and what is masked in them is known. Then only
what lies close to a settled word is kept, on that speaker's channel. All else is silence, so that nothing is kept that
could not be checked for numbers: speech not transcribed in time or at all, keypad tones, music. On both channels there
is silence for masked words and what is close to them, for pauses with what they reach back to, and for time without
granted consent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from assist.events import Action, ConsentSet, Event
from assist.privacy.consent import PAUSE_REACH_MS, Consent
from assist.privacy.redaction import is_masked
from assist.store.sounds import RATE, SILENT, MuLaw, Recordings, SoundFile, mu_law
from audio.events import Chunk, Speaker, Trouble, Utterance

HOLD_MS = 30_000
"""An utterance is at most 12 s long (audio/segmentation.py); words may be 18 s late. After a crash so much is lost."""
FRAME_MS = 1_000
WORD_MS = 400
"""Kept on either side of a word, inside its utterance: recognisers' word times are off by some 200 ms."""
MASKED_MS = 250
"""Silenced on either side of a masked place, on both channels."""
NEAR_MS = 2_000
"""Silenced on either side of a masked place on the channel it was said on: digits of the same number are misheard as
other words, which nothing can mask. Of 80 card numbers read aloud (flite's four voices, embedded recogniser, half
asked for) sound was left of 32 with MASKED_MS alone; of 3 with 1.5 s, as with 2, 3 and 4: those misheard as a whole."""
FOREVER = 1 << 62
MOST_WAITING = 60
"""Seconds of sound that may wait for a slow disk (2 MB); then no more of the call is kept."""

Span = tuple[int, int]
"""From and to, in ms of call time."""


class Reel:
    """The recording of one call on disk: key, sealing and writing, all on one thread that is not the event loop's."""

    def __init__(self, recordings: Recordings, call: str, speakers: tuple[Speaker, ...]) -> None:
        self._recordings, self._call, self._speakers = recordings, call, speakers
        self._file: SoundFile | None = None
        self._thread = ThreadPoolExecutor(1, "sound")
        self._done: deque[Future[None]] = deque()

    def append(self, second: int, frame: MuLaw) -> None:
        """Write a second in its place; seconds that were left out before it are silence."""
        self._done.append(self._thread.submit(self._append, second, frame))

    def discard(self) -> None:
        """Delete the recording, after what was put before."""
        self._done.append(self._thread.submit(self._discard))

    def failure(self) -> Exception | None:
        """What went wrong with anything put so far, or that too much waits."""
        while self._done and self._done[0].done():
            error = self._done.popleft().exception()
            if error is not None:
                return error if isinstance(error, Exception) else OSError(str(error))
        return OSError("the disk is too slow") if len(self._done) > MOST_WAITING else None

    async def close(self) -> Exception | None:
        """Have it on disk; what went wrong."""
        self._done.append(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)
        await asyncio.wait([asyncio.wrap_future(future) for future in self._done])
        return self.failure()

    def _append(self, second: int, frame: MuLaw) -> None:
        if self._file is None:
            self._file = SoundFile(self._recordings.path(self._call), self._recordings.keys, self._call, self._speakers)
        while self._file.frames < second:
            self._file.append(np.full(frame.shape, SILENT, np.uint8))
        if self._file.frames == second:  # a call that goes on may begin in the second that was its last
            self._file.append(frame)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        self._file = None
        self._recordings.remove([self._call])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass
class Tape:
    """The sound of one live call on its way to disk."""

    recordings: Recordings
    call: str
    speakers: tuple[Speaker, ...]
    _held: dict[int, MuLaw] = field(default_factory=dict)
    """Number of the second -> its sound, shape (RATE, channels)."""
    _said: dict[str, tuple[int, list[Span], list[Span]]] = field(default_factory=dict)
    """Utterance id -> (channel, spans near its words, masked spans)."""
    _pauses: list[Span] = field(default_factory=list)
    _paused_ms: int | None = None
    _end: int = 0
    """Samples of call time so far."""
    _next: int = 0
    """The next second to be written; those before the first that was held are silence."""
    _agreed: bool = False
    """Consent has been granted, so that there is something to write."""
    _failed: bool = False

    def __post_init__(self) -> None:
        self._reel = Reel(self.recordings, self.call, self.speakers)

    def push(self, chunk: Chunk, offset_ms: int, consent: Consent, *, deaf: bool) -> list[Trouble]:
        """Take the next sound; what has waited long enough is written. Trouble where it cannot be, once."""
        start = (chunk.start_ms + offset_ms) * RATE // 1000
        start = self._end if abs(start - self._end) < RATE // 50 else start
        pcm = np.stack([chunk.channels[who] for who in self.speakers], axis=1)
        self._end = start + len(pcm)
        if consent is Consent.GRANTED and not deaf and not self._failed:
            if not self._agreed:
                self._agreed, self._next = True, max(self._next, start // RATE)
            self._hold(start, mu_law(pcm))
        self._write((self._end * 1000 // RATE - HOLD_MS) // FRAME_MS)
        error = self._reel.failure()
        return self._fail(error) if error is not None and not self._failed else []

    def take(self, event: Event) -> None:
        """Learn from what happened what may be kept."""
        match event:
            case Utterance():
                self._hear(event)
            case Action(what="pause"):
                since = event.at_ms - (0 if event.role == "system" else PAUSE_REACH_MS)
                self._paused_ms = since if self._paused_ms is None else min(since, self._paused_ms)
            case Action(what="resume") if self._paused_ms is not None:
                self._pauses.append((self._paused_ms, event.at_ms))
                self._paused_ms = None
            case ConsentSet(consent=Consent.REFUSED):
                self._discard()

    async def finish(self) -> list[Trouble]:
        """The call is over and every word is known: write the rest; returns when it is on disk."""
        self._write(-(-self._end // RATE))
        self._held.clear()
        error = await self._reel.close()
        return self._fail(error) if error is not None and not self._failed else []

    def _hold(self, start: int, samples: MuLaw) -> None:
        while len(samples):
            second, at = divmod(start, RATE)
            part = samples[: RATE - at]
            frame = self._held.setdefault(second, self._silence())
            frame[at : at + len(part)] = part
            start, samples = start + len(part), samples[len(part) :]

    def _hear(self, said: Utterance) -> None:
        kept = [
            (max(word.start_ms - WORD_MS, said.start_ms), min(word.end_ms + WORD_MS, said.end_ms))
            for word in said.words
            if not is_masked(word)
        ]
        masked = [(word.start_ms - MASKED_MS, word.end_ms + MASKED_MS) for word in said.words if is_masked(word)]
        self._said[said.id] = (self.speakers.index(said.speaker), kept, masked)

    def _write(self, before: int) -> None:
        """Have every second before this one written."""
        if not self._agreed or self._failed:
            return
        while self._next < before:
            self._reel.append(self._next, self._cleared(self._next))
            self._held.pop(self._next, None)
            self._next += 1
        long_ago = self._next * FRAME_MS - 2 * HOLD_MS
        self._said = {
            name: said for name, said in self._said.items() if any(to > long_ago for _, to in (*said[1], *said[2]))
        }

    def _cleared(self, second: int) -> MuLaw:
        """A second with everything silenced that may not be kept."""
        frame = self._held.get(second)
        if frame is None:
            return self._silence()
        allowed = np.zeros(frame.shape, np.bool_)
        for channel, kept, _ in self._said.values():
            for span in kept:
                allowed[_within(span, second), channel] = True
        masked: list[Span] = []
        for channel, _, spans in self._said.values():
            masked += spans
            for begin, end in spans:
                near = (begin + MASKED_MS - NEAR_MS, end - MASKED_MS + NEAR_MS)
                allowed[_within(near, second), channel] = False
        pauses = [*self._pauses, *([(self._paused_ms, FOREVER)] if self._paused_ms is not None else [])]
        for span in (*masked, *pauses):
            allowed[_within(span, second)] = False
        return np.where(allowed, frame, np.uint8(SILENT))

    def _discard(self) -> None:
        """Consent was refused: nothing stays. The key goes with the call in the store, should the file not go."""
        self._reel.discard()
        self._agreed = False
        self._held.clear()
        self._said.clear()

    def _fail(self, error: Exception) -> list[Trouble]:
        self._failed = True
        self._held.clear()
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        text = f"The sound of this call is no longer kept ({why}): see that the disk has room and can be written."
        return [Trouble(self._end * 1000 // RATE, "recording-failed", text)]

    def _silence(self) -> MuLaw:
        return np.full((RATE, len(self.speakers)), SILENT, np.uint8)


def _within(span: Span, second: int) -> slice:
    """The samples of a span inside a second."""
    first, last = ((ms - second * FRAME_MS) * RATE // 1000 for ms in span)
    return slice(min(max(first, 0), RATE), min(max(last, 0), RATE))
