"""Repeated requests: the customer asks for the same again in the same or similar words, after an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audio.events import Speaker, Utterance, Word
from detectors.backchannels import is_backchannel
from detectors.signals import Evidence, Severity, Signal, Window

_REQUEST = re.compile(
    r"\b(?:i (?:just |really |only )?(?:want|need|would like|asked|ask|expect|demand)|i'd like|can (?:you|i|we)|could "
    r"(?:you|i)|will you|would you|please|give me|send me|tell me|get me|put me|let me|when (?:will|is|are|do|am)|"
    r"why (?:is|are|do|did|was|can't|won't|don't)|where (?:is|are)|where's|how (?:do|can|long|come)|what about)\b"
)
_REPETITION_REQUEST = re.compile(
    r"\b(?:(?:can|could|would|will) you (?:[\w']+ ){0,3}(?:repeat|spell|confirm|slow down|speak up"
    r"|(?:say|tell|explain|give|read|go (?:over|through))\b[^.?!]*\b(?:again|once more))"
    r"|(?:can|could|may) i (?:have|get|take)\b[^.?!]*\bagain|please confirm|your (?:[\w']+ ){1,2}again\?"
    r"|(?:please|you to) repeat|repeat (?:that|it|this|what|your)|spell (?:that|it|your)"
    r"|say(?:ing)? (?:[\w']+ ){0,2}again|come again|pardon|one more time|slower|slowly|breaking up|read that back"
    r"|(?:what|who|where|when|how)(?:'s| is| was| were| did) [^.?!,]*\bagain(?:\?|\W*$)"
    r"|(?:didn't|did not|couldn't|could not) (?:[\w']+ )?(?:catch|hear\b(?! back| from| any)"
    r"|get (?:that|it|all|your|what you|the (?:last|first)))"
    r"|(?:(?:can|could|may|shall) i|let me|just to) (?:just |quickly )?(?:double.?check|confirm|check)"
    r"[,:]? (?:that |what )?(?:i|we|you)\b)"
)
"""The agent asks for a repetition, or reads back; "I can confirm", "sorry again" and "try again" are answers."""
_FUNCTION_WORDS = """
a about actually after again all already also am an and any are as ask asked asking at back be because been
before being but by can can't come could did didn't do does doesn't doing don't down for from get gets getting
give go going gonna got had has have having he hello her here hey hi him his how i i'd i'll i'm i've if in into
is isn't it it's its just know let let's like look make me mean more my need needs no not now of off oh okay on
one only or our out over please put really right said say saying see she should sir ma'am so some sorry still
tell thank thanks that that's the their them then there there's these they they're thing think this those to
told too uh um up us very want wanted wants was wasn't we we're well went were what what's when where which who
why will with won't would yeah yes yet you you're your zero one two three four five six seven eight nine ten
eleven twelve hundred thousand double oh january february march april may june july august september october
november december monday tuesday wednesday thursday friday saturday sunday
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


def content_words(words: Sequence[Word]) -> frozenset[str]:
    """The stems of the content words: without function words, numbers and words of one or two letters."""
    lowered = (re.sub(r"[^a-z']", "", word.text.lower().replace("’", "'")) for word in words)
    return frozenset(_stem(word) for word in lowered if len(word) > 2 and word not in _STOP_WORDS)


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


@dataclass(frozen=True, slots=True)
class _Request:
    id: str
    end_ms: int
    content: frozenset[str]


@dataclass(slots=True)
class Repetition:
    """Fires when a request of the customer's shares its content words with an earlier one that the agent has answered.

    A request repeated because the agent asked for that ("could you say that again?") does not count, and numbers read
    out twice do not either.
    """

    min_share_of_shorter: float = 0.6
    """Shared content words must be at least this share of those of the shorter request ..."""
    min_share_of_both: float = 0.33
    """... and this share of those of both together: a long new request may mention the same account."""
    min_shared_words: int = 2
    min_gap_ms: int = 8_000
    name: str = "repeated_request"
    version: str = "1"
    _requests: list[_Request] = field(default_factory=list)
    _answer_end_ms: int = -1
    """End of the agent's latest utterance that is no backchannel."""
    _repetition_request_ms: int = -1
    """End of the agent's latest request for a repetition."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signal of a settled utterance that repeats a request."""
        latest = window.latest
        if latest is None or not latest.settled or not latest.words:
            return
        if latest.speaker is Speaker.AGENT:
            if not is_backchannel(latest.words):
                self._answer_end_ms = latest.end_ms
            if _REPETITION_REQUEST.search(_lowered_text(latest)):
                self._repetition_request_ms = latest.end_ms
        elif latest.speaker is Speaker.CUSTOMER and _REQUEST.search(_lowered_text(latest)):
            yield from self._judge(latest)

    def _judge(self, latest: Utterance) -> Iterable[Signal]:
        words = content_words(latest.words)
        same = [request for request in self._requests if self._is_repeated(request, words, latest)]
        known = any(request.id == latest.id for request in self._requests)
        if len(words) >= self.min_shared_words and not known:
            self._requests.append(_Request(latest.id, latest.end_ms, words))
        answered = any(request.end_ms < self._answer_end_ms <= latest.end_ms for request in same)
        was_asked_to = same and self._repetition_request_ms > same[-1].end_ms
        if not same or not answered or was_asked_to:
            return
        times = len(same) + 1
        seconds = (latest.end_ms - same[0].end_ms) / 1000
        yield Signal(
            id="repeated_request",
            rule="repetition.request",
            version=self.version,
            speaker=Speaker.CUSTOMER,
            at_ms=latest.end_ms,
            strength=min(1.0, 0.3 + 0.2 * times),
            severity=Severity.NOTE if times < 3 else Severity.HELP,
            evidence=Evidence(
                latest.start_ms,
                latest.end_ms,
                quote=latest.text,
                utterance=latest.id,
                first_word=0,
                last_word=len(latest.words) - 1,
                measured={"count": float(times), "seconds": round(seconds, 1)},
                summary=f"Has asked for the same {times} times in {seconds:.0f} s",
            ),
        )

    def _is_repeated(self, request: _Request, words: frozenset[str], latest: Utterance) -> bool:
        shared = len(words & request.content)
        shorter = min(len(words), len(request.content))
        apart = latest.start_ms - request.end_ms >= self.min_gap_ms
        both = len(words | request.content)
        alike = shared >= self.min_share_of_shorter * shorter and shared >= self.min_share_of_both * both
        return apart and alike and shared >= self.min_shared_words


def _lowered_text(utterance: Utterance) -> str:
    return utterance.text.lower().replace("’", "'")
