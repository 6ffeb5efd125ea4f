"""When what Plan B gives at a time is due: times named with an offer, in the customer's answer, or after it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from assist.coach.due import CLOCK, DAYS, FEW, HOUR, LATER, WHEN, is_day_alone, names_hour, refined
from assist.coach.parts import Option, Playbook
from assist.coach.promises import CONTACT_ALONE, HOLD, is_call, promises, words_of
from assist.coach.words import found
from assist.events import FollowUpNoted, PlanMoved
from audio.events import Speaker, Utterance
from detectors import context

PROMISED_MS = 30_000
"""A time that was named so shortly before a callback was accepted, or after it, is the time of that callback."""
ANSWERS = 3
"""Words before a time, at most, that is an answer by itself."""
_OFFERED_ON = frozenset(("then", "please", "instead", "okay", "ok", "if", "for", "or", "suit"))
"""What may follow an hour that is offered: "shall we say five then", not "shall we say five visits"."""
_TOLD = re.compile(
    r"\b(?:since|was|were|been|had|came|took|got|said|told|made|did|not|nobody|(?!need)\w{2,}ed)(?: \w+){0,4} $"
    r"|\b(?:(?:i|we|you|they|he|she|it|office|shop|store|centre|center|branch|line|lines|desk|team|shift|day) "
    r"(?:\w+ )?(?:open|close|finish|start|begin|end|leave)(?:s|es)?|(?:get|am|are|is) (?:back )?(?:home|off)"
    r"|meeting|shift)(?: (?:the|my|our|for|work|home|office|today|tonight|day|here|school|again|only)){0,3} $"
    r"|\b(?:we are (?:here|there|in)|you can (?:call|ring|phone|reach) us(?: back)?) $"
    r"|\b(?:scale|rate|score)(?: \w+){0,4} $"
)
"""Shortly before a time: it tells what was or somebody's hours or marks, or turns the time down."""
_GOOD = r"(?:fine|good|great|better|best|perfect|ok|okay|alright|all right|possible|convenient)"
_SPOKEN = re.compile(
    rf"{WHEN.pattern}|\b(?:(?P<clock>{CLOCK}|\d{{3,4}}|from {HOUR} (?:to|until|till) {HOUR}|after {HOUR})"
    rf"|(?:does|would|is) (?P<asked>{FEW}(?: {LATER})?)(?= (?:suit|work|(?:be )?{_GOOD})\b)"
    rf"|(?:(?:shall|can|could|should) (?:we|i|you|he|she|they) (?:say|do|make it)|(?:i|we|he|she|they) (?:can|could) do"
    r"|let us say|(?:make|do) (?:it|that)|(?:how|what) about"
    rf"|(?:put|pencil|book) (?:you|me|it|that|us) (?:in |down )?for) (?P<offered>(?:{CLOCK}|{FEW})(?: {LATER})?)"
    rf"|(?P<liked>{FEW}(?: {LATER})?)"
    rf"(?= (?:(?:is|sounds|would be|will be) {_GOOD}|works|suits|would (?:suit|work)|it is(?= $| then\b))\b))(?= )"
)
"""A time where one is spoken of: with bare hours where they are one, such as "half past four", "shall we say five"."""
_REFUSED = re.compile(
    r"\b(?:not|cannot|never) (?:\w+ ){0,3}?(?:work|suit|good|possible|free|available|convenient|home|there|make it|"
    r"do (?:it|that)|(?:at|by|before|after|around|about) \w+)\b|\b(?:can not|cannot|could not) (?:do|make|manage)\b"
    r"|\bno (?:good|use)\b|\btoo (?:early|late|soon)\b"
)
"""What was named as a time does not suit."""
_NOT_IT = re.compile(
    rf" (?:or (?:{HOUR}|{WHEN.pattern})|(?:(?:is|are|does|do|will|would) )?(?:{_REFUSED.pattern})"
    r"|(?:(?:any|every|each) (?:day|time|weekday)|(?:on )?weekdays|daily"
    rf"|(?:to|till|until|through) (?:{'|'.join(DAYS)}))\b)"
)
"""Right behind a time: it is one of two, turned down, or that of every day."""
_INSTEAD = re.compile(
    r"\b(?:instead|rather|better|prefer|(?:how|what) about|(?:make|do) (?:it|that)|(?:could|can) (?:you|we|it))\b"
)
"""Another time is asked for."""
_THIS = r"(?:it|that|this|the (?:time|day|appointment|visit|call))"
_CHANGES = re.compile(
    r"\b(?:(?:change|move|push|switch|shift) the (?:time|day|appointment|visit|call)"
    r"|(?:move|push|shift) (?:it|that|this)"
    r"|(?:another|a different|some other) (?:time|day|hour)|reschedule|rearrange|postpone)\b"
)
"""The time that stands is to be another one."""
_NAMED = rf"(?:(?:{WHEN.pattern.replace('?P<part>', '?:')}|{CLOCK}|{FEW})(?= ))"
_WANTS = re.compile(
    r"\b(?:(?:(?:make|do|change|move|push|switch|shift|bring|put|let us say"
    rf"|(?:can|could|may|shall|should) (?:i|we) (?:have|say)) (?:{_THIS} )?(?:back |forward )?"
    r"|(?:could|can|would) \w+(?: \w+)? (?:please |maybe |perhaps |possibly |just )?(?:call|ring|phone|come|be)"
    r" (?:me |us |here |there |round |out |back )*|(?:rather|prefer|better|i mean|(?:how|what) about) )"
    rf"(?:to |for |on )?{_NAMED}"
    rf"|{_NAMED} (?:(?:please )?instead|(?:(?:is|are|would|works?|suits?|fits?) (?:\w+ ){{0,3}}?)?better))\b"
    rf"|\b(?:would|is|does) {_NAMED} (?:(?:be )?{_GOOD}|work|suit)(?= $| (?:for )?(?:me|you|him|her|us|then|instead)\b)"
)
"""The time that stands is to be the one that is named here, and not that of something else."""
_CANNOT = re.compile(
    r"\b(?:that|this|then|(?:that|this|the) (?:time|day|hour)) (?:is|does|do|will|would) not (?:\w+ ){0,2}?"
    r"(?:work|suit|good|possible|convenient|do)\b"
    r"|\bnot (?:\w+ ){0,2}?(?:work|suit|good|possible|convenient)(?: for)? (?:me|us)\b"
    r"|\b(?:i|we|he|she) (?:am|are|is|will|would) not (?:\w+ ){0,2}?(?:free|available|home|there|in)\b"
    rf"|\b(?:can not|cannot|could not) (?:do|make|manage) (?:it|that|then|{_NAMED})(?= )"
    rf"|{_NAMED} (?:is|does|will|would) (?:{_REFUSED.pattern})|\btoo (?:early|late|soon)\b"
)
"""The time that stands does not suit; "the internet does not work" speaks of something else."""
_WHOSE = re.compile(r"\b(?:i|we|he|she|they|you|it|that|us|about)\b(?: \w+){0,4} $")
"""Before a time that is about those who speak, unlike "your next bill goes out on Friday"."""
_CALLED = ("(the|my|our|your|a|that) (call|callback|call back)", "(call|ring|phone) (me|you)")
"""What speaks of a call that was taken, besides the words of its option."""
_AGREES = re.compile(
    r"^ (?:\w+ ){0,2}?(?:yes|yeah|yep|sure|of course|certainly|absolutely|no problem|not a problem|fine|can do|okay|ok"
    r"|all ?right|perfect|great|lovely|done|changed|moved|booked|will do|you got it|works|is good|no worries)\b"
    r"|^ (?:\w+ ){1,5}it is(?: then)? $"
)
_HEDGES = re.compile(
    r"\b(?:but|afraid|unfortunately|sorry|check|see (?:if|whether|what)|ask|cannot|not able|unable|full)\b"
)
"""Who says this has not agreed yet."""


