"""Numbers and addresses that must not be kept are masked before anything sees them: disk, screens, detectors. Pure.

Spoken or written digits are read as runs ("double five", "forty one eleven", "4111-1111"). What is masked:
- 13 digits and more: always, whatever a checksum says (a card merged with its expiry fails Luhn and would leak);
- 9 to 12: always (telephone, bank and social-security numbers);
- shorter runs where either party has just spoken of a card, security code, PIN, bank, social-security or telephone
  number or a date of birth;
- an utterance that is nothing but three or more digits: a longer number read in groups, joined across utterances;
- a run of four or more at the very end of an utterance, and digits that carry one on: it may not be over yet;
- runs close together that come to eleven digits or more: a number that was corrected on the way;
- three digits or more of a number that was masked a moment ago, whoever says them: the agent reads them back;
- e-mail addresses, spoken or written; names after a cue, where the site asks for that.
In provisional words every run of three digits and more is masked, and any digits at the end are held back until they
are settled. How much it catches and how much it masks for nothing: assist/evaluation/masking.py measures it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from audio.events import Hypothesis, Speaker, Utterance, Word

CUE_MS = 30_000
"""How long a spoken cue ("what's the card number?") makes short digit runs suspect, on both channels."""
CARRY_MS = 30_000
"""How long digits at the end of an utterance wait to be carried on by the same speaker."""

_UNITS = {
    word: str(value)
    for value, words in enumerate(
        ["zero oh o nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
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
_HOMOPHONES = {"for": "4", "to": "2", "too": "2", "won": "1", "ate": "8", "owe": "0", "fore": "4", "tree": "3"}
"""Digits only between digits: recognisers write them so."""
_FILLERS = frozenset(
    "uh um er erm hmm and then dash hyphen space minus okay ok so the that's thats yeah yes it's".split()
)
_INTERJECTIONS = frozenset(("oh", "o", "owe"))
"""A zero only beside another digit."""
_MASKED = re.compile(r"^\[[a-z][a-z -]*\]$")
_REPEATS = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_MONTHS = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug"
    " sep sept oct nov dec".split()
)
_ORDINAL = re.compile(
    r"^(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)?-?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth)$"
)
_YEAR = re.compile(r"^(?:19|20)\d\d$")
_DIGITS = re.compile(r"^[\d][\d\-./() ]*$|^\(\d+\)$")
_CUES: tuple[tuple[str, int, re.Pattern[str]], ...] = tuple(
    (kind, least, re.compile("|".join(patterns)))
    for kind, least, *patterns in (
        (
            "card number",
            3,
            r"\b(?:card|long) (?:number|digits)",
            r"\b(?:credit|debit|bank) card",
            r"\bexpir\w+",
            r"\bnumber on (?:the|your) (?:card|front)",
        ),
        (
            "security code",
            3,
            r"\bsecurity (?:code|number)",
            r"\bc ?v ?[vc]\b",
            r"\b(?:three|3|four|4) digits?\b",
            r"\bback of (?:the|your|my) card",
        ),
        ("code", 3, r"\bpin\b", r"\bpass ?(?:code|word)", r"\b(?:one time|verification) code", r"\bmemorable"),
        (
            "social security number",
            4,
            r"\bsocial(?: security)?\b",
            r"\bnational insurance",
            r"\btax (?:id|number)",
            r"\blast four\b",
        ),
        ("bank number", 4, r"\baccount number", r"\bsort code", r"\brouting", r"\biban\b", r"\bbank details"),
        (
            "phone number",
            5,
            r"\b(?:tele)?phone\b",
            r"\b(?:mobile|cell|contact|callback) number",
            r"\b(?:call|reach|ring) (?:me|you) (?:back )?(?:on|at)\b",
        ),
        ("date of birth", 1, r"\bdate of birth", r"\bborn (?:on|in)\b", r"\bbirth ?(?:day|date)\b", r"\bd ?o ?b\b"),
    )
)
"""What was asked for or announced, the smallest run of digits then masked, and the words that say so."""

_DOMAIN_ENDS = frozenset("com net org uk edu gov io de fr eu info biz us ca au".split())
_NAME_CUES = re.compile(
    r"\b(?:my|the|his|her|first|last|full|sur|maiden) ?name(?:'s| is| was)(?: (?:uh|um|er))?$"
    r"|\b(?:this is|speaking with|speaking to|i'm called|it's under)$|\bname on (?:the|my) \w+ is$"
)
_AFTER_A_NAME = frozenset(
    "and i i'm from calling speaking the a an my not i'd i've on at here is was it's so that your you with in for to"
    " ridiculous unacceptable about wrong right what how just really very no yes".split()
)
"""Words that end a name, or show that there is none."""
LONGEST_NAME = 3
"""Words."""
_NOT_A_NAME = frozenset("is it's its my mail email e-mail address the to at on you me".split())


@dataclass(frozen=True, slots=True)
class _Run:
    first: int
    last: int
    """Index of the last word (inclusive)."""
    number: str

    @property
    def digits(self) -> int:
        """How many."""
        return len(self.number)


@dataclass
class Redactor:
    """Masks one call's words; remembers what was asked for and which digits may be carried on."""

    names: bool = False
    """Names after cues such as "my name is" are masked too."""
    masked: int = 0
    """How many places have been masked in settled words."""
    _cues: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Kind -> (smallest run to mask, call time in ms until which it holds)."""
    _open: dict[Speaker, int] = field(default_factory=dict)
    """Speaker -> until when (ms) digits may be carried on."""
    _masked: list[tuple[int, str]] = field(default_factory=list)
    """(until when in ms, digits) of what was masked: in memory only, to know it again when it is read back."""

    def settled(self, utterance: Utterance) -> Utterance:
        """The utterance as it may be kept."""
        words, spans = self._mask(utterance.words, utterance.speaker, utterance.start_ms)
        self._note_cues(utterance.words, utterance.end_ms)
        runs = _runs(utterance.words)
        if spans:
            self.masked += len(spans)
            hidden = "".join(run.number for run in runs if any(first <= run.first <= last for first, last in spans))
            until = utterance.end_ms + CARRY_MS
            self._masked = [each for each in self._masked if each[0] > utterance.end_ms] + [(until, hidden)]
        ends = bool(runs) and _only_fillers(utterance.words, runs[-1].last + 1, len(utterance.words))
        if ends and runs[-1].digits >= 3:
            self._open[utterance.speaker] = utterance.end_ms + CARRY_MS
        elif any(_plain(word) not in _FILLERS for word in utterance.words):
            self._open.pop(utterance.speaker, None)
        return replace(utterance, words=words) if spans else utterance

    def provisional(self, hypothesis: Hypothesis) -> Hypothesis:
        """The hypothesis as it may be shown: digits at its end wait until they are settled."""
        both = hypothesis.agreed + hypothesis.tentative
        runs = _runs(both)
        shown = len(both)
        if runs and _only_fillers(both, runs[-1].last + 1, len(both), {*_REPEATS, *_INTERJECTIONS}):
            shown = runs[-1].first
        elif both and _plain(both[-1]) in {*_REPEATS, *_INTERJECTIONS}:
            shown = len(both) - 1
        agreed, _ = self._mask(hypothesis.agreed[:shown], hypothesis.speaker, hypothesis.start_ms, least=3)
        left = hypothesis.tentative[: max(0, shown - len(hypothesis.agreed))]
        joined, spans = self._mask(both[:shown], hypothesis.speaker, hypothesis.start_ms, least=3)
        if any(span[0] < len(hypothesis.agreed) <= span[1] for span in spans):
            return replace(hypothesis, agreed=joined, tentative=())  # a masked place that straddles the two
        tentative = joined[len(agreed) :] if spans else left
        return replace(hypothesis, agreed=agreed, tentative=tentative)

    def _note_cues(self, words: Sequence[Word], now_ms: int) -> None:
        text = " ".join(_plain(word) for word in words)
        for kind, least, pattern in _CUES:
            if pattern.search(text):
                self._cues[kind] = (least, now_ms + CUE_MS)

    def _mask(
        self, words: tuple[Word, ...], speaker: Speaker, start_ms: int, least: int = 9
    ) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
        """The words with masked places as one word each, and those places as word indexes before masking.

        `least` is the number of digits from which a run is masked whatever stands around it.
        """
        text = " ".join(_plain(word) for word in words)
        live = {kind: few for kind, (few, until) in self._cues.items() if start_ms <= until}
        live |= {kind: few for kind, few, pattern in _CUES if pattern.search(text)}
        runs = _runs(words)
        alone = len(runs) > 0 and sum(run.digits for run in runs) >= 3 and _nothing_else(words, runs)
        carried = start_ms <= self._open.get(speaker, -1)
        whole = bool(runs) and _nothing_else(words, runs)
        known = "".join(number for until, number in self._masked if start_ms <= until)
        long = _corrected(runs)
        if SENSITIVE & live.keys() and sum(run.digits for run in runs) >= 4:
            long |= set(range(len(runs)))  # a card is being said: digits torn apart by misheard words are its own
        spans: list[tuple[int, int, str]] = []
        for number, run in enumerate(runs):
            kind = ""
            at_end = number == len(runs) - 1 and _only_fillers(words, run.last + 1, len(words))
            at_start = number == 0 and _only_fillers(words, 0, run.first)
            if run.digits >= 13:
                kind = "card number"
            elif (
                run.digits >= least
                or alone
                or number in long
                or (at_end and run.digits >= 4 and not _is_year(words, run))
                or (carried and at_start and (run.digits >= 2 or whole))
                or (run.digits >= 3 and run.number in known)
            ):
                kind = "number"
            for cue, few in live.items():
                if run.digits >= few and cue != "date of birth":
                    kind = cue if kind in ("", "number") else kind
            if kind:
                spans.append((run.first, run.last, kind))
        if "date of birth" in live:
            spans += _dates(words, runs)
        spans += _addresses(words)
        if self.names:
            spans += _names(words)
        return _replaced(words, spans)


def is_masked(word: Word) -> bool:
    """Whether a word of a settled utterance stands for what was masked there; its times are those of all of it."""
    return _MASKED.match(word.text) is not None


def _plain(word: Word) -> str:
    return word.text.casefold().strip(".,!?;:\"'“”…")


def _runs(words: Sequence[Word]) -> list[_Run]:
    """Runs of digits, spoken or written; fillers inside a run belong to it, fillers around it do not."""
    runs: list[_Run] = []
    first = last = -1
    number = ""
    repeat = 1
    for index, word in enumerate(words):
        text = _plain(word)
        value = _value(text)
        if text in _INTERJECTIONS and not (first >= 0 and last == index - 1) and not _digit_follows(words, index):
            value = None
        if value is None and first >= 0 and text in _HOMOPHONES and _digit_follows(words, index):
            value = _HOMOPHONES[text]
        if value is not None:
            if first < 0:
                first = index
            after_tens = number and last == index - 1 and text in _UNITS and _plain(words[last]) in _TENS
            number = number[:-1] + value if after_tens else number + value * repeat
            last = index
            repeat = 1
        elif text in _REPEATS:
            repeat = _REPEATS[text]
            first = index if first < 0 and _digit_follows(words, index) else first
        elif first >= 0 and text in _FILLERS:
            continue
        elif "-" in text and all(_value(part) is not None for part in text.split("-")):  # "forty-one"
            first = index if first < 0 else first
            tens, *units = (_value(part) or "" for part in text.split("-"))
            number += tens[:-1] + "".join(units) if text.split("-")[0] in _TENS else tens + "".join(units)
            last = index
        else:
            if first >= 0 and number:
                runs.append(_Run(first, last, number))
            first, last, number, repeat = -1, -1, "", 1
    if first >= 0 and number:
        runs.append(_Run(first, last, number))
    return runs


SENSITIVE = {"card number", "security code"}
CORRECTION_WORDS = 3
"""At most so many other words between the parts of a number that was corrected ("one, no sorry, two")."""
CORRECTED_DIGITS = 11


def _corrected(runs: Sequence[_Run]) -> set[int]:
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


def _is_year(words: Sequence[Word], run: _Run) -> bool:
    return run.first == run.last and bool(_YEAR.match(_plain(words[run.first])))


def _value(text: str) -> str | None:
    if text in _SPOKEN:
        return _SPOKEN[text]
    if _DIGITS.match(text):
        return "".join(character for character in text if character.isdigit())
    return None


def _digit_follows(words: Sequence[Word], index: int) -> bool:
    follows = _plain(words[index + 1]) if index + 1 < len(words) else ""
    return _value(follows) is not None or (follows in _REPEATS and _digit_follows(words, index + 1))


def _only_fillers(words: Sequence[Word], begin: int, end: int, also: Container[str] = ()) -> bool:
    return all(_plain(word) in _FILLERS or _plain(word) in also for word in words[begin:end])


def _nothing_else(words: Sequence[Word], runs: Sequence[_Run]) -> bool:
    inside = {index for run in runs for index in range(run.first, run.last + 1)}
    return all(index in inside or _plain(word) in _FILLERS for index, word in enumerate(words))


def _dates(words: Sequence[Word], runs: Sequence[_Run]) -> list[tuple[int, int, str]]:
    """Months, ordinals and digits, as far as they stand together (at most one small word between)."""
    parts = {index for run in runs for index in range(run.first, run.last + 1)}
    parts |= {i for i, word in enumerate(words) if _plain(word) in _MONTHS or _ORDINAL.match(_plain(word))}
    spans: list[tuple[int, int, str]] = []
    for index in sorted(parts):
        if spans and index - spans[-1][1] <= 2:
            spans[-1] = (spans[-1][0], index, "date of birth")
        else:
            spans.append((index, index, "date of birth"))
    return [span for span in spans if _is_date(words[span[0] : span[1] + 1])]


def _is_date(words: Sequence[Word]) -> bool:
    """More than a small number, a lone month or a lone ordinal."""
    digits = sum(run.digits for run in _runs(words))
    named = any(_plain(word) in _MONTHS or _ORDINAL.match(_plain(word)) for word in words)
    return digits >= 3 or (named and len(words) > 1)


def _addresses(words: Sequence[Word]) -> list[tuple[int, int, str]]:
    """E-mail addresses: written ones, and "jane dot smith at example dot com"."""
    spans: list[tuple[int, int, str]] = []
    texts = [_plain(word) for word in words]
    for index, text in enumerate(texts):
        if re.search(r"\w@\w", text):
            spans.append((index, index, "e-mail"))
        if text != "at":
            continue
        end = next((i for i in range(index + 2, min(index + 8, len(texts))) if texts[i] == "dot"), None)
        if end is None or end + 1 >= len(texts) or texts[end + 1] not in _DOMAIN_ENDS | {"co", "ac"}:
            written = index + 1 < len(texts) and re.fullmatch(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,4}", texts[index + 1])
            if not written:
                continue
            last = index + 1
        else:
            last = end + 1
            while last + 2 < len(texts) and texts[last + 1] == "dot" and texts[last + 2] in _DOMAIN_ENDS:
                last += 2
        first = index
        while first > 0 and index - first < 8 and texts[first - 1] not in _NOT_A_NAME:
            first -= 1
        if first < index:
            spans.append((first, last, "e-mail"))
    return spans


def _names(words: Sequence[Word]) -> list[tuple[int, int, str]]:
    """What follows a cue, as far as it can be a name."""
    texts = [_plain(word) for word in words]
    spans: list[tuple[int, int, str]] = []
    for index in range(1, len(texts)):
        if not _NAME_CUES.search(" ".join(texts[max(0, index - 5) : index])) or texts[index] in _FILLERS:
            continue
        last = index
        while last < min(len(texts), index + LONGEST_NAME) and texts[last] not in _AFTER_A_NAME:
            last += 1
        if last > index:
            spans.append((index, last - 1, "name"))
    return spans


def _replaced(
    words: tuple[Word, ...], spans: list[tuple[int, int, str]]
) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
    if not spans:
        return words, []
    merged: list[tuple[int, int, str]] = []
    for first, last, kind in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]), merged[-1][2])
        else:
            merged.append((first, last, kind))
    out: list[Word] = []
    index = 0
    for first, last, kind in merged:
        out += words[index:first]
        out.append(Word(f"[{kind}]", words[first].start_ms, words[last].end_ms))
        index = last + 1
    return (*out, *words[index:]), [(first, last) for first, last, _ in merged]
