"""Whether one call is heard and transcribed now, by which recogniser, and the line to show if it is not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from assist.hints import complete
from assist.privacy.consent import Gate
from audio.events import Trouble
from overlay import messages

BUILT_IN_ADVICE = "This is the built-in speech recognition. For a better one: `assist models fetch base.en`"
SOUND_TROUBLE_CODES = ("audio-lost", "audio-swapped", "audio-stalled", "channel-silent")


class RecogniserInfo(Protocol):
    """The recogniser, as the pages show it."""

    @property
    def name(self) -> str:
        """Such as "faster-whisper base.en (CPU, int8)"."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it is the one that needs no download."""
        ...


def recogniser_fields(recogniser: RecogniserInfo) -> dict[str, str | bool]:
    """The fields of `messages.Call` about the recogniser."""
    return {
        "recogniser": recogniser.name,
        "embedded": recogniser.embedded,
        "advice": complete(BUILT_IN_ADVICE, on_a_page=True) if recogniser.embedded else "",
    }


@dataclass
class CallHealth:
    """What keeps one call from being heard or transcribed; `status` gives the worst of it."""

    gate: Gate = field(default_factory=Gate)
    lag_ms: int = 0
    """How late settled words are."""
    _paused: bool = False
    _pause_reason: str = ""
    """Of an automatic pause; empty where a person has paused it."""
    _sound_lost: dict[str, str] = field(default_factory=dict)
    """Trouble code -> its line, while it lasts."""
    _untranscribed: str = ""
    """Why there is no recogniser; empty while there is one."""
    _behind: str = ""

    def update(self, trouble: Trouble) -> bool:
        """A trouble begins or is cleared; returns False if it does not concern hearing."""
        text = "" if trouble.cleared else trouble.text
        if trouble.code.split(":")[0] in SOUND_TROUBLE_CODES:
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

    def reset(self) -> None:
        """The call is resumed by another run of the program: forget the troubles of the last one."""
        self._sound_lost.clear()
        self._untranscribed = self._behind = ""
        self.lag_ms = 0

    def pause(self, reason: str = "") -> None:
        """Listening is paused; `reason`: of an automatic pause, empty for one by a person."""
        self._paused, self._pause_reason = True, reason

    def resume(self) -> None:
        """Listening goes on."""
        self._paused, self._pause_reason = False, ""

    @property
    def status(self) -> tuple[messages.HealthState, str]:
        """(state, one plain line; empty when ok)."""
        if self._paused:
            reason = f"Paused automatically: {self._pause_reason}. Press P to resume" if self._pause_reason else ""
            return "paused", reason or "Nothing is heard or kept. Press P to resume"
        if not self.gate.may_transcribe:
            return "no-consent", "Not listening: there is no consent to this call"
        if self._sound_lost:
            return "lost", next(iter(self._sound_lost.values()))
        if self._untranscribed:
            return "untranscribed", self._untranscribed
        return ("behind", self._behind) if self._behind else ("ok", "")
