"""Numbers and addresses that must not be kept are masked before anything sees them: disk, screens, detectors. Pure.

Spoken or written digits are read as runs ("double five", "forty one eleven", "4111-1111"). What is masked:
- 13 digits and more: always, whatever a checksum says (a card merged with its expiry fails Luhn and would leak);
- 9 to 12: always (telephone, bank and social-security numbers);
- shorter runs where either party has just spoken of a card, security code, PIN, bank, social-security or telephone
  number or a date of birth;
- an utterance that is nothing but digits, where a number has just been spoken of, or where they are three or more, or
  come to four with what the same speaker said so shortly before: a longer number read in groups, joined across
  utterances;
- a run of four or more at the very end of an utterance, and digits that carry one on: it may not be over yet;
- runs close together that come to eleven digits or more: a number that was corrected on the way;
- a stretch of eight digits and more that is digits for the most part, with the words between them: recognisers mishear
  some digits of a number as other words ("four seven coal fired four seven");
- three digits or more of a number that was masked a moment ago, or the last two said of it, whoever says them: the
  agent reads them back;
- e-mail addresses, spoken or written, and the parts of one where somebody has just spoken of e-mail; names after a cue,
  where the site asks for that.
In provisional words every run of three digits and more is masked, and any digits at the end are held back until they
are settled; so is what may become an e-mail address: after somebody spoke of e-mail, around a spoken "dot", and the
last words from "at" on. How much it catches and how much it masks for nothing: assist/evaluation/masking.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from assist.privacy.numbers import (
    FILLERS,
    INTERJECTIONS,
    REPEATS,
    TORN_DIGITS,
    Run,
    corrected,
    nothing_else,
    only_fillers,
    plain,
    runs_of,
    torn,
)
from audio.events import Hypothesis, Speaker, Utterance, Word

CUE_MS = 30_000
"""How long a spoken cue ("what's the card number?") makes short digit runs suspect, on both channels."""
CARRY_MS = 30_000
"""How long digits at the end of an utterance wait to be carried on by the same speaker."""

LEAST_ALONE = 4
"""Digits that one speaker says in utterances of their own are a number from so many on; answers come to fewer."""

_MASKED = re.compile(r"^\[[a-z][a-z -]*\]$")
_MONTHS = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug"
    " sep sept oct nov dec".split()
)
_ORDINAL = re.compile(
    r"^(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)?-?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth)$"
)
_YEAR = re.compile(r"^(?:19|20)\d\d$")
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
        (
            "date of birth",
            1,
            r"\bdate of birth",
            r"\b(?:when|year|day|date) (?:\w+ ){1,4}born\b",
            r"\bborn (?:(?:on|in|the)\b|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
            r"\bbirth ?(?:day|date)\b",
            r"\bd ?o ?b\b",
        ),
    )
)
"""What was asked for or announced, the smallest run of digits then masked, and the words that say so."""

EMAIL_MS = 10_000
"""After somebody spoke of e-mail, provisional words wait so long to be settled."""
_EMAIL_CUE = re.compile(r"\be ?-?mail|\b(?:gmail|hotmail|outlook|icloud|yahoo)\b")
_ADDRESS_MARKS = frozenset(("dot", "underscore"))
_DOMAIN_ENDS = frozenset("com net org uk edu gov io de fr eu info biz us ca au ie nz za nl ch es dk jp".split())
_PROVIDERS = frozenset("gmail googlemail hotmail icloud protonmail".split())
_ASKED_PROVIDERS = _PROVIDERS | {"outlook", "yahoo", "aol"}
"""Said without their "dot com"; some only where somebody has spoken of mail."""
DOMAIN_WORDS, ASKED_DOMAIN_WORDS = 8, 24
"""So many words from "at" the "dot" of a domain may come; where e-mail is spoken of it may be spelled."""
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


@dataclass
class Redactor:
    """Masks one call's words; remembers what was asked for and which digits may be carried on."""

    names: bool = False
    """Names after cues such as "my name is" are masked too."""
    masked: int = 0
    """How many places have been masked in settled words."""
    _cues: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Kind -> (smallest run to mask, call time in ms until which it holds)."""
    _email_until: int = -1
    """Until when (ms) provisional words are held back: somebody has spoken of e-mail."""
    _alone: dict[Speaker, tuple[int, int]] = field(default_factory=dict)
    """Speaker -> (digits of the last utterances that were nothing else, until when in ms they count)."""
    _open: dict[Speaker, int] = field(default_factory=dict)
    """Speaker -> until when (ms) digits may be carried on."""
    _masked: list[tuple[int, str]] = field(default_factory=list)
    """(until when in ms, digits) of what was masked: in memory only, to know it again when it is read back."""

    def settled(self, utterance: Utterance) -> Utterance:
        """The utterance as it may be kept."""
        words, spans = self._mask(utterance.words, utterance.speaker, utterance.start_ms)
        self._note_cues(utterance.words, utterance.start_ms, utterance.end_ms)
        runs = runs_of(utterance.words)
        if spans:
            self.masked += len(spans)
            hidden = "".join(run.number for run in runs if any(first <= run.first <= last for first, last in spans))
            until = utterance.end_ms + CARRY_MS
            self._masked = [each for each in self._masked if each[0] > utterance.end_ms] + [(until, hidden)]
        ends = bool(runs) and only_fillers(utterance.words, runs[-1].last + 1, len(utterance.words))
        until = utterance.end_ms + CARRY_MS
        alone = self._digits_alone(utterance.words, runs, utterance.speaker, utterance.start_ms)
        if alone:
            self._alone[utterance.speaker] = alone, until
        if ends and (runs[-1].digits >= 3 or alone >= LEAST_ALONE):
            self._open[utterance.speaker] = until
        elif any(plain(word) not in FILLERS for word in utterance.words):
            self._open.pop(utterance.speaker, None)
            if not alone:
                self._alone.pop(utterance.speaker, None)
        return replace(utterance, words=words) if spans else utterance

    def _digits_alone(self, words: Sequence[Word], runs: Sequence[Run], speaker: Speaker, start_ms: int) -> int:
        """Digits of these words and of those before by the same speaker; 0 where they are not all that is said."""
        if not runs or not nothing_else(words, runs):
            return 0
        before, until = self._alone.get(speaker, (0, -1))
        return sum(run.digits for run in runs) + (before if start_ms <= until else 0)

    def provisional(self, hypothesis: Hypothesis) -> Hypothesis:
        """The hypothesis as it may be shown: digits at its end wait until they are settled."""
        both = hypothesis.agreed + hypothesis.tentative
        runs = runs_of(both)
        shown = len(both)
        if runs and only_fillers(both, runs[-1].last + 1, len(both), {*REPEATS, *INTERJECTIONS}):
            shown = runs[-1].first
        elif both and plain(both[-1]) in {*REPEATS, *INTERJECTIONS}:
            shown = len(both) - 1
        for first, last in torn(both, 3):
            shown = first if first < shown <= last else shown
        shown = min(shown, self._address_begins(both, hypothesis.start_ms))
        words, spans = self._mask(both[:shown], hypothesis.speaker, hypothesis.start_ms, least=3)
        agreed = min(len(hypothesis.agreed), shown)
        agreed -= sum(min(last, agreed - 1) - first for first, last in spans if first < agreed)
        return replace(hypothesis, agreed=words[:agreed], tentative=words[agreed:])

    def _address_begins(self, words: Sequence[Word], start_ms: int) -> int:
        """Index of the word from which on an e-mail address may be on its way; len(words) where none is."""
        if start_ms <= self._email_until:
            return 0
        texts = [plain(word) for word in words]
        end = len(texts)
        whole = [(first, last) for first, last, _ in _addresses(words) if last < end - 1]
        said = max((last for _, last in whole), default=-1)
        cue = next((index + 1 for index, text in enumerate(texts) if index > said and _EMAIL_CUE.search(text)), end)
        at = next((index for index in range(max(0, end - 3), end) if texts[index] == "at"), end)
        mark = next((index for index, text in enumerate(texts) if index > said and text in _ADDRESS_MARKS), end)
        if mark < end:
            before = next((index for index in range(mark, max(0, mark - 4), -1) if texts[index] == "at"), mark)
            mark = _name_begins(texts, before)
        begins = min(cue, at, mark)
        return next((first for first, last in whole if first < begins <= last), begins)

    def _note_cues(self, words: Sequence[Word], start_ms: int, now_ms: int) -> None:
        text = " ".join(plain(word) for word in words)
        addresses = _addresses(words, asked=start_ms <= self._email_until)
        if any(_is_whole(words[first : last + 1]) for first, last, _ in addresses):
            self._email_until = -1
        elif addresses or _EMAIL_CUE.search(text):
            self._email_until = now_ms + EMAIL_MS
        for kind, least, pattern in _CUES:
            if pattern.search(text):
                self._cues[kind] = (least, now_ms + CUE_MS)

    def _mask(
        self, words: tuple[Word, ...], speaker: Speaker, start_ms: int, least: int = 9
    ) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
        """The words with masked places as one word each, and those places as word indexes before masking.

        `least` is the number of digits from which a run is masked whatever stands around it.
        """
        text = " ".join(plain(word) for word in words)
        live = {kind: few for kind, (few, until) in self._cues.items() if start_ms <= until}
        live |= {kind: few for kind, few, pattern in _CUES if pattern.search(text)}
        runs = runs_of(words)
        carried = start_ms <= self._open.get(speaker, -1)
        whole = bool(runs) and nothing_else(words, runs)
        alone = whole and (
            sum(run.digits for run in runs) >= 3 or self._digits_alone(words, runs, speaker, start_ms) >= LEAST_ALONE
        )
        lately = [number for until, number in self._masked if start_ms <= until]
        known = "".join(lately)
        long = corrected(runs)
        if SENSITIVE & live.keys() and sum(run.digits for run in runs) >= min(least, 4):
            long |= set(range(len(runs)))  # a card is being said: digits torn apart by misheard words are its own
        name = "card number" if SENSITIVE & live.keys() else "number"
        spans = [(first, last, name) for first, last in torn(words, min(least, TORN_DIGITS))]
        for number, run in enumerate(runs):
            kind = ""
            at_end = number == len(runs) - 1 and only_fillers(words, run.last + 1, len(words))
            at_start = number == 0 and only_fillers(words, 0, run.first)
            if run.digits >= 13:
                kind = "card number"
            elif (
                run.digits >= least
                or alone
                or number in long
                or (at_end and run.digits >= 4 and not _is_year(words, run))
                or (carried and at_start and (run.digits >= 2 or whole))
                or (run.digits >= 3 and run.number in known)
                or (run.digits == 2 and any(number.endswith(run.number) for number in lately))
            ):
                kind = "number"
            for cue, few in live.items():
                if whole or (run.digits >= few and cue != "date of birth"):
                    kind = cue if kind in ("", "number") else kind
            if kind:
                spans.append((run.first, run.last, kind))
        if "date of birth" in live:
            spans += _dates(words, runs)
        spans += _addresses(words, asked=start_ms <= self._email_until)
        if self.names:
            spans += _names(words)
        return _replaced(words, spans)


def is_masked(word: Word) -> bool:
    """Whether a word of a settled utterance stands for what was masked there; its times are those of all of it."""
    return _MASKED.match(word.text) is not None


SENSITIVE = {"card number", "security code"}


def _is_year(words: Sequence[Word], run: Run) -> bool:
    return run.first == run.last and bool(_YEAR.match(plain(words[run.first])))


def _dates(words: Sequence[Word], runs: Sequence[Run]) -> list[tuple[int, int, str]]:
    """Months, ordinals and digits, as far as they stand together: one small word between at most, or "of the"."""
    parts = {index for run in runs for index in range(run.first, run.last + 1)}
    parts |= {i for i, word in enumerate(words) if plain(word) in _MONTHS or _ORDINAL.match(plain(word))}
    spans: list[tuple[int, int, str]] = []
    for index in sorted(parts):
        between = [plain(word) for word in words[spans[-1][1] + 1 : index]] if spans else []
        if spans and (len(between) <= 1 or between == ["of", "the"]):
            spans[-1] = (spans[-1][0], index, "date of birth")
        else:
            spans.append((index, index, "date of birth"))
    return [span for span in spans if _is_date(words[span[0] : span[1] + 1])]


def _is_date(words: Sequence[Word]) -> bool:
    """More than a small number, a lone month or a lone ordinal."""
    digits = sum(run.digits for run in runs_of(words))
    named = any(plain(word) in _MONTHS or _ORDINAL.match(plain(word)) for word in words)
    return digits >= 3 or (named and len(words) > 1)


def _addresses(words: Sequence[Word], *, asked: bool = False) -> list[tuple[int, int, str]]:
    """E-mail addresses: written ones, and "jane dot smith at example dot com".

    Where e-mail is spoken of (`asked`, or in these words) any domain will do, and so will a part of an address.
    """
    spans: list[tuple[int, int, str]] = []
    texts = [plain(word) for word in words]
    line = " ".join(texts)
    providers = _ASKED_PROVIDERS if asked or "mail" in line else _PROVIDERS
    asked = asked or _EMAIL_CUE.search(line) is not None
    for index, text in enumerate(texts):
        if re.search(r"\w@\w", text):
            spans.append((index, index, "e-mail"))
        if text != "at":
            continue
        last = _domain_ends(texts, index, asked)
        if last == index and index + 1 < len(texts) and texts[index + 1] in providers:
            last = index + 1
        first = _name_begins(texts, index)
        if last > index and (asked or first < index):
            spans.append((first, last, "e-mail"))
    if asked and not spans:
        spans += _part_of_address(texts)
    return spans


def _domain_ends(texts: Sequence[str], at: int, asked: bool) -> int:
    """Index of the last word of the domain that follows this "at"; that of the "at" where none does."""
    reach = min(at + (ASKED_DOMAIN_WORDS if asked else DOMAIN_WORDS), len(texts) - 1)
    dot = next((index for index in range(at + 2, reach) if texts[index] == "dot"), None)
    if dot is not None and (asked or texts[dot + 1] in _DOMAIN_ENDS | {"co", "ac"}):
        last = dot + 1
        while last + 2 < len(texts) and texts[last + 1] == "dot":
            if not asked and texts[last] not in ("co", "ac") and texts[last + 2] not in _DOMAIN_ENDS:
                break
            last += 2
        while len(texts[last]) == 1 and last + 1 < len(texts) and len(texts[last + 1]) == 1:  # "dot u k"
            last += 1
        return last
    follows = texts[at + 1] if at + 1 < len(texts) else ""
    written = re.fullmatch(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,4}", follows)
    return at + 1 if written else at


def _part_of_address(texts: Sequence[str]) -> list[tuple[int, int, str]]:
    """What ends with a "dot" or "underscore" and one more word: "jane dot smith", "example dot com"."""
    last = len(texts) - 1
    while last > 0 and (texts[last] in FILLERS or texts[last] == "at"):
        last -= 1
    mark = last - 1
    if mark < 0 or texts[mark] not in _ADDRESS_MARKS:
        return []
    while mark > 1 and texts[mark - 2] in _ADDRESS_MARKS:
        mark -= 2
    return [(_name_begins(texts, mark), last, "e-mail")]


def _is_whole(words: Sequence[Word]) -> bool:
    """Whether this is an address and not a part of one."""
    return any(plain(word) == "at" or "@" in word.text for word in words)


def _name_begins(texts: Sequence[str], index: int) -> int:
    """Where the part of an address begins that stands before this word."""
    first = index
    while first > 0 and index - first < 8 and texts[first - 1] not in _NOT_A_NAME:
        first -= 1
    return first


def _names(words: Sequence[Word]) -> list[tuple[int, int, str]]:
    """What follows a cue, as far as it can be a name."""
    texts = [plain(word) for word in words]
    spans: list[tuple[int, int, str]] = []
    for index in range(1, len(texts)):
        if not _NAME_CUES.search(" ".join(texts[max(0, index - 5) : index])) or texts[index] in FILLERS:
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
