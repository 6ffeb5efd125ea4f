"""Recordings as call sources: formats, rates, channels, exact length, pacing, and every kind of bad file."""

from __future__ import annotations

import asyncio
import math
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.errors import AudioError
from audio.events import Chunk, Speaker, Trouble
from audio.recording import Recording, open_recording

CALLS = Path(__file__).parent.parent / ".." / "shared" / "data" / "calls"


def tone(hz: float, seconds: float, rate: int, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def stereo(rate: int, seconds: float = 3.0) -> np.ndarray:
    """Left 1000 Hz (agent), right 400 Hz (customer)."""
    return np.stack([tone(1000, seconds, rate), tone(400, seconds, rate)], axis=1)


def read(recording: Recording) -> list[object]:
    async def everything() -> list[object]:
        return [arrival async for arrival in recording]

    return asyncio.run(everything())


def sound(arrivals: list[object], speaker: Speaker) -> np.ndarray:
    return np.concatenate([a.channels[speaker] for a in arrivals if isinstance(a, Chunk)])


def troubles(arrivals: list[object]) -> list[tuple[str, bool]]:
    return [(a.code, a.cleared) for a in arrivals if isinstance(a, Trouble)]


def level_at(pcm: np.ndarray, hz: float) -> float:
    """dB of one frequency, relative to full scale."""
    middle = pcm[len(pcm) // 4 : -len(pcm) // 4].astype(np.float64)
    window = np.hanning(len(middle))
    wave = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / 16000)
    return float(20 * np.log10(2 * abs(np.sum(middle * window * wave)) / window.sum() + 1e-12))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("frames", [1, 333, 20_001, 131_072])
def test_length_is_exact_and_the_clock_has_no_seams(tmp_path: Path, rate: int, frames: int) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, np.resize(stereo(rate), (frames, 2)), rate)
    chunks = [a for a in read(open_recording(path, speed=math.inf)) if isinstance(a, Chunk)]
    assert sum(len(c.channels[Speaker.AGENT]) for c in chunks) == round(frames * 16000 / rate)
    assert [c.start_ms for c in chunks] == [100 * i for i in range(len(chunks))]
    assert all(len(c.channels[s]) == 1600 for c in chunks[:-1] for s in (Speaker.AGENT, Speaker.CUSTOMER))
    assert all(pcm.dtype == np.float32 and pcm.ndim == 1 for c in chunks for pcm in c.channels.values())


@pytest.mark.parametrize(
    ("name", "rate", "subtype", "leak_db"),
    [
        ("mulaw.wav", 8000, "ULAW", -45),  # quantisation noise of 8 bits, not leakage
        ("alaw.wav", 8000, "ALAW", -45),
        ("cd.wav", 44100, "PCM_16", -90),
        ("float.wav", 48000, "FLOAT", -110),
        ("call.flac", 8000, "PCM_16", -90),
        ("call.ogg", 44100, "VORBIS", -50),
        ("call.mp3", 44100, "MPEG_LAYER_III", -50),
    ],
)
@pytest.mark.parametrize("agent_channel", [0, 1])
def test_each_party_is_in_its_own_channel(
    tmp_path: Path, name: str, rate: int, subtype: str, leak_db: float, agent_channel: int
) -> None:
    path = tmp_path / name
    both = stereo(rate)
    soundfile.write(path, both if agent_channel == 0 else both[:, ::-1], rate, subtype=subtype)
    recording = open_recording(path, agent_channel=agent_channel, speed=math.inf)
    arrivals = read(recording)
    assert troubles(arrivals) == []
    assert set(recording.speakers) == {Speaker.AGENT, Speaker.CUSTOMER}
    assert recording.name == name
    assert recording.duration_ms == pytest.approx(3000, abs=60)
    agent, customer = sound(arrivals, Speaker.AGENT), sound(arrivals, Speaker.CUSTOMER)
    assert level_at(agent, 1000) == pytest.approx(20 * math.log10(0.3), abs=0.5)
    assert level_at(customer, 400) == pytest.approx(20 * math.log10(0.3), abs=0.5)
    assert level_at(agent, 400) < leak_db
    assert level_at(customer, 1000) < leak_db


