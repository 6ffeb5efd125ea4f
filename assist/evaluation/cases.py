"""Labelled material for `assist eval`: single utterances, whole calls, clips of audio.

Utterances are JSON lines `{"speaker", "text", "labels": [...]}`. Calls are JSON lines, one JSON object or a JSON list
of `{"call", "turns": [{"speaker", "text", "start", "end"?, "labels"?}], "escalates_at"?}`, times in seconds. `judged`
(of an utterance, a turn or a call) may list the signals somebody has looked for; without it these are the word signals
and whatever is labelled anywhere in the same material. Audio is a folder with a table (CSV or TSV with a header) of
`path`, `speaker`, `label`, optionally `signals` (ids of word signals, separated by spaces); of two channels the left
one is the agent's, and neither its words nor its voice are looked at.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from assist.errors import AssistError, first_problem
from audio.events import Speaker
from detectors.signals import SIGNAL_IDS

WORDS_PER_S = 2.7
"""Where a turn has no end: telephone talk runs at some 160 words a minute."""
AFTER_S = 5.0
"""A call ends so long after its last turn."""
DAY_S = 86_400
"""No call of a file is longer: its times are milliseconds, or those of a clock."""

_Kind = TypeVar("_Kind", bound=BaseModel)


def _known(labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for label in labels or ():
        if label not in SIGNAL_IDS:
            raise ValueError(f"{label!r} is not a signal; the signals are {', '.join(sorted(SIGNAL_IDS))}")
    return labels


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _no_slip(cls, value: Any) -> Any:
        """What is not known is left alone, but not what is nearly the name of something that is not given."""
        if isinstance(value, dict):
            absent = cls.model_fields.keys() - value.keys()
            for key in value.keys() - cls.model_fields.keys():
                for meant in get_close_matches(str(key), absent, 1, 0.8):
                    raise ValueError(f"{key!r} is not known; expected {meant!r}")
        return value


class Labelled(_Part):
    """Words somebody has labelled."""

    speaker: Literal["agent", "customer", "unknown"] = "customer"
    text: Annotated[str, Field(min_length=1)]
    labels: tuple[str, ...] = ()
    judged: tuple[str, ...] | None = None
    """Signals somebody has looked for here; None: the call's, else the word signals and all that is labelled at all."""
    unsure: tuple[str, ...] = ()
    """Signals on which good people disagree here: counted neither way."""

    _labels_known = field_validator("labels", "judged", "unsure")(_known)

    @property
    def who(self) -> Speaker:
        """Who said it."""
        return Speaker(self.speaker)


class Case(Labelled):
    """One utterance with what should be heard in it."""


class Turn(Labelled):
    """One turn of a labelled call; times in seconds since the call began."""

    start: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    end: Annotated[float | None, Field(allow_inf_nan=False)] = None

    @model_validator(mode="after")
    def _forward(self) -> Turn:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end}) must come after start ({self.start})")
        return self

    @property
    def start_ms(self) -> int:
        """When it begins."""
        return round(self.start * 1000)

    @property
    def end_ms(self) -> int:
        """When it ends: as labelled, or estimated from its words."""
        end = self.end if self.end is not None else self.start + max(len(self.text.split()) / WORDS_PER_S, 0.4)
        return round(end * 1000)


