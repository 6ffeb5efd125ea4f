"""Recordings as files: `recordings/CALL.rec` in the data folder, encrypted under the call's own key.

A file is one header line that names its channels, then frames of one second: nonce, mu-law samples (16 kHz,
interleaved), tag. Every frame is encrypted with AES-256-GCM; call, header and frame number are its associated data. An
incomplete frame at the end, after a crash, is dropped. mu-law needs half the space of 16-bit samples (115 MB an hour
for two channels), keeps the bandwidth and is played by browsers; its quantisation noise is 38 dB below speech.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from assist.errors import AssistError
from assist.store.keys import ENCRYPTION_OVERHEAD_BYTES, Keyring
from assist.store.paths import keys_path

RATE = 16_000
"""Hz; also the samples of a frame."""
MU_LAW_SILENCE = 0xFF
"""The mu-law code of sample 0."""
FORMAT = "call-assist recording 1: "
WAVE_FORMAT_MULAW = 7

MuLaw = NDArray[np.uint8]
"""Shape (samples, channels), ITU-T G.711 mu-law, 16 kHz."""


def _decoding_table() -> NDArray[np.int16]:
    codes = ~np.arange(256, dtype=np.uint8)
    size = (((codes & 0x0F).astype(np.int32) << 3) + 0x84) << ((codes & 0x70) >> 4)
    return np.where(codes & 0x80, 0x84 - size, size - 0x84).astype(np.int16)


MU_LAW_TO_PCM = _decoding_table()
"""mu-law code -> 16-bit sample."""


def _encoding_table() -> NDArray[np.uint8]:
    order = np.argsort(MU_LAW_TO_PCM, kind="stable").astype(np.uint8)
    values = MU_LAW_TO_PCM[order].astype(np.float32)
    codes = order[np.searchsorted((values[1:] + values[:-1]) / 2, np.arange(-32768, 32768, dtype=np.float32))]
    codes[codes == 0x7F] = MU_LAW_SILENCE  # 0x7F is the code of -0
    return codes


_PCM_TO_MU_LAW = _encoding_table()
"""16-bit sample + 32768 -> the nearest code: a table, since this runs on the event loop for all sound of a call."""


def encode_mu_law(pcm: NDArray[np.float32]) -> MuLaw:
    """Encode float32 samples in [-1, 1], each as the nearest mu-law code; same shape."""
    return _PCM_TO_MU_LAW[np.rint(np.clip(pcm, -1, 1) * 32767).astype(np.int32) + 32768]


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """The stored recording of one call; only the seconds that are asked for are read and decrypted."""

    call: str
    path: Path
    keys: Keyring
    speakers: tuple[str, ...]
    frames: int
    """Number of complete frames, of one second each."""

    @property
    def size(self) -> int:
        """Size in bytes of the WAV file that `wav` returns (mu-law, one channel for each speaker)."""
        return len(self._wav_header()) + self.frames * RATE * len(self.speakers)

    def wav(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes `start` to `end` (exclusive) of the WAV file. A damaged second is silence.

        Raises:
            OSError: the recording has been removed.
        """
        end = self.size if end is None else min(end, self.size)
        head, second = self._wav_header(), RATE * len(self.speakers)
        first, last = max(0, start - len(head)) // second, -(-max(0, end - len(head)) // second)
        sound = self.samples(first, last).tobytes()
        begin = len(head) + first * second
        return head[start:end] + sound[max(0, start - begin) : max(0, end - begin)]

    def samples(self, first: int = 0, last: int | None = None) -> MuLaw:
        """The seconds `first` to `last` (exclusive), shape (samples, channels). A damaged second is silence."""
        last = self.frames if last is None else min(last, self.frames)
        header = _header(self.speakers)
        size, associated_data = _frame_bytes(self.speakers), _associated_data(self.call, header)
        out = np.full((max(0, last - first), RATE, len(self.speakers)), MU_LAW_SILENCE, np.uint8)
        with open(self.path, "rb") as file:
            file.seek(len(header) + first * size)
            for n, frame in enumerate(out, first):
                plain = self.keys.decrypt(self.call, file.read(size), associated_data + str(n).encode())
                if plain is not None:
                    frame[:] = np.frombuffer(plain, np.uint8).reshape(frame.shape)
        return out.reshape(-1, len(self.speakers))

    def peaks(self, duration_ms: int, max_peaks: int = 1000) -> dict[str, list[float]]:
        """Speaker -> peak level 0..1 of each of at most `max_peaks` equal parts of the call."""
        length = min(duration_ms * RATE // 1000, self.frames * RATE)
        step = max(1, -(-length // max_peaks))
        found = np.zeros((-(-length // step), len(self.speakers)), np.int32)
        for second in range(-(-length // RATE)):
            begin = second * RATE
            loud = np.abs(MU_LAW_TO_PCM[self.samples(second, second + 1)].astype(np.int32))[: length - begin]
            starts = np.unique(np.maximum(np.arange(begin // step, -(-(begin + len(loud)) // step)) * step - begin, 0))
            place = begin // step
            part = np.maximum.reduceat(loud, starts, axis=0)
            found[place : place + len(part)] = np.maximum(found[place : place + len(part)], part)
        return {who: [round(float(v) / 32768, 3) for v in found[:, n]] for n, who in enumerate(self.speakers)}

    def _wav_header(self) -> bytes:
        channels, samples = len(self.speakers), self.frames * RATE
        fmt = struct.pack("<HHIIHHH", WAVE_FORMAT_MULAW, channels, RATE, RATE * channels, channels, 8, 0)
        parts = ((b"fmt ", fmt), (b"fact", struct.pack("<I", samples)))
        body = b"WAVE" + b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts)
        body += b"data" + struct.pack("<I", samples * channels)
        return b"RIFF" + struct.pack("<I", len(body) + samples * channels) + body


class RecordingFile:
    """A recording that is being written; an existing one is continued after its last complete frame."""

    def __init__(self, path: Path, keys: Keyring, call: str, speakers: Sequence[str]) -> None:
        """Open it.

        Raises:
            OSError: it cannot be written.
            AssistError: code recording-other, where it exists with other channels.
        """
        self._keys, self._call = keys, call
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        header = _header(speakers)
        self._file: BinaryIO = open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b", buffering=0)  # noqa: SIM115
        found_header = self._file.read(len(header))
        if found_header not in (b"", header):
            self._file.close()
            raise AssistError("recording-other", f"{path} is a recording of other channels")
        self._associated_data = _associated_data(call, header)
        size = _frame_bytes(speakers)
        self.frames = max(0, path.stat().st_size - len(header)) // size
        """Number of complete frames."""
        if not found_header:
            self._file.write(header)
        self._file.truncate(len(header) + self.frames * size)
        self._file.seek(0, os.SEEK_END)

    def append(self, frame: MuLaw) -> None:
        """Encrypt and write the next frame, shape (RATE, channels). Raises OSError or AssistError where it cannot."""
        encrypted = self._keys.encrypt(self._call, frame.tobytes(), self._associated_data + str(self.frames).encode())
        if self._file.write(encrypted) != len(encrypted):
            raise OSError("the disk is full")
        self.frames += 1

    def close(self) -> None:
        """Flush it to disk and close it."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of an installation."""

    data: Path
    """Its data folder."""

    @property
    def keys(self) -> Keyring:
        """The keys; a new object each time, as an old one would remember destroyed keys."""
        return Keyring(keys_path(self.data))

    def path(self, call: str) -> Path:
        """Where the recording of a call is, if there is one."""
        return self.data / "recordings" / f"{call}.rec"

    def calls(self) -> list[str]:
        """Ids of the calls that have one."""
        return sorted(path.stem for path in (self.data / "recordings").glob("*.rec"))

    def remove(self, calls: Iterable[str]) -> None:
        """Delete the recordings of calls."""
        for call in calls:
            self.path(call).unlink(missing_ok=True)

    def open(self, call: str) -> StoredRecording | None:
        """The recording of a call; None where there is none, its key is gone or no second of it can be decrypted.

        Raises:
            AssistError: code keys-failed.
        """
        path = self.path(call)
        try:
            with open(path, "rb") as file:
                header = file.readline(200)
                if not header.startswith(FORMAT.encode()):
                    return None
                speakers = tuple(header.decode("ascii", "replace").removeprefix(FORMAT).strip().split(","))
                size, associated_data, keys = _frame_bytes(speakers), _associated_data(call, header), self.keys
                frames = (os.fstat(file.fileno()).st_size - len(header)) // size
                encrypted = (file.read(size) for _ in range(frames))
                is_readable = any(
                    keys.decrypt(call, each, associated_data + str(n).encode()) is not None
                    for n, each in enumerate(encrypted)
                )
        except (OSError, ValueError):  # ValueError: a name that no file can have, with a NUL in it
            return None
        return StoredRecording(call, path, keys, speakers, frames) if is_readable else None


def _header(speakers: Sequence[str]) -> bytes:
    return f"{FORMAT}{','.join(speakers)}\n".encode()


def _associated_data(call: str, header: bytes) -> bytes:
    return call.encode() + b"\n" + header


def _frame_bytes(speakers: Sequence[str]) -> int:
    return RATE * len(speakers) + ENCRYPTION_OVERHEAD_BYTES