def test_resampling_keeps_sound_in_its_place(tmp_path: Path) -> None:
    """A click at 1.5 s is at 1.5 s afterwards: the filter's delay is taken out."""
    path = tmp_path / "click.wav"
    frames = np.zeros((48000 * 2, 1), np.float32)
    frames[72_000] = 0.9
    soundfile.write(path, frames, 48000, subtype="FLOAT")
    heard = sound(read(open_recording(path, speed=math.inf)), Speaker.UNKNOWN)
    assert int(np.argmax(np.abs(heard))) == 24_000


def test_sound_at_16_khz_passes_untouched(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    frames = stereo(16000, 1.234)
    soundfile.write(path, frames, 16000, subtype="FLOAT")
    arrivals = read(open_recording(path, speed=math.inf))
    assert np.array_equal(sound(arrivals, Speaker.AGENT), frames[:, 0])
    assert np.array_equal(sound(arrivals, Speaker.CUSTOMER), frames[:, 1])


def test_mono_is_unknown_unless_said_and_never_measured_as_the_customer(tmp_path: Path) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, tone(400, 1, 8000), 8000)
    assert open_recording(path).speakers == (Speaker.UNKNOWN,)
    recording = open_recording(path, mono=Speaker.CUSTOMER, speed=math.inf)
    assert recording.speakers == (Speaker.CUSTOMER,)
    assert all(a.customer_audio() is None for a in read(recording) if isinstance(a, Chunk))


@pytest.mark.parametrize("subtype", ["PCM_16", "VORBIS"])
def test_two_copies_of_one_mix_are_not_two_parties(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / ("call.wav" if subtype == "PCM_16" else "call.ogg")
    mix = tone(400, 3, 16000) + tone(1000, 3, 16000)
    soundfile.write(path, np.stack([mix, mix], axis=1), 16000, subtype=subtype)
    arrivals = read(open_recording(path, speed=math.inf))
    assert troubles(arrivals) == [("audio-mixed", False)]
    assert set(next(a for a in arrivals if isinstance(a, Chunk)).channels) == {Speaker.UNKNOWN}


@pytest.mark.parametrize("right", [-1.0, 0.89, 0.4, -0.5])
def test_a_copy_that_is_upside_down_or_softer_is_no_second_party_either(tmp_path: Path, right: float) -> None:
    path = tmp_path / "call.wav"
    mix = tone(400, 3, 16000) + tone(1000, 3, 16000)
    soundfile.write(path, np.stack([mix, right * mix], axis=1), 16000, subtype="FLOAT")
    recording = open_recording(path, speed=math.inf)
    assert recording.speakers == (Speaker.UNKNOWN,)
    np.testing.assert_allclose(sound(read(recording), Speaker.UNKNOWN), mix, atol=1e-6)


def test_two_soft_parties_on_a_sound_card_with_an_offset_are_two(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, 0.01 * stereo(16000) + 0.1, 16000, subtype="FLOAT")
    assert open_recording(path).speakers == (Speaker.AGENT, Speaker.CUSTOMER)


def test_a_faint_copy_of_the_only_party_who_speaks_is_crosstalk(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    agent = tone(400, 3, 16000)
    soundfile.write(path, np.stack([agent, 0.1 * agent], axis=1), 16000, subtype="FLOAT")
    assert open_recording(path).speakers == (Speaker.AGENT, Speaker.CUSTOMER)


@pytest.mark.parametrize(("name", "rest_s"), [("call.wav", 60), ("call.wav", 180), ("call.flac", 180)])
def test_a_call_is_known_by_all_of_it_not_by_how_it_begins(tmp_path: Path, name: str, rest_s: int) -> None:
    path = tmp_path / name
    ringback, parties = tone(440, 31, 8000), stereo(8000, rest_s)
    soundfile.write(path, np.concatenate([np.stack([ringback, ringback], axis=1), parties]), 8000)
    assert open_recording(path).speakers == (Speaker.AGENT, Speaker.CUSTOMER)
    mix = parties.mean(axis=1)
    soundfile.write(path, np.concatenate([np.zeros((31 * 8000, 2)), np.stack([mix, mix], axis=1)]), 8000)
    assert open_recording(path).speakers == (Speaker.UNKNOWN,)


def test_crosstalk_of_6_db_still_is_two_parties(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    clean = stereo(16000)
    soundfile.write(path, clean + 0.5 * clean[:, ::-1], 16000)
    assert open_recording(path).speakers == (Speaker.AGENT, Speaker.CUSTOMER)


class HandClock:
    """Time moves only when someone sleeps, or works."""

    def __init__(self) -> None:
        self.time = 50.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.mark.parametrize(("speed", "expected"), [(1.0, 0.1), (2.0, 0.05)])
def test_real_time_is_paced_to_the_end_of_each_chunk(tmp_path: Path, speed: float, expected: float) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8000, 2.0), 8000)
    clock = HandClock()

    async def listen() -> list[float]:
        return [clock.time - 50 async for _ in open_recording(path, speed=speed, clock=clock)]

    assert asyncio.run(listen()) == pytest.approx([expected * (i + 1) for i in range(20)])


def test_a_slow_consumer_is_caught_up_with_and_nothing_drifts(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8000, 2.0), 8000)
    clock = HandClock()

    async def listen() -> list[float]:
        times = []
        async for _ in open_recording(path, clock=clock):
            times.append(clock.time - 50)
            clock.time += 0.03 if len(times) != 5 else 0.45
        return times

    times = asyncio.run(listen())
    assert times[4] == pytest.approx(0.5)
    assert times[5:8] == pytest.approx([0.95, 0.98, 1.01])  # late chunks at once
    assert times[-1] == pytest.approx(2.0)


