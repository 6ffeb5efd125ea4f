"""Makes tests/data/spoken-call.flac and its word times with flite (apt install flite): python tests/spoken_calls.py.

Stereo, 16 kHz: left the agent (voice rms), right the customer (voice slt). Word times come from flite's phone times; a
word has as many phones as when it is spoken alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
TURNS = [
    ("agent", "Thank you for calling, how can I help you?"),
    ("customer", "This is the third time I am calling about this."),
    ("agent", "I am sorry about that, let me check what I can do for you."),
    ("customer", "I want my money back or I will cancel my account."),
    ("agent", "Would you prefer a refund or a replacement?"),
    ("customer", "You people are useless."),
    ("customer", "Thank you, that works for me."),
]
VOICES = {"agent": "rms", "customer": "slt"}
PAUSE_S = 0.7


@cache
def flite(voice: str, text: str) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """Samples, and (phone, end in s)."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", file.name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        pcm, rate = soundfile.read(file.name, dtype="float32")
    assert rate == RATE
    phones = [(item.rsplit(":", 1)[0], float(item.rsplit(":", 1)[1])) for item in out if ":" in item]
    return pcm * (0.5 / np.abs(pcm).max()), phones


def spoken(voice: str, text: str) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Samples, and (word, start ms, end ms)."""
    pcm, phones = flite(voice, text)
    before, spans = 0.0, []
    for phone, end in phones:
        if phone != "pau":
            spans.append((before, end))
        before = end
    words, at = [], 0
    for word in text.split():
        count = _phones(word)
        words.append((word, round(spans[at][0] * 1000), round(spans[min(at + count, len(spans)) - 1][1] * 1000)))
        at = min(at + count, len(spans) - 1)
    return pcm, words


@cache
def _phones(word: str) -> int:
    return sum(phone != "pau" for phone, _ in flite("slt", word.strip(",.?"))[1])


def call(turns: list[tuple[str, str]], voices: dict[str, str] = VOICES) -> tuple[np.ndarray, list[dict]]:
    """Stereo samples of shape (n, 2), and the words with channel and times."""
    noise = np.random.default_rng(4)
    pieces, words, at = [], [], 0.5
    pieces.append(np.zeros((int(0.5 * RATE), 2), np.float32))
    for who, text in turns:
        pcm, spans = spoken(voices[who], text)
        piece = np.zeros((len(pcm) + int(PAUSE_S * RATE), 2), np.float32)
        piece[: len(pcm), int(who == "customer")] = pcm
        pieces.append(piece)
        shift = round(at * 1000)
        words += [{"who": who, "word": w, "start_ms": a + shift, "end_ms": b + shift} for w, a, b in spans]
        at += len(piece) / RATE
    sound = np.concatenate(pieces)
    return sound + noise.normal(0, 2e-4, sound.shape).astype(np.float32), words


if __name__ == "__main__":
    folder = Path(__file__).parent / "data"
    sound, words = call(TURNS)
    soundfile.write(folder / "spoken-call.flac", sound, RATE)
    (folder / "spoken-call.json").write_text(json.dumps(words, indent=0) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(sound) / RATE:.1f} s, {len(words)} words\n")
