"""Speaks script.toml as a two-channel call: call.ogg (agent left), with true times in lines.json, words.json.

Run it only to remake the sound: `python assist/demo/make_demo_call.py`. It needs the programs flite (its voices slt and
rms; a BSD-like licence, Carnegie Mellon University) and sox. The product itself needs neither.
A raised voice is made as louder (up to 10 dB), higher (up to 4 semitones) and brighter (up to 6 dB above 1.5 kHz).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

HERE = Path(__file__).parent
RATE = 16_000
VOICES = {"agent": "slt", "customer": "rms"}
LEVEL_DB = -28.0
"""RMS of a calm line, dB relative to full scale."""
NOISE_DB = -65.0
"""RMS of the line noise, dB relative to full scale."""
TAIL = 1.5
"""Seconds of silence at the end."""


def spoken(text: str, voice: str, raised: float) -> tuple[NDArray[np.float32], float]:
    """One line as 16 kHz samples at its level, without silence around it, and the seconds trimmed off its beginning.

    `raised` goes from 0 (calm) to 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, shaped, led = (Path(folder, name) for name in ("plain.wav", "shaped.wav", "led.wav"))
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", plain], check=True)
        shape = ["pitch", f"{400 * raised:.0f}", "treble", f"{6 * raised:.1f}", "1500"] if raised else []
        trim = "silence 1 0.02 0.5%".split()
        for out, cut in ((led, trim), (shaped, [*trim, "reverse", *trim, "reverse"])):
            subprocess.run(
                ["sox", "-R", plain, "-r", str(RATE), "-b", "16", out, "gain", "-12", *shape, *cut], check=True
            )
        sound, _ = soundfile.read(shaped, dtype="float32")
        lead = soundfile.info(plain).duration - soundfile.info(led).duration
    loudness = 10 ** ((LEVEL_DB + 10 * raised) / 20)
    return np.asarray(np.clip(sound * loudness / np.sqrt(np.mean(sound**2)), -0.98, 0.98), np.float32), lead


def word_times(text: str, voice: str, lead: float, length: int) -> list[tuple[str, int, int]]:
    """Each word of a line with its beginning and end, ms from the line's first of `length` samples.

    From the phone times flite prints, less the `lead` seconds trimmed off; a word has as many phones in a line as when
    it is spoken alone.
    """
    phones = _phones(text, voice)
    spans = [
        (before - lead, end - lead)
        for (_, before), (name, end) in zip([("", 0.0), *phones], phones, strict=False)
        if name != "pau"
    ]
    words, at = [], 0
    for word in text.split():
        count = sum(name != "pau" for name, _ in _phones(word.strip(",.?!"), voice))
        begin, end = spans[min(at, len(spans) - 1)][0], spans[min(at + count, len(spans)) - 1][1]
        inside = [round(1000 * min(max(0.0, moment), length / RATE)) for moment in (begin, end)]
        words.append((word, inside[0], inside[1]))
        at += count
    if at != len(spans):
        raise SystemExit(f"{text}: its words have {at} phones when spoken alone, {len(spans)} together")
    return words


@cache
def _phones(text: str, voice: str) -> list[tuple[str, float]]:
    """(phone, its end in seconds) of a text spoken by flite."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(Path(folder, "x.wav"))]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [(item.rsplit(":", 1)[0], float(item.rsplit(":", 1)[1])) for item in out if ":" in item]


def main() -> None:
    """Write call.ogg, lines.json and words.json beside this file."""
    lines = tomllib.loads((HERE / "script.toml").read_text(encoding="utf-8"))["line"]
    placed, written, words, at = [], [], [], 0.0
    for line in lines:
        sound, lead = spoken(line["text"], VOICES[line["speaker"]], line.get("raised", 0.0))
        start = round((at + line["gap"]) * RATE)
        at = (start + len(sound)) / RATE
        placed.append((line["speaker"], start, sound))
        written.append(
            {
                "speaker": line["speaker"],
                "start_ms": start * 1000 // RATE,
                "end_ms": round(at * 1000),
                "raised": line.get("raised", 0.0),
                "text": line["text"],
            }
        )
        shift = start * 1000 // RATE
        words += [
            {"who": line["speaker"], "word": word, "start_ms": shift + begin, "end_ms": shift + end}
            for word, begin, end in word_times(line["text"], VOICES[line["speaker"]], lead, len(sound))
        ]
    noise = np.random.default_rng(1).standard_normal((round((at + TAIL) * RATE), 2))
    call = (noise * 10 ** (NOISE_DB / 20)).astype(np.float32)
    for speaker, start, sound in placed:
        call[start : start + len(sound), int(speaker == "customer")] += sound
    soundfile.write(HERE / "call.ogg", call, RATE, format="OGG", subtype="VORBIS")
    (HERE / "lines.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    (HERE / "words.json").write_text(json.dumps(words, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