def test_impossible_samples_become_silence_and_leave_no_trace_after(tmp_path: Path) -> None:
    path, twin = tmp_path / "nan.wav", tmp_path / "zero.wav"
    frames = stereo(8000, 12.0)
    zeroed = frames.copy()
    frames[8000:8010, 1] = [np.nan, np.inf, -np.inf, 1e30, np.nan, -1e9, 99, np.nan, np.inf, np.nan]
    zeroed[8000:8010, 1] = 0
    soundfile.write(path, frames, 8000, subtype="FLOAT")
    soundfile.write(twin, zeroed, 8000, subtype="FLOAT")
    arrivals, expected = read(open_recording(path, speed=math.inf)), read(open_recording(twin, speed=math.inf))
    assert troubles(arrivals) == [("audio-damaged", False), ("audio-damaged", True)]
    for speaker in (Speaker.AGENT, Speaker.CUSTOMER):
        assert np.array_equal(sound(arrivals, speaker), sound(expected, speaker))


@pytest.mark.parametrize("name", ["call.wav", "call.flac", "call.mp3"])
def test_half_a_file_is_used_and_reported(tmp_path: Path, name: str) -> None:
    whole, half = tmp_path / name, tmp_path / f"half-{name}"
    soundfile.write(whole, stereo(8000, 8.0) + np.random.default_rng(1).normal(0, 0.05, (64000, 2)), 8000)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    arrivals = read(open_recording(half, speed=math.inf))
    assert troubles(arrivals) == [("audio-cut-short", False)]
    assert len(sound(arrivals, Speaker.AGENT)) == pytest.approx(4 * 16000, rel=0.12)  # a FLAC frame is 0.5 s here


def noise(seconds: float, rate: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.05, (round(seconds * rate), 2)).astype(np.float32)


@pytest.mark.parametrize("id3", [b"", b"ID3\x04\0\0\0\0\x7f\x76" + bytes(16_374)])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_an_mp3_that_does_not_say_how_long_it_is_says_what_of_it_was_not_read(
    tmp_path: Path, rate: int, id3: bytes
) -> None:
    path = tmp_path / "call.mp3"
    soundfile.write(path, np.concatenate([noise(4, rate), 0.01 * noise(30, rate)]), rate, bitrate_mode="VARIABLE")
    whole = path.read_bytes()
    path.write_bytes(id3 + whole[whole.index(whole[:2], 4) :])  # without its first frame, which says how many follow
    recording = open_recording(path, speed=math.inf)
    arrivals = read(recording)
    read_s = len(sound(arrivals, Speaker.AGENT)) / 16_000
    [trouble] = [each for each in arrivals if isinstance(each, Trouble)]
    told = re.fullmatch(r"The last (\d+) s of call.mp3 were not read: .*Convert it.*", trouble.text)
    assert told and read_s < 32 and float(told[1]) == pytest.approx(34 - read_s, abs=0.7)
    assert troubles(read(recording.part(1.0, 3.0))) == []


