"""Streams without timestamps (sound cards) aligned to one sample clock. No I/O; time is an argument.

Two devices have two clocks, a muted party sends nothing at all, and a busy machine delivers blocks late and in bursts.
Each stream is therefore anchored to the times at which its blocks arrive: the block with the smallest lag ends when it
arrives. What has not arrived when its chunk is due becomes silence, reported as a Gap: no stream holds up the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from audio.events import CHUNK, SAMPLE_RATE, Chunk, Gap, Pcm, Speaker, Trouble
from audio.source import Arrival

MAX_CHUNK_DELAY_S = 0.220
"""A chunk waits this long for a late stream, then goes out with silence in its place. Resampling alone delivers
up to 115 ms late, in bursts (8 and 96 kHz); the rest is for the device and the machine."""
MAX_LEAD_S = 0.060
"""A stream further ahead than this holds late audio whose place has gone out as silence: that much is dropped."""
RESYNC_S = 2.0
"""A block later than this was not queued anywhere: what is missing before it is lost (the machine was suspended)."""
LAG_WINDOW_S = 5.0
"""The smallest lag over this long is the stream's clock offset; larger ones include time in queues."""
MIN_CORRECTION = SAMPLE_RATE * 5 // 1000
"""Samples (5 ms): smaller offsets are not corrected."""
MAX_STRETCH = 0.01
"""An offset is corrected by stretching blocks by at most this share: no click, under 0.2 semitones."""
DEAD_S = 1.0
"""A stream is lost after so long without a block ..."""
DEAD_POLLS = 5
"""... and so many polls: after a suspended machine wakes, blocks get time to arrive."""
START_S = 3.0
"""A device may take this long to deliver its first block (PulseAudio: 1 to 1.7 s)."""
STALL_S = 0.25
"""A poll so late means that the process itself was held up, and blocks are on their way."""
GRACE_S = 0.100
"""The time they then get."""
GAP_S = 1.0
"""A gap that lasts longer is reported in pieces of this length."""
CAUGHT_UP_S = 2.0
"""So long without a dropped block the machine keeps up again."""


@dataclass(slots=True)
class _Stream:
    """One speaker's audio that has arrived and not yet gone out, and its offset to the arrival times."""

    pending: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    anchored: bool = False
    muted: str | None = None
    """The code of the trouble for which silence takes the place of its audio."""
    last_at: float | None = None
    lag_window_start: float = 0.0
    smallest_lag: float = math.inf
    correction: int = 0
    """Samples by which the stream still has to be stretched (below 0: shortened)."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Inserted silence not reported yet: (first sample of the call, sample after the last)."""
    polls_since_block: int = 0
    """Polls since the last block."""
    dropped_at: float = -math.inf
    """When audio was last dropped from the queue in front of `push`."""

    def start_lag_window(self, at: float) -> None:
        """Start a new window for the smallest lag."""
        self.lag_window_start, self.smallest_lag = at, math.inf

    def note_lag(self, lag: int, at: float) -> None:
        """Take one block's lag (samples); at the window's end set the correction."""
        self.smallest_lag = min(self.smallest_lag, lag)
        if at - self.lag_window_start >= LAG_WINDOW_S:
            if abs(self.smallest_lag) > MIN_CORRECTION:
                self.correction = int(self.smallest_lag)
            self.start_lag_window(at)

    def with_correction(self, pcm: Pcm) -> Pcm:
        """The block, stretched a little while there is a correction to make."""
        max_change = max(int(len(pcm) * MAX_STRETCH), 1)
        change = max(-max_change, min(max_change, self.correction))
        if not change or len(pcm) + change < 2:
            return pcm
        self.correction -= change
        positions = np.linspace(0, len(pcm) - 1, len(pcm) + change)
        return np.interp(positions, np.arange(len(pcm)), pcm).astype(np.float32)


