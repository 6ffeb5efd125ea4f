"""The customer's turn: a prompt is late only in relation to its end, as nobody answers before. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from audio.events import Speaker, SpeechActivity
from detectors.signals import Signal

PAUSE_MS = 1_500
"""A shorter pause does not end a turn."""
MAX_TURN_MS = 20_000
"""A longer turn does not count: hold music looks like a turn without end."""


@dataclass(slots=True)
class CustomerTurn:
    """The customer's present or last turn, and the one before: its words may settle when the next has begun."""

    _since: int | None = None
    _until: int | None = None
    """None while they speak."""
    _previous: tuple[int, int] | None = None
    """Begin and end of the turn before."""

    def update(self, activity: SpeechActivity) -> None:
        """Somebody has begun to speak or has stopped."""
        if activity.speaker is Speaker.AGENT:
            return
        if not activity.speaking:
            self._until = activity.at_ms
            return
        if self._since is None or (self._until is not None and activity.at_ms - self._until > PAUSE_MS):
            if self._since is not None and self._until is not None:
                self._previous = self._since, self._until
            self._since = activity.at_ms
        self._until = None

    def answerable_ms(self, signal: Signal, now_ms: int) -> int:
        """When the signal can be answered: at the end of its words, or of the customer's turn with them."""
        if signal.speaker is Speaker.AGENT or self._since is None:
            return signal.at_ms
        if signal.at_ms < self._since:
            begin, end = self._previous or (self._since, self._since)
            if not begin <= signal.at_ms <= end:
                return signal.at_ms
        else:
            end = now_ms if self._until is None else self._until
        return max(signal.at_ms, min(end, signal.at_ms + MAX_TURN_MS))
