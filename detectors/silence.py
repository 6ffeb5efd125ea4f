"""Dead air: both silent while nobody is on hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Speaker
from detectors.signals import Evidence, Severity, Signal, Window

_ANNOUNCED = re.compile(
    r"\b(?:(?:one|just a|give me a|a) (?:moment|second|sec|minute)|bear with me|hold on|hang on|take your time"
    r"|(?:let me|i'll|i will|i'm going to) (?:just |quickly )?(?:look|check|see|find|get|pull|bring|grab|fetch)"
    r"|while (?:i|you|we|it|that))\b"
)


@dataclass(slots=True)
class Silence:
    """Fires once when dead air reaches each of its steps; a new silence starts anew.

    8 s is where silence on a line is felt as a fault rather than as work (contact-centre practice calls anything past
    some 5-10 s "dead air"); at 20 s it is worth another look. Both steps only ever note it. After "one moment, let me
    check" both know why nobody speaks: only the second step counts then.
    """

    steps_ms: tuple[int, ...] = (8_000, 20_000)
    name: str = "silence"
    version: str = "1"

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The step reached, measured from the last end of speech of either side."""
        if window.held or window.speaking_since or not window.last_speech_end:
            return
        quiet_since = max(window.last_speech_end.values())
        announced = False
        for utterance in window.utterances[-4:]:
            spoken = " ".join(word.text for word in utterance.words[-14:]).lower().replace("’", "'")
            announced = _ANNOUNCED.search(spoken) is not None
            last = utterance.end_ms if utterance.settled else (utterance.words[-1].end_ms if utterance.words else 0)
            quiet_since = max(quiet_since, last)
        quiet_ms = window.now_ms - quiet_since
        for step_ms in self.steps_ms[announced:]:
            if quiet_ms >= step_ms:
                yield Signal(
                    id="silence",
                    rule=f"silence.{step_ms // 1000}s",
                    version=self.version,
                    speaker=Speaker.CUSTOMER,
                    at_ms=quiet_since + step_ms,
                    strength=min(1.0, step_ms / 20_000),
                    severity=Severity.NOTE,
                    evidence=Evidence(
                        quiet_since,
                        quiet_since + step_ms,
                        measured={"seconds": step_ms / 1000},
                        summary=f"Nobody has spoken for {step_ms // 1000} s",
                    ),
                )
