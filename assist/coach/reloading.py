"""The current playbook: reloaded when a call begins and its files have changed, kept where they are invalid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assist.coach.parts import Playbook
from assist.coach.playbook import PlaybookError, digest_of, load_playbook


@dataclass(slots=True)
class ReloadingPlaybook:
    """One playbook and its files.

    Raises:
        PlaybookError: on construction, where they cannot be used.
    """

    name: str | Path
    options: Path | None = None
    book: Playbook = field(init=False)
    """As loaded last."""
    _digest: str = field(init=False)
    """Of the files as last read; empty where that failed."""
    _problem: str = ""

    def __post_init__(self) -> None:
        self.book = load_playbook(self.name, options=self.options)
        self._digest = digest_of(self.name, options=self.options)

    def current(self) -> tuple[Playbook, str]:
        """The playbook for a call that begins now; and one line where its files have become unusable, else empty."""
        before, self._digest = self._digest, ""
        try:
            self._digest = digest_of(self.name, options=self.options)
            if self._digest != before:
                self.book, self._problem = load_playbook(self.name, options=self.options), ""
        except PlaybookError as error:
            self._problem = f"{error} – {self.book.version} stays in force"
        return self.book, self._problem
