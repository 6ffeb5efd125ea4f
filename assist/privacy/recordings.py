"""What of a call's sound is kept, where recordings are switched on: less than was heard, and later.

Sound waits in memory for HOLD_MS, until the words in it have settled and what is masked in them is known. Then only
what lies close to a settled word is kept, on that speaker's channel. All else is silence, so that nothing is kept that
could not be checked for numbers: speech not transcribed in time or at all, keypad tones, music. On both channels there
is silence for masked words and what is close to them, for pauses with what they reach back to, and for time without
granted consent.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import numpy as np

from assist.errors import AssistError
from assist.events import Action, ConsentSet, Event
from assist.live.session import PAUSE_REACH_MS
from assist.privacy.consent import Consent
from assist.privacy.redaction import is_masked
from assist.store.sounds import RATE, SILENT, MuLaw, Recordings, SoundFile, mu_law
from audio.events import Chunk, Speaker, Trouble, Utterance

HOLD_MS = 30_000
"""An utterance is at most 12 s long (audio/turns.py), so its words may be 18 s late. After a crash so much is lost."""
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

Span = tuple[int, int]
"""From and to, in ms of call time."""


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
    """The next second to be written."""
    _agreed: bool = False
    """Consent has been granted, so that there is something to write."""
    _file: SoundFile | None = None
    _failed: bool = False

    def push(self, chunk: Chunk, offset_ms: int, consent: Consent, *, deaf: bool) -> list[Trouble]:
        """Take the next sound; what has waited long enough is written. Trouble where it cannot be, once."""
        start = (chunk.start_ms + offset_ms) * RATE // 1000
        start = self._end if abs(start - self._end) < RATE // 50 else start
        pcm = np.stack([chunk.channels[who] for who in self.speakers], axis=1)
        self._end = start + len(pcm)
        if consent is Consent.GRANTED and not deaf and not self._failed:
            self._agreed = True
            self._hold(start, mu_law(pcm))
        return self._write((self._end * 1000 // RATE - HOLD_MS) // FRAME_MS)

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

    def finish(self) -> list[Trouble]:
        """The call is over and every word is known: write the rest."""
        troubles = self._write(-(-self._end // RATE))
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            troubles += self._fail(error)
        self._file = None
        self._held.clear()
        return troubles

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

    def _write(self, before: int) -> list[Trouble]:
        """Write every second before this one."""
        if not self._agreed or self._failed or before <= self._next:
            return []
        try:
            if self._file is None:
                self._file = SoundFile(self.recordings.path(self.call), self.recordings.keys, self.call, self.speakers)
                self._next = self._file.frames
            while self._next < before:
                self._file.append(self._cleared(self._next))
                self._held.pop(self._next, None)
                self._next += 1
        except (OSError, AssistError) as error:
            return self._fail(error)
        long_ago = self._next * FRAME_MS - 2 * HOLD_MS
        self._said = {
            name: said for name, said in self._said.items() if any(to > long_ago for _, to in (*said[1], *said[2]))
        }
        return []

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
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        with contextlib.suppress(OSError):
            self.recordings.remove([self.call])
        self._file, self._next, self._agreed = None, 0, False
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
