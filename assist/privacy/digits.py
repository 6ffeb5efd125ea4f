"""Finds digits in recognised words: runs, spoken or written, and numbers interrupted by misheard words. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
_SPOKEN_DIGITS = (
    _UNITS
    | {word: str(10 + i) for i, word in enumerate(_TEENS)}
    | {word: f"{2 + i}0" for i, word in enumerate(_TENS)}
    | {"hundred": "00", "thousand": "000"}
)
_PLURALS = {f"{word}{'es' if word.endswith('x') else 's'}": value for word, value in _UNITS.items()} | {"zeroes": "0"}
"""Plural of a digit, said after a count: "four ones"."""
_HOMOPHONES = {"for": "4", "to": "2", "too": "2", "won": "1", "ate": "8", "owe": "0", "fore": "4", "tree": "3"}
"""Words that recognisers write for digits; digits only between other digits."""
FILLERS = frozenset(
    "uh um er erm hmm and then dash hyphen space minus okay ok so the that's thats yeah yes it's".split()
)
INTERJECTIONS = frozenset(("oh", "o", "owe"))
"""Zero only next to another digit."""
REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_PUNCTUATION = re.compile(r"^[^\w(£$€+]+|[^\w)%]+$")
"""Punctuation around written digits; currency and percent signs are not stripped, so that amounts stay amounts."""
MIN_EMBEDDED_DIGITS = 9
"""A written word with so many digits is a number, whatever other characters it has ("x4111.1111,1111")."""
_DIGITS = re.compile(r"^[\d][\d\-\u2010-\u2015.,/() ]*$|^\(\d+\)$")
_AMOUNT = re.compile(r"^\d{1,3}(?:,\d{3})+$")
"""Thousands with commas: an amount, not a number that is read out."""


@dataclass(frozen=True, slots=True)
class DigitRun:
    """Digits that were said or written together."""

    first: int
    """Index of the first word."""
    last: int
    """Index of the last word (inclusive)."""
    number: str
    """The digits."""

    @property
    def digits(self) -> int:
        """Number of digits."""
        return len(self.number)


MAX_CORRECTION_WORDS = 3
"""At most so many other words between the parts of a corrected number ("one, no sorry, two")."""
MIN_CORRECTED_DIGITS = 11
"""Runs so close together belong to one number if they come to so many digits."""
_CORRECTIONS = frozenset("no sorry not but wait mean actually rather correction".split())
MIN_CORRECTED_RUN_DIGITS = 2
"""Where a word of correction is between, shorter runs are not parts of a number ("closes at nine, not ten")."""


def normalised(word: Word) -> str:
    """The text of a word in lower case, without punctuation around it."""
    return word.text.casefold().strip(".,!?;:\"'“”…")


def digit_runs(words: Sequence[Word]) -> list[DigitRun]:
    """Runs of digits, spoken or written; fillers inside a run are part of it, fillers around it are not."""
    runs: list[DigitRun] = []
    first = last = -1
    number = ""
    repeat = 1
    for index, word in enumerate(words):
        text = normalised(word)
        value = _digits_of(text)
        if text in INTERJECTIONS and not (first >= 0 and last == index - 1) and not _digit_follows(words, index):
            value = None
        if value is None and first >= 0 and text in _HOMOPHONES and _digit_follows(words, index):
            value = _HOMOPHONES[text]
        if value is None and ((first >= 0 and last == index - 1) or _digit_follows(words, index)):
            value = _embedded_digits(text)
        if value is not None:
            if first < 0:
                first = index
            after_tens = number and last == index - 1 and text in _UNITS and normalised(words[last]) in _TENS
            number = number[:-1] + value if after_tens else number + value * repeat
            last = index
            repeat = 1
        elif text in _PLURALS and number and last == index - 1 and normalised(words[last]) in _UNITS:  # "four ones"
            number = number[:-1] + _PLURALS[text] * int(number[-1])
            last = index
        elif text in REPEATS:
            repeat = REPEATS[text]
            first = index if first < 0 and _digit_follows(words, index) else first
        elif first >= 0 and text in FILLERS:
            continue
        elif _is_hyphenated_number(text):  # "forty-one"
            first = index if first < 0 else first
            tens, *units = (_digits_of(part) or "" for part in text.split("-"))
            number += tens[:-1] + "".join(units) if text.split("-")[0] in _TENS else tens + "".join(units)
            last = index
        else:
            if first >= 0 and number:
                runs.append(DigitRun(first, last, number))
            first, last, number, repeat = -1, -1, "", 1
    if first >= 0 and number:
        runs.append(DigitRun(first, last, number))
    return runs


MIN_INTERRUPTED_DIGITS = 8
MIN_CERTAIN_DIGITS = 6
"""Of these, so many must be digits; the others may sound like digits ("for", "to") or announce one ("double")."""
MAX_GAP_WORDS = 3
"""At most so many other words in a row between digits."""


def interrupted_numbers(words: Sequence[Word], min_digits: int = MIN_INTERRUPTED_DIGITS) -> list[tuple[int, int]]:
    """Word sequences of at least `min_digits` digits and fewer other words: (index of first word, of last word).

    Recognisers mishear some digits of a number as other words; the runs between are too short to be recognised. Fillers
    are not counted. The constants are from 300 card numbers read aloud by flite's four voices.
    """
    found: list[tuple[int, int]] = []
    certain: list[int] = []
    uncertain = others = 0
    since_certain: list[int] = [0, 0]
    """Words since the last certain digit: [those that sound like digits, others]."""

    def end_sequence() -> None:
        count = len(certain) + uncertain
        is_long = len(certain) >= min(min_digits, MIN_CERTAIN_DIGITS) and count >= min_digits
        if is_long and uncertain + others > 0 and others < count:
            found.append((certain[0], certain[-1]))

    for index, word in enumerate(words):
        text = normalised(word)
        if (text not in INTERJECTIONS and _digits_of(text) is not None) or _is_hyphenated_number(text):
            uncertain, others = (uncertain + since_certain[0], others + since_certain[1]) if certain else (0, 0)
            certain.append(index)
            since_certain = [0, 0]
        elif text in _HOMOPHONES or text in REPEATS or text in INTERJECTIONS:
            since_certain[0] += 1
        elif text not in FILLERS:
            since_certain[1] += 1
            if since_certain[1] > MAX_GAP_WORDS:
                end_sequence()
                certain = []
    end_sequence()
    return found


def _is_hyphenated_number(text: str) -> bool:
    return "-" in text and all(_digits_of(part) is not None for part in text.split("-"))


def corrected_runs(runs: Sequence[DigitRun]) -> set[int]:
    """Indexes of the runs of a number that was corrected while it was said, with a few other words between."""
    chain: list[int] = []
    found: set[int] = set()
    for index, run in enumerate(runs):
        if chain and run.first - runs[chain[-1]].last - 1 > MAX_CORRECTION_WORDS:
            chain = []
        chain.append(index)
        if sum(runs[each].digits for each in chain) >= MIN_CORRECTED_DIGITS and len(chain) > 1:
            found |= set(chain)
    return found


def put_right(words: Sequence[Word], runs: Sequence[DigitRun], min_digits: int) -> set[int]:
    """Indexes of the runs around words of correction ("four two no sorry four three") that come to so many digits."""
    found: set[int] = set()
    for index, (run, following) in enumerate(pairwise(runs)):
        between = [normalised(word) for word in words[run.last + 1 : following.first]]
        is_number = min(run.digits, following.digits) >= MIN_CORRECTED_RUN_DIGITS
        if is_number and len(between) <= MAX_CORRECTION_WORDS and not _CORRECTIONS.isdisjoint(between):
            found |= {index, index + 1} if run.digits + following.digits >= min_digits else set()
    return found


def _digits_of(text: str) -> str | None:
    """The digits that a word stands for; None where it is not a number."""
    if text in _SPOKEN_DIGITS:
        return _SPOKEN_DIGITS[text]
    found = _digits_in(text)
    if found and (len(found) >= MIN_EMBEDDED_DIGITS or _is_written(_PUNCTUATION.sub("", text))):
        return found
    return None


def _is_written(text: str) -> bool:
    return _DIGITS.match(text) is not None and _AMOUNT.match(text) is None


def _embedded_digits(text: str) -> str | None:
    """The digits of a written word with other characters ("4111x"), next to digits; None for fewer than two."""
    found = _digits_in(text)
    return found if len(found) > 1 else None


def _digits_in(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _digit_follows(words: Sequence[Word], index: int) -> bool:
    follows = normalised(words[index + 1]) if index + 1 < len(words) else ""
    return _digits_of(follows) is not None or (follows in REPEATS and _digit_follows(words, index + 1))


def are_fillers(words: Sequence[Word], begin: int, end: int, also: Container[str] = ()) -> bool:
    """Whether the words from `begin` to `end` (exclusive) are all fillers, or in `also`."""
    return all(normalised(word) in FILLERS or normalised(word) in also for word in words[begin:end])


def is_all_digits(words: Sequence[Word], runs: Sequence[DigitRun]) -> bool:
    """Whether the words are nothing but these runs and fillers."""
    inside = {index for run in runs for index in range(run.first, run.last + 1)}
    return all(index in inside or normalised(word) in FILLERS for index, word in enumerate(words))
