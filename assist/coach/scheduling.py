"""What an utterance says about a time: whether it proposes, asks for, declines or agrees to one. Pure.

The patterns are for tagged text (coach.time_expressions): each time is TIME, or NUMBER, which is an hour only where the
words around it say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from assist.coach.promises import CONTACT_PROMISE, HOLD_REQUEST, promises
from assist.coach.time_expressions import TimeExpression, tag_times
from audio.events import Utterance
from detectors.normalisation import NormalisedText, normalise

MAX_WORDS_BEFORE_ANSWER = 3
"""A time with at most so many words before it is an answer by itself."""
_SUITABLE = r"(?:fine|good|great|better|best|perfect|ok|okay|alright|all right|possible|convenient)"
_PHRASE_END = r"(?= (?:$|\n|(?:then|please|instead|okay|ok|if|for|or|suit)\b))"
_NUMBER_IS_HOUR = re.compile(
    rf"\b(?:does|would|is) NUMBER(?= (?:suit|work|(?:be )?{_SUITABLE})\b)"
    r"|\b(?:(?:shall|can|could|should) (?:we|i|you|he|she|they) (?:say|do|make it)|let us say|(?:make|do) (?:it|that)"
    r"|(?:i|we|he|she|they) (?:can|could) do|(?:how|what) about"
    rf"|(?:put|pencil|book) (?:you|me|it|that|us) (?:in |down )?for) NUMBER{_PHRASE_END}"
    rf"|\bNUMBER(?= (?:(?:is|sounds|would be|will be) {_SUITABLE}|works|suits|would (?:suit|work)"
    r"|it is(?= $| \n| then\b))\b)"
)
"""Where a number is an hour: "shall we say five", not "shall we say five visits"."""
_NUMBER_IS_ANSWER = re.compile(rf"^ (?:\w+ ){{0,{MAX_WORDS_BEFORE_ANSWER}}}NUMBER{_PHRASE_END}")
"""Where it is one as the answer to `_ASKS_WHEN`."""
_ASKS_WHEN = re.compile(
    r"\b(?:(?:what|which) (?:time|hour|day)\b(?! (?:did|was|were|had|have|is it))"
    r"|when (?:would|will|shall|should|can|could|do|does|is|are|suits|works)\b)"
)
_NO_APPOINTMENT = re.compile(
    r"\b(?:since|was|were|been|had|came|took|got|said|told|made|did|not|nobody|(?!need)\w{2,}ed)(?: \w+){0,4} $"
    r"|\b(?:(?:i|we|you|they|he|she|it|office|shop|store|centre|center|branch|line|lines|desk|team|shift|day) "
    r"(?:\w+ )?(?:open|close|finish|start|begin|end|leave)(?:s|es)?|(?:get|am|are|is) (?:back )?(?:home|off)"
    r"|meeting|shift)(?: (?:the|my|our|for|work|home|office|today|tonight|day|here|school|again|only)){0,3} $"
    r"|\b(?:we are (?:here|there|in)|you can (?:call|ring|phone|reach) us(?: back)?) $"
    r"|\b(?:scale|rate|score)(?: \w+){0,4} $"
)
"""Shortly before a time: it is in the past, somebody's opening or working hours, or a mark, or it is turned down."""
_SEVERAL_TIMES = re.compile(
    r" (?:or (?:TIME|NUMBER)|(?:any|every|each) (?:day|time|weekday)|(?:on )?weekdays|daily"
    r"|(?:to|till|until|through) TIME)\b"
)
"""Right behind a time: it is one of several, or recurs."""
_ANY_TIME = "(?:TIME|NUMBER)"
_DECLINES = re.compile(
    rf"{_ANY_TIME} (?:(?:is|are|does|do|will|would) )?(?:(?:not|never) (?:\w+ ){{0,3}}?"
    r"(?:work|suit|good|possible|free|available|convenient|home|there|make it|do)|no (?:good|use)|too \w+)\b"
    r"|\b(?:that|this|then|(?:that|this|the) (?:time|day|hour)) (?:is|does|do|will|would) (?:not (?:\w+ ){0,2}?"
    r"(?:work|suit|good|possible|convenient|do)|no (?:good|use))\b"
    r"|\bnot (?:\w+ ){0,2}?(?:work|suit|good|possible|convenient)(?: for)? (?:me|us)\b"
    r"|\b(?:i|we|he|she) (?:am|are|is|will|would) not (?:\w+ ){0,3}?(?:free|available|home|there|in|make it)\b"
    rf"|\b(?:can not|could not|could never) (?:do|make|manage) (?:it|that|then|{_ANY_TIME})(?= )"
    r"|\bno good for (?:me|us)\b"
    r"|(?:^ |\n)(?:\w+ )?not (?:\w+ )?(?:work|suit|good|possible|convenient)\b"
    rf"|(?<!why )\bnot {_ANY_TIME} |\btoo (?:early|late|soon)\b|\bafraid not\b"
)
"""A time does not suit; "the internet does not work" speaks of something else."""
_APPOINTMENT = r"(?:it|that|this|the (?:time|day|appointment|visit|call))"
_WANTS_CHANGE = re.compile(
    r"\b(?:(?:sorry|i mean|i meant) i (?:will|can) (?:call|ring|phone) you (?:back )?(?:on |at )?TIME"
    r"|(?:change|move|push|switch|shift) the (?:time|day|appointment|visit|call)|reschedule|rearrange|postpone"
    r"|(?:move|push|shift) (?:it|that|this)|(?:another|a different|some other) (?:time|day|hour)|that is better"
    r"|(?:(?:make|do|change|move|push|switch|shift|bring|put(?: (?:me|us) (?:in|down))?|let us say"
    rf"|(?:can|could|may|shall|should) (?:i|we) (?:have|say)) (?:{_APPOINTMENT} )?(?:back |forward )?"
    r"|(?:could|can|would) \w+(?: \w+)? (?:please |maybe |perhaps |possibly |just )?(?:call|ring|phone|come|be)"
    r" (?:me |us |here |there |round |out |back )*|(?:rather|prefer|better|i mean|(?:how|what) about) (?:have )?)"
    rf"(?:to |for |on )?{_ANY_TIME}"
    rf"|{_ANY_TIME} (?:(?:please )?instead|(?:(?:is|are|would|works?|suits?|fits?) (?:\w+ ){{0,3}}?)?better))\b"
    rf"|\b(?:would|is|does) {_ANY_TIME} (?:(?:be )?{_SUITABLE}|work|suit)"
    r"(?= $| (?:for )?(?:me|you|him|her|us|then|instead)\b)"
)
"""Asks for another time; "could you send me the invoice by Friday" is the time of something else."""
_PROPOSES = re.compile(rf"{_ANY_TIME} then(?= $| \n)|\b(?:i|we) (?:can|could) (?:also )?do {_ANY_TIME}(?= )")
"""Names another time than the one before, besides `_WANTS_CHANGE`."""
_QUESTION = re.compile(
    r"\b(?:(?:can|could|would|will|shall|should|may|do|does|is|are) (?:i|we|you|he|she|they|it|that)"
    r"|(?<!that )(?<!it )(?:would|does|is) (?:TIME|NUMBER)|(?:how|what) about|what if|why not)\b"
)
"""Before a time: it is a question, also where the recogniser writes no question mark."""
_CONCERNS_SPEAKERS = re.compile(r"\b(?:i|we|he|she|they|you|it|that|us|about)\b(?: \w+){0,4} $")
"""Before a time that concerns the speakers, unlike "your next bill goes out on Friday"."""
_AGREES = re.compile(
    r"^(?!.*\b(?:but|afraid|unfortunately|sorry|check|see (?:if|whether|what)|ask|cannot|not able|unable|full)\b) (?:"
    r"(?:\w+ ){0,2}?(?:yes|yeah|yep|sure|of course|certainly|absolutely|no problem|not a problem|fine|can do|okay|ok"
    r"|all ?right|perfect|great|lovely|done|changed|moved|booked|will do|you got it|works|is good|no worries)\b"
    r"|(?:\w+ ){1,5}it is(?: then)? $)"
)
"""Agreement without a hedge."""


