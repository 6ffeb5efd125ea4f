"""A recorded call as a call source: WAV, FLAC, OGG, MP3 of any rate, in real time or faster.

The only importer of soundfile.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from audio.errors import AudioError
from audio.events import CHUNK, SAMPLE_RATE, Chunk, Pcm, Speaker, Trouble
from audio.file_length import mp3_samples, ogg_is_whole, wav_unread_s
from audio.resampling import Frames, Resampler, repaired
from audio.source import Arrival

EXPECTED = "expected a WAV, FLAC, OGG or MP3 file with one or two channels"
RATES = (4_000, 768_000)
"""Hz. Below, there is no intelligible speech; above, the header is damaged."""
MIN_PART_S = 0.05
"""Least length of a part: less is a mistake, and too short for words or voice measures."""
MAX_S = 1e9
"""No recording has a second from here up."""
BLOCK_MS = 500
"""Read at a time: memory stays the same for a call of any length."""
COMPARED_BLOCKS = 120
"""Blocks, spread over a stereo file, that are compared to see whether its channels differ at all: both may begin with
silence, or with the same ringback."""
SAME_CORRELATION = 0.998
"""Channels that correlate so far, either way up, hold the same sound: less than -30 dB is left when one is subtracted
from the other. Two parties with crosstalk of 6 dB correlate by 0.8; one channel copied into two by 1, also upside down
or softer on one side, and through OGG and MP3 of 32 to 128 kbit/s by more than this."""
MIN_POWER_RATIO = 10 ** (-12 / 10)
"""Least ratio of the channels' powers for them to count as the same. Below (-12 dB), the softer one holds crosstalk of
the only party who speaks."""
HEADER_BYTES = 10_000
"""More than any header without sound."""
DAMAGE_OVER_MS = 5_000
"""So long without impossible samples the damage is over."""
UNTOLD_S = 0.1
"""So little that is missing at the end is not told: a coder's padding."""
MIN_UNREAD_S = 1.0
"""... nor so little after the end that a WAV header gives: some programs write what is no chunk there."""
WAV = ("WAV", "WAVEX")
UNKNOWN_LENGTH = 2**60
"""libsndfile's count for a header without a length is near 2**63."""

SAME_CHANNELS = (
    "Both channels hold the same mixed sound: tone measures are off. Record one party per channel to have them."
)
PLACEHOLDER_BYTES = 0x7FFF_0000
"""A WAV header's length from here up is the placeholder of a program that could not go back to fill it in."""


