"""What the benches play: a recording and, where they are known, the true words with their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from assist.errors import AssistError, first_problem
from assist.sound import DEMO_SOUND, whole
from audio.events import SAMPLE_RATE, Pcm, Speaker
from audio.scoring import SpokenWord

DEMO_WORDS = DEMO_SOUND.with_name("words.json")


class _Spoken(BaseModel):
    who: Speaker
    word: str
    start_ms: int
    end_ms: int


_WORDS = TypeAdapter(list[_Spoken])


@dataclass(frozen=True, slots=True)
class Material:
    """One recording, whole, in memory."""

    name: str
    sound: Mapping[Speaker, Pcm]
    words: tuple[SpokenWord, ...] | None
    """None where nobody knows what was said."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(len(pcm) for pcm in self.sound.values()) / SAMPLE_RATE


def load_material(
    recording: Path | None = None,
    reference: Path | None = None,
    *,
    agent_channel: int = 0,
    seconds: float | None = None,
) -> Material:
    """A recording (default: the sample call, whose words are known) or its first seconds.

    `reference` is JSON: a list of {"who": "agent" or "customer", "word", "start_ms", "end_ms"}.
    Raises AudioError for the recording; AssistError reference-invalid.
    """
    if recording is None:
        recording, reference = DEMO_SOUND, reference or DEMO_WORDS
    sound = whole(recording, agent_channel=agent_channel)
    words = None if reference is None else _words(reference)
    if seconds is not None:
        sound = {who: pcm[: int(seconds * SAMPLE_RATE)] for who, pcm in sound.items()}
        words = words and tuple(word for word in words if word.end_ms <= seconds * 1000)
    return Material(recording.name, sound, words)


def _words(path: Path) -> tuple[SpokenWord, ...]:
    shape = 'a JSON list of {"who": "agent" or "customer", "word": …, "start_ms": …, "end_ms": …}'
    try:
        found = _WORDS.validate_json(path.read_bytes())
    except OSError as error:
        raise AssistError("reference-invalid", f"{path}: {error.strerror or error}; expected {shape}.") from None
    except ValidationError as error:
        where, why = first_problem(error)
        raise AssistError("reference-invalid", f"{path}: {where or 'the file'}: {why}; expected {shape}.") from None
    if not found:
        raise AssistError("reference-invalid", f"{path} holds no word; expected {shape}.")
    spoken = [SpokenWord(each.who, each.word, each.start_ms, each.end_ms) for each in found]
    return tuple(sorted(spoken, key=lambda word: word.start_ms))