@pytest.mark.parametrize("seconds", [10.0, 3.21])
def test_an_mp3_that_does_not_say_how_long_it_is_is_not_called_incomplete(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "call.mp3"
    soundfile.write(path, np.concatenate([np.zeros((8000, 2)), noise(seconds - 1, 8000)]), 8000)
    whole = path.read_bytes()
    path.write_bytes(whole[whole.index(whole[:2], 4) :])
    arrivals = read(open_recording(path, speed=math.inf))
    assert troubles(arrivals) == []
    assert len(sound(arrivals, Speaker.AGENT)) == pytest.approx(seconds * 16_000, abs=0.3 * 16_000)


def wav_that_says(path: Path, seconds: float, length: int) -> bytes:
    """A 16-bit stereo file at 8 kHz; its header says that the sound has so many bytes."""
    soundfile.write(path, noise(seconds, 8000), 8000)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = length.to_bytes(4, "little")
    return bytes(whole)


def test_sound_after_the_end_that_a_wav_header_gives_is_told_with_how_to_repair_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(wav_that_says(path, 10, 8_000))
    recording = open_recording(path, speed=math.inf)
    [trouble] = [each for each in read(recording) if isinstance(each, Trouble)]
    assert (trouble.code, trouble.at_ms) == ("audio-cut-short", 250)
    assert re.match(r"The last 10 s of call.wav were not read: .*Repair it \(sox", trouble.text)
    assert troubles(read(recording.part(0.0, 0.2))) == []


@pytest.mark.parametrize(
    "rest", [b"LIST" + (80_000).to_bytes(4, "little") + b"x" * 80_000, bytes(80_000), b"\x55" * 8_000]
)
@pytest.mark.parametrize("length", [64_000, 2**32 - 1])
def test_what_follows_the_sound_of_a_wav_file_is_none(tmp_path: Path, rest: bytes, length: int) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(wav_that_says(path, 2, length) + rest)
    assert troubles(read(open_recording(path, speed=math.inf))) == []


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_that_ends_in_the_middle_is_told(tmp_path: Path, subtype: str, share: float) -> None:
    path = tmp_path / "call.ogg"
    soundfile.write(path, noise(20, 16_000), 16_000, subtype=subtype)
    assert troubles(read(open_recording(path, speed=math.inf))) == []
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    recording = open_recording(path, speed=math.inf)
    assert troubles(read(recording)) == [("audio-cut-short", False)]
    assert troubles(read(recording.part(1.0, 2.0))) == []


@pytest.mark.parametrize("name", ["call.wav", "call.flac", "call.mp3", "call.ogg"])
def test_a_part_is_read_as_if_it_were_a_file_of_its_own(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, stereo(16_000, 4.0) + np.random.default_rng(1).normal(0, 0.05, (64_000, 2)), 16_000)
    recording = open_recording(path, speed=math.inf)
    part, rest = recording.part(1.25, 2.005), recording.part(3.5, None)
    whole = sound(read(recording), Speaker.CUSTOMER)
    arrivals = read(part)
    assert [chunk.start_ms for chunk in arrivals] == list(range(0, 800, 100)) and part.duration_ms == 755
    np.testing.assert_allclose(sound(arrivals, Speaker.CUSTOMER), whole[20_000:32_080], atol=1e-4)
    np.testing.assert_allclose(sound(read(rest), Speaker.CUSTOMER), whole[56_000:], atol=1e-4)
    assert troubles(read(recording.part(3.0, 99.0))) == [], "it ends with the file"
    with pytest.raises(AudioError, match=r"call\.\w+ has no sound at 4\.5 s: it ends before"):
        recording.part(4.5, None)


def test_a_part_of_a_file_that_is_only_read_forward_is_that_part(tmp_path: Path) -> None:
    """Call centres' recorders write GSM."""
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8_000, 4.0)[:, 0], 8_000, subtype="GSM610")
    recording = open_recording(path, speed=math.inf)
    assert not soundfile.SoundFile(path).seekable()
    part, whole = (sound(read(each), Speaker.UNKNOWN) for each in (recording.part(1.25, 2.0), recording))
    np.testing.assert_allclose(part[100:-100], whole[20_100:31_900], atol=1e-3)
    with pytest.raises(AudioError, match="it ends before"):
        recording.part(4.5, None)


