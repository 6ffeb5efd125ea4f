"""Rate limits on the prompts of a call: the agent's attention budget. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.signals import Severity


@dataclass(frozen=True, slots=True)
class AttentionSettings:
    """Limits on prompts. Chosen, not measured."""

    per_minute: int = 2
    """Prompts of any tier below urgent in any 60 seconds."""
    help_per_call: int = 6
    """Help prompts in one call. Ajoxi shows 0 to 3 in an ordinary one (ajoxi.com/blog/agent-whisper-not-creepy); a
    call that escalates, recovers and escalates again needs both runs, hence twice that."""
    cooldown_ms: int = 60_000
    """The same topic comes back after this at the earliest, urgent ones too (de-duplicated)."""
    gap_ms: int = 8_000
    """Two prompts below urgent are at least this far apart: a prompt must stay long enough to be read."""


class AttentionBudget:
    """Ask `allows` before a prompt is shown and call `spend` afterwards.

    Urgent prompts pass every limit but their own topic's cool-down, and they do not use the budget up.
    """

    def __init__(self, settings: AttentionSettings | None = None) -> None:
        self.settings = settings or AttentionSettings()
        self._shown_ms: list[int] = []
        self._low_priority_ms: list[int] = []
        self._help_count = 0
        self._last_shown_ms: dict[str, int] = {}

    def allows(self, topic: str, tier: Severity, now_ms: int, *, low_priority: bool = False) -> bool:
        """May a prompt about `topic` (a play or rule id) be shown now?

        `low_priority`: the prompt must fit beside all others; for them it is not counted.
        """
        limits = self.settings
        if not self.has_cooled_down(topic, now_ms):
            return False
        if tier is Severity.URGENT:
            return True
        if tier is Severity.HELP and self._help_count >= limits.help_per_call:
            return False
        others = self._shown_ms + (self._low_priority_ms if low_priority else [])
        if others and now_ms - max(others) < limits.gap_ms:
            return False
        return sum(now_ms - at < 60_000 for at in others) < limits.per_minute

    def has_cooled_down(self, topic: str, now_ms: int) -> bool:
        """Is the topic's last prompt long enough ago?"""
        last = self._last_shown_ms.get(topic)
        return last is None or now_ms - last >= self.settings.cooldown_ms

    def spend(self, topic: str, tier: Severity, now_ms: int, *, low_priority: bool = False) -> None:
        """A prompt about `topic` was shown at `now_ms`."""
        self._last_shown_ms[topic] = now_ms
        if tier is Severity.URGENT:
            return
        if low_priority:
            self._low_priority_ms = [at for at in self._low_priority_ms if now_ms - at < 60_000] + [now_ms]
            return
        self._shown_ms = [at for at in self._shown_ms if now_ms - at < 60_000] + [now_ms]
        self._help_count += tier is Severity.HELP
