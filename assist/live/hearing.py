"""The recogniser as the running program needs it: its name for people, and a listener for each call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from assist.live.call import CallListener
from audio.events import Pcm, Word
from audio.owed import Room
from audio.recogniser import Recogniser


@dataclass(slots=True)
class Hearing:
    """Another recogniser may take its place while calls go on."""

    line: str
    """What is being used and how to get better, for the terminal and the pages."""
    name: str
    version: str
    embedded: bool
    listener: Callable[..., CallListener]
    """(speakers, in_step, wake, phrases, tone, owe) -> a listener of its own for one call; tone: measure the voice;
    owe: takes the speech whose words are not known when the call ends."""
    close: Callable[[], None]
    recogniser: Callable[[], Recogniser | None] = lambda: None
    """What listens now."""
    later: Callable[[Pcm, tuple[str, ...], Callable[[tuple[Word, ...] | None], None]], None] = lambda *_: None
    """Have a whole utterance decoded where no live call has anything to decode (audio/scheduling.py)."""
    room: Room = field(default_factory=lambda: Room(0))
    """For speech that waits for a recogniser."""
    arrived: Callable[[], None] = lambda: None
    """Called, from any thread, when a recogniser has come where there was none."""

    def take(self, recogniser: Recogniser, line: str) -> None:
        """This recogniser listens from now on."""
        self.line, self.name, self.version = line, recogniser.name, recogniser.version
        self.embedded = recogniser.embedded
