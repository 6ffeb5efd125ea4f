"""Labelled material for `assist eval`: single utterances, whole calls, clips of audio.

Utterances are `{"speaker", "text", "labels": [...]}`, calls `{"call"?, "turns": [{"speaker", "text", "start", "end"?,
"labels"?}], "escalates_at"?}`, times in seconds; both as JSON lines, or as JSON, one object or a list. Turns may also
be objects of their own, each with its `call`; these and utterances may be rows of a CSV or TSV table with a header.
`judged` (of an utterance, a turn or a call) may list the signals that somebody has looked for; without it these are the
word signals and whatever is labelled anywhere in the same material.
Audio is a folder with a table (CSV or TSV, or JSON as above) of `path`, `speaker`, `label`, optionally `signals` (ids
of word signals, separated by spaces), `start` and `end` (seconds, of a part of the file); of two channels the left one
is the agent's, and neither its words nor its voice are looked at.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from assist.errors import AssistError, first_problem
from audio.events import Speaker
from detectors.signals import SIGNAL_IDS

INVALID_JSON = "not valid JSON: nested too deeply, or a number of too many digits"
WORDS_PER_S = 2.7
"""Estimates the length of a turn without an end: telephone talk has some 160 words a minute."""
CALL_TAIL_S = 5.0
"""Seconds from the last turn to the end of the call."""
MAX_CALL_S = 86_400
"""A day. Times of a longer call must be milliseconds or times of day."""

MIN_WORDS_PER_S = 0.005
"""A call whose times are whole numbers with fewer words than this is in milliseconds; usual are 1 or 2 words/s."""
TURN_CALL_KEYS = ("call", "call_id", "conversation_id")
TIMES_OF_A_TURN = (
    "begin",
    "begin_ms",
    "begins",
    "start_s",
    "start_time",
    "start_sec",
    "time",
    "offset",
    "end",
    "end_ms",
)
"""With these, what names its call is one of its turns, and no utterance by itself."""
CALL_KEYS = (*TURN_CALL_KEYS, "id")
SPEAKER_ALIASES = {"caller": "customer", "client": "customer", "operator": "agent", "representative": "agent"}
"""Other names of the speakers."""
COLUMN_ALIASES = {
    **dict.fromkeys(("file", "filename", "file_name", "filepath", "file_path", "audio", "clip"), "path"),
    **dict.fromkeys(("labels", "emotion"), "label"),
    "speaker_id": "speaker",
    "signal": "signals",
}
"""Other names of the columns of a table."""
NO_SIGNAL_LABELS = ("none", "calm", "neutral")
"""Labels of clips without a signal, in a table whose labels are signals."""
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
EMPTY_ROWS_PATTERN = re.compile(r"(?:[ \t;,]*\n)*")
"""Above the header, as spreadsheets leave them."""
THOUSANDS_PATTERN = re.compile(r"\d{1,3}(,\d{3})+")
TIME_COLUMNS = ("start", "end", "start_ms", "end_ms", "escalates_at")

_Model = TypeVar("_Model", bound=BaseModel)


def _as_signal_ids(labels: object) -> list[object]:
    if isinstance(labels, str):
        labels = [label for label in re.split(r"[\s,;|]+", labels) if label]
    if not isinstance(labels, list | tuple):
        raise ValueError('expected a list of signals such as ["supervisor_demand"]')
    return [re.sub("[ -]", "_", label.strip().casefold()) if isinstance(label, str) else label for label in labels]


def _checked_signal_ids(labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for label in labels or ():
        if label not in SIGNAL_IDS:
            turns = "; when a call turns is its escalates_at, in seconds" if "escalat" in label else ""
            raise ValueError(f"{label!r} is not a signal{turns}; the signals are {', '.join(sorted(SIGNAL_IDS))}")
    return labels


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _reject_misspelt_keys(cls, value: Any) -> Any:
        """Refuse an unknown key that is nearly the name of a missing field; other unknown keys are ignored.

        A value of null counts as missing.
        """
        if isinstance(value, dict):
            value = {key: given for key, given in value.items() if given is not None}
            absent = cls.model_fields.keys() - value.keys()
            for key in value.keys() - cls.model_fields.keys():
                for suggestion in get_close_matches(str(key), absent, 1, 0.8):
                    raise ValueError(f"{key!r} is not known; expected {suggestion!r}")
        return value


class Labelled(_Part):
    """Text labelled with signals."""

    speaker: Literal["agent", "customer", "unknown"] = "customer"
    text: Annotated[str, Field(min_length=1)]
    labels: tuple[str, ...] = ()
    judged: tuple[str, ...] | None = None
    """Signals somebody has looked for; None: the call's, else the word signals and all that is labelled anywhere."""
    unsure: tuple[str, ...] = ()
    """Signals on which annotators disagree: not counted."""

    _labels_listed = field_validator("labels", "judged", "unsure", mode="before")(_as_signal_ids)
    _labels_known = field_validator("labels", "judged", "unsure")(_checked_signal_ids)

    @field_validator("speaker", mode="before")
    @classmethod
    def _speaker_alias(cls, speaker: object) -> object:
        plain = speaker.strip().casefold() if isinstance(speaker, str) else speaker
        return SPEAKER_ALIASES.get(plain, plain) if isinstance(plain, str) else plain

    @property
    def who(self) -> Speaker:
        """Who said it."""
        return Speaker(self.speaker)


