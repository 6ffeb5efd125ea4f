"""Who has the word: the customer's turn, so that an answer is late only once the customer has stopped. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from audio.events import Speaker, SpeechActivity
from detectors.signals import Signal

PAUSE_MS = 1_500
"""A shorter silence is a breath within a turn."""
TURN_MS = 20_000
"""A turn lends what was said in it no more time than this: music on hold looks like a turn without end."""


@dataclass(slots=True)
class CustomerTurn:
    """The customer's present or last turn."""

    _since: int | None = None
    _until: int | None = None
    """None while they speak."""

    def take(self, activity: SpeechActivity) -> None:
        """Somebody has begun to speak or has stopped."""
        if activity.speaker is Speaker.AGENT:
            return
        if not activity.speaking:
            self._until = activity.at_ms
            return
        if self._since is None or (self._until is not None and activity.at_ms - self._until > PAUSE_MS):
            self._since = activity.at_ms
        self._until = None

    def ripe_ms(self, signal: Signal, now_ms: int) -> int:
        """From when on an answer to this signal could be given: when its words ended, or the turn they stood in."""
        if signal.speaker is Speaker.AGENT or self._since is None or signal.at_ms < self._since:
            return signal.at_ms
        end = now_ms if self._until is None else self._until
        return max(signal.at_ms, min(end, signal.at_ms + TURN_MS))
