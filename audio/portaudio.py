"""Listing and recording inputs with PortAudio. The only importer of sounddevice, which starts PortAudio on import."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audio.errors import AudioError
from audio.resampling import Frames

BLOCK_S = 0.04
"""Seconds per block: far under the time a chunk waits for a late stream. With 20 ms, waking up costs 3.8 % of a core
for two devices instead of 2.4 %; sound is 12 ms old in the median when it goes out."""
INSTALL = {
    "linux": "install it (Debian, Ubuntu: sudo apt install libportaudio2 libasound2-plugins; "
    "Fedora: sudo dnf install portaudio alsa-plugins-pulseaudio).",
    "darwin": "install it (brew install portaudio).",
}

OnBlock = Callable[[Frames, float], None]
"""Called with (frames of shape (frames, channels), time.monotonic() at which they were complete)."""

_lock = threading.RLock()
"""PortAudio, and the environment it reads, are one for all calls: who lists, opens, closes or restarts is alone."""
_streams: set[InputStream] = set()
"""Open ones, of all calls. What is kept here is not collected while PortAudio's thread calls into it."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    rate: float
    """Hz, its own."""
    default: bool


def _library() -> Any:
    try:
        import sounddevice
    except OSError:
        fix = INSTALL.get(sys.platform, "reinstall the sounddevice package.")
        raise AudioError("portaudio-missing", f"Live calls need the PortAudio library: {fix}") from None
    return sounddevice


def inputs() -> tuple[Input, ...]:
    """All inputs. Raises AudioError: portaudio-missing; device-failed where the sound system does not answer."""
    sounddevice = _library()
    with _lock:
        try:
            host_apis, devices = sounddevice.query_hostapis(), sounddevice.query_devices()
        except sounddevice.PortAudioError as error:
            reason = str(error).splitlines()[0]
            text = f"The sound system lists no devices ({reason}): is it running? Then begin the call again."
            raise AudioError("device-failed", text) from None
        default = sounddevice.default.device[0]
    return tuple(
        Input(
            device["index"],
            device["name"],
            host_apis[device["hostapi"]]["name"],
            device["max_input_channels"],
            device["default_samplerate"],
            device["index"] == default,
        )
        for device in devices
        if device["max_input_channels"] > 0
    )


def current_index(device: Input) -> int:
    """Its index now: after a restart devices have other ones, perhaps that of the other party's device.

    Raises AudioError device-missing.
    """
    same_name = [entry.index for entry in inputs() if (entry.name, entry.host_api) == (device.name, device.host_api)]
    if device.index in same_name:
        return device.index
    if len(same_name) != 1:
        raise AudioError("device-missing", f"The sound system has no {device.name} now: connect it again.")
    return same_name[0]


class InputStream:
    """An input being recorded. Blocks come in PortAudio's own thread.

    Raises AudioError: device-missing; device-failed where it cannot be opened.
    """

    def __init__(self, device: Input, *, rate: int, channels: int, on_block: OnBlock, pulse_source: str = "") -> None:
        sounddevice = _library()

        def callback(frames: Frames, count: int, when: object, status: object) -> None:
            on_block(frames.copy(), time.monotonic())

        # ALSA's Pulse plugin has one device; which source it records from is said in the environment, which it reads
        # when a stream is opened. This is how one process records two sources without a file in the user's home.
        with _lock, _environment_variable("PULSE_SOURCE", pulse_source):
            stream = None
            try:
                stream = sounddevice.InputStream(
                    device=current_index(device),
                    samplerate=rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=round(rate * BLOCK_S),
                    callback=callback,
                )
                stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                if stream is not None:
                    stream.close(ignore_errors=True)
                reason = str(error).splitlines()[0]
                raise AudioError("device-failed", f"The device cannot be opened ({reason}): is it in use?") from None
            self._stream = stream
            _streams.add(self)

    @property
    def active(self) -> bool:
        """Whether it still records; False after the sound server died."""
        with _lock:
            return self in _streams and bool(self._stream.active)

    def close(self) -> None:
        """Stop recording at once."""
        sounddevice = _library()
        with _lock:
            if self not in _streams:
                return
            _streams.remove(self)
            with contextlib.suppress(sounddevice.PortAudioError):
                self._stream.abort(ignore_errors=True)
                self._stream.close(ignore_errors=True)


def restart_if_idle() -> None:
    """Start PortAudio anew, unless a call still records: it ends every stream of this program.

    The only way to a sound server that was restarted, or to a device that was plugged in.
    """
    sounddevice = _library()
    with _lock:
        if any(stream.active for stream in _streams):
            return
        for stream in tuple(_streams):
            stream.close()
        with contextlib.suppress(sounddevice.PortAudioError):
            sounddevice._terminate()
        with contextlib.suppress(sounddevice.PortAudioError):
            sounddevice._initialize()


@contextlib.contextmanager
def _environment_variable(name: str, value: str) -> Any:
    before = os.environ.get(name)
    if value:
        os.environ[name] = value
    try:
        yield
    finally:
        if value and before is None:
            del os.environ[name]
        elif value and before is not None:
            os.environ[name] = before