@dataclass(frozen=True, slots=True)
class Named:
    """A time that was named."""

    at_ms: int
    due: str
    words: str


@dataclass(frozen=True, slots=True)
class Given:
    """An option that needs a time and that the customer has taken."""

    option: Option
    at_ms: int
    """When it was taken, or its time was named."""
    due: str = ""
    """Empty until it is named."""
    words: str = ""


@dataclass(slots=True)
class Times:
    """The times that were named in one call, each for what it is the time of."""

    playbook: Playbook
    _named: dict[str, Named] = field(default_factory=dict)
    """By option; "": for a callback, while none was offered."""
    _given: dict[str, Given] = field(default_factory=dict)
    """By option, the one that was accepted last at the end."""
    _about: tuple[str, int] = ("", 0)
    """The option that the agent spoke of last without naming its time, and when: an answer is that of its time."""
    _asked: Given | None = None
    """What the customer asked to have at another time, after the yes; without one: at any other."""

    def hear(
        self,
        now_ms: int,
        utterance: Utterance,
        moves: Sequence[PlanMoved],
        waiting: str,
        offered: str,
        *,
        callback: bool,
    ) -> None:
        """A time is named: by the agent for a callback, or by either while an option that needs one is offered.

        `waiting`, `offered`: the option that needed a time before these words and needs one now, or none. `callback`:
        the agent names the time of one. What was named with the offer stands until the customer turns it down or asks
        for another, or a time for a callback is named.
        """
        if utterance.speaker is Speaker.AGENT:
            offers = {moved.option: moved.words for moved in moves if moved.what == "offered"}
            for option, said in _part_by_part(offers, utterance) or [(offered, utterance)]:
                if callback or (option and self._is_open(option, utterance)):
                    self._take(now_ms, option, said, hour=not callback)
            return
        taken = [moved.option for moved in moves if moved.what == "accepted" and self._is_timed(moved.option)]
        option = next(iter(taken), waiting)
        known = self._named.get(option)
        if option and (self._is_open(option, utterance) or _asks_for_another(utterance)):
            again = known is not None and _time_named(utterance, hour=True).casefold() == known.due.casefold()
            if not taken and (again or _turns_down(utterance)):
                self._named.pop(option, None)  # "at three I am at work, five is better"
            self._take(now_ms, option, utterance, hour=True, but=known)

    def accept(self, now_ms: int, option: Option) -> Named | None:
        """The time of an option that is accepted now; None: the agent names it later, or never."""
        named, lately = self._named.get(option.id), self._named.get("") if is_call(option.title) else None
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

    def added(self, now_ms: int, utterance: Utterance, waiting: str, *, callback: bool) -> list[Given]:
        """What was accepted without its time and has one now: the agent names it, or the customer says little else.

        `waiting`: an option that is offered and waits for its own time. Of several that one is meant whose words are
        said with the time, else the one that the agent has just spoken of, else the one that was accepted last.
        """
        agent = utterance.speaker is Speaker.AGENT
        lately = {
            given.option.id: given
            for given in self._given.values()
            if not given.due and ((callback and agent) or now_ms - given.at_ms <= PROMISED_MS)
        }
        named = {name: words for name, given in lately.items() if (words := _words_said(given.option, utterance))}
        calls = [name for name in lately if callback and is_call(lately[name].option.title)]
        about, asked_ms = self._about
        if agent and len(named) == 1:
            self._about = (next(iter(named)), now_ms)
        asked = [about] if about in lately and now_ms - asked_ms <= PROMISED_MS else []
        meant = [*named] or calls[-1:] or asked or [*lately][-1:]
        told = agent and not named and not calls and promises(utterance)  # the time of something else
        if not meant or told or (waiting and not named) or not (agent or _answers_when(utterance)):
            return []
        parts = _part_by_part(named, utterance) or [(meant[-1], utterance)]
        return [given for name, said in parts if (given := self._timed(now_ms, lately[name], said, hour=not callback))]

    def changed(self, now_ms: int, utterance: Utterance, waiting: str, *, callback: bool) -> Given | None:
        """What has its time and is due at another now: the customer asks and the agent agrees, or the agent names it.

        `waiting`: as for `added`.
        """
        timed = {given.option.id: given for given in self._given.values() if given.due}
        if not timed or waiting:
            return None
        due = _time_named(utterance, hour=False)
        asked = self._asked if self._asked is not None and now_ms - self._asked.at_ms <= PROMISED_MS else None
        if utterance.speaker is not Speaker.AGENT:
            if asked is not None and due and _answers_when(utterance):  # "Friday at two", to "when would suit you?"
                asked = replace(asked, at_ms=now_ms, due=refined(asked.due or timed[asked.option.id].due, due))
            self._asked = _asks(now_ms, utterance, due, timed) or asked
            return None
        if asked is None:
            asked = _asks(now_ms, utterance, due, timed)
            if asked is not None and promises(utterance) and not (callback or _words_said(asked.option, utterance)):
                return None
        elif due and (callback or _words_said(asked.option, utterance) or _is_theirs(utterance)):
            due = refined(asked.due or timed[asked.option.id].due, due)
            asked = replace(asked, at_ms=now_ms, due=due, words=utterance.text)
        elif not _agrees(utterance):
            return None
        if asked is None or not asked.due:
            return None
        self._asked = None
        self._given[asked.option.id] = asked
        return asked if asked.due.casefold() != timed[asked.option.id].due.casefold() else None

    def _timed(self, now_ms: int, given: Given, said: Utterance, *, hour: bool) -> Given | None:
        if not (due := _time_named(said, hour=hour)):
            return None
        self._given[given.option.id] = replace(given, at_ms=now_ms, due=due, words=said.text)
        return self._given[given.option.id]

    def forget(self, since_ms: int) -> None:
        """What was said after this has been taken back."""
        self._named = {option: named for option, named in self._named.items() if named.at_ms <= since_ms}
        self._asked = self._asked if self._asked is not None and self._asked.at_ms <= since_ms else None

    def _take(self, now_ms: int, option: str, said: Utterance, *, hour: bool, but: Named | None = None) -> None:
        if (due := _time_named(said, hour=hour)) and (but is None or due.casefold() != but.due.casefold()):
            known = self._named.get(option)
            self._named[option] = Named(now_ms, refined(known.due, due) if known is not None else due, said.text)

    def _is_open(self, option: str, utterance: Utterance) -> bool:
        """Whether the time of what is offered has not been named yet, or only its day, and these words answer when."""
        known = self._named.get(option)
        return known is None or (is_day_alone(known.due) and _answers_when(utterance))

    def _is_timed(self, option: str) -> bool:
        known = self.playbook.option(option)
        return known is not None and known.timed


