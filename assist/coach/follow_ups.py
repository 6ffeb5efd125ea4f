"""What the agent has promised in one call, each promise once. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from assist.coach.due import adds_hour, due_at
from assist.coach.matching import content_words
from assist.coach.promises import is_call, is_callback, is_same
from assist.events import Event, FollowUpNoted, number_of

_TELLING = frozenset(("send", "email", "text", "message", "post", "write", "ask", "tell", "call", "ring", "phone"))
"""Who promises this tells of what was given, and does not give it: "email you the engineer's name"."""


@dataclass
class FollowUps:
    """One call's promises, as they are noted in its log."""

    owner: str
    began: datetime | None
    """When the call began; None: due times mean no day."""
    _noted: list[FollowUpNoted] = field(default_factory=list)
    """In order; a promise that was noted again with its time stands twice."""
    _given: set[str] = field(default_factory=set)
    """Ids of what was given for a time: said as a promise as well, it is the same one."""
    _count: int = 0

    def note(self, now_ms: int, what: str, due: str, words: str, said_ms: int | None = None) -> list[FollowUpNoted]:
        """Note it, once: said again it is the same one, and its time or hour may be named later.

        `said_ms`: when the time was named, where that was before.
        """
        same = [
            each
            for each in self.standing()
            if is_same(each.what, what) or (each.id in self._given and self._is_of(each, what, due, now_ms))
        ]
        if same and (not due or any(self._is_due(each, due, now_ms) for each in same)):
            return []
        when = self._due_at(due, now_ms if said_ms is None else said_ms)
        known = next((each for each in same if not each.due or self._is_hour_of(each, due, now_ms)), None)
        if known is not None:
            noted = replace(known, at_ms=now_ms, due=due, words=words, due_at=when)
        else:
            self._count += 1
            noted = FollowUpNoted(now_ms, f"f{self._count}", what, due, self.owner, words, when)
        self._noted.append(noted)
        return [noted]

    def give(self, now_ms: int, what: str, due: str, words: str, said_ms: int) -> list[FollowUpNoted]:
        """What was given for a time that was named at `said_ms`, or for none; a promise of that time says it too."""
        if due and any(
            self._is_due(each, due, said_ms) and _says(what, each.what) for each in self.standing() if each.due
        ):
            return []
        noted = self.note(now_ms, what, due, words, said_ms)
        self._given |= {each.id for each in noted}
        return noted

    def move(self, now_ms: int, what: str, due: str, words: str) -> list[FollowUpNoted]:
        """What was given has its time now, or is due at another one: it moves, also where it stands as a promise."""
        if any(each.what == what and not each.due for each in self.standing()):
            return self.note(now_ms, what, due, words)
        standing = [each for each in self.standing() if each.due and (each.what == what or _says(what, each.what))]
        known = next((each for each in standing if each.what == what), standing[-1] if standing else None)
        if known is None:
            return self.note(now_ms, what, due, words)
        if self._is_due(known, due, now_ms):
            return []
        self._noted.append(replace(known, at_ms=now_ms, due=due, words=words, due_at=self._due_at(due, now_ms)))
        return self._noted[-1:]

    def forget(self, since_ms: int) -> None:
        """What was noted after this is not told any more; promised again, it is noted anew."""
        self._noted = [each for each in self._noted if each.at_ms <= since_ms]

    def standing(self) -> list[FollowUpNoted]:
        """Each promise as it was noted last."""
        return list({each.id: each for each in self._noted}.values())

    def told(self) -> list[str]:
        """One line each, for whoever takes over."""
        return [f"promised: {each.what}{', ' if each.due else ''}{each.due}" for each in self.standing()]

    def follow(self, event: Event, titles: Collection[str]) -> None:
        """A call that was cut short goes on: a promise that stands in its log has the id it has there.

        `titles`: of what is given for a time.
        """
        if isinstance(event, FollowUpNoted):
            self._given |= {event.id} if event.what in titles else set()
            self._count = max(self._count, number_of(event.id))
            others = [each for each in self._noted if (each.what, each.due) != (event.what, event.due)]
            self._noted = [*others, event]

    def _is_of(self, given: FollowUpNoted, what: str, due: str, now_ms: int) -> bool:
        """Whether this promise is of what was given: of a callback whenever it is, of all else only at its time."""
        return _says(given.what, what) and (
            is_call(given.what) or self._is_due(given, due, now_ms) or self._is_hour_of(given, due, now_ms)
        )

    def _due_at(self, due: str, now_ms: int) -> str:
        return due_at(due, self.began + timedelta(milliseconds=now_ms)) if self.began is not None else ""

    def _is_hour_of(self, noted: FollowUpNoted, due: str, now_ms: int) -> bool:
        """Whether these words name the hour of the day that is all that is known of it."""
        day = noted.due_at[:10]
        return day != "" and adds_hour(due, noted.due) and day == self._due_at(due, now_ms)[:10]

    def _is_due(self, noted: FollowUpNoted, due: str, now_ms: int) -> bool:
        """Whether these words name its time; "within two hours" said again counts from when it was first said."""
        if content_words(noted.due) == content_words(due):
            return True
        return noted.due_at != "" and noted.due_at in (self._due_at(due, noted.at_ms), self._due_at(due, now_ms))


def is_telling(promised: str) -> bool:
    """Whether it is promised to tell of something, and not to call the customer."""
    return not (_TELLING.isdisjoint(content_words(promised)) or is_callback(promised))


def _says(given: str, promised: str) -> bool:
    """Whether a promise may be of what was given, by its title: at the same time much else may be promised."""
    if is_call(given):
        return is_callback(promised)
    told = set(content_words(promised))
    return not told.isdisjoint(content_words(given)) and told.isdisjoint(_TELLING)
