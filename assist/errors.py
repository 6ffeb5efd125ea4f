"""The one error type of the roof: every bad input becomes a clear line with a stable code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


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
