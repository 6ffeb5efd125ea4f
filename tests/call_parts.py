"""Parts of a recording, for tests that do not need all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write_parts(path: Path, recording: Path, *spans: tuple[float, float]) -> Path:
    """Write what the recording holds from one second to another, one such part after the other."""
    sound, rate = soundfile.read(recording, dtype="float32")
    soundfile.write(
        path, np.concatenate([sound[round(begin * rate) : round(end * rate)] for begin, end in spans]), rate
    )
    return path