class Alignment:
    """All streams of a call on one sample clock.

    Arguments are seconds of any monotonic clock; times in what `poll` returns are milliseconds since the first block
    began. Not thread-safe.
    """

    def __init__(self, speakers: tuple[Speaker, ...], *, opened_at: float) -> None:
        self._streams = {speaker: _Stream() for speaker in speakers}
        self._opened_at = opened_at
        self._zero_at: float | None = None
        """Arrival time of sample 0."""
        self._sent = 0
        self._polled_at = opened_at
        self._grace_until = -math.inf
        self._grace_chunk = -1
        """The position for which it was granted: once for each chunk."""
        self._current_trouble: dict[str, str] = {}
        self._arrivals: list[Arrival] = []

    @property
    def now_ms(self) -> int:
        """Milliseconds of the call emitted so far."""
        return self._sent * 1000 // SAMPLE_RATE

    def lost(self, now: float) -> tuple[Speaker, ...]:
        """The streams that deliver nothing, or are muted."""
        return tuple(speaker for speaker, stream in self._streams.items() if stream.muted or self._is_dead(stream, now))

    def muted(self, speaker: Speaker) -> str | None:
        """The code of the trouble for which a stream is muted; None: it is not."""
        return self._streams[speaker].muted

    def wanted_s(self, speaker: Speaker) -> float:
        """Seconds of audio a stream lacks for the next chunk; 0 while it is muted."""
        stream = self._streams[speaker]
        return 0.0 if stream.muted else max(CHUNK - len(stream.pending), 0) / SAMPLE_RATE

    def push(self, speaker: Speaker, pcm: Pcm, at: float, *, dropped: int = 0) -> None:
        """Take a block (16 kHz) that was complete at `at` (s), after `dropped` samples that are known to be lost."""
        stream = self._streams[speaker]
        stream.last_at = at
        stream.polls_since_block = 0
        if stream.muted or not len(pcm):
            return
        if self._zero_at is None:
            self._zero_at = at - len(pcm) / SAMPLE_RATE
        end = round((at - self._zero_at) * SAMPLE_RATE)
        if dropped:
            stream.dropped_at = at
        lead = end - len(pcm) - (self._sent + len(stream.pending))
        if not stream.anchored or lead > RESYNC_S * SAMPLE_RATE:
            stream.anchored = True
            stream.correction = 0
            stream.start_lag_window(at)
            self._append_silence(stream, max(lead, 0))
            pcm = pcm[max(-lead, 0) :]
        elif dropped:
            self._append_silence(stream, dropped)
        stream.pending = np.concatenate([stream.pending, stream.with_correction(pcm)])
        lag = end - (self._sent + len(stream.pending))
        if lag < -MAX_LEAD_S * SAMPLE_RATE:
            self._drop_oldest(stream, -lag)
            stream.correction = 0
            stream.start_lag_window(at)
        elif not stream.correction:
            stream.note_lag(lag, at)

    def mute(self, speaker: Speaker, code: str) -> None:
        """Replace a stream by silence from now on, also what is pending: its audio is not its speaker's, or is lost."""
        stream = self._streams[speaker]
        stream.muted = code
        stream.anchored = False
        self._drop_oldest(stream, len(stream.pending))

    def unmute(self, speaker: Speaker, now: float) -> None:
        """Use the stream again."""
        stream = self._streams[speaker]
        if stream.muted:
            stream.muted = None
            stream.last_at = now

    def poll(self, now: float) -> list[Arrival]:
        """What is due: chunks, gaps, trouble. Push every block that has arrived first."""
        if now - self._polled_at > STALL_S and self._grace_chunk != self._sent:
            self._grace_until, self._grace_chunk = now + GRACE_S, self._sent
        self._polled_at = now
        for stream in self._streams.values():
            stream.polls_since_block += 1
        self._report_trouble(now)
        if self._zero_at is None and now >= self._opened_at + START_S:
            self._zero_at = self._opened_at + START_S
        while self._zero_at is not None and self._is_due(now):
            self._emit_chunk()
        out, self._arrivals = self._arrivals, []
        return out

    def next_due(self, now: float) -> float:
        """When to call `poll` again although no block arrives."""
        if self._zero_at is None:
            return self._opened_at + START_S
        return max(self._zero_at + (self._sent + CHUNK) / SAMPLE_RATE + MAX_CHUNK_DELAY_S, now)

    def _is_due(self, now: float) -> bool:
        assert self._zero_at is not None
        end_at = self._zero_at + (self._sent + CHUNK) / SAMPLE_RATE
        if all(now >= end_at if stream.muted else len(stream.pending) >= CHUNK for stream in self._streams.values()):
            return True
        return now >= max(end_at + MAX_CHUNK_DELAY_S, self._grace_until)

    def _emit_chunk(self) -> None:
        channels: dict[Speaker, Pcm] = {}
        for speaker, stream in self._streams.items():
            missing = CHUNK - len(stream.pending)
            if missing > 0:
                stream.anchored = False
                self._append_silence(stream, missing)
            channels[speaker] = stream.pending[:CHUNK]
            stream.pending = stream.pending[CHUNK:]
        self._arrivals.append(Chunk(self.now_ms, channels))
        self._sent += CHUNK
        for speaker, stream in self._streams.items():
            self._report_gaps(speaker, stream)

    def _append_silence(self, stream: _Stream, samples: int) -> None:
        """Append silence, as a gap."""
        if samples <= 0:
            return
        start = self._sent + len(stream.pending)
        stream.pending = np.concatenate([stream.pending, np.zeros(samples, np.float32)])
        if stream.gaps and stream.gaps[-1][1] == start:
            start = stream.gaps.pop()[0]
        stream.gaps.append((start, self._sent + len(stream.pending)))

    def _drop_oldest(self, stream: _Stream, samples: int) -> None:
        """Drop the oldest pending audio: its place in time has passed."""
        samples = min(samples, len(stream.pending))
        stream.pending = stream.pending[samples:]
        moved = [
            (min(start, max(start - samples, self._sent)), max(end - samples, min(end, self._sent)))
            for start, end in stream.gaps
        ]
        stream.gaps = [(start, end) for start, end in moved if end > start]

    def _report_gaps(self, speaker: Speaker, stream: _Stream) -> None:
        """Report the gaps that have ended, and of a long one the pieces that have."""
        kept: list[tuple[int, int]] = []
        for start, end in stream.gaps:
            emitted_end = min(end, self._sent)
            if end < self._sent or emitted_end - start >= GAP_S * SAMPLE_RATE:
                first, last = start * 1000 // SAMPLE_RATE, emitted_end * 1000 // SAMPLE_RATE
                if first < last:
                    self._arrivals.append(Gap(speaker, first, last))
                start = emitted_end
            if start < end:
                kept.append((start, end))
        stream.gaps = kept

    def _is_dead(self, stream: _Stream, now: float) -> bool:
        if stream.polls_since_block < DEAD_POLLS:
            return False
        if stream.last_at is None:
            return now - self._opened_at > START_S
        return now - stream.last_at > DEAD_S

    def _report_trouble(self, now: float) -> None:
        """Report each trouble once, and once that it is over."""
        lost, swapped, late = [], [], []
        for speaker, stream in self._streams.items():
            if stream.muted == "audio-swapped":
                swapped.append(speaker)
            elif stream.muted or self._is_dead(stream, now):
                lost.append(speaker)
            elif now - stream.dropped_at < CAUGHT_UP_S:
                late.append(speaker)
        lines = [f"No sound from the {_names(lost)}: check the device; listening goes on by itself."] if lost else []
        lines += [f"The machine is too busy: sound of the {_names(late)} was dropped."] if late else []
        self._set_trouble("audio-lost", " ".join(lines), "All sound is back.")
        self._set_trouble(
            "audio-swapped",
            f"The sound system moved the {_names(swapped)} to another device: silence is heard until the chosen "
            "device is back."
            if swapped
            else "",
            "The chosen device is back.",
        )

    def _set_trouble(self, code: str, text: str, over: str) -> None:
        if text != self._current_trouble.get(code, ""):
            self._arrivals.append(Trouble(self.now_ms, code, text or over, cleared=not text))
            self._current_trouble[code] = text


def _names(speakers: list[Speaker]) -> str:
    return " and the ".join(speakers)
