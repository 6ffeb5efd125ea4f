"""A channel that carries nothing at all while the other side speaks: a cable, a mute or a wrong device, not a pause."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audio.events import Chunk, Speaker, Trouble

DEAD = 10 ** (-90 / 20)
"""Half the distance between a chunk's extremes below which it is no sound: -90 dBFS, under the noise of any telephone
line or microphone. Not its peak: A-law has no zero, and an idle line of it stands still at -72 dBFS."""
SPEAKING = 10 ** (-45 / 20)
"""RMS above which the other side counts as speaking."""
SILENT_MS = 10_000
GATED_MS = 60_000
"""The same on a line that has fallen wholly silent GATED times for GATE_MS and come back: one that sends nothing while
nobody speaks (a muted customer, a codec's silence suppression, the monitor of an output that plays nothing)."""
GATED = 3
GATE_MS = 300
SPOKEN_MS = 2_000
"""So much speech of the other side must have met the silence."""
NAMES = {Speaker.AGENT: "the agent's microphone", Speaker.CUSTOMER: "the customer's side"}


@dataclass
class ChannelWatch:
    """Feed it every chunk of a call; says when a channel is dead, and when it is alive again."""

    _dead_ms: dict[Speaker, int] = field(default_factory=dict)
    _met_ms: dict[Speaker, int] = field(default_factory=dict)
    _told: set[Speaker] = field(default_factory=set)
    _pauses: dict[Speaker, int] = field(default_factory=dict)
    """Silences of those who have been heard that ended again."""

    def push(self, chunk: Chunk) -> list[Trouble]:
        """What is to be told after this chunk (code channel-silent)."""
        length = chunk.end_ms - chunk.start_ms
        loud = {who for who, pcm in chunk.channels.items() if len(pcm) and _rms(pcm) > SPEAKING}
        found = []
        for who, pcm in chunk.channels.items():
            if who is Speaker.UNKNOWN:
                continue
            if len(pcm) and float(np.ptp(pcm)) / 2 > DEAD:
                paused = who in self._pauses and self._dead_ms[who] >= GATE_MS
                self._pauses[who] = self._pauses.get(who, 0) + paused
                self._dead_ms[who] = self._met_ms[who] = 0
                if who in self._told:
                    self._told.discard(who)
                    text = f"Sound comes from {NAMES[who]} again."
                    found.append(Trouble(chunk.end_ms, f"channel-silent:{who}", text, cleared=True))
                continue
            self._dead_ms[who] = self._dead_ms.get(who, 0) + length
            if loud - {who}:
                self._met_ms[who] = self._met_ms.get(who, 0) + length
            limit_ms = GATED_MS if self._pauses.get(who, 0) >= GATED else SILENT_MS
            dead = self._dead_ms[who] >= limit_ms and self._met_ms.get(who, 0) >= SPOKEN_MS
            if dead and who not in self._told:
                self._told.add(who)
                text = f"No sound at all from {NAMES[who]} for {limit_ms // 1000} s: check the device and its mute."
                found.append(Trouble(chunk.end_ms, f"channel-silent:{who}", text))
        return found


def _rms(pcm: np.ndarray) -> float:
    """Around the mean: a sound card's offset is no speech."""
    return float(np.std(pcm, dtype=np.float64))
