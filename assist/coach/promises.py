"""Promises heard in the agent's words, with their due time as it was said. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assist.coach.when import ABOUT, When, read
from assist.coach.words import alike
from audio.events import Speaker, Utterance
from detectors.assertion import negated, reported
from detectors.normalisation import NormalisedText, normalise

REACH = 18
"""Words from the promise to its time: "I'll send you the form with everything on it by post by Friday"."""
_WHO = (
    r"(?:i|we|someone|somebody|one of (?:us|my colleagues)|(?:our|my|the|an?) (?:\w+ )?"
    r"(?:engineer|technician|team|manager|supervisor|colleague|driver|office|department|courier|specialist|refund|"
    r"credit|parcel|replacement|letter))"
)
_WILL = r"(?:will|shall|am going to|are going to|is going to)"
_GETS = r"(?:have|get|ask|arrange for|arrange) (?:someone|somebody|our \w+|an? \w+|the \w+|my \w+)(?: to)?"
_HOW = (
    r"(?:(?:personally|also|then|definitely|certainly|myself|just|make sure (?:to|that i|that we|i|we|that)|"
    rf"{_GETS}|be|(?:be )?able to) )*"
)
_GIVE_A_CALL = (
    r"give you (?:a|another) (?:quick )?(?:(?:call|ring) ?back|call|ring|bell|buzz|shout)"
    r"\b(?! (?:reference|number|log|id|centre|center|charge|plan|list|push|out|back)\b)"
)
_CONTACT = (
    r"(?:(?:call|calling|ring|phone|email|e mail|text|message|write to|contact|get back to|come back to|"
    rf"get in touch with|update|inform|let|keep) you|{_GIVE_A_CALL})"
)
_DOING = (
    r"(?:send|sending|post|ship|come|visit|follow|refund|credit|have|check|chase|book|replace|repair|fix|sort|resolve|"
    r"deliver|arrange|process|finish|look|speak|cancel|pay|transfer|put|escalate|confirm|call|ring|email|write|get|"
    r"issue|return|waive|do|make sure|be there|be with you|be on your|arrive|take care|see to|go out|"
    r"revert (?:back )?to you|be in touch)"
)
_ACTIVE = (
    rf"(?:(?P<who>{_WHO}) {_WILL} {_HOW}|let me {_HOW}|and (?:will |then )?(?={_CONTACT})"
    rf"|(?!(?:they|he|she|who|you|it|that|not) )\w+ will (?={_CONTACT}))"
    rf"(?P<does>{_CONTACT}|{_DOING})\b"
)
_FOR_YOU = (
    rf"(?:you {_WILL} (?:have|get|receive|hear|see|be contacted)|expect (?:my|our|a) (?:call|email|letter)"
    rf"|(?:it|that|this|your [\w ]{{2,24}}?|the [\w ]{{2,24}}?) {_WILL} be (?:with you|there|"
    rf"on (?:your|its|the)|done|fixed|ready|delivered|sorted|back|credited|refunded|processed|shipped|repaired|"
    rf"replaced|working)"
    rf"|(?:it|(?:your|the) (?:\w+ ){{0,2}}?(?:refund|money|credit|payment|funds|amount|compensation)) {_WILL} be "
    r"in your (?:\w+ )?(?:account|bank)\b)"
)
_BEGINS = re.compile(rf"(?<= )(?:{_ACTIVE}|{_FOR_YOU})")
_ENDS = re.compile(
    rf" (?:{_WHO} {_WILL}|and (?:will |then )?{_CONTACT}|you {_WILL}|does that|is that|would that|do you|would you|"
    rf"can you|could you|what|which|if you|let me|okay|alright|because|and i (?:can|have|am)|but)\b"
)
HOLD = re.compile(
    rf"in (?:just )?{ABOUT}(?:a|one|two|one or two) (?:moment|second|sec|minute|minutes)\b"
    r"|right away|straight away|right now"
)
"""Said before putting somebody on hold: not a promise for later."""
CONTACT_ALONE = re.compile(
    r"(?:(?:call|calling|ring|phone|email|e mail|text|message|write to|get back to|come back to|get in touch with|"
    rf"revert to|revert back to) you|{_GIVE_A_CALL})\b(?! (?:through|that|what|how|why|an|a)\b)"
)
"""What counts as a promise even without a time: the methods want one for it (J.E.R.K., Solomon)."""
_PAST = re.compile(
    r"\b(?:that|which|who|why|what|how|you|he|she|they|we|nobody|somebody|someone) (?:\w+ )?"
    r"(?:was|were|came|come|made|took|had|got|sent|paid|placed|rang|left|bought|put|said|\w{2,}ed)\b"
)
"""Tells of what has happened: a part of the day that follows is that of then."""
_DELEGATED = re.compile(_GETS)
_TO_YOU = re.compile(
    rf"\b(?:{_CONTACT}|(?:call|ring|phone|email|text|message|contact)s you)\b"
    r"(?! (?:the|an?|your|my|our|it|this|that|some)\b)|\b(?:a|the|your) call ?back\b"
)
_CALLER = re.compile(
    r"\b(?P<who>someone|somebody|one of us|(?:our|my|the|an?) (?:(?!and |then )\w+ )??(?!and |then )\w+) "
    rf"(?:{_WILL} {_HOW}|to )?$"
)
"""Who calls or writes, right before it is said, where it is not the agent."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised, with the words it stands on."""

    what: str
    due: str
    """As it was said; empty where a callback was promised without a time."""
    words: str


