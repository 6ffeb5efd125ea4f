"""The one error type of the roof: every bad input becomes a clear line with a stable code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_EXPECTATIONS = {
    "missing": "missing: expected it here",
    "string_type": "expected text in quotes",
    "string_too_short": "empty: expected some text",
    "string_too_long": "too long: expected at most {max_length} characters",
    "too_short": "expected at least {min_length}",
    "too_long": "expected at most {max_length}",
    "list_type": "expected a list in brackets",
}
"""Pydantic error type -> message for who has written a file; of other types pydantic's own is used."""


class AssistError(Exception):
    """Something asked of the program cannot be done.

    `code` is stable (store-failed, data-folder, record-unknown, settings-invalid ...); the text is one line that
    says what was expected and what to do.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where outside input does not fit first (keys and places, dotted; empty: as a whole), and why."""
    place, why = problems(error)[0]
    return ".".join(map(str, place)), why


def problems(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """All places where outside input does not fit (keys and places; empty: as a whole), and why."""
    return [(each["loc"], each["msg"].removeprefix("Value error, ")) for each in error.errors(include_url=False)]


def expectation(error: ErrorDetails, model: type[BaseModel] | None) -> str:
    """What was expected, for who has written a file; `model`: of the table that the key stands in."""
    kind, told = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden" and model is not None:
        return f"unknown key: expected one of {', '.join(f.alias or name for name, f in model.model_fields.items())}"
    if kind == "string_pattern_mismatch":
        return f"{error['input']!r}: expected small letters (a-z), digits and hyphens, such as late-fee"
    if kind in _EXPECTATIONS:
        return _EXPECTATIONS[kind].format(**told)
    return error["msg"].removeprefix("Value error, ")


def part_label(part: object, index: int) -> str:
    """A part of a file in messages: its id or name, or its number where it has no usable one; `index` from 0."""
    named = (part.get("id") or part.get("name")) if isinstance(part, Mapping) else None
    return named if isinstance(named, str) and named.isprintable() and len(named) <= 80 else f"#{index + 1}"


def first_written_problem(error: ValidationError, table: Mapping[str, Any], model: type[BaseModel]) -> str:
    """`first_problem` as one text for who has written the file with this table, read as `model`."""
    first = error.errors(include_url=False)[0]
    place: list[str] = []
    here: Any = table
    of: type[BaseModel] = model
    for number, step in enumerate(first["loc"], 1):
        if isinstance(step, int):
            here = here[step]
            place.append(part_label(here, step))
            continue
        place.append(step)
        if number < len(first["loc"]):
            here = here[step]
            field = next(each for name, each in of.model_fields.items() if step in (name, each.alias))
            of = (get_args(field.annotation) or (field.annotation,))[0]
    return ": ".join(filter(None, (".".join(place), expectation(first, of))))
