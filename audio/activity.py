"""Voice activity of one channel, streaming: Silero in 32 ms frames, and the onsets and endpoints read from it.

The door to onnxruntime. The network is the one inside faster-whisper (silero_vad_v6.onnx, MIT licence): input 64
samples of context and 512 new ones at 16 kHz, output the probability of speech, with a recurrent state per channel.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm
from audio.tones import ToneGate

FRAME = 512
"""Samples per frame: 32 ms at 16 kHz, the network's own step."""
CONTEXT = 64
ONSET = 0.4
OFFSET = 0.2
"""Below Silero's own 0.5 and 0.35, because it is less sure on the telephone. On 20 synthetic sentences and 25 recorded
announcements through 8 kHz mu-law, onsets are at most 64 and 294 ms late (95th percentile; 178 and 326 with 0.5 and
0.35), and no sentence falls apart; of 460 s of recorded noise 3.7 % passes the network instead of 3.3 %."""
ONSET_FRAMES = 3
ONSET_WITHIN = 6
"""Speech is believed after 3 frames of 6: clicks and single DTMF edges are shorter."""
ENDPOINT = 400 * SAMPLE_RATE // 1000
"""Samples without speech (400 ms) after which an utterance is over."""
RESET_FRAMES = 30 * SAMPLE_RATE // FRAME
"""After 30 s without a change the recurrent state is renewed: it can stick on steady noise."""
QUIET_DB = -62.0
"""Below this level (RMS, dB full scale) nothing is speech; mu-law's own idle noise is about -72 dB."""
LINE_DB = -63.0
LINE_HERTZ = (300, 3400)
"""A little telephone-band noise is added to what the network hears where the channel is silent: it has not learnt what
speech by telephone out of digital silence is, and missed half of the words that are said alone. Of 32 such words by
four synthetic voices, mu-law, 60 of 128 are found without and 119 with it (chosen on these). On sound it was not chosen
on: six other synthetic voices 147 and 188 of 192, words cut from human speech (TESS) 30 and 43 of 43. Noise up to 8 kHz
does harm."""
LINE_FRAMES = SAMPLE_RATE // FRAME
"""For so long (1 s) after silence: a channel that has noise of its own is heard as it is."""
ABOVE_FLOOR_DB = 8.0
"""Speech begins this far above the channel's noise floor: Silero alone passes a near-silent channel."""
FLOOR_FRAMES = 10 * SAMPLE_RATE // FRAME
FLOOR_NEEDS = 3 * SAMPLE_RATE // FRAME
SILENT_FRAMES = 10
"""After so much digital silence (0.3 s) a channel has no noise of its own: what was loud before was ringback or music,
and its floor is as unknown as when the call began."""


def decibel(power: float) -> float:
    """Mean square as dB relative to full scale; silence is -120."""
    return float(10 * np.log10(max(power, 1e-12)))