class Case(Labelled):
    """One labelled utterance."""


class Turn(Labelled):
    """One turn of a labelled call; times in seconds since the call began, or as start_ms and end_ms."""

    start: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    end: Annotated[float | None, Field(allow_inf_nan=False)] = None

    @model_validator(mode="before")
    @classmethod
    def _in_seconds(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = {name: value.get(f"{name}_ms") for name in ("start", "end")}
        for name, ms in given.items():
            if isinstance(ms, int | float) and abs(ms) > MAX_CALL_S * 1e6:
                raise ValueError(f"{name}_ms: expected milliseconds since the call began")
        seconds = {name: ms / 1000 for name, ms in given.items() if isinstance(ms, int | float)}
        return {**seconds, **value}

    @model_validator(mode="after")
    def _end_after_start(self) -> Turn:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end ({self.end}) must come after start ({self.start})")
        return self

    @property
    def start_ms(self) -> int:
        """Start in ms since the call began."""
        return round(self.start * 1000)

    @property
    def end_ms(self) -> int:
        """End in ms since the call began: as labelled, or estimated from the number of words."""
        if self.end is not None and self.end > self.start:
            return round(self.end * 1000)
        return round((self.start + max(len(self.text.split()) / WORDS_PER_S, 0.4)) * 1000)


class LabelledCall(_Part):
    """A whole call, turn by turn."""

    call: Annotated[str, Field(coerce_numbers_to_str=True)]
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]
    escalates_at: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Seconds at which the first cue of the escalation is complete; None: the call stays calm."""
    judged: tuple[str, ...] | None = None
    """For turns without their own."""

    _judged_listed = field_validator("judged", mode="before")(_as_signal_ids)
    _judged_known = field_validator("judged")(_checked_signal_ids)

    @field_validator("turns")
    @classmethod
    def _sorted_turns(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(sorted(turns, key=lambda turn: turn.start))

    @model_validator(mode="after")
    def _escalates_within(self) -> LabelledCall:
        ends = max(turn.end_ms for turn in self.turns) / 1000 + CALL_TAIL_S
        if self.escalates_at is not None and self.escalates_at > ends:
            raise ValueError(f"escalates_at ({self.escalates_at:g}) must not come after the call's end ({ends:g} s)")
        return self


class Clip(_Part):
    """One piece of labelled audio."""

    path: Path
    start: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Second of the file at which it begins ..."""
    end: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    """... and ends; None: the end of the file."""
    speaker: str = ""
    """Whose voice; any name: the tone measures need several clips of one speaker."""
    label: str = ""
    """raised, calm, anger, neutral ..."""
    signals: tuple[str, ...] | None = None
    """Word signals that should be heard in it; None: not labelled for words."""

    _signals_listed = field_validator("signals", mode="before")(_as_signal_ids)
    _signals_known = field_validator("signals")(_checked_signal_ids)

    @model_validator(mode="after")
    def _end_after_start(self) -> Clip:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end:g}) must come after start ({self.start:g})")
        return self

    @property
    def place(self) -> str:
        """The file's name, with the second it begins at where that is not the first."""
        return f"{self.path.name} {self.start:g} s" if self.start else self.path.name