@dataclass(frozen=True)
class SchedulingUtterance:
    """An utterance with the times in it; tagged on first use, as most utterances are about no time."""

    utterance: Utterance
    was_asked_when: bool = False
    """Whether the other speaker has just asked when."""

    @cached_property
    def line(self) -> NormalisedText:
        """The normalised words."""
        return normalise([word.text for word in self.utterance.words])

    @cached_property
    def _tagged(self) -> tuple[str, list[tuple[int, int, TimeExpression]]]:
        """The tagged text, and (start, end, time) of each time in it; bare numbers that are no hours are left out."""
        text, times = tag_times(self.line, self.utterance.words)
        hours = {
            at.end()
            for pattern in (_NUMBER_IS_HOUR, _NUMBER_IS_ANSWER)[: 1 + self.was_asked_when]
            for at in pattern.finditer(text)
        }
        named = []
        for at, when in zip(re.finditer("TIME|NUMBER", text), times, strict=True):
            if (sure := when if at.end() in hours else when.without_bare_number()) is not None:
                named.append((*at.span(), sure))
        return text, named

    def proposed_time(self) -> TimeExpression | None:
        """The time that is proposed: the first behind "call you back" and the like, else the last one.

        None where there is none, or where it is in the past, one of several, or declined.
        """
        text, times = self._tagged
        contact = CONTACT_PROMISE.search(text)
        behind = [each for each in times if contact is not None and each[0] >= contact.end()]
        start, end, when = behind[0] if behind else times[-1] if times else (0, 0, None)
        if when is None or HOLD_REQUEST.fullmatch(" ".join(self.line.tokens[when.tokens.start : when.tokens.stop])):
            return None
        before = text[:start].rpartition("\n")[2]
        excluded = _NO_APPOINTMENT.search(before) or before.endswith(" or ") or _SEVERAL_TIMES.match(text, end)
        return None if excluded or _DECLINES.match(text, start) else when

    def due(self, *, needs_hour: bool = False) -> str:
        """The words of the proposed time, or empty; `needs_hour`: empty for a day alone, too."""
        when = self.proposed_time()
        return "" if when is None or (needs_hour and when.hour is None) else when.words

    def asks_when(self) -> bool:
        """Whether it asks when something is to be."""
        return _ASKS_WHEN.search(self.utterance.text.casefold()) is not None

    def answers_when(self) -> bool:
        """Whether it begins with a time (see `MAX_WORDS_BEFORE_ANSWER`): "at ten would be good"."""
        text, times = self._tagged
        return bool(times) and text.count(" ", 0, times[0][0]) - 1 <= MAX_WORDS_BEFORE_ANSWER

    def names_one_time(self) -> bool:
        """Whether it begins with its only time: "six is perfect, thank you"."""
        return len(self._tagged[1]) == 1 and self.answers_when()

    def is_question(self) -> bool:
        """Whether it asks if the proposed time would do: "what about Thursday", "Thursday at nine?"."""
        text, times = self._tagged
        if (when := self.proposed_time()) is None:
            return False
        until = text[: next(end for _, end, each in times if each is when)].rpartition("\n")[2]
        behind = (word.text for word in self.utterance.words[self.line.word_indices[when.tokens[-1]] :])
        ends = next((word for word in behind if word.endswith((".", "?", "!"))), "")
        return ends.endswith("?") or _QUESTION.search(until) is not None

    def concerns_speakers(self) -> bool:
        """Whether the time concerns the speakers and is not that of a promise."""
        text, times = self._tagged
        ours = bool(times) and (self.answers_when() or _CONCERNS_SPEAKERS.search(text[: times[0][0]]) is not None)
        return ours and not promises(self.utterance)

    def wants_change(self) -> bool:
        """Whether it asks for another time than the agreed one, named or not."""
        return _WANTS_CHANGE.search(self._tagged[0]) is not None

    def proposes(self) -> bool:
        """Whether it names a time, or another than the one that was offered, for what the speakers arrange."""
        proposed = self.wants_change() or _PROPOSES.search(self._tagged[0]) is not None
        return proposed and self.concerns_speakers()

    def declines(self) -> bool:
        """Whether it turns a time down."""
        return _DECLINES.search(self._tagged[0]) is not None

    def agrees(self) -> bool:
        """Whether the agent agrees to the time that the customer asked for."""
        return _AGREES.match(self.line.text) is not None and not self.declines()
