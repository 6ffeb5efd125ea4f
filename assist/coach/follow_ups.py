"""The follow-ups of one call: what the agent has promised and the timed options that were accepted, each once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from assist.coach.due import adds_hour, due_at
from assist.coach.matching import content_words
from assist.coach.promises import is_call, is_callback, is_same
from assist.events import Event, FollowUpNoted, number_of

_INFORMING = frozenset(("send", "email", "text", "message", "post", "write", "ask", "tell", "call", "ring", "phone"))
"""Verbs of promises to inform about an option, which are not the option itself: "email you the engineer's name"."""


@dataclass
class FollowUps:
    """One call's follow-ups, as its log has them."""

    owner: str
    began: datetime | None
    """When the call began; None: due times are not resolved to dates."""
    _noted: list[FollowUpNoted] = field(default_factory=list)
    """In order, with earlier versions of those whose time has changed."""
    _of_options: set[str] = field(default_factory=set)
    """Ids of follow-ups of accepted options: a promise that repeats one is not another follow-up."""
    _count: int = 0

    def note(self, now_ms: int, what: str, due: str, words: str, said_ms: int | None = None) -> list[FollowUpNoted]:
        """Notes a promise, or the time of one that had none; empty where it is known already.

        Args:
            now_ms: call time.
            what: is promised.
            due: its time in words, or empty.
            words: the evidence.
            said_ms: call time when the time was named, where that was earlier: a span is counted from there.
        """
        same = [
            each
            for each in self.current()
            if is_same(each.what, what)
            or (each.id in self._of_options and self._repeats_option(each, what, due, now_ms))
        ]
        if same and (not due or any(self._is_same_time(each, due, now_ms) for each in same)):
            return []
        when = self._due_at(due, now_ms if said_ms is None else said_ms)
        known = next((each for each in same if not each.due or self._adds_hour(each, due, now_ms)), None)
        if known is not None:
            noted = replace(known, at_ms=now_ms, due=due, words=words, due_at=when)
        else:
            self._count += 1
            noted = FollowUpNoted(now_ms, f"f{self._count}", what, due, self.owner, words, when)
        self._noted.append(noted)
        return [noted]

    def note_option(self, now_ms: int, what: str, due: str, words: str, said_ms: int) -> list[FollowUpNoted]:
        """Notes an accepted option with its time, if it has one; empty where a promise for that time covers it.

        See `note` for the arguments; `what`: the option's title.
        """
        if due and any(
            self._is_same_time(each, due, said_ms) and _is_about(what, each.what) for each in self.current() if each.due
        ):
            return []
        noted = self.note(now_ms, what, due, words, said_ms)
        self._of_options |= {each.id for each in noted}
        return noted

    def reschedule(self, now_ms: int, what: str, due: str, words: str, of: str = "") -> list[FollowUpNoted]:
        """An accepted option or a promised callback has its time now, or another one.

        Also an option that was noted as a promise. `of`: the follow-up's id, of a promised callback.
        """
        if any(each.what == what and not each.due for each in self.current()):
            return self.note(now_ms, what, due, words)
        same = [each for each in self.current() if each.due and (each.what == what or _is_about(what, each.what))]
        likely = [each for each in same if each.id == of] or [each for each in same if each.what == what] or same[-1:]
        known = next(iter(likely), None)
        if known is None:
            return self.note(now_ms, what, due, words)
        if self._is_same_time(known, due, now_ms):
            return []
        self._noted.append(replace(known, at_ms=now_ms, due=due, words=words, due_at=self._due_at(due, now_ms)))
        return self._noted[-1:]

    def withdraw_option(self, title: str) -> None:
        """An accepted option was refused after all; what the agent has promised besides stays."""
        self._noted = [each for each in self._noted if not (each.id in self._of_options and each.what == title)]

    def discard_after(self, since_ms: int, source_end_ms: Callable[[int, str], int]) -> None:
        """Forgets what was noted of words that ended after `since_ms`; promised again, it is noted again.

        `source_end_ms` gives their end, by when something was noted and the words it quotes.
        """
        self._noted = [each for each in self._noted if source_end_ms(each.at_ms, each.words) <= since_ms]

    def current(self) -> list[FollowUpNoted]:
        """The newest version of each follow-up."""
        return list({each.id: each for each in self._noted}.values())

    def lines(self) -> list[str]:
        """One line each, for whoever takes over."""
        return [f"promised: {each.what}{', ' if each.due else ''}{each.due}" for each in self.current()]

    def restore(self, event: Event, titles: Collection[str]) -> None:
        """An interrupted call is resumed: a follow-up in its log keeps its id.

        `titles`: of the options that need a time.
        """
        if isinstance(event, FollowUpNoted):
            self._of_options |= {event.id} if event.what in titles else set()
            self._count = max(self._count, number_of(event.id))
            others = [each for each in self._noted if (each.what, each.due) != (event.what, event.due)]
            self._noted = [*others, event]

    def _repeats_option(self, option: FollowUpNoted, what: str, due: str, now_ms: int) -> bool:
        """Whether a promise repeats a noted option: a callback at any time, anything else only at the same time."""
        return _is_about(option.what, what) and (
            is_call(option.what) or self._is_same_time(option, due, now_ms) or self._adds_hour(option, due, now_ms)
        )

    def _due_at(self, due: str, now_ms: int) -> str:
        return due_at(due, self.began + timedelta(milliseconds=now_ms)) if self.began is not None else ""

    def _adds_hour(self, noted: FollowUpNoted, due: str, now_ms: int) -> bool:
        """Whether `due` names the hour of a follow-up of which only the day is known."""
        day = noted.due_at[:10]
        return day != "" and adds_hour(due, noted.due) and day == self._due_at(due, now_ms)[:10]

    def _is_same_time(self, noted: FollowUpNoted, due: str, now_ms: int) -> bool:
        """Whether `due` is its time; "within two hours" said again may count from when it was first said."""
        if content_words(noted.due) == content_words(due):
            return True
        return noted.due_at != "" and noted.due_at in (self._due_at(due, noted.at_ms), self._due_at(due, now_ms))


def is_to_inform(promised: str) -> bool:
    """Whether a promise is to inform about something, and not a callback."""
    return not (_INFORMING.isdisjoint(content_words(promised)) or is_callback(promised))


def _is_about(title: str, promised: str) -> bool:
    """Whether a promise may be about the option of this title: much else may be promised for the same time."""
    if is_call(title):
        return is_callback(promised)
    words = set(content_words(promised))
    return not words.isdisjoint(content_words(title)) and words.isdisjoint(_INFORMING)
