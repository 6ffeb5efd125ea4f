"""The playbook in force: read again when a call begins; an edit that is not sound leaves the one before in force."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assist.coach.parts import Playbook
from assist.coach.playbook import PlaybookError, digest_of, load_playbook


@dataclass(slots=True)
class Shelf:
    """Holds one playbook. Making it raises PlaybookError where the very first reading fails."""

    name: str | Path
    options: Path | None = None
    book: Playbook = field(init=False)
    _digest: str = field(init=False)
    """Of the files as they were last read; empty where they could not be."""
    _problem: str = ""

    def __post_init__(self) -> None:
        self.book = load_playbook(self.name, options=self.options)
        self._digest = digest_of(self.name, options=self.options)

    def take(self) -> tuple[Playbook, str]:
        """The playbook for a call that begins now, and one line where its files cannot be used as they are."""
        before, self._digest = self._digest, ""
        try:
            self._digest = digest_of(self.name, options=self.options)
            if self._digest != before:
                self.book, self._problem = load_playbook(self.name, options=self.options), ""
        except PlaybookError as error:
            self._problem = f"{error} – {self.book.version} stays in force"
        return self.book, self._problem