def read_labelled(path: Path) -> tuple[list[Case], list[LabelledCall]]:
    """Read a file, or all in a folder and below but hidden ones: (utterances, []) or ([], calls), whichever they hold.

    Raises:
        AssistError: code eval-input, naming file, line and what was expected.
    """
    files = [(file, _read_objects(file)) for file in _files(path)]
    if any(_holds_calls(objects) for _, objects in files):
        return [], _all_calls(files, path)
    if not (cases := _all_cases(files)):
        raise _input_error(path, None, "nothing to measure: expected labelled utterances or calls")
    return cases, []


def read_cases(path: Path) -> list[Case]:
    """As `read_labelled`, for utterances only."""
    return _all_cases([(file, _read_objects(file)) for file in _files(path)])


def read_calls(path: Path) -> list[LabelledCall]:
    """As `read_labelled`, for whole calls only."""
    return _all_calls([(file, _read_objects(file)) for file in _files(path)], path)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    kinds = (*JSON_SUFFIXES, *TABLE_SUFFIXES)
    below = ((file, file.relative_to(path).parts) for file in path.rglob("*") if file.suffix.casefold() in kinds)
    files = sorted(file for file, parts in below if not any(part.startswith(".") for part in parts))
    if not files:
        raise _input_error(
            path, None, f"expected *{', *'.join(kinds)} files, or --labels with the table of a folder of audio"
        )
    return files


_Objects = list[tuple[int, dict[str, Any]]]


