"""Streams without a position of their own (sound cards), put on one sample clock: a pure object, time is an argument.

Two devices are two clocks, a muted party sends nothing at all, and a busy machine hands blocks over late and in
bursts. Each stream is therefore anchored to the arrival clock: its fastest block ends when it arrives. What is not
there when its chunk must go out is silence, reported as a Gap, so that no stream ever holds up the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from audio.events import CHUNK, SAMPLE_RATE, Chunk, Gap, Pcm, Speaker, Trouble
from audio.source import Arrival

HOLE_S = 0.220
"""A chunk waits this long for a stream that is late, then goes out with silence in its place. Resampling alone gives
sound out up to 115 ms late, in bursts (8 and 96 kHz); the rest is for the device and the machine."""
EARLY_S = 0.060
"""A stream further ahead of its arrival than this holds late sound whose place has gone out as silence: it is cut."""
LATE_S = 2.0
"""A block later than this was not waiting anywhere: what is before it is lost (the machine was suspended)."""
WINDOW_S = 5.0
"""The smallest lag over this long is the stream's true place; all larger ones are waiting times."""
DEADBAND = SAMPLE_RATE * 5 // 1000
"""Samples (5 ms): smaller differences of place are left alone."""
STRETCH = 0.01
"""A stream is moved by playing at most this much slower or faster: no click, under 0.2 semitones."""
DEAD_S = 1.0
"""No block for this long is a lost stream."""
ASKED = 5
"""And asked for this often: after a suspended machine wakes, blocks get their chance to come."""
START_S = 3.0
"""A device may take this long to deliver its first block (PulseAudio: 1 to 1.7 s)."""
STALL_S = 0.25
"""Asked this late, the process itself was held up, and blocks are on their way."""
GRACE_S = 0.100
"""The time they get."""
GAP_S = 1.0
"""A gap that lasts longer is reported in pieces of this length."""
CAUGHT_UP_S = 2.0
"""Without a dropped block for this long, listening keeps up again."""


@dataclass(slots=True)
class _Stream:
    """One speaker's sound that has arrived and not yet gone out, and where it stands against the arrival clock."""

    pending: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    anchored: bool = False
    muted: str | None = None
    """The code of the trouble for which silence takes the place of its sound."""
    last_at: float | None = None
    window_from: float = 0.0
    smallest_lag: float = math.inf
    owed: int = 0
    """Samples by which the stream still has to be lengthened (or, below 0, shortened)."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Silence put in, from and to which sample of the call, not yet reported."""
    unanswered: int = 0
    """How often was asked since the last block."""
    dropped_at: float = -math.inf
    """When a block was last dropped before it came here."""

    def watch_from(self, at: float) -> None:
        """Begin a new window of lags."""
        self.window_from, self.smallest_lag = at, math.inf

    def note_lag(self, lag: int, at: float) -> None:
        """Take one block's lag (samples); at a window's end decide how far the stream has to be moved."""
        self.smallest_lag = min(self.smallest_lag, lag)
        if at - self.window_from >= WINDOW_S:
            if abs(self.smallest_lag) > DEADBAND:
                self.owed = int(self.smallest_lag)
            self.watch_from(at)

    def stretched(self, pcm: Pcm) -> Pcm:
        """The block, a little longer or shorter while the stream has to be moved."""
        most = max(int(len(pcm) * STRETCH), 1)
        change = max(-most, min(most, self.owed))
        if not change or len(pcm) + change < 2:
            return pcm
        self.owed -= change
        places = np.linspace(0, len(pcm) - 1, len(pcm) + change)
        return np.interp(places, np.arange(len(pcm)), pcm).astype(np.float32)


