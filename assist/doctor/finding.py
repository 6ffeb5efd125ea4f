"""What a check has found, in one line: sound, a warning, or what is bad and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    check: str
    level: Level
    text: str
    """What was found; for a warning and worse also what to do."""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str) -> Finding:
    """It works; something should be done."""
    return Finding(check, Level.WARNING, text)


def bad(check: str, text: str) -> Finding:
    """It does not work, or something is at risk."""
    return Finding(check, Level.BAD, text)
