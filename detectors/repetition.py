"""The customer says the same request again, in the same or similar words: they have not been heard."""

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
_ASKED_AGAIN = re.compile(
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
"""The agent asks to hear it again, or reads it back; "I can confirm", "sorry again" and "try again" are answers."""
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
_PLAIN = frozenset(_FUNCTION_WORDS.split())


def content(words: Sequence[Word]) -> frozenset[str]:
    """The words that say what it is about: no function words, numbers or single letters; endings cut off."""
    plain = (re.sub(r"[^a-z']", "", word.text.lower().replace("’", "'")) for word in words)
    return frozenset(_stem(word) for word in plain if len(word) > 2 and word not in _PLAIN)


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


@dataclass(frozen=True, slots=True)
class _Request:
    id: str
    end_ms: int
    about: frozenset[str]


@dataclass(slots=True)
class Repetition:
    """Fires when a request of the customer's has the content words of one they made before, and the agent has answered
    in between. Repeating because the agent asked for it ("could you say that again?") is not a repeated request, and
    numbers read out twice are not one either.
    """

    likeness: float = 0.6
    """Shared content words over those of the shorter request ..."""
    overall: float = 0.33
    """... and over those of both: a long new request may mention the same account."""
    least_shared: int = 2
    least_gap_ms: int = 8_000
    name: str = "repeated_request"
    version: str = "1"
    _requests: list[_Request] = field(default_factory=list)
    _agent_ms: int = -1
    """End of the agent's newest words, backchannels left out."""
    _asked_ms: int = -1
    """When the agent last asked to hear something again."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Judge settled utterances."""
        latest = window.latest
        if latest is None or not latest.settled or not latest.words:
            return
        if latest.speaker is Speaker.AGENT:
            if not is_backchannel(latest.words):
                self._agent_ms = latest.end_ms
            if _ASKED_AGAIN.search(_line(latest)):
                self._asked_ms = latest.end_ms
        elif latest.speaker is Speaker.CUSTOMER and _REQUEST.search(_line(latest)):
            yield from self._judge(latest)

    def _judge(self, latest: Utterance) -> Iterable[Signal]:
        about = content(latest.words)
        same = [request for request in self._requests if self._is_same(request, about, latest)]
        known = any(request.id == latest.id for request in self._requests)
        if len(about) >= self.least_shared and not known:
            self._requests.append(_Request(latest.id, latest.end_ms, about))
        answered = any(request.end_ms < self._agent_ms <= latest.end_ms for request in same)
        asked = same and self._asked_ms > same[-1].end_ms
        if not same or not answered or asked:
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

    def _is_same(self, request: _Request, about: frozenset[str], latest: Utterance) -> bool:
        shared = len(about & request.about)
        shorter = min(len(about), len(request.about))
        apart = latest.start_ms - request.end_ms >= self.least_gap_ms
        both = len(about | request.about)
        alike = shared >= self.likeness * shorter and shared >= self.overall * both
        return apart and alike and shared >= self.least_shared


def _line(utterance: Utterance) -> str:
    return utterance.text.lower().replace("’", "'")
