"""Extractive summary of what the customer has said, so that nobody makes them say it again. Pure.

Extractive on purpose: nothing is put into words that were not said. Sentences are scored by plain features (a fact, a
time or number, a wish, a signal in them); abuse and courtesies are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from assist.coach.matching import is_similar
from audio.events import Utterance, Word
from detectors.signals import Severity, Signal

MAX_SENTENCES = 5
"""What a supervisor can read while joining."""
MAX_WORDS = 24
"""A longer sentence is cut, and ends in an ellipsis."""
MIN_SCORE = 2.0
"""The score a sentence needs: no feature alone reaches it."""
PAUSE_MS = 600
_FACT = re.compile(
    r"\b(not|never|nobody|nothing|no one|none|still|again|twice|only|broken|wrong|late|lost|missing|charged|paid|"
    r"refund|bill|fee|waited|waiting|promised|told|cancelled|delivered|ordered|\w+n't)\b",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|yesterday|tomorrow|morning|afternoon|evening|"
    r"week|weeks|month|months|days?|hours?|minutes?|times?|january|february|march|april|june|july|august|september|"
    r"october|november|december|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|hundred|\d+)\b",
    re.IGNORECASE,
)
_WANT = re.compile(r"\bi (just )?(want|need|would like|expect)\b|\bi'd like\b", re.IGNORECASE)
_COURTESY = re.compile(r"\b(thanks?|thank you|hello|hi|goodbye|bye|okay|works for me|appreciate)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Sentence:
    at_ms: int
    end_ms: int
    text: str
    score: float


@dataclass(slots=True)
class CustomerSummary:
    """The summary of one call."""

    _sentences: list[_Sentence] = field(default_factory=list)

    def hear(self, utterance: Utterance, signals: Iterable[Signal]) -> None:
        """Adds a settled utterance of the customer's; `signals`: of the call, those in the utterance are used."""
        own = [each for each in signals if each.evidence.utterance == utterance.id]
        for first, words in _sentences_of(utterance.words):
            last = first + len(words) - 1
            inside = [s for s in own if s.evidence.first_word <= last and s.evidence.last_word >= first]
            if any(map(_is_abuse, inside)):
                continue
            text = " ".join(word.text for word in words)
            score = _score(text) + (1.5 if inside else 0.0)
            if score >= MIN_SCORE and not _COURTESY.search(text):
                self._sentences.append(_Sentence(words[0].start_ms, words[-1].end_ms, _shorten(text), score))

    def discard_after(self, since_ms: int) -> None:
        """Forgets what was said after `since_ms`: it may not be kept."""
        self._sentences = [sentence for sentence in self._sentences if sentence.end_ms <= since_ms]

    def sentences(self) -> tuple[tuple[int, str], ...]:
        """(call time in ms, sentence) in order: the best `MAX_SENTENCES`, without repetitions."""
        chosen: list[_Sentence] = []
        for sentence in sorted(self._sentences, key=lambda each: (-each.score, each.at_ms)):
            if len(chosen) < MAX_SENTENCES and not any(is_similar(sentence.text, other.text) for other in chosen):
                chosen.append(sentence)
        return tuple((each.at_ms, each.text) for each in sorted(chosen, key=lambda each: each.at_ms))


def _is_abuse(signal: Signal) -> bool:
    """Swear words of any kind, and clear insults; a sentence with a note of one is kept."""
    return signal.id == "swearing" or (signal.id == "derogatory" and signal.severity >= Severity.HELP)


def _sentences_of(words: tuple[Word, ...]) -> Iterable[tuple[int, list[Word]]]:
    """(index of its first word, words) of each sentence; without full stops, a pause of `PAUSE_MS` ends one."""
    begin = 0
    for n, word in enumerate(words):
        last = n + 1 == len(words)
        if last or word.text.endswith((".", "?", "!")) or words[n + 1].start_ms - word.end_ms > PAUSE_MS:
            yield begin, list(words[begin : n + 1])
            begin = n + 1


def _score(text: str) -> float:
    if len(text.split()) < 3 or text.rstrip().endswith("?"):
        return 0.0
    return 1.2 * bool(_FACT.search(text)) + 1.0 * bool(_WHEN.search(text)) + 1.5 * bool(_WANT.search(text))


def _shorten(text: str) -> str:
    words = text.split()
    return text if len(words) <= MAX_WORDS else " ".join(words[:MAX_WORDS]) + " …"
