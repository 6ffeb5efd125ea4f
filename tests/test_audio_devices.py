"""Two live devices, on a real sound server: a PulseAudio of the test's own, with null sinks and real players.

The customer is a 400 Hz tone played to the output, the agent a 1000 Hz tone fed to the microphone. Capturing runs in
a process of its own (PortAudio reads its environment once), and waits for what is heard, never for time to pass.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio import live, portaudio
from audio.alignment import MAX_LEAD_S
from audio.devices import Device, choose_devices, list_devices
from audio.errors import AudioError
from audio.events import Speaker
from audio.live import QUEUE_S, _DeviceStream
from audio.pulse import PulseServer, PulseUnreachable

ROOT = Path(__file__).parent.parent
QUIET_DB = -60.0

# ---------------------------------------------------------------------------- choosing


def device(index: int, name: str, **more) -> Device:
    settings = {"inputs": 1, "rate": 48000.0, "far_end": "monitor" in name, "pulse_source": name, **more}
    return Device(name, index, "PulseAudio", opens=listed(index, name), **settings)


def listed(index: int, name: str) -> portaudio.Input:
    return portaudio.Input(index, name, "any", 2, 44100.0, False)


DESK = (
    device(0, "headset.mono"),
    device(1, "webcam.mono", default=True),
    device(2, "headset.monitor", default=True),
    device(3, "speakers.monitor", about="Monitor of Built-in Audio"),
)


@pytest.mark.parametrize(
    ("agent", "customer", "expected"),
    [
        (None, None, (1, 2)),
        ("headset.mono", "built-in", (0, 3)),
        (" 0", "3", (0, 3)),
        ("WEBCAM", "speakers", (1, 3)),
    ],
)
def test_devices_are_chosen_by_name_part_number_or_default(agent, customer, expected) -> None:
    chosen = choose_devices(DESK, agent=agent, customer=customer)
    assert tuple(d.index for d in chosen) == expected


@pytest.mark.parametrize(
    ("devices", "agent", "customer", "code"),
    [
        (DESK, "nothing", None, "device-missing"),
        (DESK, "", None, "device-missing"),
        (DESK, " ", None, "device-missing"),
        (DESK, "²", None, "device-missing"),
        (DESK, "9", None, "device-missing"),
        (DESK, "headset.mon", None, "device-ambiguous"),
        (DESK, "0", "0", "device-same"),
        (DESK[:2], None, None, "device-no-far-end"),
        (DESK[2:], None, None, "device-missing"),
        ((), None, None, "device-missing"),
    ],
)
def test_a_choice_that_cannot_be_is_one_line(devices, agent, customer, code: str) -> None:
    with pytest.raises(AudioError) as caught:
        choose_devices(devices, agent=agent, customer=customer)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "far_end"),
    [
        ("alsa_output.usb-headset.monitor", True),
        ("BlackHole 2ch", True),
        ("Stereo Mix (Realtek(R) Audio)", True),
        ("CABLE Output (VB-Audio Virtual Cable)", True),
        ("customer_loop", True),
        ("MacBook Pro Microphone", False),
        ("Headset Microphone (Jabra)", False),
    ],
)
def test_far_ends_are_known_by_name(name: str, far_end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "inputs", lambda: (listed(4, name),))
    [found] = list_devices()
    assert (found.far_end, found.index, found.inputs) == (far_end, 4, 2)


@pytest.mark.parametrize(
    ("now", "number"),
    [
        (["microphone", "headset", "loop"], 1),
        (["headset", "loop"], 0),  # the microphone before it is gone
        (["loop", "microphone", "loop"], None),
        (["headset", "loop", "headset"], None),  # which of the two?
    ],
)
def test_a_device_is_opened_by_its_name_also_where_numbers_were_given_out_anew(
    now: list[str], number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portaudio, "inputs", lambda: tuple(listed(n, name) for n, name in enumerate(now)))
    if number is not None:
        assert portaudio.current_index(listed(1, "headset")) == number
    else:
        with pytest.raises(AudioError, match="no headset now: connect it again"):
            portaudio.current_index(listed(1, "headset"))


def test_a_queue_keeps_the_newest_and_counts_what_it_dropped() -> None:
    stream = _DeviceStream(Speaker.CUSTOMER, device(0, "line", rate=8000.0, pulse_source=""), PulseServer())
    for i in range(200):  # 4 s in blocks of 20 ms
        stream._on_block(np.full((160, 1), i, np.float32), 10.0 + i / 50)
    blocks = stream.take(99.0)
    assert [float(block.frames[0, 0]) for block in blocks] == list(range(100, 200))
    assert sum(len(block.frames) for block in blocks) == QUEUE_S * 8000
    assert [block.dropped for block in blocks] == [16000] + [0] * 99
    assert stream.take(99.0) == []


def test_only_what_had_arrived_before_the_question_is_taken() -> None:
    stream = _DeviceStream(Speaker.CUSTOMER, device(0, "line"), PulseServer())
    for i in range(10):
        stream._on_block(np.zeros((320, 1), np.float32), 10.0 + i)
    assert [block.at for block in stream.take(12.5)] == [10.0, 11.0, 12.0]
    assert len(stream.take(99.0)) == 7


class NoPulse:
    def own_streams(self) -> dict[int, str]:
        raise PulseUnreachable

    def close(self) -> None:
        pass


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list:
    """The streams that are opened instead of real ones."""
    streams: list[Stream] = []

    class Stream:
        def __init__(self, wanted: portaudio.Input, **settings: object) -> None:
            self.recording, self.closes = True, lambda: None
            streams.append(self)

        def close(self) -> None:
            self.closes()
            self.recording = False

    monkeypatch.setattr(live.portaudio, "InputStream", Stream)
    monkeypatch.setattr(live.portaudio, "restart_if_idle", lambda: None)
    monkeypatch.setattr(live, "PulseServer", NoPulse)
    return streams


def call_of_two_devices() -> live.LiveDevices:
    return live.LiveDevices(device(0, "microphone", pulse_source=""), device(1, "far end", pulse_source=""))


def test_no_device_records_after_the_call_ended_while_it_was_opened_again(
    opened: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, stream = call_of_two_devices(), live.portaudio.InputStream
    assert [stream.recording for stream in opened] == [True, True]

    def slowly(*arguments: object, **settings: object) -> object:
        asyncio.run(call.close())  # the call ends before the device is open again
        return stream(*arguments, **settings)

    monkeypatch.setattr(live.portaudio, "InputStream", slowly)
    assert call._try_reopen(call._streams[0])
    assert [stream.recording for stream in opened] == [False, False, False]


def test_no_device_records_for_a_call_that_was_refused(opened: list) -> None:
    call_of_two_devices()  # and nobody iterates
    assert [stream.recording for stream in opened] == [False, False]


def test_a_sound_server_that_hangs_holds_up_no_other_call(opened: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", 0.01)
    call, goes_on = call_of_two_devices(), threading.Event()
    opened[0].closes = goes_on.wait  # as PortAudio waits for a server that is stopped
    asyncio.run(call.close())
    assert [stream.recording for stream in opened] == [True, True]
    goes_on.set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_asking_in_vain_for_a_sound_server_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lost device is tried again every second, for as long as it takes."""
    monkeypatch.setenv("PULSE_SERVER", str(tmp_path / "nobody"))
    server, files = PulseServer(), []
    for _ in range(3):
        with pytest.raises(PulseUnreachable):
            server.own_streams()
        files.append(len(list(Path("/proc/self/fd").iterdir())))
    assert files[0] == files[1] == files[2]


