"""Streaming voice activity detection (VAD) of one channel: Silero VAD on 32 ms frames, then onset and endpoint rules.

The only importer of onnxruntime in this package. The network is the one inside faster-whisper (silero_vad_v6.onnx, MIT
licence): input 64 samples of context and 512 new ones at 16 kHz, output the probability of speech, with a recurrent
state per channel.
"""

from __future__ import annotations

import importlib.util
import os
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm
from audio.tones import ToneDetector

FRAME = 512
"""Samples per frame: 32 ms at 16 kHz, the network's input length."""
CONTEXT_SAMPLES = 64
"""The end of the previous frame, which the network takes as well."""
ONSET = 0.4
OFFSET = 0.2
"""Probabilities of speech with which speech begins and goes on (hysteresis). Below Silero's own 0.5 and 0.35, because
its scores are lower on telephone speech. On 20 synthetic sentences and 25 recorded
announcements through 8 kHz mu-law, onsets are at most 64 and 294 ms late (95th percentile; 178 and 326 with 0.5 and
0.35), and no sentence falls apart; of 460 s of recorded noise 3.7 % passes the network instead of 3.3 %."""
ONSET_FRAMES = 3
ONSET_WITHIN = 6
"""An onset needs 3 speech frames among 6: clicks and single DTMF edges are shorter."""
ENDPOINT_SILENCE = 400 * SAMPLE_RATE // 1000
"""Samples without speech (400 ms) after which an utterance is over."""
STATE_RESET_FRAMES = 30 * SAMPLE_RATE // FRAME
"""After 30 s without a change of its decision the recurrent state is reset: it can stick on steady noise."""
SILENCE_DB = -62.0
"""Below this level (RMS, dBFS) nothing is speech; mu-law's own idle noise is about -72 dBFS."""
COMFORT_NOISE_DB = -63.0
COMFORT_NOISE_BAND_HZ = (300, 3400)
"""Comfort noise in the telephone band (RMS, dBFS) is added to the network's input where the channel is silent: the
network was not trained on telephone speech out of digital silence, and missed half of the words that are said alone.
Of 32 such words by four synthetic voices, mu-law, 60 of 128 are found without and 119 with it (chosen on these). On
sound it was not chosen on: six other synthetic voices 147 and 188 of 192, words cut from human speech (TESS) 30 and 43
of 43. Noise up to 8 kHz does harm."""
COMFORT_NOISE_FRAMES = SAMPLE_RATE // FRAME
"""It is added for so long (1 s) after silence; a channel that has noise of its own gets none."""
ABOVE_FLOOR_DB = 8.0
"""Speech begins this far above the channel's noise floor: Silero alone passes a near-silent channel."""
FLOOR_FRAMES = 10 * SAMPLE_RATE // FRAME
FLOOR_MIN_FRAMES = 3 * SAMPLE_RATE // FRAME
"""The noise floor is the 10th percentile of the levels of the last 10 s outside speech; unknown before 3 s."""
FLOOR_RESET_FRAMES = 10
"""After so much digital silence (0.3 s) a channel has no noise of its own: what was loud before was ringback or music,
and its floor is as unknown as when the call began."""
NOISE_END_DB, NOISE_END_FRAMES = 10.0, 3
"""So many frames in a row that far below the floor: hold music or another steady noise has ended, the floor is unknown
again, and the network, whose state is still that of the noise, begins anew. Seven recorded voices at -24 dBFS, 0.1 or
0.5 s after 20 s of music or hiss at -18 dBFS, have their first onset after at most 0.16 s instead of 2.6 to 8.9 s;
without the new beginning after 0.1 to 3.3 s."""


def power_to_db(power: float) -> float:
    """Mean square as dB relative to full scale; silence is -120."""
    return float(10 * np.log10(max(power, 1e-12)))


