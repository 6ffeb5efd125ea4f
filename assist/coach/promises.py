"""Promises heard in the agent's words, with their due time as it was said. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assist.coach.matching import content_words, is_similar
from assist.coach.time_expressions import ABOUT, TimeExpression, tag_times
from audio.events import Speaker, Utterance
from detectors.assertion import negated, reported
from detectors.normalisation import NormalisedText, normalise

MAX_WORDS_TO_TIME = 18
"""Words from the promise to its time: "I'll send you the form with everything on it by post by Friday". Four more are
allowed for the promise itself."""
_PROMISER = (
    r"(?:i|we|someone|somebody|one of (?:us|my colleagues)|(?:our|my|the|an?) (?:\w+ )?"
    r"(?:engineer|technician|team|manager|supervisor|colleague|driver|office|department|courier|specialist|refund|"
    r"credit|parcel|replacement|letter))"
)
_WILL = r"(?:will|shall|am going to|are going to|is going to)"
_DELEGATION = r"(?:have|get|ask|arrange for|arrange) (?:someone|somebody|our \w+|an? \w+|the \w+|my \w+)(?: to)?"
_ADVERBS = (
    r"(?:(?:personally|also|then|definitely|certainly|myself|just|make sure (?:to|that i|that we|i|we|that)|"
    rf"{_DELEGATION}|be|(?:be )?able to) )*"
)
_GIVE_A_CALL = (
    r"give you (?:a|another) (?:quick )?(?:(?:call|ring) ?back|call|ring|bell|buzz|shout)"
    r"\b(?! (?:reference|number|log|id|centre|center|charge|plan|list|push|out|back)\b)"
)
_CONTACT = (
    r"(?:(?:call|calling|ring|phone|email|e mail|text|message|write to|contact|get back to|come back to|"
    rf"get in touch with|update|inform|let|keep) you|{_GIVE_A_CALL})"
)
_ACTION = (
    r"(?:send|sending|post|ship|come|visit|follow|refund|credit|have|check|chase|book|replace|repair|fix|sort|resolve|"
    r"deliver|arrange|process|finish|look|speak|cancel|pay|transfer|put|escalate|confirm|call|ring|email|write|get|"
    r"issue|return|waive|do|make sure|be there|be with you|be on your|arrive|take care|see to|go out|"
    r"revert (?:back )?to you|be in touch)"
)
_ACTIVE = (
    rf"(?:(?P<who>{_PROMISER}) {_WILL} {_ADVERBS}|let me {_ADVERBS}|and (?:will |then )?(?={_CONTACT})"
    rf"|(?!(?:they|he|she|who|you|it|that|not) )\w+ will (?={_CONTACT}))"
    rf"(?P<does>{_CONTACT}|{_ACTION})\b"
)
_PASSIVE = (
    rf"(?:you {_WILL} (?:have|get|receive|hear|see|be contacted)|expect (?:my|our|a) (?:call|email|letter)"
    rf"|(?:it|that|this|your [\w ]{{2,24}}?|the [\w ]{{2,24}}?) {_WILL} be (?:with you|there|"
    rf"on (?:your|its|the)|done|fixed|ready|delivered|sorted|back|credited|refunded|processed|shipped|repaired|"
    rf"replaced|working)"
    rf"|(?:it|(?:your|the) (?:\w+ ){{0,2}}?(?:refund|money|credit|payment|funds|amount|compensation)) {_WILL} be "
    r"in your (?:\w+ )?(?:account|bank)\b)"
)
_PROMISE_START = re.compile(rf"(?<= )(?:{_ACTIVE}|{_PASSIVE})")
_PROMISE_END = re.compile(
    rf" (?:{_PROMISER} {_WILL}|and (?:will |then )?{_CONTACT}|you {_WILL}|does that|is that|would that|do you|"
    rf"would you|can you|could you|what|which|if you|let me|okay|alright|because|and i (?:can|have|am)|but)\b"
)
HOLD_REQUEST = re.compile(
    rf"in (?:just )?{ABOUT}(?:a|one|two|one or two) (?:moment|second|sec|minute|minutes)\b"
    r"|right away|straight away|right now"
)
"""Said before putting the customer on hold: not a promise for later."""
CONTACT_PROMISE = re.compile(
    r"(?:(?:call|calling|ring|phone|email|e mail|text|message|write to|get back to|come back to|get in touch with|"
    rf"revert to|revert back to) you|{_GIVE_A_CALL})\b(?! (?:through|that|what|how|why|an|a)\b)"
)
"""A promise even without a time: the methods want one for it (J.E.R.K., Solomon)."""
_PAST_EVENT = re.compile(
    r"\b(?:that|which|who|why|what|how|you|he|she|they|we|nobody|somebody|someone) (?:\w+ )?"
    r"(?:was|were|came|come|made|took|had|got|sent|paid|placed|rang|left|bought|put|said|\w{2,}ed)\b"
)
"""Tells of something past: a part of the day that follows is not the promise's."""
_DELEGATES = re.compile(_DELEGATION)
_CONTACTS_CUSTOMER = re.compile(
    rf"\b(?:{_CONTACT}|(?:call|ring|phone|email|text|message|contact)s you)\b"
    r"(?! (?:the|an?|your|my|our|it|this|that|some)\b)|\b(?:a|the|your) call ?back\b"
)
_CONTACTED_BY = re.compile(
    r"\b(?P<who>someone|somebody|one of us|(?:our|my|the|an?) (?:(?!and |then )\w+ )??(?!and |then )\w+) "
    rf"(?:{_WILL} {_ADVERBS}|to )?$"
)
"""Somebody else who calls or writes, right before the contact is named."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise of the agent's, in words as heard."""

    what: str
    due: str
    """Its time; empty where a callback was promised without one."""
    words: str
    """From the promise to its time: the evidence."""


