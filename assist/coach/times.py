"""Of what a time is: those of what Plan B gives, named with an offer, in the customer's answer, or after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from assist.coach.due import adds_hour, combine_times
from assist.coach.matching import matched_words
from assist.coach.parts import Option, Playbook
from assist.coach.promises import is_call, promises
from assist.coach.said import Said
from assist.events import FollowUpNoted, PlanMoved
from audio.events import Speaker, Utterance

PROMISED_MS = 30_000
"""A time that was named so shortly before a callback was accepted, or after it, is the time of that callback."""
_CALLED = ("(the|my|our|your|a|that) (call|callback|call back)", "(call|ring|phone) (me|you)")
"""What speaks of a call that was taken, besides the words of its option."""


@dataclass(frozen=True, slots=True)
class Given:
    """An option that needs a time: offered, or taken by the customer."""

    option: Option
    at_ms: int
    """When its time was named, or it was taken."""
    due: str = ""
    """Empty until it is named."""
    words: str = ""

    def at(self, now_ms: int, due: str, said: Said) -> Given:
        """At the time that is named now; an hour is that of the day that was named before it."""
        return Given(self.option, now_ms, due and combine_times(self.due, due), said.utterance.text)


@dataclass(slots=True)
class Times:
    """The times that were named in one call, each for what it is the time of."""

    playbook: Playbook
    _named: dict[str, Given] = field(default_factory=dict)
    """By option, of what is offered; "": for a callback, while none was offered."""
    _given: dict[str, Given] = field(default_factory=dict)
    """By option, of what was taken, the last one at the end."""
    _about: tuple[str, int] = ("", 0)
    """The option that the agent spoke of last without naming its time, and when: an answer is that of its time."""
    _asked: Given | None = None
    """What the customer has asked to have at this time, or at another one; the agent has not agreed yet."""
    _asks_when: str = ""
    """Who has just asked when."""

    def hear(
        self, now_ms: int, utterance: Utterance, moves: Sequence[PlanMoved], waiting: str, *, callback: bool
    ) -> list[Given]:
        """What was taken and is due now, or at another time than before.

        `waiting`: the option that needed a time before these words, or none: while there is one, a time is its time,
        unless other words say whose. `callback`: the agent names the time of one.
        """
        said = Said(utterance, asked=self._asks_when not in ("", utterance.speaker))
        self._asks_when = utterance.speaker if said.asks_when() else ""
        if utterance.speaker is Speaker.AGENT:
            agreed = self._agreed(now_ms, said, waiting, callback=callback)
            if waiting:
                self._named |= {each.option.id: each for each in agreed}
            given = [] if waiting else agreed
            given = given or self._first(now_ms, said, waiting, callback=callback)
            offers = {moved.option: moved.words for moved in moves if moved.what == "offered"}
            offered = next((name for name in reversed(offers) if self._timed(name)), waiting)
            for name, part in _part_by_part(offers, said) or [(offered, said)]:
                if callback or (name and self._is_open(name, part)):
                    self._name(now_ms, name, part, part.due(hour=not callback))
        else:
            taken = [moved.option for moved in moves if moved.what == "accepted" and self._timed(moved.option)]
            if name := next(iter(taken), waiting):
                self._answer(now_ms, name, said, taken=bool(taken))
            if moves or not self._given:
                return []
            if not waiting:
                self._ask(now_ms, said)
            answers = said.answers_when() or said.wants_another()
            given = self._first(now_ms, said, waiting, callback=False) if answers else []
            if given and said.is_asked():
                self._asked, given = given[-1], []
        self._given |= {each.option.id: each for each in given}
        return given

    def accept(self, now_ms: int, option: Option, *, by_hand: bool) -> Given | None:
        """The time of an option that is accepted now; None: the agent names it later, or never.

        `by_hand`: the agent notes it, with what the customer has asked for.
        """
        named, lately = self._named.get(option.id), self._named.get("") if is_call(option.title) else None
        if by_hand and self._asked is not None and self._asked.option.id == option.id:
            named, self._asked = self._asked, None
        if named is None and lately is not None and now_ms - lately.at_ms <= PROMISED_MS:
            named = lately
        self._given.pop(option.id, None)
        self._given[option.id] = Given(option, now_ms, named.due if named is not None else "")
        return named

    def follow(self, event: FollowUpNoted) -> None:
        """A call that was cut short goes on: what was taken has the time that it has in its log."""
        for option in self.playbook.options:
            if option.timed and option.title == event.what:
                self._given[option.id] = Given(option, event.at_ms, event.due, event.words)

    def untimed(self) -> Option | None:
        """What the customer has taken last of all that still has no time."""
        return next((given.option for given in reversed(self._given.values()) if not given.due), None)

    def forget(self, since_ms: int) -> None:
        """What was said after this has been taken back."""
        self._named = {name: given for name, given in self._named.items() if given.at_ms <= since_ms}
        self._asked = self._asked if self._asked is not None and self._asked.at_ms <= since_ms else None

    def _answer(self, now_ms: int, name: str, said: Said, *, taken: bool) -> None:
        """The customer speaks of the time of what is offered, or takes it now.

        What was named with the offer stands until they turn it down or name another; what they only ask for is for the
        agent to agree to.
        """
        known, due, refuses = self._named.get(name), said.due(hour=True), said.refuses()
        if not (refuses or said.wants_another() or self._is_open(name, said)):
            return
        if refuses and not taken:
            self._named.pop(name, None)
        if due and said.is_asked() and (option := self._timed(name)) is not None:
            self._asked = (known or Given(option, now_ms)).at(now_ms, due, said)
        else:
            self._name(now_ms, name, said, due)

    def _first(self, now_ms: int, said: Said, waiting: str, *, callback: bool) -> list[Given]:
        """What was taken without a time and has one now.

        It is that whose words are said with the time, else the one that was just spoken of, else the last one taken.
        """
        lately = {
            name: given
            for name, given in self._given.items()
            if not given.due and (callback or now_ms - given.at_ms <= PROMISED_MS)
        }
        named = {name: words for name, given in lately.items() if (words := _words_said(given.option, said))}
        calls = [name for name in lately if callback and is_call(lately[name].option.title)]
        about, about_ms = self._about
        if len(named) == 1:
            self._about = (next(iter(named)), now_ms)
        spoken_of = [about] if about in lately and now_ms - about_ms <= PROMISED_MS else []
        meant = [*named] or calls[-1:] or spoken_of or [*lately][-1:]
        if not meant or (waiting and not named) or (not named and not calls and promises(said.utterance)):
            return []
        parts = [(lately[name], part) for name, part in _part_by_part(named, said) or [(meant[-1], said)]]
        return [each.at(now_ms, due, part) for each, part in parts if (due := part.due(hour=not callback))]

    def _ask(self, now_ms: int, said: Said) -> None:
        """The customer asks for another time, or says which one: "Friday at two", to "when would suit you?"."""
        asked, due = self._pending(now_ms), said.due()
        if asked is not None and due and said.answers_when():
            asked = self._stands(asked).at(now_ms, due, said)
        self._asked = self._wanted(now_ms, said, refused=said.refuses()) or asked

    def _agreed(self, now_ms: int, said: Said, waiting: str, *, callback: bool) -> list[Given]:
        """The agent says yes to what the customer asked for, or names another time than before."""
        asked = self._pending(now_ms, waiting)
        if asked is None and (waiting or not self._given):
            return []
        due = said.due()
        if asked is None:
            asked = self._wanted(now_ms, said, refused=False)
            if asked is not None and promises(said.utterance) and not (callback or _words_said(asked.option, said)):
                return []
        elif due and (callback or said.is_theirs() or _words_said(asked.option, said)):
            asked = self._stands(asked).at(now_ms, due, said)
        elif not said.agrees():
            self._asked = None if said.refuses() else self._asked
            return []
        if asked is None or not asked.due:
            return []
        self._asked = None
        return [asked]

    def _pending(self, now_ms: int, waiting: str = "") -> Given | None:
        """What the customer has just asked for: of what waits for an answer, or else of what was taken."""
        asked = self._asked
        known = asked is not None and (asked.option.id == waiting if waiting else asked.option.id in self._given)
        return asked if asked is not None and known and now_ms - asked.at_ms <= PROMISED_MS else None

    def _stands(self, asked: Given) -> Given:
        """The time that another one follows."""
        return asked if asked.due else self._given[asked.option.id]

    def _wanted(self, now_ms: int, said: Said, *, refused: bool) -> Given | None:
        """What has its time and is wanted at another one, or at an hour of its day."""
        timed = [given for given in self._given.values() if given.due]
        named = [given for given in timed if _words_said(given.option, said)]
        if not timed:
            return None
        given, due = (named or timed)[-1], said.due()
        hour = (named or said.answers_when()) and adds_hour(due, given.due)
        return given.at(now_ms, due, said) if hour or refused or said.wants_another() else None

    def _name(self, now_ms: int, name: str, said: Said, due: str) -> None:
        option, known = self._timed(name), self._named.get(name)
        if due and option is not None:
            self._named[name] = (known or Given(option, now_ms)).at(now_ms, due, said)

    def _is_open(self, name: str, said: Said) -> bool:
        """Whether the time of what is offered has not been named yet, or only its day, and these words answer when."""
        known = self._named.get(name)
        return known is None or (said.answers_when() and adds_hour(said.due(), known.due))

    def _timed(self, name: str) -> Option | None:
        """The option of this name, where it needs a time; "": a callback."""
        timed = (option for option in self.playbook.options if option.timed)
        return next((each for each in timed if each.id == name or (not name and is_call(each.title))), None)


def _words_said(option: Option, said: Said) -> str:
    """The words that speak of this option, as they were said; empty where none do."""
    return matched_words((*option.words, *option.reasons, *(_CALLED if is_call(option.title) else ())), said.utterance)


def _part_by_part(named: Mapping[str, str], said: Said) -> list[tuple[str, Said]]:
    """Where several options are named in one breath: each with the words up to the next; nothing for a single one.

    `named`: by option, the words it is named by.
    """
    text, words = said.utterance.text, said.utterance.words
    starts = sorted((text.find(words), option) for option, words in named.items())
    if len(starts) < 2:
        return []
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [
        (option, Said(replace(said.utterance, words=words[len(text[:start].split()) : len(text[:end].split())])))
        for (start, option), end in zip(starts, ends, strict=True)
    ]
