"""The recogniser in use: its name and state for people, and a factory of listeners for calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from assist.live.call import CallListener
from audio.backfill import BackfillBudget
from audio.events import Pcm, Word
from audio.recogniser import Recogniser


@dataclass(slots=True)
class Hearing:
    """The recogniser in use; it may be replaced during calls (`use`)."""

    line: str
    """For people: which recogniser is used, and how to get a better one."""
    name: str
    version: str
    embedded: bool
    listener: Callable[..., CallListener]
    """(speakers, in_step, wake, phrases, tone, on_untranscribed) -> a new listener for one call.
    tone: measure the customer's voice; on_untranscribed: called with each utterance that is not transcribed when the
    call ends."""
    close: Callable[[], None]
    recogniser: Callable[[], Recogniser | None] = lambda: None
    """The current recogniser; None: there is none."""
    decode_in_background: Callable[[Pcm, tuple[str, ...], Callable[[tuple[Word, ...] | None], None]], None] = (
        lambda *_: None
    )
    """(16 kHz samples, phrases, callback): decode an utterance once no live call waits (audio/scheduling.py)."""
    budget: BackfillBudget = field(default_factory=lambda: BackfillBudget(0))
    """Memory limit for speech that waits for a recogniser, shared by all calls."""
    on_available: Callable[[], None] = lambda: None
    """Called, from any thread, when a recogniser has been loaded after there was none."""

    def use(self, recogniser: Recogniser, line: str) -> None:
        """Switch to this recogniser; `line` tells people of it."""
        self.line, self.name, self.version = line, recogniser.name, recogniser.version
        self.embedded = recogniser.embedded