def promises(utterance: Utterance) -> list[Promise]:
    """Promises in an utterance of the agent's: those with a time, and those to call or write back.

    Questions, negations and reported speech promise nothing, nor does the customer.
    """
    if utterance.speaker is not Speaker.AGENT:
        return []
    heard = normalise([word.text for word in utterance.words])
    found: list[Promise] = []
    times: list[TimeExpression] | None = None
    position = 0
    while match := _PROMISE_START.search(heard.text, position):
        position = match.end()
        first = heard.text.count(" ", 0, match.start()) - 1
        continues = heard.tokens[first] == "and" and not found
        if continues or negated(heard, first) or reported(heard, first) or _is_question(heard, first):
            continue
        stop = _search_end(heard, match)
        times = tag_times(heard, utterance.words)[1] if times is None else times
        within = (
            each.without_bare_number() for each in times if match.end() <= _char_offset(heard, each.tokens.start) < stop
        )
        when = next((each for each in within if each is not None and not each.bare), None)
        until = _char_offset(heard, when.tokens.start) if when is not None else stop
        is_vague = when is not None and when.groups.keys() in ({"part"}, {"open_day"})
        if is_vague and _PAST_EVENT.search(heard.text, match.end(), until):
            when, until = None, stop  # "the parcel that was delivered in the morning"
        contact = CONTACT_PROMISE.match(heard.text, match.start("does")) if match["does"] else None
        if HOLD_REQUEST.search(heard.text, match.start(), stop) or (when is None and contact is None):
            continue
        position = _char_offset(heard, when.tokens.stop) if when is not None else stop
        what_from = match.start()
        if match["does"] and match["who"] in ("i", "we", None):
            delegated = _DELEGATES.search(heard.text, match.start(), match.start("does"))
            what_from = (delegated or match).start(0 if delegated else "does")
        what = _words_as_heard(utterance, heard, what_from, until)
        words = _words_as_heard(utterance, heard, match.start(), position)
        found.append(Promise(what, when.words if when is not None else "", words))
    return found


def is_same(one: str, other: str) -> bool:
    """Whether two promises are the same: similar words, and the same person who contacts the customer, if any does.

    "Call you back" is not "call the courier back"; nor is it a call by somebody else. Two that are no callbacks differ
    where each has a word of its own: "send you a new router" and "send you a new bill".
    """
    first, second = set(content_words(one)), set(content_words(other))
    contacted_by = _contacted_by(one)
    differ = contacted_by is None and bool(first - second) and bool(second - first)
    return is_similar(one, other) and contacted_by == _contacted_by(other) and not differ


def is_callback(what: str) -> bool:
    """Whether the agent promises to call or write to the customer."""
    return _contacted_by(what) == ""


def is_call(title: str) -> bool:
    """Whether a Plan B option, by its title, is a call to the customer."""
    return re.search(r"\b(?:call|ring|phone)", title.casefold()) is not None


def _contacted_by(what: str) -> str | None:
    """Who calls or writes to the customer: "manager", "someone"; empty: the agent; None: nobody."""
    text = " ".join(normalise(what.split()).tokens)
    if (found := _CONTACTS_CUSTOMER.search(text)) is None:
        return None
    somebody = _CONTACTED_BY.search(text[: found.start()])
    return somebody["who"].replace("somebody", "someone").split()[-1] if somebody else ""


def _search_end(heard: NormalisedText, match: re.Match[str]) -> int:
    """Character offset in the normalised text where the promise ends at the latest (clause or MAX_WORDS_TO_TIME)."""
    text = heard.text
    stop = len(text) - 1
    if (cut := _PROMISE_END.search(text, match.end())) is not None:
        stop = cut.start()
    first = text.count(" ", 0, match.start()) - 1
    last = min(
        [token for token in heard.sentence_starts if token > first] + [first + MAX_WORDS_TO_TIME + 4, len(heard.tokens)]
    )
    return min(stop, _char_offset(heard, last))


def _char_offset(heard: NormalisedText, tokens: int) -> int:
    """Character offset in the normalised text where its first `tokens` tokens end."""
    return len(" ".join(heard.tokens[:tokens])) + 1


def _words_as_heard(utterance: Utterance, heard: NormalisedText, start: int, end: int) -> str:
    """The words as heard between two character offsets of the normalised text."""
    first = heard.text.count(" ", 0, start) - 1
    last = heard.text.count(" ", 0, len(heard.text[:end].rstrip()))
    if last <= first:
        return ""
    words = utterance.words[heard.word_indices[first] : heard.word_indices[last - 1] + 1]
    return " ".join(word.text for word in words).strip(" .,;:!?")


def _is_question(heard: NormalisedText, at: int) -> bool:
    return at > 0 and heard.tokens[at - 1] in ("shall", "should", "would", "can", "could", "may", "if", "think")