def _time_named(utterance: Utterance, *, hour: bool) -> str:
    """The time that is chosen in these words, as it was said: behind "call you back" and the like, else the last one.

    What is told of the past is none. `hour`: only one with its hour, where the words may be about something else.
    """
    heard = context.line([word.text for word in utterance.words])
    contact = CONTACT_ALONE.search(heard.text)
    spoken = [each for each in _SPOKEN.finditer(heard.text) if _is_one(utterance, heard, each)]
    behind = [each for each in spoken if contact is not None and each.start() >= contact.end()]
    when = behind[0] if behind else spoken[-1] if spoken else None
    if when is None or HOLD.fullmatch(when[0]):
        return ""
    bare = next((name for name in ("clock", "asked", "offered", "liked") if when[name]), "")
    start, end = when.span(bare or 0)
    said = words_of(utterance, heard, start, end)
    if bare and not heard.text.startswith(("from ", "after "), start):
        said = f"at {said[:1].lower()}{said[1:]}"
    token = heard.text.count(" ", 0, start) - 1
    sentence = max((first for first in heard.opens if first <= token), default=0)
    before = " ".join(["", *heard.tokens[sentence:token], ""])
    told = _TOLD.search(before) or before.endswith(" or ") or _NOT_IT.match(heard.text, end)
    return "" if told or (hour and not names_hour(said)) else said


