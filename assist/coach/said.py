"""What somebody says about a time: whether they choose, ask for, turn down or agree to one. Pure.

It is looked for in the plain words with each time as one (coach.when): TIME, or NUMBER, which is an hour only where the
words around it say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from assist.coach.promises import CONTACT_ALONE, HOLD, promises
from assist.coach.when import When, read
from audio.events import Utterance
from detectors.normalisation import NormalisedText, normalise

ANSWERS = 3
"""Words before a time, at most, that is an answer by itself."""
_GOOD = r"(?:fine|good|great|better|best|perfect|ok|okay|alright|all right|possible|convenient)"
_ENDS = r"(?= (?:$|\n|(?:then|please|instead|okay|ok|if|for|or|suit)\b))"
_HOUR = re.compile(
    rf"\b(?:does|would|is) NUMBER(?= (?:suit|work|(?:be )?{_GOOD})\b)"
    r"|\b(?:(?:shall|can|could|should) (?:we|i|you|he|she|they) (?:say|do|make it)|let us say|(?:make|do) (?:it|that)"
    r"|(?:i|we|he|she|they) (?:can|could) do|(?:how|what) about"
    rf"|(?:put|pencil|book) (?:you|me|it|that|us) (?:in |down )?for) NUMBER{_ENDS}"
    rf"|\bNUMBER(?= (?:(?:is|sounds|would be|will be) {_GOOD}|works|suits|would (?:suit|work)"
    r"|it is(?= $| \n| then\b))\b)"
)
"""Where a number is an hour: "shall we say five", not "shall we say five visits"."""
_ANSWER = re.compile(rf"^ (?:\w+ ){{0,{ANSWERS}}}NUMBER{_ENDS}")
"""Where it is one as an answer to these."""
_ASKS_WHEN = re.compile(
    r"\b(?:(?:what|which) (?:time|hour|day)\b(?! (?:did|was|were|had|have|is it))"
    r"|when (?:would|will|shall|should|can|could|do|does|is|are|suits|works)\b)"
)
_TOLD = re.compile(
    r"\b(?:since|was|were|been|had|came|took|got|said|told|made|did|not|nobody|(?!need)\w{2,}ed)(?: \w+){0,4} $"
    r"|\b(?:(?:i|we|you|they|he|she|it|office|shop|store|centre|center|branch|line|lines|desk|team|shift|day) "
    r"(?:\w+ )?(?:open|close|finish|start|begin|end|leave)(?:s|es)?|(?:get|am|are|is) (?:back )?(?:home|off)"
    r"|meeting|shift)(?: (?:the|my|our|for|work|home|office|today|tonight|day|here|school|again|only)){0,3} $"
    r"|\b(?:we are (?:here|there|in)|you can (?:call|ring|phone|reach) us(?: back)?) $"
    r"|\b(?:scale|rate|score)(?: \w+){0,4} $"
)
"""Shortly before a time: it tells what was or somebody's hours or marks, or turns the time down."""
_EVERY = re.compile(
    r" (?:or (?:TIME|NUMBER)|(?:any|every|each) (?:day|time|weekday)|(?:on )?weekdays|daily"
    r"|(?:to|till|until|through) TIME)\b"
)
"""Right behind a time: it is one of two, or that of every day."""
_NAMED = "(?:TIME|NUMBER)"
_REFUSES = re.compile(
    rf"{_NAMED} (?:(?:is|are|does|do|will|would) )?(?:(?:not|never) (?:\w+ ){{0,3}}?"
    r"(?:work|suit|good|possible|free|available|convenient|home|there|make it|do)|no (?:good|use)|too \w+)\b"
    r"|\b(?:that|this|then|(?:that|this|the) (?:time|day|hour)) (?:is|does|do|will|would) (?:not (?:\w+ ){0,2}?"
    r"(?:work|suit|good|possible|convenient|do)|no (?:good|use))\b"
    r"|\bnot (?:\w+ ){0,2}?(?:work|suit|good|possible|convenient)(?: for)? (?:me|us)\b"
    r"|\b(?:i|we|he|she) (?:am|are|is|will|would) not (?:\w+ ){0,3}?(?:free|available|home|there|in|make it)\b"
    rf"|\b(?:can not|could not|could never) (?:do|make|manage) (?:it|that|then|{_NAMED})(?= )|\bno good for (?:me|us)\b"
    r"|(?:^ |\n)(?:\w+ )?not (?:\w+ )?(?:work|suit|good|possible|convenient)\b"
    rf"|(?<!why )\bnot {_NAMED} |\btoo (?:early|late|soon)\b|\bafraid not\b"
)
"""A time does not suit; "the internet does not work" speaks of something else."""
_THIS = r"(?:it|that|this|the (?:time|day|appointment|visit|call))"
_WANTS = re.compile(
    r"\b(?:(?:change|move|push|switch|shift) the (?:time|day|appointment|visit|call)|reschedule|rearrange|postpone"
    r"|(?:move|push|shift) (?:it|that|this)|(?:another|a different|some other) (?:time|day|hour)|that is better"
    r"|(?:(?:make|do|change|move|push|switch|shift|bring|put(?: (?:me|us) (?:in|down))?|let us say"
    rf"|(?:can|could|may|shall|should) (?:i|we) (?:have|say)) (?:{_THIS} )?(?:back |forward )?"
    r"|(?:could|can|would) \w+(?: \w+)? (?:please |maybe |perhaps |possibly |just )?(?:call|ring|phone|come|be)"
    r" (?:me |us |here |there |round |out |back )*|(?:rather|prefer|better|i mean|(?:how|what) about) (?:have )?)"
    rf"(?:to |for |on )?{_NAMED}"
    rf"|{_NAMED} (?:(?:please )?instead|(?:(?:is|are|would|works?|suits?|fits?) (?:\w+ ){{0,3}}?)?better))\b"
    rf"|\b(?:would|is|does) {_NAMED} (?:(?:be )?{_GOOD}|work|suit)(?= $| (?:for )?(?:me|you|him|her|us|then|instead)\b)"
)
"""Not the time of something else: "could you send me the invoice by Friday"."""
_ASKS = re.compile(
    r"\b(?:(?:can|could|would|will|shall|should|may|do|does|is|are) (?:i|we|you|he|she|they|it|that)"
    r"|(?<!that )(?<!it )(?:would|does|is) (?:TIME|NUMBER)|(?:how|what) about|what if|why not)\b"
)
"""Before a time: it is a question, also where no mark says so."""
_WHOSE = re.compile(r"\b(?:i|we|he|she|they|you|it|that|us|about)\b(?: \w+){0,4} $")
"""Before a time that is about those who speak, unlike "your next bill goes out on Friday"."""
_AGREES = re.compile(
    r"^(?!.*\b(?:but|afraid|unfortunately|sorry|check|see (?:if|whether|what)|ask|cannot|not able|unable|full)\b) (?:"
    r"(?:\w+ ){0,2}?(?:yes|yeah|yep|sure|of course|certainly|absolutely|no problem|not a problem|fine|can do|okay|ok"
    r"|all ?right|perfect|great|lovely|done|changed|moved|booked|will do|you got it|works|is good|no worries)\b"
    r"|(?:\w+ ){1,5}it is(?: then)? $)"
)
"""Who says this agrees, and does not hedge."""


