"""Times of Plan B options that need one (a callback, a visit), and of promised callbacks: named with the offer or the
promise, in the answer or later. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assist.coach.due import adds_hour, combine_times
from assist.coach.matching import matched_words
from assist.coach.parts import Option, Playbook
from assist.coach.promises import is_call, is_callback, promises
from assist.coach.scheduling import SchedulingUtterance
from assist.events import FollowUpNoted, PlanMoved
from audio.events import Speaker, Utterance

MAX_APART_MS = 30_000
"""A time and the acceptance of an option belong together, and a request and its answer, up to so long apart."""
_CALL_PHRASES = ("(the|my|our|your|a|that) (call|callback|call back)", "(call|ring|phone) (me|you)")
"""Phrases that name a callback, besides those of its option."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """An option that needs a time, offered to the customer or accepted, or a callback that the agent has promised."""

    option: Option
    """Of a promised callback one that no playbook has: its id is that of the follow-up."""
    at_ms: int
    """Call time when its time was named, or the option accepted."""
    due: str = ""
    """The time in words; empty until it is named."""
    words: str = ""
    """The utterance that named it."""

    def at_time(self, now_ms: int, due: str, said: SchedulingUtterance) -> Appointment:
        """The same at another time; an hour alone is one of the day that was named before."""
        return Appointment(self.option, now_ms, due and combine_times(self.due, due), said.utterance.text)


@dataclass(slots=True)
class Appointments:
    """The appointments of one call."""

    playbook: Playbook
    _offered: dict[str, Appointment] = field(default_factory=dict)
    """Option -> its time as named with the offer or in the answer; "": of a callback, while none was offered."""
    _accepted: dict[str, Appointment] = field(default_factory=dict)
    """By option, the one accepted (or promised) last at the end."""
    _promised_as: dict[str, str] = field(default_factory=dict)
    """Callback that was offered as a promise ("I will call you back at ten") -> the follow-up of that promise."""
    _last_topic: tuple[str, int] = ("", 0)
    """The accepted option that was spoken of last, and when: a time that follows is taken for its time."""
    _requested: Appointment | None = None
    """What the customer wants at this time, or (without one) at another; the agent has not agreed yet."""
    _asked_when_by: str = ""
    """The speaker who has just asked when."""

    def hear(
        self, now_ms: int, utterance: Utterance, plan_moves: Sequence[PlanMoved], pending: str, *, callback: bool
    ) -> list[Appointment]:
        """Takes a settled utterance; returns the accepted options that have a time, or another one, by it.

        Args:
            now_ms: call time.
            utterance: of either speaker.
            plan_moves: what the utterance has done to the Plan B options.
            pending: id of the option that was offered before the utterance, is not answered and needs a time, or empty.
                A time is that of the pending option unless other words say otherwise.
            callback: whether the agent names the time of a callback (the signal `callback_time`).
        """
        accepts = any(each.what == "accepted" and self._timed_option(each.option) for each in plan_moves)
        was_asked = self._asked_when_by not in ("", utterance.speaker)
        said = SchedulingUtterance(utterance, was_asked_when=accepts or was_asked)
        self._asked_when_by = utterance.speaker if said.asks_when() else ""
        if utterance.speaker is Speaker.AGENT:
            settled = self._hear_agent(now_ms, said, plan_moves, pending, callback=callback)
        else:
            settled = self._hear_customer(now_ms, said, plan_moves, pending)
        self._accepted |= {each.option.id: each for each in settled}
        return settled

    def _hear_agent(
        self, now_ms: int, said: SchedulingUtterance, plan_moves: Sequence[PlanMoved], pending: str, *, callback: bool
    ) -> list[Appointment]:
        agreed = self._agent_agrees(now_ms, said, pending, callback=callback)
        if pending:
            self._offered |= {each.option.id: each for each in agreed}
        settled = [] if pending else agreed
        settled = settled or self._complete(now_ms, said, pending, callback=callback)
        offers = {moved.option: moved.words for moved in plan_moves if moved.what == "offered"}
        offered = next((name for name in reversed(offers) if self._timed_option(name)), pending)
        for name, part in _split_by_option(offers, said) or [(offered, said)]:
            proposes = name != "" and part.proposes()
            if callback or proposes or (name and self._needs_time(name, part)):
                self._set_offered_time(now_ms, name, part, part.due(needs_hour=not (callback or proposes)))
        offer, promise = self._offered.get(pending), self._accepted.get(self.promised_as(pending))
        if offer and promise and offer.due != promise.due and (agreed or (callback and said.wants_change())):
            settled = [*settled, replace(offer, option=promise.option)]
        return settled

    def _hear_customer(
        self, now_ms: int, said: SchedulingUtterance, plan_moves: Sequence[PlanMoved], pending: str
    ) -> list[Appointment]:
        accepted = [each.option for each in plan_moves if each.what == "accepted" and self._timed_option(each.option)]
        if name := next(iter(accepted), pending):
            self._customer_answers(now_ms, name, said, accepts=bool(accepted))
        if plan_moves or not self._accepted:
            return []
        if not pending:
            self._customer_requests(now_ms, said)
        names_time = said.answers_when() or said.wants_change()
        settled = self._complete(now_ms, said, pending, callback=False) if names_time else []
        if settled and said.is_question():
            self._requested, settled = settled[-1], []
        return settled

    def accept(self, now_ms: int, option: Option, *, by_hand: bool) -> Appointment | None:
        """The option is accepted; returns its time as named so far, or None.

        `by_hand`: the agent ticks it on the page: then the time that the customer has asked for is agreed to.
        """
        named, callback = self._offered.get(option.id), self._offered.get("") if is_call(option.title) else None
        if by_hand and self._requested is not None and self._requested.option.id == option.id:
            named, self._requested = self._requested, None
        if named is None and callback is not None and now_ms - callback.at_ms <= MAX_APART_MS:
            named = callback
        self._accepted.pop(option.id, None)
        self._accepted[option.id] = Appointment(option, now_ms, named.due if named is not None else "")
        return named

    def withdraw(self, option: str) -> None:
        """An accepted option was refused after all."""
        for known in (self._offered, self._accepted):
            known.pop(option, None)

    def take(self, noted: FollowUpNoted) -> None:
        """A follow-up is noted, or in the log of a call that is resumed.

        An accepted option has its time, and a callback that is promised for a time can be moved like one.
        """
        options = [option for option in self.playbook.options if option.timed and option.title == noted.what]
        if not options and noted.due and is_callback(noted.what):
            options = [
                Option.model_construct(id=noted.id, title=noted.what, worth="", value=0, cost=0, limits={}, timed=True)
            ]
        for option in options:
            self._accepted[option.id] = Appointment(option, noted.at_ms, noted.due, noted.words)
            if option.id == noted.id:
                same = (
                    name for name, each in self._offered.items() if each.due == noted.due and is_call(each.option.title)
                )
                self._promised_as |= dict.fromkeys(same, noted.id)

    def promised_as(self, option: str) -> str:
        """The follow-up of the promise by which this callback was offered; empty: it was offered otherwise."""
        return self._promised_as.get(option, "")

    def last_without_time(self) -> Option | None:
        """The option accepted last that still has no time."""
        return next((each.option for each in reversed(self._accepted.values()) if not each.due), None)

    def discard_after(self, since_ms: int, source_end_ms: Callable[[int, str], int]) -> None:
        """Forgets the times that were named in words that ended after `since_ms`; `source_end_ms`: as in FollowUps."""

        def is_kept(named: Appointment) -> bool:
            return source_end_ms(named.at_ms, named.words) <= since_ms

        self._offered = {name: each for name, each in self._offered.items() if is_kept(each)}
        self._requested = self._requested if self._requested is not None and is_kept(self._requested) else None
        self._accepted = {
            name: each for name, each in self._accepted.items() if is_kept(each) or self._timed_option(name)
        }

    def _customer_answers(self, now_ms: int, name: str, said: SchedulingUtterance, *, accepts: bool) -> None:
        """The customer speaks of the time of what is offered, or accepts it now.

        A time that was named with the offer holds until they decline it or name another; one that they only ask for
        needs the agent's agreement.
        """
        known, declines = self._offered.get(name), said.declines()
        due = said.due(needs_hour=not said.wants_change())
        names_time = self._needs_time(name, said) or (accepts and said.names_one_time())
        if not (declines or said.wants_change() or names_time):
            return
        if declines and not accepts:
            self._offered.pop(name, None)
        if due and said.is_question() and (option := self._timed_option(name)) is not None:
            self._requested = (known or Appointment(option, now_ms)).at_time(now_ms, due, said)
        else:
            self._set_offered_time(now_ms, name, said, due)

    def _complete(self, now_ms: int, said: SchedulingUtterance, pending: str, *, callback: bool) -> list[Appointment]:
        """Accepted options without a time that have one now.

        A time is that of the option whose words are said with it, else of the one just spoken of, else of the one
        accepted last.
        """
        open_ones = {
            name: each
            for name, each in self._accepted.items()
            if not each.due and (callback or now_ms - each.at_ms <= MAX_APART_MS)
        }
        named = {name: words for name, each in open_ones.items() if (words := _option_words(each.option, said))}
        calls = [name for name in open_ones if callback and is_call(open_ones[name].option.title)]
        topic, topic_ms = self._last_topic
        if len(named) == 1:
            self._last_topic = (next(iter(named)), now_ms)
        spoken_of = [topic] if topic in open_ones and now_ms - topic_ms <= MAX_APART_MS else []
        candidates = [*named] or calls[-1:] or spoken_of or [*open_ones][-1:]
        if not candidates or (pending and not named) or (not named and not calls and promises(said.utterance)):
            return []
        parts = [(open_ones[name], part) for name, part in _split_by_option(named, said) or [(candidates[-1], said)]]
        return [each.at_time(now_ms, due, part) for each, part in parts if (due := part.due(needs_hour=not callback))]

    def _customer_requests(self, now_ms: int, said: SchedulingUtterance) -> None:
        """The customer asks for another time, or names it: "Friday at two", to "when would suit you?"."""
        asked, due = self._open_request(now_ms), said.due()
        if asked is not None and due and said.answers_when():
            asked = self._with_known_time(asked).at_time(now_ms, due, said)
        self._requested = self._change_wanted(now_ms, said, declined=said.declines()) or asked

    def _agent_agrees(
        self, now_ms: int, said: SchedulingUtterance, pending: str, *, callback: bool
    ) -> list[Appointment]:
        """The agent agrees to what the customer asked for, or names another time than before."""
        asked = self._open_request(now_ms, pending)
        if asked is None and (pending or not self._accepted):
            return []
        due = said.due()
        if asked is None:
            asked = self._change_wanted(now_ms, said, declined=False)
            if asked is not None and promises(said.utterance) and not (callback or _option_words(asked.option, said)):
                return []
        elif due and (callback or said.concerns_speakers() or _option_words(asked.option, said)):
            asked = self._with_known_time(asked).at_time(now_ms, due, said)
        elif not said.agrees():
            self._requested = None if said.declines() else self._requested
            return []
        if asked is None or not asked.due:
            return []
        self._requested = None
        return [asked]

    def _open_request(self, now_ms: int, pending: str = "") -> Appointment | None:
        """What the customer has just asked for: of the pending option, or else of an accepted one."""
        asked = self._requested
        known = asked is not None and (asked.option.id == pending if pending else asked.option.id in self._accepted)
        return asked if asked is not None and known and now_ms - asked.at_ms <= MAX_APART_MS else None

    def _with_known_time(self, asked: Appointment) -> Appointment:
        """The request, or the appointment it would change where it names no time itself."""
        return asked if asked.due else self._accepted[asked.option.id]

    def _change_wanted(self, now_ms: int, said: SchedulingUtterance, *, declined: bool) -> Appointment | None:
        """The accepted appointment that is wanted at another time, or at an hour of its day; `due` empty: any.

        A promised callback is meant only where it is named or was spoken of just before: anything may follow a promise.
        """
        timed = [each for each in self._accepted.values() if each.due]
        named = [each for each in timed if _option_words(each.option, said)]
        timed = [each for each in timed if self._timed_option(each.option.id) or now_ms - each.at_ms <= MAX_APART_MS]
        if not (named or timed):
            return None
        known, due = (named or timed)[-1], said.due()
        hour = (named or said.answers_when()) and adds_hour(due, known.due)
        return known.at_time(now_ms, due, said) if hour or declined or said.wants_change() else None

    def _set_offered_time(self, now_ms: int, name: str, said: SchedulingUtterance, due: str) -> None:
        option, known = self._timed_option(name), self._offered.get(name)
        if due and option is not None:
            self._offered[name] = (known or Appointment(option, now_ms)).at_time(now_ms, due, said)

    def _needs_time(self, name: str, said: SchedulingUtterance) -> bool:
        """Whether an offered option has no time yet, or has a day and the utterance names its hour."""
        known = self._offered.get(name)
        return known is None or (said.answers_when() and adds_hour(said.due(), known.due))

    def _timed_option(self, name: str) -> Option | None:
        """The option of this id if it needs a time; "": the first callback."""
        timed = (option for option in self.playbook.options if option.timed)
        return next((each for each in timed if each.id == name or (not name and is_call(each.title))), None)


def _option_words(option: Option, said: SchedulingUtterance) -> str:
    """The words that name this option, as heard; empty where none do."""
    phrases = (*option.words, *option.reasons, *(_CALL_PHRASES if is_call(option.title) else ()))
    return matched_words(phrases, said.utterance)


def _split_by_option(named: Mapping[str, str], said: SchedulingUtterance) -> list[tuple[str, SchedulingUtterance]]:
    """(option, the utterance from its words to those of the next) where several options are named; else empty.

    `named`: option -> the words that name it.
    """
    text, words = said.utterance.text, said.utterance.words
    starts = sorted((text.find(words), option) for option, words in named.items())
    if len(starts) < 2:
        return []
    ends = [start for start, _ in starts[1:]] + [len(text)]
    parts = []
    for (start, option), end in zip(starts, ends, strict=True):
        spoken = words[len(text[:start].split()) : len(text[:end].split())]
        parts.append((option, SchedulingUtterance(replace(said.utterance, words=spoken))))
    return parts
