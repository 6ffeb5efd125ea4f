"""Speaks script.toml as a two-channel call: call.ogg (agent left, customer right) and lines.json (true times).

Run it only to remake the sound: `python assist/demo/make_demo_call.py`. It needs the programs flite (its voices slt and
rms; a BSD-like licence, Carnegie Mellon University) and sox. The product itself needs neither.
A raised voice is made as louder (up to 10 dB), higher (up to 4 semitones) and brighter (up to 6 dB above 1.5 kHz).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import tomllib
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


def spoken(text: str, voice: str, raised: float) -> NDArray[np.float32]:
    """One line as 16 kHz samples at its level, without silence around it; raised from 0 (calm) to 1."""
    with tempfile.TemporaryDirectory() as folder:
        plain, shaped = Path(folder, "plain.wav"), Path(folder, "shaped.wav")
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", plain], check=True)
        shape = ["pitch", f"{400 * raised:.0f}", "treble", f"{6 * raised:.1f}", "1500"] if raised else []
        trim = "silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse".split()
        subprocess.run(
            ["sox", "-R", plain, "-r", str(RATE), "-b", "16", shaped, "gain", "-12", *shape, *trim],
            check=True,
        )
        sound, _ = soundfile.read(shaped, dtype="float32")
    loudness = 10 ** ((LEVEL_DB + 10 * raised) / 20)
    return np.asarray(np.clip(sound * loudness / np.sqrt(np.mean(sound**2)), -0.98, 0.98), np.float32)


def main() -> None:
    """Write call.ogg and lines.json beside this file."""
    lines = tomllib.loads((HERE / "script.toml").read_text(encoding="utf-8"))["line"]
    placed, written, at = [], [], 0.0
    for line in lines:
        sound = spoken(line["text"], VOICES[line["speaker"]], line.get("raised", 0.0))
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
    noise = np.random.default_rng(1).standard_normal((round((at + TAIL) * RATE), 2))
    call = (noise * 10 ** (NOISE_DB / 20)).astype(np.float32)
    for speaker, start, sound in placed:
        call[start : start + len(sound), int(speaker == "customer")] += sound
    soundfile.write(HERE / "call.ogg", call, RATE, format="OGG", subtype="VORBIS")
    (HERE / "lines.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
