"""Whether one call is heard now, by what, and what to say where it is not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from assist.hints import complete
from assist.privacy.consent import Gate
from audio.events import Trouble
from overlay import messages

BETTER = "This is the built-in speech recognition. For a better one: `assist models fetch base.en`"
SOUND_TROUBLE = ("audio-lost", "audio-swapped", "audio-stalled", "channel-silent")


class Hears(Protocol):
    """The recogniser, as the pages speak of it."""

    @property
    def name(self) -> str:
        """Such as "faster-whisper base.en (CPU, int8)"."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it is the one that needs no download."""
        ...


def recogniser_of(hearing: Hears) -> dict[str, str | bool]:
    """The part of `messages.Call` that says what hears."""
    return {
        "recogniser": hearing.name,
        "embedded": hearing.embedded,
        "advice": complete(BETTER, on_a_page=True) if hearing.embedded else "",
    }


@dataclass
class Listening:
    """What keeps one call from being heard; the gravest is said."""

    gate: Gate = field(default_factory=Gate)
    lag_ms: int = 0
    """How late settled words are."""
    _paused: bool = False
    _paused_by_itself: str = ""
    """Why; empty where a person has paused it."""
    _sound_lost: dict[str, str] = field(default_factory=dict)
    """Trouble code -> its line, while it lasts."""
    _untranscribed: str = ""
    """Why there is no recogniser; empty while there is one."""
    _behind: str = ""

    def take(self, trouble: Trouble) -> bool:
        """A trouble begins or is over; False where it does not concern hearing."""
        text = "" if trouble.cleared else trouble.text
        if trouble.code.split(":")[0] in SOUND_TROUBLE:
            self._sound_lost.pop(trouble.code, None)
            if not trouble.cleared:
                self._sound_lost[trouble.code] = text
        elif trouble.code == "transcriber-missing":
            self._untranscribed = text
        elif trouble.code == "transcriber-behind":
            self._behind = text
            self.lag_ms = trouble.lag_ms
        else:
            return False
        return True

    def anew(self) -> None:
        """Another run listens: what kept the one before from hearing is not known of it."""
        self._sound_lost.clear()
        self._untranscribed = self._behind = ""
        self.lag_ms = 0

    def pause(self, by_itself: str = "") -> None:
        """Nothing is heard from now on; `by_itself`: why, where nobody has done it."""
        self._paused, self._paused_by_itself = True, by_itself

    def resume(self) -> None:
        """It goes on."""
        self._paused, self._paused_by_itself = False, ""

    @property
    def health(self) -> tuple[messages.HealthState, str]:
        """The state and one plain line."""
        if self._paused:
            by_itself = (
                f"Paused automatically: {self._paused_by_itself}. Press P to resume" if self._paused_by_itself else ""
            )
            return "paused", by_itself or "Nothing is heard or kept. Press P to resume"
        if not self.gate.may_transcribe:
            return "paused", "Not listening: there is no consent to this call"
        if self._sound_lost:
            return "lost", next(iter(self._sound_lost.values()))
        if self._untranscribed:
            return "untranscribed", self._untranscribed
        return ("behind", self._behind) if self._behind else ("ok", "")