def _is_one(utterance: Utterance, heard: context.Line, when: re.Match[str]) -> bool:
    """Whether a bare number is an hour: no noun follows that it counts, and of digits a colon stood between them."""
    if (when["clock"] or "").isdigit():
        return re.search(r"\d:\d", words_of(utterance, heard, *when.span("clock"))) is not None
    token = heard.text.count(" ", 0, when.end())
    ends = token >= len(heard.tokens) or token in heard.opens or heard.tokens[token] in _OFFERED_ON
    return not when["offered"] or ends


def _turns_down(utterance: Utterance) -> bool:
    """Whether the customer turns down the time that was named: it is none then, until another one is named."""
    return _REFUSED.search(_plain(utterance)) is not None


def _asks_for_another(utterance: Utterance) -> bool:
    """Whether the customer asks for another time than the one that was named."""
    return _turns_down(utterance) or _INSTEAD.search(_plain(utterance)) is not None


def _asks(now_ms: int, utterance: Utterance, due: str, timed: Mapping[str, Given]) -> Given | None:
    """Which of these is wanted at another time, and at which."""
    of_these = [*timed.values()]
    named = next((each for each in reversed(of_these) if _words_said(each.option, utterance)), None)
    given = named or of_these[-1]
    text, agent = _plain(utterance), utterance.speaker is Speaker.AGENT
    hour = names_hour(due) and is_day_alone(given.due)  # of the day that stands
    if not (
        (hour and (named is not None if agent else _answers_when(utterance)))
        or _CHANGES.search(text)
        or (due and _WANTS.search(text))
        or (not agent and _CANNOT.search(text))
    ):
        return None
    return Given(given.option, now_ms, due and refined(given.due, due), utterance.text)