def promises(utterance: Utterance) -> list[Promise]:
    """Promises in an agent's utterance: with a time, or to call or write back; others and questions promise nothing."""
    if utterance.speaker is not Speaker.AGENT:
        return []
    heard = normalise([word.text for word in utterance.words])
    found: list[Promise] = []
    times: list[When] | None = None
    reached = 0
    while begin := _BEGINS.search(heard.text, reached):
        reached = begin.end()
        first = heard.text.count(" ", 0, begin.start()) - 1
        goes_on = heard.tokens[first] == "and" and not found
        if goes_on or negated(heard, first) or reported(heard, first) or _is_asked(heard, first):
            continue
        stop = _stop(heard, begin)
        times = read(heard, utterance.words)[1] if times is None else times
        within = (each.sure() for each in times if begin.end() <= _end(heard, each.tokens.start) < stop)
        when = next((each for each in within if each is not None and not each.bare), None)
        until = _end(heard, when.tokens.start) if when is not None else stop
        if when is not None and when.named.keys() == {"part"} and _PAST.search(heard.text, begin.end(), until):
            when, until = None, stop  # "the parcel that was delivered in the morning"
        contact = CONTACT_ALONE.match(heard.text, begin.start("does")) if begin["does"] else None
        if HOLD.search(heard.text, begin.start(), stop) or (when is None and contact is None):
            continue
        reached = _end(heard, when.tokens.stop) if when is not None else stop
        what_from = begin.start()
        if begin["does"] and begin["who"] in ("i", "we", None):
            another = _DELEGATED.search(heard.text, begin.start(), begin.start("does"))
            what_from = (another or begin).start(0 if another else "does")
        what = _words_of(utterance, heard, what_from, until)
        words = _words_of(utterance, heard, begin.start(), reached)
        found.append(Promise(what, when.words if when is not None else "", words))
    return found


def is_same(one: str, other: str) -> bool:
    """Whether two promises are the same: alike in words, and where the customer is called or written to, by the same.

    "Call you back" is not "call the courier back"; nor is it a call by somebody else.
    """
    return alike(one, other) and _caller(one) == _caller(other)


def is_callback(what: str) -> bool:
    """Whether the agent promises to call or write to the customer."""
    return _caller(what) == ""


def is_call(given: str) -> bool:
    """Whether what is given, by its title, is that the customer is called."""
    return re.search(r"\b(?:call|ring|phone)", given.casefold()) is not None


def _caller(what: str) -> str | None:
    """Who calls or writes to the customer: "manager", "someone", empty for the agent; None: nobody does."""
    text = " ".join(normalise(what.split()).tokens)
    if (found := _TO_YOU.search(text)) is None:
        return None
    another = _CALLER.search(text[: found.start()])
    return another["who"].replace("somebody", "someone").split()[-1] if another else ""


def _stop(heard: NormalisedText, begin: re.Match[str]) -> int:
    """How far a promise may reach: to the next sentence or clause, at most REACH words; a place in the plain text."""
    text = heard.text
    stop = len(text) - 1
    if (cut := _ENDS.search(text, begin.end())) is not None:
        stop = cut.start()
    first = text.count(" ", 0, begin.start()) - 1
    last = min([token for token in heard.sentence_starts if token > first] + [first + REACH + 4, len(heard.tokens)])
    return min(stop, _end(heard, last))


def _end(heard: NormalisedText, tokens: int) -> int:
    """Where so many tokens end in the plain text."""
    return len(" ".join(heard.tokens[:tokens])) + 1


def _words_of(utterance: Utterance, heard: NormalisedText, start: int, end: int) -> str:
    """The words as they were heard that stand behind a stretch of the plain text."""
    first = heard.text.count(" ", 0, start) - 1
    last = heard.text.count(" ", 0, len(heard.text[:end].rstrip()))
    if last <= first:
        return ""
    words = utterance.words[heard.word_indices[first] : heard.word_indices[last - 1] + 1]
    return " ".join(word.text for word in words).strip(" .,;:!?")


def _is_asked(heard: NormalisedText, at: int) -> bool:
    return at > 0 and heard.tokens[at - 1] in ("shall", "should", "would", "can", "could", "may", "if", "think")