class Alignment:
    """All streams of a call on one sample clock.

    Times given are seconds of any monotonic clock; times that come out are milliseconds since the first block
    began. Not safe for use from several threads.
    """

    def __init__(self, speakers: tuple[Speaker, ...], *, opened_at: float) -> None:
        self._streams = {speaker: _Stream() for speaker in speakers}
        self._opened_at = opened_at
        self._zero: float | None = None
        """Arrival time of sample 0."""
        self._sent = 0
        self._polled_at = opened_at
        self._grace_until = -math.inf
        self._graced = -1
        """Grace is given once for each chunk."""
        self._shown: dict[str, str] = {}
        self._out: list[Arrival] = []

    @property
    def now_ms(self) -> int:
        """Milliseconds of the call that have gone out."""
        return self._sent * 1000 // SAMPLE_RATE

    def lost(self, now: float) -> tuple[Speaker, ...]:
        """The streams that deliver nothing, or nothing that may be used."""
        return tuple(speaker for speaker, stream in self._streams.items() if stream.muted or self._dead(stream, now))

    def muted(self, speaker: Speaker) -> str | None:
        """The code for which a stream is muted."""
        return self._streams[speaker].muted

    def wanted_s(self, speaker: Speaker) -> float:
        """Seconds of sound a stream lacks for the next chunk; 0 while nothing is expected of it."""
        stream = self._streams[speaker]
        return 0.0 if stream.muted else max(CHUNK - len(stream.pending), 0) / SAMPLE_RATE

    def push(self, speaker: Speaker, pcm: Pcm, at: float, *, dropped: int = 0) -> None:
        """Take a block (16 kHz) that was complete at `at`, after `dropped` samples that are known to be lost."""
        stream = self._streams[speaker]
        stream.last_at = at
        stream.unanswered = 0
        if stream.muted or not len(pcm):
            return
        if self._zero is None:
            self._zero = at - len(pcm) / SAMPLE_RATE
        end = round((at - self._zero) * SAMPLE_RATE)
        if dropped:
            stream.dropped_at = at
        lead = end - len(pcm) - (self._sent + len(stream.pending))
        if not stream.anchored or lead > LATE_S * SAMPLE_RATE:
            stream.anchored = True
            stream.owed = 0
            stream.watch_from(at)
            self._silence(stream, max(lead, 0))
            pcm = pcm[max(-lead, 0) :]
        elif dropped:
            self._silence(stream, dropped)
        stream.pending = np.concatenate([stream.pending, stream.stretched(pcm)])
        lag = end - (self._sent + len(stream.pending))
        if lag < -EARLY_S * SAMPLE_RATE:
            self._cut(stream, -lag)
            stream.owed = 0
            stream.watch_from(at)
        elif not stream.owed:
            stream.note_lag(lag, at)

    def mute(self, speaker: Speaker, code: str) -> None:
        """Feed silence for a stream from now on: its sound is not its speaker's. What has arrived is thrown away."""
        stream = self._streams[speaker]
        stream.muted = code
        stream.anchored = False
        self._cut(stream, len(stream.pending))

    def unmute(self, speaker: Speaker, now: float) -> None:
        """The stream is its speaker's again."""
        stream = self._streams[speaker]
        if stream.muted:
            stream.muted = None
            stream.last_at = now

    def poll(self, now: float) -> list[Arrival]:
        """All that is due. Give it every block that has arrived first."""
        if now - self._polled_at > STALL_S and self._graced != self._sent:
            self._grace_until, self._graced = now + GRACE_S, self._sent
        self._polled_at = now
        for stream in self._streams.values():
            stream.unanswered += 1
        self._watch(now)
        if self._zero is None and now >= self._opened_at + START_S:
            self._zero = self._opened_at + START_S
        while self._zero is not None and self._due(now):
            self._send()
        out, self._out = self._out, []
        return out

    def next_due(self, now: float) -> float:
        """When `poll` should be asked again although no block arrives."""
        if self._zero is None:
            return self._opened_at + START_S
        return max(self._zero + (self._sent + CHUNK) / SAMPLE_RATE + HOLE_S, now)

    def _due(self, now: float) -> bool:
        assert self._zero is not None
        end_at = self._zero + (self._sent + CHUNK) / SAMPLE_RATE
        if all(now >= end_at if stream.muted else len(stream.pending) >= CHUNK for stream in self._streams.values()):
            return True
        return now >= max(end_at + HOLE_S, self._grace_until)

    def _send(self) -> None:
        channels: dict[Speaker, Pcm] = {}
        for speaker, stream in self._streams.items():
            missing = CHUNK - len(stream.pending)
            if missing > 0:
                stream.anchored = False
                self._silence(stream, missing)
            channels[speaker] = stream.pending[:CHUNK]
            stream.pending = stream.pending[CHUNK:]
        self._out.append(Chunk(self.now_ms, channels))
        self._sent += CHUNK
        for speaker, stream in self._streams.items():
            self._report(speaker, stream)

    def _silence(self, stream: _Stream, samples: int) -> None:
        """Append silence and remember it as a gap."""
        if samples <= 0:
            return
        start = self._sent + len(stream.pending)
        stream.pending = np.concatenate([stream.pending, np.zeros(samples, np.float32)])
        if stream.gaps and stream.gaps[-1][1] == start:
            start = stream.gaps.pop()[0]
        stream.gaps.append((start, self._sent + len(stream.pending)))

    def _cut(self, stream: _Stream, samples: int) -> None:
        """Throw away the oldest sound that has not gone out: its place in time has passed."""
        samples = min(samples, len(stream.pending))
        stream.pending = stream.pending[samples:]
        moved = [
            (min(start, max(start - samples, self._sent)), max(end - samples, min(end, self._sent)))
            for start, end in stream.gaps
        ]
        stream.gaps = [(start, end) for start, end in moved if end > start]

    def _report(self, speaker: Speaker, stream: _Stream) -> None:
        """Tell of the gaps that have ended, and of one that lasts in pieces."""
        kept: list[tuple[int, int]] = []
        for start, end in stream.gaps:
            gone = min(end, self._sent)
            if end < self._sent or gone - start >= GAP_S * SAMPLE_RATE:
                first, last = start * 1000 // SAMPLE_RATE, gone * 1000 // SAMPLE_RATE
                if first < last:
                    self._out.append(Gap(speaker, first, last))
                start = gone
            if start < end:
                kept.append((start, end))
        stream.gaps = kept

    def _dead(self, stream: _Stream, now: float) -> bool:
        if stream.unanswered < ASKED:
            return False
        if stream.last_at is None:
            return now - self._opened_at > START_S
        return now - stream.last_at > DEAD_S

    def _watch(self, now: float) -> None:
        """Say what is wrong, once, and once that it is over."""
        lost, swapped, late = [], [], []
        for speaker, stream in self._streams.items():
            if stream.muted == "audio-swapped":
                swapped.append(speaker)
            elif stream.muted or self._dead(stream, now):
                lost.append(speaker)
            elif now - stream.dropped_at < CAUGHT_UP_S:
                late.append(speaker)
        lines = [f"No sound from the {_both(lost)}: check the device; listening goes on by itself."] if lost else []
        lines += [f"The machine is too busy: sound of the {_both(late)} was dropped."] if late else []
        self._show("audio-lost", " ".join(lines), "All sound is back.")
        self._show(
            "audio-swapped",
            f"The sound system moved the {_both(swapped)} to another device: silence is heard until the chosen "
            "device is back."
            if swapped
            else "",
            "The chosen device is back.",
        )

    def _show(self, code: str, text: str, over: str) -> None:
        if text != self._shown.get(code, ""):
            self._out.append(Trouble(self.now_ms, code, text or over, cleared=not text))
            self._shown[code] = text


def _both(speakers: list[Speaker]) -> str:
    return " and the ".join(speakers)