class Clock(Protocol):
    """What pacing needs."""

    def now(self) -> float:
        """Seconds, monotonic."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this long."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after this long."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Recording:
    """A checked recording. Iterating reads it from its beginning, each time anew."""

    path: Path
    rate: int
    """Hz, of the file."""
    speakers: tuple[Speaker, ...]
    duration_ms: int | None
    """None where the file's header does not say (a stream saved as it came)."""
    speed: float
    """1 is real time, math.inf as fast as it is consumed."""
    clock: Clock
    same_channels: bool
    """A two-channel file with the same mixed sound in both: treated as mono."""
    first: int = 0
    """The frame of the file that it begins with."""
    last: int | None = None
    """... and the one that it ends before; None: with the file."""

    def part(self, start_s: float, end_s: float | None) -> Recording:
        """From one second to another (None: its end), on a clock of its own; what lies before is not read.

        Raises:
            AudioError: codes audio-part, audio-short: there is nothing at this second, or hardly anything.
        """
        if max(start_s, end_s or 0.0) > MAX_S:
            raise AudioError("audio-part", f"{self.path}: {start_s:g} to {end_s or start_s:g}: expected seconds of it.")
        first, last = round(start_s * self.rate), None if end_s is None else round(end_s * self.rate)
        with _open(self.path) as file:
            block = next(_blocks(file, first, last), None)
        if block is None:
            raise AudioError("audio-part", f"{self.path} has no sound at {start_s:g} s: it ends before.")
        if len(block) < MIN_PART_S * self.rate:
            short = f"{self.path} has only {len(block) / self.rate:.2g} s of sound at {start_s:g} s"
            raise AudioError("audio-short", f"{short}; expected at least {MIN_PART_S:g}: times are in seconds.")
        ends = [ms for ms in (self.duration_ms, None if end_s is None else round(end_s * 1000)) if ms is not None]
        duration_ms = min(ends) - round(start_s * 1000) if ends else None
        return replace(self, first=first, last=last, duration_ms=duration_ms)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        """The chunks, each no sooner than its last sample would have been spoken at this speed.

        Deadlines count from the start, so a slow consumer is caught up with, and no error adds up.
        """
        started = self.clock.now()
        for arrival in self._arrivals():
            if isinstance(arrival, Chunk) and math.isfinite(self.speed):
                wait = started + arrival.end_ms / 1000 / self.speed - self.clock.now()
                if wait > 0:
                    await self.clock.sleep(wait)
            else:
                await asyncio.sleep(0)
            yield arrival

    def _arrivals(self) -> Iterator[Arrival]:
        if self.same_channels:
            yield Trouble(0, "audio-mixed", SAME_CHANNELS)
        pending = np.zeros((0, len(self.speakers)), np.float32)
        at = 0
        for piece in self._resampled():
            if isinstance(piece, Trouble):
                yield piece
                continue
            pending = np.concatenate([pending, piece])
            while len(pending) >= CHUNK:
                yield self._chunk(at, pending[:CHUNK])
                pending = pending[CHUNK:]
                at += CHUNK
        if len(pending):
            yield self._chunk(at, pending)

    def _chunk(self, at: int, frames: Frames) -> Chunk:
        columns: list[Pcm] = [np.ascontiguousarray(frames[:, i]) for i in range(len(self.speakers))]
        return Chunk(at * 1000 // SAMPLE_RATE, dict(zip(self.speakers, columns, strict=True)))

    def _resampled(self) -> Iterator[Frames | Trouble]:
        """16 kHz frames, one column per speaker."""
        resampler = Resampler(self.rate, len(self.speakers))
        frames_read = 0
        damaged_at_ms: int | None = None
        with _open(self.path) as file:
            form, declared = file.format, self._declared_frames(file)
            for frames in _blocks(file, self.first, self.last):
                frames, bad = repaired(frames)
                at_ms = frames_read * 1000 // self.rate
                if bad and damaged_at_ms is None:
                    yield Trouble(at_ms, "audio-damaged", f"{self.name} holds impossible samples: silence instead.")
                if bad:
                    damaged_at_ms = at_ms
                elif damaged_at_ms is not None and at_ms - damaged_at_ms >= DAMAGE_OVER_MS:
                    yield Trouble(at_ms, "audio-damaged", f"{self.name}: samples are sound again.", cleared=True)
                    damaged_at_ms = None
                frames_read += len(frames)
                if self.same_channels:
                    frames = frames[:, :1]
                yield resampler.push(frames)
        yield resampler.finish()
        text = ""
        with contextlib.suppress(OSError):  # the file has gone meanwhile
            text = self._unread(form, frames_read, declared)
        if text:
            yield Trouble(frames_read * 1000 // self.rate, "audio-cut-short", text)

    def _unread(self, form: str, frames_read: int, declared: int | None) -> str:
        """What of the file was not read, and what to do; empty where all of it was.

        Args:
            form: libsndfile's name of the format.
            frames_read: of the file, or of this part of it.
            declared: how many it says it has; None where it does not say.
        """
        unread_s = ((declared or 0) - frames_read) / self.rate
        if form == "MP3" and (samples := mp3_samples(self.path)) is not None:
            unread_s = (min(samples, self.last or samples) - self.first - frames_read) / self.rate
            if unread_s > UNTOLD_S:
                lost = f"The last {unread_s:.0f} s of {self.name} were not read: it does not say how long it is"
                return f"{lost}. Convert it, and use that (ffmpeg -i IN.mp3 OUT.flac)."
        elif unread_s > UNTOLD_S:
            return f"{self.name} ends before its header says: the copy is incomplete; what is there was used."
        elif self.last is None and form == "OGG" and not ogg_is_whole(self.path):
            return f"{self.name} ends in the middle: the copy is incomplete; what is there was used."
        elif self.last is None and form in WAV and (unread_s := wav_unread_s(self.path)) > MIN_UNREAD_S:
            lost = f"The last {unread_s:.0f} s of {self.name} were not read: its header says that it ends before"
            return f"{lost}, as when a recorder was cut off. Repair it (sox --ignore-length IN.wav OUT.wav)."
        return ""

    def unread(self) -> str:
        """What of it cannot be read, as is told at its end when it is listened to; empty where all of it can."""
        with _open(self.path) as file:
            form, declared = file.format, self._declared_frames(file)
            frames_read = sum(map(len, _blocks(file, self.first, self.last)))
        return self._unread(form, frames_read, declared)

    def _declared_frames(self, file: soundfile.SoundFile) -> int | None:
        declared = _declared_frames(file)
        return None if declared is None else min(declared, self.last or declared) - self.first


def open_recording(
    path: str | Path,
    *,
    agent_channel: int = 0,
    mono: Speaker = Speaker.UNKNOWN,
    speed: float = 1.0,
    clock: Clock | None = None,
) -> Recording:
    """Check a recording and make it a call source.

    `agent_channel` says which channel of a two-channel file is the agent (0 left, 1 right), `mono` whose voice a
    one-channel file holds.
    Raises AudioError: audio-missing, audio-empty, audio-unreadable, audio-channels, audio-setting.
    """
    path = Path(path)
    if agent_channel not in (0, 1):
        raise AudioError("audio-setting", f"The agent's channel is {agent_channel}; expected 0 (left) or 1 (right).")
    if not speed > 0:
        raise AudioError("audio-setting", f"The speed is {speed}; expected a number above 0, such as 1, or max.")
    _check_file(path)
    with _open(path) as file:
        rate, channels, frames = file.samplerate, file.channels, file.frames
    if channels > 2:
        raise AudioError(
            "audio-channels",
            f"{path} has {channels} channels; expected one, or two with one party each. Export one per party.",
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            "audio-unreadable",
            f"{path} says it has {rate} samples a second; expected {RATES[0]} to {RATES[1]}. Export it again as WAV.",
        )
    with _open(path) as file:
        if next(_blocks(file), None) is None:
            if (size := path.stat().st_size) > HEADER_BYTES:
                raise AudioError(
                    "audio-empty",
                    f"The header of {path} says that there is no sound in its {size} bytes, as when a recorder was cut "
                    "off: repair it (sox --ignore-length IN.wav OUT.wav), or export it again.",
                )
            raise AudioError("audio-empty", f"{path} holds no sound that can be read; {EXPECTED}.")
    same = channels == 2 and _same_channels(path)
    if channels == 1 or same:
        speakers: tuple[Speaker, ...] = (Speaker.UNKNOWN if same else mono,)
    elif agent_channel == 0:
        speakers = (Speaker.AGENT, Speaker.CUSTOMER)
    else:
        speakers = (Speaker.CUSTOMER, Speaker.AGENT)
    duration_ms = frames * 1000 // rate if frames < UNKNOWN_LENGTH else None
    return Recording(path, rate, speakers, duration_ms, speed, clock or RealClock(), same)


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise AudioError("audio-missing", f"There is no file {path}; {EXPECTED}.")
        if not path.is_file():
            raise AudioError("audio-missing", f"{path} is not a file; {EXPECTED}.")
        if path.stat().st_size == 0:
            raise AudioError("audio-empty", f"{path} is empty (0 bytes); {EXPECTED}.")
    except OSError as error:
        raise AudioError("audio-missing", f"{path} cannot be opened: {error.strerror or 'not allowed'}.") from None


def _open(path: Path) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        unknown = "it is no sound known here (ffmpeg -i IN OUT.wav converts most)"
        reason = unknown if _readable(path) else "it may not be read"
        raise AudioError("audio-unreadable", f"{path} cannot be used: {reason}; {EXPECTED}.") from None


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _blocks(file: soundfile.SoundFile, first: int = 0, last: int | None = None) -> Iterator[Frames]:
    """The file, or this part of it, in pieces up to its end, or up to where it breaks."""
    size = file.samplerate * BLOCK_MS // 1000
    whole = True
    if first and not file.seekable():  # as GSM, which is read from its beginning
        for _ in _blocks(file, 0, first):
            pass
    elif first:
        try:
            file.seek(first)
        except soundfile.SoundFileError:  # it ends before
            return
    while whole:
        if last is not None:
            size = min(size, last - first)
        block: Frames = np.full((size, file.channels), np.nan, np.float32)
        try:
            count = len(file.read(out=block))
        except soundfile.SoundFileError:
            # A FLAC without a length (saved as it streamed) fails at its end, a torn one at the tear, both only
            # after part of the block was decoded: keep that part.
            count = int(np.count_nonzero(~np.isnan(block).all(axis=1)))
            whole = False
        if not count:
            return
        yield block[:count]
        first += count


def _sampled_blocks(file: soundfile.SoundFile) -> Iterator[Frames]:
    """Blocks spread over the file, up to where it breaks; all of a short file, or of one whose length is not known."""
    size = file.samplerate * BLOCK_MS // 1000
    step = file.frames // (COMPARED_BLOCKS * size) * size if file.frames < UNKNOWN_LENGTH else 0
    if step <= size:
        yield from _blocks(file)
        return
    for number in range(COMPARED_BLOCKS):
        try:
            file.seek(number * step)
            yield file.read(size, dtype="float32")
        except soundfile.SoundFileError:
            return


def _same_channels(path: Path) -> bool:
    """Whether two channels hold the same sound: then neither is one party's alone."""
    products = np.zeros((2, 2))
    with _open(path) as file:
        for block in _sampled_blocks(file):
            both = repaired(block)[0].astype(np.float64)
            both -= both.mean(axis=0)  # what a sound card adds is the same on both
            products += both.T @ both
    left, right = products[0, 0], products[1, 1]
    is_same = products[0, 1] ** 2 > SAME_CORRELATION**2 * left * right
    return bool(is_same and min(left, right) > MIN_POWER_RATIO * max(left, right))


def _declared_frames(file: soundfile.SoundFile) -> int | None:
    """Frames that the header declares; None where it does not say.

    libsndfile corrects the count of a WAV file that is too short, and logs the declared one.
    """
    corrected = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if corrected:
        declared, there = int(corrected[1]), int(corrected[2])
        return file.frames * declared // there if there and declared < PLACEHOLDER_BYTES else None
    return file.frames if file.frames < UNKNOWN_LENGTH else None
