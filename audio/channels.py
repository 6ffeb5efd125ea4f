"""A channel that carries nothing at all while the other side speaks: a cable, a mute or a wrong device, not a pause."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audio.events import Chunk, Speaker, Trouble

SILENCE_AMPLITUDE = 10 ** (-90 / 20)
"""Half the peak-to-peak amplitude of a chunk at or below which it is silent: -90 dBFS, under the noise of any telephone
line or microphone. Not the peak: A-law has no zero, and an idle line is constant at -72 dBFS."""
SPEECH_RMS = 10 ** (-45 / 20)
"""RMS above which a channel counts as speech."""
SILENT_MS = 10_000
"""A channel silent for so long is reported ..."""
GATED_MS = 60_000
"""... or for so long, on a line that has been wholly silent GATED_PAUSES times for MIN_PAUSE_MS and come back: it sends
nothing while nobody speaks (a muted customer, silence suppression, the monitor of an output that plays nothing) ..."""
GATED_PAUSES = 3
MIN_PAUSE_MS = 300
OTHER_SPEECH_MS = 2_000
"""... and during so much speech of the other side."""
LABELS = {Speaker.AGENT: "the agent's microphone", Speaker.CUSTOMER: "the customer's side"}


@dataclass
class ChannelWatch:
    """Reports a channel of a call that is silent while the other side speaks, and when it is not any more."""

    _dead_ms: dict[Speaker, int] = field(default_factory=dict)
    _other_speech_ms: dict[Speaker, int] = field(default_factory=dict)
    _reported: set[Speaker] = field(default_factory=set)
    _pauses: dict[Speaker, int] = field(default_factory=dict)
    """Silences that ended, of channels that had sound before."""

    def push(self, chunk: Chunk) -> list[Trouble]:
        """Take the next chunk; returns trouble (code channel-silent) that begins or ends with it."""
        length = chunk.end_ms - chunk.start_ms
        loud = {who for who, pcm in chunk.channels.items() if len(pcm) and _rms(pcm) > SPEECH_RMS}
        found = []
        for who, pcm in chunk.channels.items():
            if who is Speaker.UNKNOWN:
                continue
            if len(pcm) and float(np.ptp(pcm)) / 2 > SILENCE_AMPLITUDE:
                paused = who in self._pauses and self._dead_ms[who] >= MIN_PAUSE_MS
                self._pauses[who] = self._pauses.get(who, 0) + paused
                self._dead_ms[who] = self._other_speech_ms[who] = 0
                if who in self._reported:
                    self._reported.discard(who)
                    text = f"Sound comes from {LABELS[who]} again."
                    found.append(Trouble(chunk.end_ms, f"channel-silent:{who}", text, cleared=True))
                continue
            self._dead_ms[who] = self._dead_ms.get(who, 0) + length
            if loud - {who}:
                self._other_speech_ms[who] = self._other_speech_ms.get(who, 0) + length
            limit_ms = GATED_MS if self._pauses.get(who, 0) >= GATED_PAUSES else SILENT_MS
            dead = self._dead_ms[who] >= limit_ms and self._other_speech_ms.get(who, 0) >= OTHER_SPEECH_MS
            if dead and who not in self._reported:
                self._reported.add(who)
                text = f"No sound at all from {LABELS[who]} for {limit_ms // 1000} s: check the device and its mute."
                found.append(Trouble(chunk.end_ms, f"channel-silent:{who}", text))
        return found


def _rms(pcm: np.ndarray) -> float:
    """RMS without the mean: a sound card's offset is no speech."""
    return float(np.std(pcm, dtype=np.float64))
