"""What the agent has promised in one call, each promise once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from assist.coach.due import due_at
from assist.coach.words import alike
from assist.events import FollowUpNoted


@dataclass
class FollowUps:
    """One call's promises, as they are noted in its log."""

    owner: str
    began: datetime | None
    """When the call began; None: due times mean no day."""
    _noted: list[FollowUpNoted] = field(default_factory=list)
    """In order; a promise that was noted again with its time stands twice."""
    _count: int = 0

    def note(self, now_ms: int, what: str, due: str, words: str) -> list[FollowUpNoted]:
        """Note it, once: said again it is the same one, and a time that is named later is its time."""
        when = due_at(due, self.began + timedelta(milliseconds=now_ms)) if self.began is not None else ""
        same = next((each for each in self._standing() if alike(each.what, what)), None)
        if same is not None and (not due or when == same.due_at):
            return []
        if same is not None and not same.due:
            noted = replace(same, at_ms=now_ms, due=due, words=words, due_at=when)
        else:
            self._count += 1
            noted = FollowUpNoted(now_ms, f"f{self._count}", what, due, self.owner, words, when)
        self._noted.append(noted)
        return [noted]

    def forget(self, since_ms: int) -> None:
        """What was noted after this is not told any more; promised again, it is noted anew."""
        self._noted = [each for each in self._noted if each.at_ms <= since_ms]

    def told(self) -> list[str]:
        """One line each, for whoever takes over."""
        return [f"promised: {each.what}{', ' if each.due else ''}{each.due}" for each in self._standing()]

    def _standing(self) -> list[FollowUpNoted]:
        """Each promise as it was noted last."""
        return list({each.id: each for each in self._noted}.values())