def python(script: str, environment: dict[str, str], *arguments: str, timeout: float = 60) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env={**environment, "PYTHONPATH": os.pathsep.join([*environment.get("PYTHONPATH", "").split(), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_portaudio_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    script = (
        "from audio.devices import list_devices\nfrom audio.errors import AudioError\n"
        "try: list_devices()\nexcept AudioError as error: print(error.code, error)"
    )
    line = python(script, {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert line.startswith("portaudio-missing ")
    assert sys.platform != "linux" or "apt install libportaudio2" in line


def test_without_pulses_library_there_is_no_pulse_server(tmp_path: Path) -> None:
    (tmp_path / "pulsectl.py").write_text("raise OSError('libpulse.so.0: cannot open shared object file')")
    script = (
        "from audio.pulse import PulseServer, PulseUnreachable\n"
        "try: PulseServer().own_streams()\nexcept PulseUnreachable: print('none')"
    )
    assert python(script, {**os.environ, "PYTHONPATH": str(tmp_path)}) == "none\n"


def test_a_sound_system_that_lists_nothing_is_one_line() -> None:
    try:
        import sounddevice
    except OSError:
        pytest.skip("needs PortAudio")
    sounddevice._terminate()
    try:
        with pytest.raises(AudioError, match="lists no devices .* is it running"):
            portaudio.inputs()
    finally:
        sounddevice._initialize()


# ---------------------------------------------------------------------------- a real sound server


def missing() -> str:
    """Why the sound server cannot be tried here, or an empty line."""
    absent = [name for name in ("pulseaudio", "paplay", "pactl") if not shutil.which(name)]
    if absent:
        return f"needs {', '.join(absent)} (apt install pulseaudio pulseaudio-utils)"
    try:
        import sounddevice  # noqa: F401
    except OSError:
        return "needs PortAudio (apt install libportaudio2)"
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "needs ALSA's Pulse plugin (apt install libasound2-plugins)"
    return ""


REASON = missing()
needs_server = pytest.mark.skipif(bool(REASON), reason=REASON or "everything is there")


@dataclass
class Server:
    """A PulseAudio with a microphone (agent_mic) and an output (speaker)."""

    folder: Path
    played: Path
    environment: dict[str, str]

    def start(self) -> None:
        self.run(
            "pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1", "-L", "module-native-protocol-unix",
            "-L", "module-null-sink sink_name=agent_mic_feed rate=48000 channels=1",
            "-L", "module-null-sink sink_name=speaker rate=48000",
            "-L", "module-remap-source source_name=agent_mic master=agent_mic_feed.monitor",
        )  # fmt: skip

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what players play."""
    folder = tmp_path_factory.mktemp("played")
    for name, hz in (("customer", 400), ("agent", 1000)):
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(16000 * 120) / 16000)
        soundfile.write(folder / f"{name}.wav", tone, 16000)
    clicks = np.zeros(16000 * 60)
    for i in range(1, 60):
        clicks[i * 16000 : i * 16000 + 32] = 0.8
    soundfile.write(folder / "clicks.wav", clicks, 16000)
    return folder


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, played: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("p")  # short: a socket's path has at most 108 characters
    for name in ("run", "home"):
        (folder / name).mkdir(mode=0o700)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "PULSE_RUNTIME_PATH": str(folder / "run" / "pulse"),
        "LC_ALL": "C.UTF-8",
    }
    server = Server(folder, played, environment)
    server.start()
    yield server
    subprocess.run(["pulseaudio", "--kill"], env=environment, capture_output=True)


LISTEN = """
import asyncio, json, subprocess, sys
import numpy as np
from audio.live import open_devices
from audio.events import Chunk, Gap, Speaker, Trouble

folder, played = sys.argv[1:]
players, notes, sound = {}, [], {"agent": [], "customer": [], "another call's customer": []}

def play(name, sink):
    players[name] = subprocess.Popen(["paplay", f"--device={sink}", f"{played}/{name}.wav"])

def stop(name):
    players[name].kill()
    players.pop(name).wait()

def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

def hears(name, seconds=1.0):
    recent = sound[name][-round(seconds * 10):]
    return len(recent) == round(seconds * 10) and all(np.abs(pcm).max() > 0.05 for pcm in recent)

def said(code, cleared):
    return (code, cleared) in [(note[2], note[4]) for note in notes if note[0] == "trouble"]

def ms():
    return len(sound["agent"]) * 100

def stop_all():
    for name in list(players):
        stop(name)

async def another_call():
    async for arrival in open_devices("agent_mic", "speaker.monitor"):
        if isinstance(arrival, Chunk):
            sound["another call's customer"].append(arrival.channels[Speaker.CUSTOMER])

async def listen(steps, linger, two):
    "Each step is a generator that yields until it has heard what it waits for."
    live = open_devices("agent_mic", "speaker.monitor")
    other = asyncio.create_task(another_call()) if two else None
    while linger and not all(stream.queued_s >= 1.9 for stream in live._streams):
        await asyncio.sleep(0.02)
    async for arrival in live:
        if isinstance(arrival, Chunk):
            assert arrival.start_ms == ms(), "a seam in the clock"
            for speaker, pcm in arrival.channels.items():
                assert pcm.shape == (1600,) and pcm.dtype == np.float32
                sound[speaker.value].append(pcm)
            if next(steps, "done") == "done":
                await live.close()
        elif isinstance(arrival, Gap):
            notes.append(["gap", arrival.speaker, arrival.start_ms, arrival.end_ms])
        else:
            notes.append(["trouble", arrival.at_ms, arrival.code, arrival.text, arrival.cleared])

def go(steps, linger=False, two=False):
    try:
        asyncio.run(asyncio.wait_for(listen(steps, linger, two), 50))
    finally:
        stop_all()
    np.savez(f"{folder}/heard.npz", **{name: np.concatenate(pcm) for name, pcm in sound.items() if pcm})
    print(json.dumps({"notes": notes, "marks": marks_seen}))

marks_seen = {}
"""


def listen(server: Server, steps: str) -> tuple[dict[str, np.ndarray], list[list], dict[str, int]]:
    said = json.loads(
        python(LISTEN + steps, server.environment, str(server.folder), str(server.played)).splitlines()[-1]
    )
    with np.load(server.folder / "heard.npz") as heard:
        return dict(heard), said["notes"], said["marks"]


def level(pcm: np.ndarray, hz: float) -> float:
    """dB of one frequency, relative to full scale."""
    window = np.hanning(len(pcm))
    wave = np.exp(-2j * np.pi * hz * np.arange(len(pcm)) / 16000)
    return float(20 * np.log10(2 * abs(np.sum(pcm * window * wave)) / window.sum() + 1e-12))


def levels(pcm: np.ndarray, hz: float) -> list[float]:
    """One frequency's level in each 50 ms: short, because a stream may be moved by playing it 1 % faster."""
    return [level(pcm[i : i + 800], hz) for i in range(0, len(pcm) - 799, 400)]


def latest_clicks(pcm: np.ndarray) -> np.ndarray:
    """When the last four clicks began, in milliseconds."""
    loud = np.flatnonzero(np.abs(pcm) > 0.2)
    return loud[np.diff(loud, prepend=-9999) > 4000][-4:] / 16


def are_together(clicks: list[np.ndarray]) -> bool:
    """Whether four clicks of both parties began at the same time, to `MAX_LEAD_S`."""
    agent, customer = clicks
    return len(agent) == len(customer) == 4 and bool(np.abs(agent - customer).max() < MAX_LEAD_S * 1000)


def is_heard(pcm: np.ndarray, hz: float) -> bool:
    """At the level it is played, give or take 1 dB."""
    return bool(np.median(levels(pcm, hz)) == pytest.approx(-10.5, abs=1))


@needs_server
def test_devices_of_a_real_server_are_listed(server: Server) -> None:
    script = "import json; from audio.devices import list_devices; from dataclasses import asdict\n"
    script += "print(json.dumps([asdict(device) for device in list_devices()]))"
    devices = {entry["name"]: entry for entry in json.loads(python(script, server.environment))}
    assert devices["speaker.monitor"]["far_end"]
    assert devices["speaker.monitor"]["host_api"] == "PulseAudio"
    assert not devices["agent_mic"]["far_end"]
    assert len({entry["index"] for entry in devices.values()}) == len(devices)


@needs_server
def test_each_party_is_heard_in_its_own_channel_only(server: Server) -> None:
    heard, notes, marks = listen(
        server,
        """
def steps():
    play("customer", "speaker"); play("agent", "agent_mic_feed")
    while not (hears("agent", 2) and hears("customer", 2)): yield
    marks_seen["both"] = ms() - 2000
go(steps(), linger=True)
""",
    )  # the listener begins only when both queues are full: that is no trouble, the call begins then
    agent, customer = (heard[name][marks["both"] * 16 :] for name in ("agent", "customer"))
    assert is_heard(agent, 1000)
    assert is_heard(customer, 400)
    assert np.percentile(levels(agent, 400), 90) < QUIET_DB
    assert np.percentile(levels(customer, 1000), 90) < QUIET_DB
    assert [note for note in notes if note[0] == "trouble"] == []
    assert all(note[3] <= marks["both"] for note in notes), "a gap in steady sound"


@needs_server
def test_both_devices_are_on_one_clock(server: Server) -> None:
    """The microphone records what is played, so that clicks reach both devices at once: both channels have them at
    the same time. A stream that began with late blocks is moved, which takes some seconds."""
    server.run("pactl", "unload-module", "module-remap-source")
    server.run("pactl", "load-module", "module-remap-source", "source_name=agent_mic", "master=speaker.monitor")
    heard, _, _ = listen(
        server,
        """
from tests.test_audio_devices import are_together, latest_clicks

def steps():
    play("clicks", "speaker")
    while not are_together([latest_clicks(np.concatenate(sound[name])) for name in ("agent", "customer")]): yield
go(steps())
""",
    )
    assert are_together([latest_clicks(heard[name]) for name in ("agent", "customer")])


@needs_server
def test_a_headset_unplugged_never_puts_the_agent_into_the_customers_channel(server: Server) -> None:
    """The output vanishes: the server moves our stream to the microphone and says nothing. Then it comes back."""
    heard, notes, marks = listen(
        server,
        """
def steps():
    play("customer", "speaker"); play("agent", "agent_mic_feed")
    while not (hears("agent") and hears("customer")): yield
    stop("customer")
    run("sh", "-c", "pactl unload-module $(pactl list short modules | grep sink_name=speaker | cut -f1)")
    marks_seen["unplugged"] = ms()
    while not (said("audio-swapped", False) or said("audio-lost", False)): yield
    marks_seen["told"] = ms()
    while ms() < marks_seen["told"] + 2000: yield
    run("pactl", "load-module", "module-null-sink", "sink_name=speaker", "rate=48000")
    marks_seen["plugged"] = ms()
    play("customer", "speaker")
    while not (hears("customer") and (said("audio-swapped", True) or said("audio-lost", True))): yield
    marks_seen["back"] = ms()
go(steps())
""",
    )
    customer, agent = heard["customer"], heard["agent"]
    # In any 50 ms of the whole call. One block of the agent's would be -25 dB; the customer's own tone, cut off in
    # the middle of a wave, is -49 dB here.
    assert max(levels(customer, 1000)) < -40
    silent = customer[marks["told"] * 16 : marks["plugged"] * 16]
    assert not np.any(silent)
    assert np.percentile(levels(agent[marks["told"] * 16 : marks["plugged"] * 16], 1000), 10) > -14  # throughout
    assert is_heard(customer[marks["back"] * 16 - 12800 :], 400)
    assert any(note[0] == "gap" and note[1] == "customer" and note[3] > marks["told"] for note in notes)
    codes = {(note[2], note[4]) for note in notes if note[0] == "trouble"}
    assert ("audio-swapped", False) in codes
    assert codes == {(code, cleared) for code, _ in codes for cleared in (False, True)}, "each trouble ends"


@needs_server
def test_a_sound_server_that_dies_is_found_again_by_every_call(server: Server) -> None:
    heard, notes, marks = listen(
        server,
        """
def steps():
    play("customer", "speaker"); play("agent", "agent_mic_feed")
    while not all(map(hears, sound)): yield
    run("pulseaudio", "--kill")
    marks_seen["killed"] = ms()
    while not said("audio-lost", False): yield
    marks_seen["told"] = ms()
    stop_all()
    run(
        "pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1", "-L", "module-native-protocol-unix",
        "-L", "module-null-sink sink_name=agent_mic_feed rate=48000 channels=1",
        "-L", "module-null-sink sink_name=speaker rate=48000",
        "-L", "module-remap-source source_name=agent_mic master=agent_mic_feed.monitor",
    )
    play("customer", "speaker"); play("agent", "agent_mic_feed")
    while not (all(map(hears, sound)) and said("audio-lost", True)): yield
go(steps(), two=True)
""",
    )
    assert marks["told"] - marks["killed"] <= 2500
    for name, own, other in (("agent", 1000, 400), ("customer", 400, 1000), ("another call's customer", 400, 1000)):
        assert is_heard(heard[name][-12800:], own)
        assert np.median(levels(heard[name][-12800:], other)) < QUIET_DB
    for speaker in ("agent", "customer"):
        assert any(note[0] == "gap" and note[1] == speaker and note[3] > marks["killed"] for note in notes)


@needs_server
def test_a_program_that_runs_longer_than_the_sound_server_finds_its_devices(server: Server) -> None:
    script = """
import os
from audio import portaudio
from audio.live import open_devices
os.environ["PULSE_SERVER"] = "/nobody"
print([entry.name for entry in portaudio.inputs()])
del os.environ["PULSE_SERVER"]
print(open_devices("agent_mic", "speaker.monitor").name)
"""
    before, after = python(script, server.environment).splitlines()
    assert "pulse" not in before and after == "agent_mic + speaker.monitor"


@needs_server
def test_a_device_that_is_not_there_is_one_line(server: Server) -> None:
    script = """
from audio.live import open_devices
from audio.errors import AudioError
for agent, customer in (("agent_mic", "nothing"), ("agent_mic", "agent_mic"), ("agent_mic", "pulse")):
    try:
        open_devices(agent, customer)
    except AudioError as error:
        print(error.code)
"""
    server.run("pactl", "set-default-source", "agent_mic")
    assert python(script, server.environment).split() == ["device-missing", "device-same", "device-same"]