LEVEL_HIGH_PASS_HZ = 125
"""Lower frequencies do not count in a frame's level: a sound card's offset, mains hum, wind. With them the noise floor
is one that speech does not rise above: with an offset of 0.1, or hum of -20 dB, two thirds of the speech were lost."""
_LEVEL_BINS = slice(LEVEL_HIGH_PASS_HZ * FRAME // SAMPLE_RATE + 1, None)
_HANN = np.hanning(FRAME)


def frame_level_db(frame: Pcm) -> float:
    """Level of a whole frame above LEVEL_HIGH_PASS_HZ, dBFS."""
    spectrum = np.fft.rfft(frame * _HANN)[_LEVEL_BINS]
    return power_to_db(2 * float(np.sum(spectrum.real**2 + spectrum.imag**2)) / (FRAME * float(np.sum(_HANN**2))))


@cache
def _comfort_noise() -> Pcm:
    """Four seconds of noise that loop without a seam; a fixed seed, so that a recording gives the same events."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(125 * FRAME))
    hertz = np.fft.rfftfreq(125 * FRAME, 1 / SAMPLE_RATE)
    spectrum[(hertz < COMFORT_NOISE_BAND_HZ[0]) | (hertz > COMFORT_NOISE_BAND_HZ[1])] = 0
    noise = np.fft.irfft(spectrum, 125 * FRAME)
    return np.asarray(noise * 10 ** (COMFORT_NOISE_DB / 20) / noise.std(), np.float32)


@dataclass(frozen=True, slots=True)
class Frame:
    """32 ms of one channel."""

    pcm: Pcm
    """512 samples; the last frame of a call may be shorter."""
    speech_probability: float
    """0..1; 0 where a tone or a low level rules speech out."""
    level_db: float
    """dBFS, above LEVEL_HIGH_PASS_HZ."""
    floor_db: float = -120.0
    """The channel's noise floor, dBFS; -120 where it is not known."""


class NoiseFloor:
    """The level of a channel's own noise, from the levels of its frames outside speech."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque()
        self._sorted: list[float] = []
        """The same levels by size."""
        self._low_frames = 0
        """Frames in a row that are far below the floor."""

    @property
    def level_db(self) -> float:
        """dBFS; -120 where it is not known."""
        return self._sorted[len(self._sorted) // 10] if len(self._sorted) >= FLOOR_MIN_FRAMES else -120.0

    def push(self, level_db: float, *, is_speech: bool) -> bool:
        """Take the level of the next frame; returns whether the noise has ended."""
        self._low_frames = self._low_frames + 1 if level_db < self.level_db - NOISE_END_DB else 0
        has_ended = self._low_frames >= NOISE_END_FRAMES
        if has_ended:
            self.clear()
        if not is_speech:
            self._levels.append(level_db)
            insort(self._sorted, level_db)
            if len(self._levels) > FLOOR_FRAMES:
                del self._sorted[bisect_left(self._sorted, self._levels.popleft())]
        return has_ended

    def clear(self) -> None:
        """The floor is not known any more."""
        self._levels.clear()
        self._sorted.clear()
        self._low_frames = 0


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


class VoiceActivityDetector:
    """The frames of one channel with their probability of speech; they do not depend on the sizes of chunks.

    Raises AudioError: vad-missing.
    """

    def __init__(self) -> None:
        self._session = _session()
        self._remainder: Pcm = np.zeros(0, np.float32)
        self._tones = ToneDetector()
        self._noise = _comfort_noise()
        self._noise_position = 0
        self._frames_since_silence = 0
        """Frames since the channel was last under SILENCE_DB."""
        self._floor = NoiseFloor()
        self._silent_frames = 0
        """Frames of digital silence in a row."""
        self._reset_state()

    def _reset_state(self) -> None:
        # Hidden and cell state of the network's LSTM.
        self._h: NDArray[np.float32] = np.zeros((1, 1, 128), np.float32)
        self._c: NDArray[np.float32] = np.zeros((1, 1, 128), np.float32)
        self._context: Pcm = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._unchanged_frames = 0
        self._speaking = False

    def push(self, pcm: Pcm) -> list[Frame]:
        """Take the next samples (any number); returns the frames that they complete."""
        self._remainder = np.concatenate([self._remainder, pcm])
        frames = []
        while len(self._remainder) >= FRAME:
            frame, self._remainder = self._remainder[:FRAME], self._remainder[FRAME:]
            frames.append(self._classify(frame))
        return frames

    def flush(self) -> list[Frame]:
        """The last, incomplete frame, which counts as silence."""
        remainder, self._remainder = self._remainder, np.zeros(0, np.float32)
        return [Frame(remainder, 0.0, -120.0)] if len(remainder) else []

    def _classify(self, pcm: Pcm) -> Frame:
        is_tone = self._tones.push(pcm)
        if np.ptp(pcm) == 0:  # muted, or a gap filled with zeros: the network is not needed
            self._reset_state()
            self._frames_since_silence = 0
            self._silent_frames += 1
            if self._silent_frames >= FLOOR_RESET_FRAMES:
                self._floor.clear()
            return Frame(pcm, 0.0, -120.0, self._floor.level_db)
        self._silent_frames = 0
        level = power_to_db(float(np.mean(np.square(pcm, dtype=np.float64))))
        self._frames_since_silence = 0 if level < SILENCE_DB else self._frames_since_silence + 1
        model_input = pcm
        if self._frames_since_silence < COMFORT_NOISE_FRAMES:
            model_input = pcm + self._noise[self._noise_position : self._noise_position + FRAME]
            self._noise_position = (self._noise_position + FRAME) % len(self._noise)
        inputs = {"input": np.concatenate([self._context, model_input])[None], "h": self._h, "c": self._c}
        probability, self._h, self._c = self._session.run(None, inputs)
        self._context = model_input[-CONTEXT_SAMPLES:]
        speech = float(probability[0])
        speaking = speech >= (OFFSET if self._speaking else ONSET)
        self._unchanged_frames = self._unchanged_frames + 1 if speaking == self._speaking else 0
        self._speaking = speaking
        if self._unchanged_frames >= STATE_RESET_FRAMES:
            self._reset_state()
        probability_of_speech = 0.0 if is_tone or level < SILENCE_DB else speech
        level_db = frame_level_db(pcm)
        if self._floor.push(level_db, is_speech=probability_of_speech >= OFFSET):
            self._reset_state()
        return Frame(pcm, probability_of_speech, level_db, self._floor.level_db)


@dataclass(frozen=True, slots=True)
class Onset:
    """Speech began at this sample."""

    sample: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Speech ended at this sample."""

    sample: int


class Endpointer:
    """Onsets and endpoints of one channel: speech starts with 3 frames of 6 and ends after enough silence."""

    def __init__(self) -> None:
        self._onset_candidates: deque[int | None] = deque(maxlen=ONSET_WITHIN)
        """First sample of each of the last frames that looked like speech; None for the others."""
        self._position = 0
        """Samples taken so far."""
        self.speaking = False
        self.frame_is_speech = False
        """Whether the last frame was speech."""
        self.speech_end = 0
        """The sample after the last frame of speech."""

    def push(self, frame: Frame, *, endpoint_silence: int = ENDPOINT_SILENCE) -> Onset | Endpoint | None:
        """Take the next frame; returns the onset or endpoint that it brings.

        Args:
            frame: of the channel.
            endpoint_silence: samples without speech after which speech has ended.
        """
        start, self._position = self._position, self._position + len(frame.pcm)
        if self.speaking:
            self.frame_is_speech = frame.speech_probability >= OFFSET
            if self.frame_is_speech:
                self.speech_end = self._position
            elif self._position - self.speech_end >= endpoint_silence:
                return self.end()
            return None
        self.frame_is_speech = False
        is_candidate = frame.speech_probability >= ONSET and frame.level_db >= frame.floor_db + ABOVE_FLOOR_DB
        self._onset_candidates.append(start if is_candidate else None)
        candidates = [at for at in self._onset_candidates if at is not None]
        if not is_candidate or len(candidates) < ONSET_FRAMES:
            return None
        self._onset_candidates.clear()
        self.speaking = self.frame_is_speech = True
        self.speech_end = self._position
        return Onset(candidates[0])

    def end(self) -> Endpoint | None:
        """End speech now; None where there was none."""
        if not self.speaking:
            return None
        self.speaking = self.frame_is_speech = False
        return Endpoint(self.speech_end)