class LabelledCall(_Part):
    """A whole call, turn by turn."""

    call: str
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]
    escalates_at: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Seconds at which the first cue of the escalation is complete; None: the call stays calm."""
    judged: tuple[str, ...] | None = None
    """For turns that do not say it themselves."""

    _judged_known = field_validator("judged")(_known)

    @model_validator(mode="after")
    def _in_order(self) -> LabelledCall:
        starts = [turn.start for turn in self.turns]
        if starts != sorted(starts):
            raise ValueError("turns must be in order of start")
        ends = max(turn.end_ms for turn in self.turns) / 1000 + AFTER_S
        if self.escalates_at is not None and self.escalates_at > ends:
            raise ValueError(f"escalates_at ({self.escalates_at:g}) must not come after the call's end ({ends:g} s)")
        return self


class Clip(_Part):
    """One piece of labelled audio."""

    path: Path
    speaker: str = ""
    """Whose voice; any name: the tone measures need several clips of one speaker."""
    label: str = ""
    """raised, calm, anger, neutral ..."""
    signals: tuple[str, ...] | None = None
    """Word signals that should be heard in it; None: not labelled for words."""

    _signals_known = field_validator("signals")(_known)


def read_cases(path: Path) -> list[Case]:
    """Cases of a JSON-lines file, or of every `*.jsonl` in a folder.

    Raises:
        AssistError: code eval-input, naming file, line and what was expected.
    """
    if path.is_dir():
        return [case for file in sorted(path.glob("*.jsonl")) for case in read_cases(file)]
    return [_parsed(Case, value, path, line) for line, value in _json_lines(path)]


def read_calls(path: Path) -> list[LabelledCall]:
    """Calls of a JSON or JSON-lines file, or of every `*.json` and `*.jsonl` in a folder.

    Raises:
        AssistError: code eval-input, naming file, line and what was expected.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".json", ".jsonl"))
        if not files:
            raise _bad(path, None, "expected *.json or *.jsonl files with labelled calls")
        return [call for file in files for call in read_calls(file)]
    if path.suffix != ".jsonl":
        try:
            whole = json.loads(_text(path))
        except json.JSONDecodeError as error:
            if path.suffix == ".json":
                raise _bad(path, error.lineno, f"not valid JSON: {error.msg}") from None
        else:
            values = whole if isinstance(whole, list) else [whole]
            return [_call(value, path, number) for number, value in enumerate(values, 1)]
    return [_call(value, path, line) for line, value in _json_lines(path)]


def is_calls(path: Path) -> bool:
    """Whether a file, or a folder's first one, holds whole calls and not utterances: its first object has "turns"."""
    if path.is_dir():
        lines = sorted(path.glob("*.jsonl"))
        return not lines or any(path.glob("*.json")) or is_calls(lines[0])
    if path.suffix == ".json":
        return True
    return any("turns" in value for _, value in zip(range(1), (v for _, v in _json_lines(path)), strict=False))


def read_clips(folder: Path, table: Path) -> list[Clip]:
    """Clips named in a CSV or TSV table; paths are relative to the folder.

    Raises:
        AssistError: code eval-input, naming file, line and what was expected.
    """
    text = _text(table)
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=max("\t;,", key=first.count), skipinitialspace=True)
    rows.fieldnames = [name.strip().casefold() for name in rows.fieldnames or ()]
    missing = {"path", "speaker", "label"} - set(rows.fieldnames)
    if missing:
        raise _bad(table, 1, f"expected a header with path, speaker, label; missing: {', '.join(sorted(missing))}")
    try:
        listed = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise _bad(table, rows.line_num, f"not a table: {error}") from None
    clips = []
    for line, row in listed:
        values: dict[str, Any] = {key: value.strip() for key, value in row.items() if key and value is not None}
        if not any(values.values()):  # an empty row, as spreadsheets leave them
            continue
        if not values.get("path"):
            raise _bad(table, line, "expected the path of an audio file, relative to the folder")
        values["path"] = folder / values["path"]
        if not _is_file(values["path"]):
            raise _bad(table, line, f"no such audio file: {values['path']}")
        if values.get("label") and not values.get("speaker"):
            raise _bad(table, line, "expected a speaker beside the label: a voice is judged by its own normal")
        if "signals" in values:
            values["signals"] = tuple(values["signals"].split())
        clips.append(_parsed(Clip, values, table, line))
    return clips


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file can have, as a quotation mark that is never closed makes them
        return False


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise _bad(path, number, f"not valid JSON: {error.msg}") from None
        if not isinstance(value, dict):
            raise _bad(
                path, number, 'expected a JSON object such as {"speaker": "customer", "text": "...", "labels": []}'
            )
        yield number, value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _bad(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _bad(path, None, "expected UTF-8 text") from None


def _parsed(kind: type[_Kind], value: object, path: Path, line: int) -> _Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        where, why = first_problem(error)
        raise _bad(path, line, f"{where}: {why}" if where else why) from None


def _call(value: object, path: Path, line: int) -> LabelledCall:
    call = _parsed(LabelledCall, value, path, line)
    for number, turn in enumerate(call.turns):
        if turn.end_ms > DAY_S * 1000:
            latest = turn.start if turn.end is None else turn.end
            expected = f"expected seconds since the call began, at most {DAY_S} (a day), not {latest:g}"
            raise _bad(path, line, f"turns.{number}: {expected}")
    return call


def _bad(path: Path, line: int | None, expected: str) -> AssistError:
    place = f"{path}, line {line}" if line is not None else str(path)
    return AssistError("eval-input", f"{place}: {expected}")