@dataclass(frozen=True)
class Said:
    """What somebody has said about times; read once it is asked for, as most of a call is about none."""

    utterance: Utterance
    asked: bool = False
    """Whether the other one has just asked when."""

    @cached_property
    def heard(self) -> NormalisedText:
        """The plain words."""
        return normalise([word.text for word in self.utterance.words])

    @cached_property
    def _read(self) -> tuple[str, list[tuple[int, int, When]]]:
        """The plain words with each time as one, and where the times stand in it; numbers that are no hours do not."""
        text, times = read(self.heard, self.utterance.words)
        hours = {at.end() for where in (_HOUR, _ANSWER)[: 1 + self.asked] for at in where.finditer(text)}
        named = []
        for at, when in zip(re.finditer("TIME|NUMBER", text), times, strict=True):
            if (sure := when if at.end() in hours else when.sure()) is not None:
                named.append((*at.span(), sure))
        return text, named

    def chosen(self) -> When | None:
        """The time that is chosen: behind "call you back" and the like, else the last one; what is told of is none."""
        text, times = self._read
        contact = CONTACT_ALONE.search(text)
        behind = [each for each in times if contact is not None and each[0] >= contact.end()]
        start, end, when = behind[0] if behind else times[-1] if times else (0, 0, None)
        if when is None or HOLD.fullmatch(" ".join(self.heard.tokens[when.tokens.start : when.tokens.stop])):
            return None
        before = text[:start].rpartition("\n")[2]
        told = _TOLD.search(before) or before.endswith(" or ") or _EVERY.match(text, end)
        return None if told or _REFUSES.match(text, start) else when

    def due(self, *, hour: bool = False) -> str:
        """The words of the time that is chosen. `hour`: only with its hour, where they may be about something else."""
        when = self.chosen()
        return "" if when is None or (hour and when.hour is None) else when.words

    def asks_when(self) -> bool:
        """Whether it is asked when something is to be."""
        return _ASKS_WHEN.search(self.utterance.text.casefold()) is not None

    def answers_when(self) -> bool:
        """Whether a time is about all that is said: "at ten would be good", "shall we say at ten"."""
        text, times = self._read
        return bool(times) and text.count(" ", 0, times[0][0]) - 1 <= ANSWERS

    def is_asked(self) -> bool:
        """Whether it is asked whether the time that is chosen would do: "what about Thursday", "Thursday at nine?"."""
        text, times = self._read
        if (when := self.chosen()) is None:
            return False
        until = text[: next(end for _, end, each in times if each is when)].rpartition("\n")[2]
        behind = (word.text for word in self.utterance.words[self.heard.word_indices[when.tokens[-1]] :])
        ends = next((word for word in behind if word.endswith((".", "?", "!"))), "")
        return ends.endswith("?") or _ASKS.search(until) is not None

    def is_theirs(self) -> bool:
        """Whether the time that is named is about those who speak, and not what is promised."""
        text, times = self._read
        ours = bool(times) and (self.answers_when() or _WHOSE.search(text[: times[0][0]]) is not None)
        return ours and not promises(self.utterance)

    def wants_another(self) -> bool:
        """Whether the time that stands is to be another one: the one that is named here, or any."""
        return _WANTS.search(self._read[0]) is not None

    def refuses(self) -> bool:
        """Whether a time is turned down."""
        return _REFUSES.search(self._read[0]) is not None

    def agrees(self) -> bool:
        """Whether the agent says yes to the time that was asked for."""
        return _AGREES.match(self.heard.text) is not None and not self.refuses()