def _agrees(utterance: Utterance) -> bool:
    """Whether the agent says yes to the time that was asked for."""
    text = _plain(utterance)
    return _AGREES.search(text) is not None and not (_REFUSED.search(text) or _HEDGES.search(text))


def _answers_when(utterance: Utterance) -> bool:
    """Whether a time is about all that is said: "at ten would be good", "shall we say at ten"."""
    when = _SPOKEN.search(text := _plain(utterance))
    return when is not None and text[: when.start()].count(" ") - 1 <= ANSWERS


def _is_theirs(utterance: Utterance) -> bool:
    """Whether the time that is named is about those who speak."""
    when = _SPOKEN.search(text := _plain(utterance))
    ours = when is not None and (_answers_when(utterance) or _WHOSE.search(text[: when.start()]) is not None)
    return ours and not promises(utterance)  # of something else


def _plain(utterance: Utterance) -> str:
    return context.line([word.text for word in utterance.words]).text


def _words_said(option: Option, utterance: Utterance) -> str:
    """The words that speak of this option, as they were said; empty where none do."""
    return found((*option.words, *option.reasons, *(_CALLED if is_call(option.title) else ())), utterance)


def _part_by_part(named: Mapping[str, str], utterance: Utterance) -> list[tuple[str, Utterance]]:
    """Where several options are named in one breath: each with the words up to the next; nothing for a single one.

    `named`: by option, the words it is named by.
    """
    text = utterance.text
    starts = sorted((text.find(words), option) for option, words in named.items())
    if len(starts) < 2:
        return []
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return [
        (option, replace(utterance, words=utterance.words[len(text[:start].split()) : len(text[:end].split())]))
        for (start, option), end in zip(starts, ends, strict=True)
    ]
