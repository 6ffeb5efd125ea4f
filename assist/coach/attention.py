"""How much a person can be asked to look at in a call: the attention budget of the agent's one prompt place."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.signals import Severity


@dataclass(frozen=True, slots=True)
class AttentionSettings:
    """Limits on prompts. Chosen, not measured."""

    per_minute: int = 2
    """Prompts of any tier below urgent in any 60 seconds."""
    help_per_call: int = 6
    """Help cards in one call. Ajoxi shows 0 to 3 in an ordinary one (ajoxi.com/blog/agent-whisper-not-creepy); a call
    that escalates, recovers and escalates again needs both runs, hence twice that."""
    cooldown_ms: int = 60_000
    """The same topic comes back after this at the earliest, urgent ones too (de-duplicated)."""
    gap_ms: int = 8_000
    """Two prompts below urgent are at least this far apart: a card must stay long enough to be read."""


class AttentionBudget:
    """Who asks for attention must be allowed first and spend afterwards. Pure: time is an argument.

    Urgent prompts pass every limit but their own topic's cool-down, and they do not use the budget up.
    """

    def __init__(self, settings: AttentionSettings | None = None) -> None:
        self.settings = settings or AttentionSettings()
        self._spent: list[int] = []
        self._quiet: list[int] = []
        self._help = 0
        self._topics: dict[str, int] = {}

    def allows(self, topic: str, tier: Severity, now_ms: int, *, quiet: bool = False) -> bool:
        """May a prompt about `topic` (a play or rule id) be shown now?

        `quiet`: it is the coach's own idea, nothing was said that calls for it. It must fit beside everything else;
        what was said need not care for it.
        """
        limits = self.settings
        if not self.cool(topic, now_ms):
            return False
        if tier is Severity.URGENT:
            return True
        if tier is Severity.HELP and self._help >= limits.help_per_call:
            return False
        others = self._spent + (self._quiet if quiet else [])
        if others and now_ms - max(others) < limits.gap_ms:
            return False
        return sum(now_ms - at < 60_000 for at in others) < limits.per_minute

    def cool(self, topic: str, now_ms: int) -> bool:
        """Is the topic's last prompt long enough ago?"""
        last = self._topics.get(topic)
        return last is None or now_ms - last >= self.settings.cooldown_ms

    def spend(self, topic: str, tier: Severity, now_ms: int, *, quiet: bool = False) -> None:
        """A prompt about `topic` was shown at `now_ms`."""
        self._topics[topic] = now_ms
        if tier is Severity.URGENT:
            return
        if quiet:
            self._quiet = [at for at in self._quiet if now_ms - at < 60_000] + [now_ms]
            return
        self._spent = [at for at in self._spent if now_ms - at < 60_000] + [now_ms]
        self._help += tier is Severity.HELP
