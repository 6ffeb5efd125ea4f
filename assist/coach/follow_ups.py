"""What the agent has promised in one call, each promise once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from assist.coach.due import due_at
from assist.coach.words import alike
from assist.events import Event, FollowUpNoted, number_of


@dataclass
class FollowUps:
    """One call's promises, as they are noted in its log."""

    owner: str
    began: datetime | None
    """When the call began; None: due times mean no day."""
    _noted: list[FollowUpNoted] = field(default_factory=list)
    _count: int = 0

    def note(self, now_ms: int, what: str, due: str, words: str) -> list[FollowUpNoted]:
        """Note it, once: said again it is the same one, and a time that is named later is its time."""
        when = due_at(due, self.began + timedelta(milliseconds=now_ms)) if self.began is not None else ""
        same = next((each for each in self._noted if alike(each.what, what)), None)
        if same is not None and (not due or when == same.due_at):
            return []
        if same is not None and not same.due:
            self._noted.remove(same)
            noted = replace(same, at_ms=now_ms, due=due, words=words, due_at=when)
        else:
            self._count += 1
            noted = FollowUpNoted(now_ms, f"f{self._count}", what, due, self.owner, words, when)
        self._noted.append(noted)
        return [noted]

    def forget(self) -> None:
        """Nothing that was promised so far is told any more; promised again, it is noted anew."""
        self._noted.clear()

    def told(self) -> list[str]:
        """One line each, for whoever takes over."""
        return [f"promised: {each.what}{', ' if each.due else ''}{each.due}" for each in self._noted]

    def follow(self, event: Event) -> None:
        """A call that was cut short goes on: a promise that stands in its log has the id it has there."""
        if isinstance(event, FollowUpNoted):
            self._count = max(self._count, number_of(event.id))
            others = [each for each in self._noted if (each.what, each.due) != (event.what, event.due)]
            self._noted = [*others, event]