@pytest.mark.parametrize("coder", ["flac", "wav", "mp3", "ogg"])
def test_a_file_saved_as_it_streamed_is_read_whole(tmp_path: Path, coder: str) -> None:
    """Its header has no length: the writer could not go back."""
    whole, streamed = tmp_path / "call.wav", tmp_path / f"streamed.{coder}"
    soundfile.write(whole, stereo(8000, 3.21), 8000)
    with streamed.open("wb") as file:
        piped = subprocess.run(
            f"ffmpeg -v error -i {whole} -f {coder} - | cat", shell=True, stdout=file, stderr=subprocess.PIPE
        )
    if piped.stderr:
        pytest.skip("needs ffmpeg to write a stream")
    arrivals = read(open_recording(streamed, speed=math.inf))
    assert troubles(arrivals) == []
    assert len(sound(arrivals, Speaker.AGENT)) == pytest.approx(3.21 * 16000, abs=16000 * 0.2)  # MP3 pads its ends
    if coder in ("flac", "wav"):
        assert len(sound(arrivals, Speaker.AGENT)) == 2 * round(3.21 * 8000)


def write_text(path: Path) -> None:
    path.write_text("Dear customer,\n" * 500)


def write_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(7).bytes(100_000))


def write_no_frames(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 2), np.float32), 8000, format="WAV")


def write_three_channels(path: Path) -> None:
    soundfile.write(path, np.zeros((800, 3), np.float32), 8000, format="WAV")


def write_odd_rate(path: Path) -> None:
    soundfile.write(path, np.zeros((800, 2), np.float32), 11, format="WAV")


def write_torn_head(path: Path) -> None:
    soundfile.write(path, stereo(8000), 8000, format="FLAC")
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda path: None, "audio-missing"),
        (lambda path: path.mkdir(), "audio-missing"),
        (lambda path: path.write_bytes(b""), "audio-empty"),
        (write_text, "audio-unreadable"),
        (write_noise, "audio-unreadable"),
        (write_no_frames, "audio-empty"),
        (write_three_channels, "audio-channels"),
        (write_odd_rate, "audio-unreadable"),
        (write_torn_head, "audio-unreadable"),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "mp3", "raw"])
def test_what_is_not_a_call_is_refused_in_one_line(tmp_path: Path, write, code: str, suffix: str) -> None:
    path = tmp_path / f"call.{suffix}"
    write(path)
    with pytest.raises(AudioError) as caught:
        open_recording(path)
    if suffix != "raw":  # a raw file has no header: never readable
        assert caught.value.code == code
    line = str(caught.value)
    assert str(path) in line
    assert "\n" not in line
    assert line.endswith(".")


def test_a_recording_whose_recorder_was_cut_off_says_how_to_repair_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8000), 8000)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = whole[4:8] = b"\0\0\0\0"
    path.write_bytes(bytes(whole))
    with pytest.raises(AudioError, match="cut off: repair it") as error:
        open_recording(path)
    assert error.value.code == "audio-empty"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_one_may_not_read(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8000), 8000)
    path.chmod(0)
    with pytest.raises(AudioError, match="may not be read"):
        open_recording(path)


@pytest.mark.parametrize("setting", [{"speed": 0.0}, {"speed": math.nan}, {"agent_channel": 2}])
def test_settings_that_make_no_sense(tmp_path: Path, setting: dict) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, stereo(8000), 8000)
    with pytest.raises(AudioError) as caught:
        open_recording(path, **setting)
    assert caught.value.code == "audio-setting"


@pytest.mark.skipif(not CALLS.exists(), reason="the tuning calls are not beside this checkout")
def test_vendors_demo_calls_are_read_whole() -> None:
    paths = sorted([*CALLS.rglob("*.flac"), *CALLS.rglob("*.mp3")])
    assert paths
    for path in paths:
        info = soundfile.info(path)
        if info.channels > 2:
            continue
        recording = open_recording(path, speed=math.inf)
        arrivals = read(recording)
        frames = sum(len(next(iter(a.channels.values()))) for a in arrivals if isinstance(a, Chunk))
        assert frames == pytest.approx(info.frames * 16000 / info.samplerate, abs=16000 * 0.1), path.name
        assert troubles(arrivals) in ([], [("audio-mixed", False)]), path.name
