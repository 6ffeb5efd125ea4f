"""Digits in recognised words: runs of them, spoken or written, and numbers torn apart by misheard words. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from audio.events import Word

_UNITS = {
    word: str(value)
    for value, words in enumerate(
        ["zero oh o nought naught nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )
    for word in words.split()
}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SPOKEN = (
    _UNITS
    | {word: str(10 + i) for i, word in enumerate(_TEENS)}
    | {word: f"{2 + i}0" for i, word in enumerate(_TENS)}
    | {"hundred": "00", "thousand": "000"}
)
_PLURALS = {f"{word}{'es' if word.endswith('x') else 's'}": value for word, value in _UNITS.items()} | {"zeroes": "0"}
"""After how many of them: "four ones"."""
_HOMOPHONES = {"for": "4", "to": "2", "too": "2", "won": "1", "ate": "8", "owe": "0", "fore": "4", "tree": "3"}
"""Digits only between digits: recognisers write them so."""
FILLERS = frozenset(
    "uh um er erm hmm and then dash hyphen space minus okay ok so the that's thats yeah yes it's".split()
)
INTERJECTIONS = frozenset(("oh", "o", "owe"))
"""A zero only beside another digit."""
REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_EDGES = re.compile(r"^[^\w(£$€+]+|[^\w)%]+$")
"""What may stand around written digits and is not part of them; an amount or a percentage stays one."""
GLUED_DIGITS = 9
"""A written word with so many digits is a number whatever stands between them ("x4111.1111,1111")."""
_DIGITS = re.compile(r"^[\d][\d\-\u2010-\u2015.,/() ]*$|^\(\d+\)$")
_AMOUNT = re.compile(r"^\d{1,3}(?:,\d{3})+$")
"""Thousands with commas are no number that somebody reads out."""


@dataclass(frozen=True, slots=True)
class Run:
    """Digits that stand together."""

    first: int
    """Index of the first word."""
    last: int
    """Index of the last word (inclusive)."""
    number: str

    @property
    def digits(self) -> int:
        """How many."""
        return len(self.number)


CORRECTION_WORDS = 3
"""At most so many other words between the parts of a number that was corrected ("one, no sorry, two")."""
CORRECTED_DIGITS = 11


def plain(word: Word) -> str:
    """The word as it is compared: lower case, without punctuation around it."""
    return word.text.casefold().strip(".,!?;:\"'“”…")


def runs_of(words: Sequence[Word]) -> list[Run]:
    """Runs of digits, spoken or written; fillers inside a run belong to it, fillers around it do not."""
    runs: list[Run] = []
    first = last = -1
    number = ""
    repeat = 1
    for index, word in enumerate(words):
        text = plain(word)
        value = _value(text)
        if text in INTERJECTIONS and not (first >= 0 and last == index - 1) and not _digit_follows(words, index):
            value = None
        if value is None and first >= 0 and text in _HOMOPHONES and _digit_follows(words, index):
            value = _HOMOPHONES[text]
        if value is None and ((first >= 0 and last == index - 1) or _digit_follows(words, index)):
            value = _glued(text)
        if value is not None:
            if first < 0:
                first = index
            after_tens = number and last == index - 1 and text in _UNITS and plain(words[last]) in _TENS
            number = number[:-1] + value if after_tens else number + value * repeat
            last = index
            repeat = 1
        elif text in _PLURALS and number and last == index - 1 and plain(words[last]) in _UNITS:  # "four ones"
            number = number[:-1] + _PLURALS[text] * int(number[-1])
            last = index
        elif text in REPEATS:
            repeat = REPEATS[text]
            first = index if first < 0 and _digit_follows(words, index) else first
        elif first >= 0 and text in FILLERS:
            continue
        elif _hyphened(text):  # "forty-one"
            first = index if first < 0 else first
            tens, *units = (_value(part) or "" for part in text.split("-"))
            number += tens[:-1] + "".join(units) if text.split("-")[0] in _TENS else tens + "".join(units)
            last = index
        else:
            if first >= 0 and number:
                runs.append(Run(first, last, number))
            first, last, number, repeat = -1, -1, "", 1
    if first >= 0 and number:
        runs.append(Run(first, last, number))
    return runs


TORN_DIGITS = 8
TORN_WORDS = 6
"""Of these, so many must be digits themselves; the others may sound like some ("for", "to") or announce one."""
TORN_GAP = 3
"""At most so many other words in a row."""


def torn(words: Sequence[Word], least: int = TORN_DIGITS) -> list[tuple[int, int]]:
    """Stretches that are digits for the most part, `least` and more of them, as indexes of the first and last word.

    Recognisers mishear some digits of a number as other words, which tears it into runs too short to be known. Fillers
    count as nothing. The settings come from 300 card numbers read aloud by flite's four voices.
    """
    found: list[tuple[int, int]] = []
    sure: list[int] = []
    alike = others = 0
    waiting: list[int] = [0, 0]
    """Since the last sure digit: words that sound like one, other words."""

    def close() -> None:
        count = len(sure) + alike
        if len(sure) >= min(least, TORN_WORDS) and count >= least and alike + others > 0 and others < count:
            found.append((sure[0], sure[-1]))

    for index, word in enumerate(words):
        text = plain(word)
        if (text not in INTERJECTIONS and _value(text) is not None) or _hyphened(text):
            alike, others = (alike + waiting[0], others + waiting[1]) if sure else (0, 0)
            sure.append(index)
            waiting = [0, 0]
        elif text in _HOMOPHONES or text in REPEATS or text in INTERJECTIONS:
            waiting[0] += 1
        elif text not in FILLERS:
            waiting[1] += 1
            if waiting[1] > TORN_GAP:
                close()
                sure = []
    close()
    return found


def _hyphened(text: str) -> bool:
    return "-" in text and all(_value(part) is not None for part in text.split("-"))


def corrected(runs: Sequence[Run]) -> set[int]:
    """Indexes of runs that belong to one long number with a word or two between."""
    chain: list[int] = []
    found: set[int] = set()
    for index, run in enumerate(runs):
        if chain and run.first - runs[chain[-1]].last - 1 > CORRECTION_WORDS:
            chain = []
        chain.append(index)
        if sum(runs[each].digits for each in chain) >= CORRECTED_DIGITS and len(chain) > 1:
            found |= set(chain)
    return found


def _value(text: str) -> str | None:
    if text in _SPOKEN:
        return _SPOKEN[text]
    found = _figures(text)
    if found and (len(found) >= GLUED_DIGITS or _is_written(_EDGES.sub("", text))):
        return found
    return None


def _is_written(text: str) -> bool:
    return _DIGITS.match(text) is not None and _AMOUNT.match(text) is None


def _glued(text: str) -> str | None:
    """The digits of a written word that holds others too ("4111x"): a part of the number it stands beside."""
    found = _figures(text)
    return found if len(found) > 1 else None


def _figures(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _digit_follows(words: Sequence[Word], index: int) -> bool:
    follows = plain(words[index + 1]) if index + 1 < len(words) else ""
    return _value(follows) is not None or (follows in REPEATS and _digit_follows(words, index + 1))


def only_fillers(words: Sequence[Word], begin: int, end: int, also: Container[str] = ()) -> bool:
    """Whether the words from `begin` to `end` (exclusive) say nothing."""
    return all(plain(word) in FILLERS or plain(word) in also for word in words[begin:end])


def nothing_else(words: Sequence[Word], runs: Sequence[Run]) -> bool:
    """Whether these runs and fillers are all there is."""
    inside = {index for run in runs for index in range(run.first, run.last + 1)}
    return all(index in inside or plain(word) in FILLERS for index, word in enumerate(words))
