"""The sound devices of this machine: which there are, and which of them carry the far end (the customer)."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from audio import portaudio
from audio.errors import AudioError
from audio.pulse import PulseServer, PulseUnreachable

FAR_END = re.compile(
    r"monitor|loop|blackhole|soundflower|stereo ?mix|stereomix|what ?u ?hear|wave out mix"
    r"|cable output|vb-audio|voicemeeter|virtual audio cable",
    re.IGNORECASE,
)
"""Names under which the systems offer what is being played: PulseAudio and PipeWire monitors, macOS and Windows
virtual devices, Windows drivers' own mixes."""
NO_FAR_END = {
    "linux": "start PulseAudio or PipeWire and install ALSA's plugin for it (Debian, Ubuntu: sudo apt install "
    "libasound2-plugins); each output then has a monitor",
    "darwin": "install BlackHole 2ch and play the softphone through a Multi-Output Device that contains it",
    "win32": "enable Stereo Mix in the sound settings, or install VB-CABLE and play the softphone into it",
}


@dataclass(frozen=True, slots=True)
class Device:
    """Something to record from."""

    name: str
    """Chosen by this, by a part of it that no other device has, or by `index`."""
    index: int
    host_api: str
    """ALSA, PulseAudio, Core Audio, Windows WASAPI ..."""
    inputs: int
    """Channels."""
    rate: float
    """Hz, its own."""
    far_end: bool
    """It carries what is played: the customer."""
    opens: portaudio.Input
    """What PortAudio is asked to open."""
    default: bool = False
    """The system's default; a far end: of the default output."""
    about: str = ""
    """The system's description."""
    pulse_source: str = ""
    """The Pulse source to record from."""

    @property
    def open_rate(self) -> int:
        """Hz to record at: Pulse resamples by itself, for all others this program does it."""
        return 16_000 if self.pulse_source else int(self.rate)

    @property
    def open_channels(self) -> int:
        """Channels to record; more than one are mixed down."""
        return 1 if self.pulse_source else min(self.inputs, 2)


def list_devices() -> tuple[Device, ...]:
    """All devices that can be recorded from. Raises AudioError: portaudio-missing, device-failed."""
    listed = portaudio.inputs()
    devices = [
        Device(
            name=entry.name,
            index=entry.index,
            host_api=entry.host_api,
            inputs=entry.channels,
            rate=entry.rate,
            far_end=bool(FAR_END.search(entry.name)),
            opens=entry,
            default=entry.default,
        )
        for entry in listed
    ]
    plugin = next((entry for entry in listed if entry.name == "pulse"), None)
    if plugin is None:
        return tuple(devices)
    server = PulseServer()
    try:
        sources = server.sources()
    except PulseUnreachable:
        return tuple(devices)
    finally:
        server.close()
    first = max(entry.index for entry in listed) + 1
    return (
        *(
            Device(
                name=source.name,
                index=first + i,
                host_api="PulseAudio",
                inputs=source.channels,
                rate=float(source.rate),
                far_end=source.monitor or bool(FAR_END.search(source.name)),
                opens=plugin,
                default=source.default,
                about=source.description,
                pulse_source=source.name,
            )
            for i, source in enumerate(sources)
        ),
        *devices,
    )


def choose_devices(devices: tuple[Device, ...], *, agent: str | None, customer: str | None) -> tuple[Device, Device]:
    """The agent's and the customer's device, each by name, part of a name or number; None takes the likely one.

    Raises AudioError: device-missing, device-ambiguous, device-no-far-end, device-same.
    """
    microphone = _chosen(devices, agent, "microphone") if agent is not None else _likely(devices, far_end=False)
    if microphone is None:
        raise AudioError("device-missing", "No microphone was found: connect one and run `assist devices`.")
    far_end = _chosen(devices, customer, "far end") if customer is not None else _likely(devices, far_end=True)
    if far_end is None:
        fix = NO_FAR_END.get(sys.platform, "choose the device that carries it by name")
        raise AudioError(
            "device-no-far-end", f"No device carries the customer's voice: {fix}, then run `assist devices`."
        )
    if microphone == far_end:
        raise AudioError(
            "device-same",
            f"{far_end.name} was chosen for both parties: each needs a device of its own (`assist devices`).",
        )
    return microphone, far_end


def _chosen(devices: tuple[Device, ...], which: str, role: str) -> Device:
    wanted = which.strip().casefold()
    if wanted.isdecimal():
        found = [device for device in devices if device.index == int(wanted)]
    else:
        found = [device for device in devices if device.name.casefold() == wanted]
        found = found or [device for device in devices if wanted in f"{device.name} {device.about}".casefold()]
        pulse = [device for device in found if device.pulse_source]
        found = pulse if len(pulse) == 1 else found
    if not found or not wanted:
        raise AudioError("device-missing", f"There is no device {which!r} for the {role}: `assist devices` lists them.")
    if len(found) > 1:
        names = ", ".join(f"{device.index} {device.name}" for device in found[:4])
        raise AudioError("device-ambiguous", f"{which!r} fits several devices ({names}): choose the {role} by number.")
    return found[0]


def _likely(devices: tuple[Device, ...], *, far_end: bool) -> Device | None:
    fitting = [device for device in devices if device.far_end == far_end]
    # Pulse's own sources before ALSA's names, the default of each before the rest.
    fitting.sort(key=lambda device: (not device.pulse_source, not device.default))
    return fitting[0] if fitting else None