HUM_HERTZ = 125
"""What lies below is no part of a frame's level: a sound card's offset, mains hum, wind. As part of it they are a floor
that speech does not rise above: with an offset of 0.1, or hum of -20 dB, two thirds of the speech were lost."""
_BAND = slice(HUM_HERTZ * FRAME // SAMPLE_RATE + 1, None)
_SHAPE = np.hanning(FRAME)


def level_of(frame: Pcm) -> float:
    """Level of a whole frame, dB full scale, without what lies under HUM_HERTZ."""
    spectrum = np.fft.rfft(frame * _SHAPE)[_BAND]
    return decibel(2 * float(np.sum(spectrum.real**2 + spectrum.imag**2)) / (FRAME * float(np.sum(_SHAPE**2))))


@cache
def _line_noise() -> Pcm:
    """Four seconds that go round without a seam: always the same, so that a recording gives the same events."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(125 * FRAME))
    hertz = np.fft.rfftfreq(125 * FRAME, 1 / SAMPLE_RATE)
    spectrum[(hertz < LINE_HERTZ[0]) | (hertz > LINE_HERTZ[1])] = 0
    noise = np.fft.irfft(spectrum, 125 * FRAME)
    return np.asarray(noise * 10 ** (LINE_DB / 20) / noise.std(), np.float32)


@dataclass(frozen=True, slots=True)
class Frame:
    """The verdict on 32 ms."""

    pcm: Pcm
    """512 samples; the last frame of a call may be shorter."""
    speech: float
    """0..1"""
    level_db: float
    """Above HUM_HERTZ."""


# From 1.29 on onnxruntime tells its maker of every process that loads it, and keeps a device id in the user's cache,
# unless this stands before its first import (github.com/microsoft/onnxruntime/pull/27379).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@cache
def _session() -> Any:
    """The network, loaded once for all channels; `run` is safe from several threads."""
    import onnxruntime

    spec = importlib.util.find_spec("faster_whisper")
    if spec is None or spec.origin is None:
        raise AudioError("vad-missing", "faster-whisper is not installed whole: reinstall the program.")
    path = Path(spec.origin).parent / "assets" / "silero_vad_v6.onnx"
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"], sess_options=options)
    except Exception as error:  # onnxruntime raises its own types, all derived from Exception only
        raise AudioError("vad-missing", f"{path.name} inside faster-whisper cannot be used: reinstall it.") from error


class VoiceActivity:
    """Frames of one channel with their probability of speech. Whole frames only, so chunk sizes change nothing."""

    def __init__(self) -> None:
        self._session = _session()
        self._rest: Pcm = np.zeros(0, np.float32)
        self._tones = ToneGate()
        self._noise = _line_noise()
        self._noise_at = 0
        self._since_silence = 0
        """Frames since the channel was last silent."""
        self._renew()

    def _renew(self) -> None:
        self._h: NDArray[np.float32] = np.zeros((1, 1, 128), np.float32)
        self._c: NDArray[np.float32] = np.zeros((1, 1, 128), np.float32)
        self._context: Pcm = np.zeros(CONTEXT, np.float32)
        self._same = 0
        self._speaking = False

    def push(self, pcm: Pcm) -> list[Frame]:
        """The frames that are complete with these samples."""
        self._rest = np.concatenate([self._rest, pcm])
        frames = []
        while len(self._rest) >= FRAME:
            frame, self._rest = self._rest[:FRAME], self._rest[FRAME:]
            frames.append(self._judge(frame))
        return frames

    def flush(self) -> list[Frame]:
        """The last incomplete frame, as silence."""
        rest, self._rest = self._rest, np.zeros(0, np.float32)
        return [Frame(rest, 0.0, -120.0)] if len(rest) else []

    def _judge(self, pcm: Pcm) -> Frame:
        tonal = self._tones.push(pcm)
        if np.ptp(pcm) == 0:  # muted, or a hole filled with zeros: no need to ask
            self._renew()
            self._since_silence = 0
            return Frame(pcm, 0.0, -120.0)
        level = decibel(float(np.mean(np.square(pcm, dtype=np.float64))))
        self._since_silence = 0 if level < QUIET_DB else self._since_silence + 1
        heard = pcm
        if self._since_silence < LINE_FRAMES:
            heard = pcm + self._noise[self._noise_at : self._noise_at + FRAME]
            self._noise_at = (self._noise_at + FRAME) % len(self._noise)
        feed = {"input": np.concatenate([self._context, heard])[None], "h": self._h, "c": self._c}
        probability, self._h, self._c = self._session.run(None, feed)
        self._context = heard[-CONTEXT:]
        speech = float(probability[0])
        speaking = speech >= (OFFSET if self._speaking else ONSET)
        self._same = self._same + 1 if speaking == self._speaking else 0
        self._speaking = speaking
        if self._same >= RESET_FRAMES:
            self._renew()
        return Frame(pcm, 0.0 if tonal or level < QUIET_DB else speech, level_of(pcm))


@dataclass(frozen=True, slots=True)
class Onset:
    """Speech began at this sample."""

    sample: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Speech ended at this sample."""

    sample: int


class Endpointer:
    """Onsets and endpoints: speech starts with 3 frames of 6 and ends after so long without any."""

    def __init__(self) -> None:
        self._floor: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self._silent = 0
        """Frames of digital silence in a row, outside speech."""
        self._recent: deque[int | None] = deque(maxlen=ONSET_WITHIN)
        """Where each of the last frames began, if it looked like speech."""
        self._at = 0
        self.speaking = False
        self.voiced = False
        """Whether the last frame was speech."""
        self.last_voiced = 0
        """The sample after the last frame of speech."""

    def push(self, frame: Frame, *, patience: int = ENDPOINT) -> Onset | Endpoint | None:
        """What this frame changes, if anything; speech ends after `patience` samples without any."""
        start, self._at = self._at, self._at + len(frame.pcm)
        if self.speaking:
            self.voiced = frame.speech >= OFFSET
            if self.voiced:
                self.last_voiced = self._at
            elif self._at - self.last_voiced >= patience:
                return self.end()
            return None
        self.voiced = False
        self._silent = self._silent + 1 if frame.level_db <= -120 else 0
        if self._silent >= SILENT_FRAMES:
            self._floor.clear()
        elif not self._silent and frame.speech < OFFSET:
            self._floor.append(frame.level_db)
        like = frame.speech >= ONSET and frame.level_db >= self._threshold()
        self._recent.append(start if like else None)
        first = [at for at in self._recent if at is not None]
        if not like or len(first) < ONSET_FRAMES:
            return None
        self._recent.clear()
        self.speaking = self.voiced = True
        self.last_voiced = self._at
        return Onset(first[0])

    def end(self) -> Endpoint | None:
        """Speech is over, whatever follows: an endpoint, or the call's end."""
        if not self.speaking:
            return None
        self.speaking = self.voiced = False
        return Endpoint(self.last_voiced)

    def _threshold(self) -> float:
        if len(self._floor) < FLOOR_NEEDS:
            return -120.0
        return float(np.percentile(self._floor, 10)) + ABOVE_FLOOR_DB
