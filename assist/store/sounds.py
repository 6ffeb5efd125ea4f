"""Kept recordings as files: `recordings/CALL.rec` in the data folder, each second sealed under the call's own key.

A file is one line that names its channels, then frames of one second: nonce, mu-law samples (16 kHz, interleaved), tag.
Every frame is sealed with AES-256-GCM and bound to its call and its place. What a crash leaves half written at the end
is dropped. mu-law needs half of 16-bit samples (115 MB an hour for two channels), keeps the band and is played by
browsers as it is; its steps are 38 dB under speech.
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
from assist.store.keys import SEAL_BYTES, Keyring
from assist.store.paths import keys_path

RATE = 16_000
"""Hz, and samples of a frame."""
SILENT = 0xFF
"""mu-law for 0."""
FORMAT = "call-assist recording 1: "
MU_LAW = 7
"""WAVE_FORMAT_MULAW."""

MuLaw = NDArray[np.uint8]
"""Shape (samples, channels), ITU-T G.711 mu-law, 16 kHz."""


def _table() -> NDArray[np.int16]:
    codes = ~np.arange(256, dtype=np.uint8)
    size = (((codes & 0x0F).astype(np.int32) << 3) + 0x84) << ((codes & 0x70) >> 4)
    return np.where(codes & 0x80, 0x84 - size, size - 0x84).astype(np.int16)


DECODED = _table()
"""Code -> 16-bit sample."""


def _codes() -> NDArray[np.uint8]:
    order = np.argsort(DECODED, kind="stable").astype(np.uint8)
    values = DECODED[order].astype(np.float32)
    codes = order[np.searchsorted((values[1:] + values[:-1]) / 2, np.arange(-32768, 32768, dtype=np.float32))]
    codes[codes == 0x7F] = SILENT  # the other zero
    return codes


_CODES = _codes()
"""16-bit sample + 32768 -> the nearest code: looked up, since this runs on the event loop for all sound of a call."""


def mu_law(pcm: NDArray[np.float32]) -> MuLaw:
    """Float32 sound in [-1, 1] as mu-law, each sample the nearest code; same shape."""
    return _CODES[np.rint(np.clip(pcm, -1, 1) * 32767).astype(np.int32) + 32768]


@dataclass(frozen=True, slots=True)
class KeptSound:
    """The kept sound of one call, opened second by second: no more is read and opened than is asked for."""

    call: str
    path: Path
    keys: Keyring
    speakers: tuple[str, ...]
    frames: int
    """Whole seconds in the file."""

    @property
    def size(self) -> int:
        """Bytes of the WAV file that `wav` gives (mu-law, one channel for each speaker)."""
        return len(self._head()) + self.frames * RATE * len(self.speakers)

    def wav(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes `start` to `end` (exclusive) of it. A damaged second is silence.

        Raises:
            OSError: the recording has been taken away meanwhile.
        """
        end = self.size if end is None else min(end, self.size)
        head, second = self._head(), RATE * len(self.speakers)
        first, last = max(0, start - len(head)) // second, -(-max(0, end - len(head)) // second)
        sound = self.samples(first, last).tobytes()
        begin = len(head) + first * second
        return head[start:end] + sound[max(0, start - begin) : max(0, end - begin)]

    def samples(self, first: int = 0, last: int | None = None) -> MuLaw:
        """The seconds `first` to `last` (exclusive), shape (samples, channels)."""
        last = self.frames if last is None else min(last, self.frames)
        line = _line(self.speakers)
        size, about = _frame_bytes(self.speakers), _about(self.call, line)
        out = np.full((max(0, last - first), RATE, len(self.speakers)), SILENT, np.uint8)
        with open(self.path, "rb") as file:
            file.seek(len(line) + first * size)
            for n, frame in enumerate(out, first):
                plain = self.keys.unlock(self.call, file.read(size), about + str(n).encode())
                if plain is not None:
                    frame[:] = np.frombuffer(plain, np.uint8).reshape(frame.shape)
        return out.reshape(-1, len(self.speakers))

    def peaks(self, duration_ms: int, most: int = 1000) -> dict[str, list[float]]:
        """Speaker -> loudest sample 0..1 of each of at most `most` equal stretches of the call."""
        length = min(duration_ms * RATE // 1000, self.frames * RATE)
        step = max(1, -(-length // most))
        found = np.zeros((-(-length // step), len(self.speakers)), np.int32)
        for second in range(-(-length // RATE)):
            begin = second * RATE
            loud = np.abs(DECODED[self.samples(second, second + 1)].astype(np.int32))[: length - begin]
            starts = np.unique(np.maximum(np.arange(begin // step, -(-(begin + len(loud)) // step)) * step - begin, 0))
            place = begin // step
            part = np.maximum.reduceat(loud, starts, axis=0)
            found[place : place + len(part)] = np.maximum(found[place : place + len(part)], part)
        return {who: [round(float(v) / 32768, 3) for v in found[:, n]] for n, who in enumerate(self.speakers)}

    def _head(self) -> bytes:
        channels, samples = len(self.speakers), self.frames * RATE
        form = struct.pack("<HHIIHHH", MU_LAW, channels, RATE, RATE * channels, channels, 8, 0)
        parts = ((b"fmt ", form), (b"fact", struct.pack("<I", samples)))
        body = b"WAVE" + b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts)
        body += b"data" + struct.pack("<I", samples * channels)
        return b"RIFF" + struct.pack("<I", len(body) + samples * channels) + body


class SoundFile:
    """One recording being written, frame by frame; goes on behind the last whole frame of one that was cut short."""

    def __init__(self, path: Path, keys: Keyring, call: str, speakers: Sequence[str]) -> None:
        """Open it.

        Raises:
            OSError: it cannot be written.
            AssistError: code recording-other, where it is there with other channels.
        """
        self._keys, self._call = keys, call
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = _line(speakers)
        self._file: BinaryIO = open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b", buffering=0)  # noqa: SIM115
        there = self._file.read(len(line))
        if there not in (b"", line):
            self._file.close()
            raise AssistError("recording-other", f"{path} is a recording of other channels")
        self._about = _about(call, line)
        size = _frame_bytes(speakers)
        self.frames = max(0, path.stat().st_size - len(line)) // size
        """How many there are."""
        if not there:
            self._file.write(line)
        self._file.truncate(len(line) + self.frames * size)
        self._file.seek(0, os.SEEK_END)

    def append(self, frame: MuLaw) -> None:
        """Seal and write the next second, shape (RATE, channels). OSError, AssistError where it cannot be."""
        sealed = self._keys.lock(self._call, frame.tobytes(), self._about + str(self.frames).encode())
        if self._file.write(sealed) != len(sealed):
            raise OSError("the disk is full")
        self.frames += 1

    def close(self) -> None:
        """Have it on disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()


@dataclass(frozen=True, slots=True)
class Recordings:
    """The kept recordings of an installation."""

    data: Path
    """Its data folder."""

    @property
    def keys(self) -> Keyring:
        """The keys, as they stand now: a key that was destroyed meanwhile is not remembered."""
        return Keyring(keys_path(self.data))

    def path(self, call: str) -> Path:
        """Where the recording of a call is, if there is one."""
        return self.data / "recordings" / f"{call}.rec"

    def calls(self) -> list[str]:
        """Calls that have one."""
        return sorted(path.stem for path in (self.data / "recordings").glob("*.rec"))

    def remove(self, calls: Iterable[str]) -> None:
        """Delete those of these calls."""
        for call in calls:
            self.path(call).unlink(missing_ok=True)

    def open(self, call: str) -> KeptSound | None:
        """The sound of a call; None where there is none, its key is gone or not one second of it can be opened.

        Raises:
            AssistError: code keys-failed.
        """
        path = self.path(call)
        try:
            with open(path, "rb") as file:
                line = file.readline(200)
                if not line.startswith(FORMAT.encode()):
                    return None
                speakers = tuple(line.decode("ascii", "replace").removeprefix(FORMAT).strip().split(","))
                size, about, keys = _frame_bytes(speakers), _about(call, line), self.keys
                frames = (os.fstat(file.fileno()).st_size - len(line)) // size
                sealed = (file.read(size) for _ in range(frames))
                whole = any(
                    keys.unlock(call, each, about + str(n).encode()) is not None for n, each in enumerate(sealed)
                )
        except (OSError, ValueError):  # ValueError: a name that no file can have, with a NUL in it
            return None
        return KeptSound(call, path, keys, speakers, frames) if whole else None


def _line(speakers: Sequence[str]) -> bytes:
    return f"{FORMAT}{','.join(speakers)}\n".encode()


def _about(call: str, line: bytes) -> bytes:
    return call.encode() + b"\n" + line


def _frame_bytes(speakers: Sequence[str]) -> int:
    return RATE * len(speakers) + SEAL_BYTES
