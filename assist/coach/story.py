"""What the customer has already said, in their own words and short, so that nobody makes them say it again. Pure.

Extractive on purpose: nothing is put into words that were not said. Sentences are chosen by plain features (they tell a
fact: a time, a number, something that did not happen; or a signal stands on them); abuse and greetings are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from assist.coach.matching import is_similar
from audio.events import Utterance, Word
from detectors.signals import Severity, Signal

SENTENCES = 5
"""A supervisor reads so many while joining."""
WORDS = 24
"""A longer sentence is cut, with its end marked."""
TELLING = 2.0
"""Points a sentence needs; one plain fact has them."""
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
_EMPTY = re.compile(r"\b(thanks?|thank you|hello|hi|goodbye|bye|okay|works for me|appreciate)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Sentence:
    at_ms: int
    end_ms: int
    text: str
    points: float


@dataclass(slots=True)
class Story:
    """The customer's side of one call, sentence by sentence."""

    _sentences: list[_Sentence] = field(default_factory=list)

    def hear(self, utterance: Utterance, signals: Iterable[Signal]) -> None:
        """A settled utterance of the customer, with the signals that were found in it."""
        mine = [each for each in signals if each.evidence.utterance == utterance.id]
        for first, words in _sentences_of(utterance.words):
            last = first + len(words) - 1
            inside = [s for s in mine if s.evidence.first_word <= last and s.evidence.last_word >= first]
            if any(map(_is_abuse, inside)):
                continue
            text = " ".join(word.text for word in words)
            points = _points(text) + (1.5 if inside else 0.0)
            if points >= TELLING and not _EMPTY.search(text):
                self._sentences.append(_Sentence(words[0].start_ms, words[-1].end_ms, _cut(text), points))

    def forget(self, since_ms: int) -> None:
        """What was said after this is not told any more: it was taken back."""
        self._sentences = [sentence for sentence in self._sentences if sentence.end_ms <= since_ms]

    def told(self) -> tuple[tuple[int, str], ...]:
        """The telling sentences in order, each with its call time in ms; what was said twice stands once."""
        chosen: list[_Sentence] = []
        for sentence in sorted(self._sentences, key=lambda each: (-each.points, each.at_ms)):
            if len(chosen) < SENTENCES and not any(is_similar(sentence.text, other.text) for other in chosen):
                chosen.append(sentence)
        return tuple((each.at_ms, each.text) for each in sorted(chosen, key=lambda each: each.at_ms))


def _is_abuse(signal: Signal) -> bool:
    """Swear words of any kind, and plain insults; what only may be one is told."""
    return signal.id == "swearing" or (signal.id == "derogatory" and signal.severity >= Severity.HELP)


def _sentences_of(words: tuple[Word, ...]) -> Iterable[tuple[int, list[Word]]]:
    """Runs of words up to a full stop, or to a pause where the recogniser writes none."""
    begin = 0
    for n, word in enumerate(words):
        last = n + 1 == len(words)
        if last or word.text.endswith((".", "?", "!")) or words[n + 1].start_ms - word.end_ms > 600:
            yield begin, list(words[begin : n + 1])
            begin = n + 1


def _points(text: str) -> float:
    if len(text.split()) < 3 or text.rstrip().endswith("?"):
        return 0.0
    return 1.2 * bool(_FACT.search(text)) + 1.0 * bool(_WHEN.search(text)) + 1.5 * bool(_WANT.search(text))


def _cut(text: str) -> str:
    words = text.split()
    return text if len(words) <= WORDS else " ".join(words[:WORDS]) + " …"
