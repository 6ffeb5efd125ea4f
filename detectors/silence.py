"""Dead air: both silent while nobody is on hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance
from detectors.backchannels import is_backchannel
from detectors.signals import Evidence, Severity, Signal, Window

_WAIT_ANNOUNCED = re.compile(
    r"\b(?:(?:one|just a|give me a|a) (?:moment|second|sec|minute)|bear with me|hold on|hang on|take your time"
    r"|(?:let me|i'll|i will|i'm going to) (?:just |quickly )?(?:look|check|see|find|get|pull|bring|grab|fetch)"
    r"|while (?:i|you|we) (?:just |quickly )?(?:wait|look|check|see|find|get|pull|bring|grab|fetch|do (?:that|this|it)"
    r"|open|search|read|go|put|load|try|type|transfer|plug|unplug|restart|run|update|process|write|ask|speak)"
    r"|while (?:it|that|this|the \w+|my \w+) (?:is |'s )?(?:load|open|com(?:e|ing)|restart|updat|boot|sav|search|runn?"
    r"|process|refresh|think|connect|go(?:es|ing) through|catch)\w*)\b"
)
"""In the present or the future only: "while you did nothing" is a complaint."""
BACKCHANNEL_MS = 5_000
"""A backchannel ("okay, thanks") that begins so soon after an announced wait answers it and changes nothing; nor does
speech without words, such as a cough, that is over so soon."""


@dataclass(slots=True)
class Silence:
    """Fires once when dead air reaches each of its steps; a new silence starts anew.

    8 s is where silence on a line is felt as a fault rather than as work (contact-centre practice calls anything past
    some 5-10 s "dead air"); at 20 s it is worth another look. Both are notes. After "one moment, let me
    check" of the agent's both know why nobody speaks: only the second step counts then; after the customer's neither
    does, as it is they who fetch something.
    """

    steps_ms: tuple[int, ...] = (8_000, 20_000)
    name: str = "silence"
    version: str = "3"
    _words_end_ms: int = -1
    """End of the newest words; kept here, as a silence may outlast what the window remembers."""
    _announced: Speaker | None = None
    """Who has announced a wait with the last words."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The step reached, measured from the last end of speech of either side."""
        if window.latest is not None and window.utterances:
            self._track_speech(window)
        since = min(window.speaking_since.values(), default=window.now_ms)
        if window.now_ms - max(since, self._words_end_ms) > BACKCHANNEL_MS:
            self._announced = None
        if window.held or window.speaking_since or not window.last_speech_end:
            return
        quiet_since = max(self._words_end_ms, *window.last_speech_end.values())
        quiet_ms = window.now_ms - quiet_since
        skipped = {None: 0, Speaker.CUSTOMER: len(self.steps_ms)}.get(self._announced, 1)
        for step_ms in self.steps_ms[skipped:]:
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

    def _track_speech(self, window: Window) -> None:
        """Update the end of the newest words, and whether they announce a wait or answer one that was announced."""
        self._words_end_ms, self._announced = -1, None
        announced_ms = -BACKCHANNEL_MS - 1
        for utterance in window.utterances[-6:]:
            is_soon = utterance.start_ms - announced_ms <= BACKCHANNEL_MS
            is_answer = self._announced is not None and is_soon and is_backchannel(utterance.words)
            if not is_answer:
                self._announced = utterance.speaker if _announces_wait(utterance) else None
            if self._announced is not None:
                announced_ms = _end_ms(utterance)
            self._words_end_ms = max(self._words_end_ms, _end_ms(utterance))


def _announces_wait(utterance: Utterance | Hypothesis) -> bool:
    spoken = " ".join(word.text for word in utterance.words[-14:]).lower().replace("’", "'")
    return _WAIT_ANNOUNCED.search(spoken) is not None


def _end_ms(utterance: Utterance | Hypothesis) -> int:
    if utterance.settled:
        return utterance.end_ms
    return utterance.words[-1].end_ms if utterance.words else 0