def _read_objects(path: Path) -> _Objects:
    """(line, object) of each object in a file: JSON lines, or one JSON object or a list (then numbered from 1).

    A file with the suffix of a table gives its rows without empty cells.
    """
    if path.suffix.casefold() in TABLE_SUFFIXES:
        columns, rows = _table_rows(path)
        names = {column: column.strip().casefold() for column in columns}
        if "text" not in names.values():
            of_clips = f"a table of clips is for their folder: assist eval FOLDER --labels {path}"
            raise _input_error(
                path, 1, f"expected the columns text, speaker, labels, of turns also call, start; {of_clips}"
            )
        return [
            (line, filled)
            for line, row in rows
            if (filled := {names[key]: row[key] for key in names if row.get(key) not in ("", None)})
        ]
    text = _text(path)
    try:
        whole = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data") and (path.suffix == ".json" or text.lstrip().startswith("[")):
            raise _input_error(path, error.lineno, f"not valid JSON: {error.msg}") from None
        listed = [
            (number, _json(line, path, number)) for number, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    except (ValueError, RecursionError):
        raise _input_error(path, None, INVALID_JSON) from None
    else:
        listed = list(enumerate(whole if isinstance(whole, list) else [whole], 1))
    for number, value in listed:
        if not isinstance(value, dict):
            expected = 'expected a JSON object such as {"speaker": "customer", "text": "...", "labels": []}'
            raise _input_error(path, number, expected)
    return listed


def _json(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise _input_error(path, number, f"not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise _input_error(path, number, INVALID_JSON) from None


def _holds_calls(objects: _Objects) -> bool:
    """Whether these are calls, or turns of calls: objects with a start and the call's name."""
    return any("turns" in value or (_start(value) is not None and _name(value, TURN_CALL_KEYS)) for _, value in objects)


def _all_cases(files: Sequence[tuple[Path, _Objects]]) -> list[Case]:
    for file, objects in files:
        for line, value in objects:
            times = [key for key in value if key.casefold() in TIMES_OF_A_TURN]
            if value.get("escalates_at") is not None or (times and _name(value, TURN_CALL_KEYS)):
                expected = f"expected start (seconds) or start_ms beside call, not {', '.join(times) or 'escalates_at'}"
                raise _input_error(file, line, f"a turn of a call without its start: {expected}")
    return [_validated(Case, value, file, line) for file, objects in files for line, value in objects]


def _all_calls(files: Sequence[tuple[Path, _Objects]], path: Path) -> list[LabelledCall]:
    for file, objects in files:
        if objects and not _holds_calls(objects) and path.is_dir():
            raise _input_error(
                file, None, f"not whole calls as the other files of {path}: measure them one after the other"
            )
    return [call for file, objects in files for call in _calls_of(objects, file)]


def _calls_of(objects: _Objects, path: Path) -> list[LabelledCall]:
    if not objects or any("turns" in value for _, value in objects) or not _holds_calls(objects):
        alone = len(objects) == 1
        return [
            _call({**value, "call": _name(value) or (path.stem if alone else f"{path.stem} {n}")}, path, n)
            for n, value in objects
        ]
    rows: dict[str, _Objects] = defaultdict(list)
    for number, value in objects:
        of_call = rows[_name(value, TURN_CALL_KEYS) or path.stem]
        of_call.append((number, value))
        if len(given := {str(v["escalates_at"]) for _, v in of_call if v.get("escalates_at") is not None}) > 1:
            expected = f"expected one escalates_at for a call, not {' and '.join(sorted(given))}"
            raise _input_error(path, number, expected)
    return [
        _call(
            {
                "call": name,
                "turns": [_validated(Turn, value, path, line) for line, value in turns],
                "escalates_at": next((v["escalates_at"] for _, v in turns if v.get("escalates_at") is not None), None),
            },
            path,
            turns[0][0],
        )
        for name, turns in rows.items()
    ]


def _name(value: Mapping[str, Any], keys: tuple[str, ...] = CALL_KEYS) -> str:
    return next((str(value[key]) for key in keys if value.get(key) not in (None, "")), "")


def _start(value: Mapping[str, Any]) -> Any:
    return value.get("start", value.get("start_ms"))


def read_clips(folder: Path, table: Path) -> list[Clip]:
    """Clips named in a table: CSV, TSV or, by its ending, JSON; paths are relative to the folder.

    Raises:
        AssistError: code eval-input, naming file, line and what was expected.
    """
    if not folder.is_dir():
        raise _input_error(folder, None, f"expected the folder in which the audio files of {table} are")
    columns, listed = (_json_rows if table.suffix.casefold() in JSON_SUFFIXES else _table_rows)(table)
    names = [column.strip().casefold() for column in columns]
    columns_by_head = {
        column: COLUMN_ALIASES[name] if COLUMN_ALIASES.get(name, name) not in names else name
        for column, name in zip(columns, names, strict=True)
    }
    known = set(columns_by_head.values())
    missing = {"path", "label"} - {*known, *(["label"] if "signals" in known else [])}
    filled = [
        (line, values)  # and no empty row, as spreadsheets leave them
        for line, row in listed
        if any(
            (
                values := {
                    columns_by_head[key]: _as_text(row[key]) for key in columns_by_head if row.get(key) is not None
                }
            ).values()
        )
    ]
    if "signals" not in known and not missing:
        _signals_as_labels([values for _, values in filled])
    if "speaker" not in known and any(values.get("label") for _, values in filled):
        missing.add("speaker")
    if missing:
        raise _input_error(
            table, 1, f"expected the columns path, speaker, label; missing: {', '.join(sorted(missing))}"
        )
    return [_clip(values, folder, table, line) for line, values in filled]


def _table_rows(table: Path) -> tuple[Sequence[str], _Objects]:
    """The columns of a CSV or TSV table, and (line, row) of its rows; times are converted to numbers."""
    text = _text(table)
    blank = EMPTY_ROWS_PATTERN.match(text)
    above = blank[0].count("\n") if blank else 0
    text = text.split("\n", above)[-1]
    first = text.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    listed: _Objects = []
    line = above
    try:
        columns = rows.fieldnames or ()
        line += rows.line_num
        for row in rows:
            line = above + rows.line_num
            if any(row.pop(None, ())):
                expected = f"more values than columns; what has a {delimiter!r} in it stands between quotation marks"
                raise _input_error(table, line, expected)
            listed.append((line, {key: _cell(key, value, delimiter) for key, value in row.items() if key}))
    except csv.Error as error:
        why = "a quotation mark is not closed, or one within a text is not doubled"
        begins = next(n for n, row in enumerate(text.split("\n")[line - above :], line + 1) if row.strip())
        raise _input_error(table, begins, f"not a table: {error}: {why}") from None
    return columns, listed


def _cell(column: str, value: str | None, delimiter: str) -> object:
    value = (value or "").strip()
    either = delimiter == "," and THOUSANDS_PATTERN.fullmatch(value)  # 1,500 of a table with commas may be 1.5 or 1500
    if column.strip().casefold() in TIME_COLUMNS and not either:
        try:
            return float(value.replace(",", "."))  # as spreadsheets write it in half of the world
        except ValueError:
            return value
    return value


def _json_rows(table: Path) -> tuple[Sequence[str], _Objects]:
    """The same for a table whose rows are JSON objects."""
    listed = _read_objects(table)
    return list(dict.fromkeys(key for _, row in listed for key in row)), listed


def _as_text(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, list) else str(value).strip()


def _signals_as_labels(rows: list[dict[str, Any]]) -> None:
    """Move `label` to `signals` where all labels are signals or NO_SIGNAL_LABELS: such clips are labelled for words.

    Not where any label is of a voice: "upset" and "silence", say, are used for voices, too.
    """
    words = SIGNAL_IDS - {"raised_voice"}
    read = [
        tuple(each for each in _as_signal_ids(row.get("label", "")) if each not in NO_SIGNAL_LABELS) for row in rows
    ]
    if any(read) and all(words.issuperset(listed) for listed in read):
        for row, listed in zip(rows, read, strict=True):
            row["signals"] = listed
            row.pop("label", None)


def _clip(values: dict[str, Any], folder: Path, table: Path, line: int) -> Clip:
    if not values.get("path") or not isinstance(values["path"], str):
        raise _input_error(table, line, "expected the path of an audio file, relative to the folder")
    if "\n" in values["path"]:
        raise _input_error(
            table, line, f"a quotation mark is not closed: the path goes over lines: {values['path'][:40]!r} ..."
        )
    values["path"] = folder / values["path"]
    if values.get("label") and not values.get("speaker"):
        raise _input_error(table, line, "expected a speaker beside the label: a voice is judged by its own normal")
    return _validated(
        Clip, {key: value for key, value in values.items() if value != "" or key == "signals"}, table, line
    )


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        return io.TextIOWrapper(io.BytesIO(raw), encoding).read()
    except OSError as error:
        raise _input_error(path, None, f"cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise _input_error(
            path, None, "expected UTF-8 text (of spreadsheets: CSV UTF-8); sound is measured with --labels"
        ) from None


def _validated(kind: type[_Model], value: object, path: Path, line: int) -> _Model:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        where, why = first_problem(error)
        raise _input_error(path, line, f"{where}: {why}" if where else why) from None


def _call(value: object, path: Path, line: int) -> LabelledCall:
    call = _validated(LabelledCall, value, path, line)
    for number, turn in enumerate(call.turns):
        if turn.end_ms > MAX_CALL_S * 1000:
            latest = turn.start if turn.end is None else turn.end
            expected = f"expected seconds since the call began, at most {MAX_CALL_S} (a day), not {latest:g}"
            raise _input_error(path, line, f"turns.{number}: {expected}")
    times = [time for turn in call.turns for time in (turn.start, turn.end) if time is not None]
    words = sum(len(turn.text.split()) for turn in call.turns)
    span = max(times) - min(times)  # of a long call only a part may be labelled
    if span > 1000 and all(time.is_integer() for time in times) and words < MIN_WORDS_PER_S * span:
        expected = f"{words} words in {span:,.0f} s: expected seconds; milliseconds are start_ms and end_ms"
        raise _input_error(path, line, expected)
    return call


def _input_error(path: Path, line: int | None, expected: str) -> AssistError:
    place = f"{path}, line {line}" if line is not None else str(path)
    return AssistError("eval-input", f"{place}: {expected}")
