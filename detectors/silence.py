"""Dead air: both silent while nobody is on hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Speaker
from detectors.signals import Evidence, Severity, Signal, Window


@dataclass(slots=True)
class Silence:
    """Fires once when dead air reaches each of its steps; a new silence starts anew.

    8 s is where silence on a line is felt as a fault rather than as work (contact-centre practice calls anything past
    some 5-10 s "dead air"); at 20 s it is worth another look. Both steps only ever note it.
    """

    steps_ms: tuple[int, ...] = (8_000, 20_000)
    name: str = "silence"
    version: str = "1"

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The step reached, measured from the last end of speech of either side."""
        if window.held or window.speaking_since or not window.last_speech_end:
            return
        quiet_since = max(window.last_speech_end.values())
        for utterance in window.utterances:
            last = utterance.end_ms if utterance.settled else (utterance.words[-1].end_ms if utterance.words else 0)
            quiet_since = max(quiet_since, last)
        quiet_ms = window.now_ms - quiet_since
        for step_ms in self.steps_ms:
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
