"""Masks numbers and addresses that must not be stored, before disk, screens and detectors get the words. Pure.

Spoken or written digits are read as runs ("double five", "forty one eleven", "4111-1111"). What is masked:
- 13 digits and more: always, whatever a checksum says (a card merged with its expiry fails Luhn and would leak);
- 9 to 12: always (telephone, bank and social-security numbers);
- shorter runs where either party has just spoken of a card, security code, PIN, bank, social-security or telephone
  number or a date of birth, for longer where the agent spoke of a code that has to be fetched;
- letters and digits written as one word: a British national-insurance number always, others after such a cue;
- an utterance that is nothing but digits, where a number has just been spoken of, or where they are three or more, or
  come to four with what the same speaker said so shortly before: a longer number read in groups, joined across
  utterances;
- a run of four or more at the very end of an utterance, and digits that continue one: it may not be complete yet;
- runs close together that come to eleven digits or more: a number that was corrected while it was said; fewer after
  such a cue, with a word of correction between ("four two no sorry four three");
- eight digits and more with fewer other words between them, which are masked too: recognisers mishear some digits of a
  number as other words ("four seven coal fired four seven");
- three digits or more of a number that was masked a moment ago, or the last two said of it, whoever says them: the
  agent reads them back; later in the call four digits of one that was asked for or is long, its last three after
  "ending", or the words of a date of birth with its year;
- e-mail addresses, spoken or written, and the parts of one where somebody has just spoken of e-mail; names after a cue,
  where the site asks for that.
In provisional words every run of three digits and more is masked, and any digits at the end are held back until they
are settled; so is what may become an e-mail address: after somebody spoke of e-mail, around a spoken "dot", and the
last words from "at" on. How much it catches and how much it masks for nothing: assist/evaluation/masking.py.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from assist.privacy.digits import (
    FILLERS,
    INTERJECTIONS,
    MIN_INTERRUPTED_DIGITS,
    REPEATS,
    DigitRun,
    are_fillers,
    corrected_runs,
    digit_runs,
    interrupted_numbers,
    is_all_digits,
    normalised,
    put_right,
)
from audio.events import Hypothesis, Speaker, Utterance, Word

CARD_KINDS = {"card number", "security code"}
CODE_KINDS = {"security code", "code"}
BIRTH = "date of birth"
CUE_MS = 30_000
"""How long a spoken cue ("what's the card number?") makes short digit runs suspect, on both channels."""
CODE_CUE_MS = 180_000
"""The same where the agent speaks of a code, which may have to be fetched: the card from a purse, a message from a
telephone. Once it has been said, CUE_MS."""
CONTINUATION_MS = 30_000
"""How long the same speaker may continue digits at the end of an utterance."""
READ_BACK_MS = 30_000
"""For so long every three digits of a masked number count as read back; later in the call MIN_LATE_READ_BACK do."""
MIN_LATE_READ_BACK = 4
MIN_CERTAIN = 9
"""So many digits are a number that is read out, whether it was asked for or not."""
MAX_REMEMBERED = 50
"""Masked numbers, and dates of birth, that are remembered: the latest."""
_ENDING = frozenset("ending ends end last finishing finishes".split())
MAX_ENDING_WORDS = 3
"""So many words before the last digits of a number one of these announces them."""
MIN_DIGITS_ALONE = 4
"""Digits that one speaker says in utterances of nothing else are a number from so many on; answers have fewer."""

_MASK = re.compile(r"^\[[a-z][a-z -]*\]$")
_MONTHS = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug"
    " sep sept oct nov dec".split()
)
_ORDINAL = re.compile(
    r"^(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)?-?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth)$"
)
_NATIONAL_INSURANCE = re.compile(r"[a-z]{2}\d{6}[a-d]")
MIN_MIXED_DIGITS = 6
"""After a cue, a word with letters and so many digits is what was asked for."""
_YEAR = re.compile(r"^(?:19|20)\d\d$")
_CUES: tuple[tuple[str, int, re.Pattern[str]], ...] = tuple(
    (kind, min_digits, re.compile("|".join(patterns)))
    for kind, min_digits, *patterns in (
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
        (
            "code",
            3,
            r"\bpin\b",
            r"\bpass ?(?:code|word)",
            r"\b(?:one[ -]time|verification) code",
            r"\bcode (?:from|in) (?:the|your|that) (?:text|message|e-?mail|app)",
            r"\bmemorable",
            r"\b(?:four|five|six|seven|eight|[4-8])[ -]digit (?:\w+ )?(?:code|number|pin)\b",
            r"\b(?:four|six|[46])[ -]digits\b",
        ),
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
            BIRTH,
            1,
            r"\bdate of birth",
            r"\b(?:when|year|day|date) (?:\w+ ){1,4}born\b",
            r"\bborn (?:(?:on|in|the)\b|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
            r"\bbirth ?(?:day|date)\b",
            r"\bd ?o ?b\b",
        ),
    )
)
"""(what was asked for or announced, shortest run of digits that is then masked, the words that say so)."""

EMAIL_MS = 10_000
"""For so long after e-mail was mentioned, provisional words are not shown."""
_EMAIL_CUE = re.compile(r"\be ?-?mail|\b(?:gmail|hotmail|outlook|icloud|yahoo)\b")
_SPOKEN_SEPARATORS = frozenset(("dot", "underscore"))
_TOP_LEVEL_DOMAINS = frozenset("com net org uk edu gov io de fr eu info biz us ca au ie nz za nl ch es dk jp".split())
_MAIL_PROVIDERS = frozenset("gmail googlemail hotmail icloud protonmail".split())
_MAIL_PROVIDERS_IN_CONTEXT = _MAIL_PROVIDERS | {"outlook", "yahoo", "aol"}
"""Said without their "dot com"; some of them only where mail was mentioned."""
MAX_DOMAIN_WORDS, MAX_DOMAIN_WORDS_IN_CONTEXT = 8, 24
"""The "dot" of a domain follows within so many words of "at"; where e-mail was mentioned it may be spelled out."""
_WRITTEN_DOMAIN = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,4}")
MAX_LOCAL_PART_WORDS = 4
"""Where more words come before a domain without an "at", they are a sentence's."""
_NAME_CUES = re.compile(
    r"\b(?:my|the|his|her|first|last|full|sur|maiden) ?name(?:'s| is| was)(?: (?:uh|um|er))?$"
    r"|\b(?:this is|speaking with|speaking to|i'm called|it's under)$|\bname on (?:the|my) \w+ is$"
)
_AFTER_A_NAME = frozenset(
    "and i i'm from calling speaking the a an my not i'd i've on at here is was it's so that your you with in for to"
    " ridiculous unacceptable about wrong right what how just really very no yes".split()
)
"""Words that end a name, or show that there is none."""
MAX_NAME_WORDS = 3
_NOT_IN_LOCAL_PART = frozenset("is it's its my mail email e-mail address the to at on you me".split())

Span = tuple[int, int, str]
"""Words to mask: (index of the first word, of the last word, what is masked)."""


@dataclass
class Redactor:
    """Masks one call's words; remembers what was asked for and which digits may be continued."""

    names: bool = False
    """Names after cues such as "my name is" are masked too."""
    masked: int = 0
    """How many places have been masked in settled words."""
    _cues: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Kind -> (length of the shortest run to mask, end of the cue's effect in ms of call time)."""
    _email_until: int = -1
    """Until when (ms) provisional words are not shown, because e-mail was mentioned."""
    _digits_only: dict[Speaker, tuple[int, int]] = field(default_factory=dict)
    """Speaker -> (number of digits in the latest utterances of nothing else, until when in ms they count)."""
    _continuable_until: dict[Speaker, int] = field(default_factory=dict)
    """Speaker -> until when (ms) digits may be continued."""
    _masked_numbers: deque[tuple[int, str, bool]] = field(default_factory=partial(deque, maxlen=MAX_REMEMBERED))
    """(when in ms, digits, whether they were asked for or many) of what was masked: in memory only, to recognise it
    when it is read back."""
    _masked_births: deque[frozenset[str]] = field(default_factory=partial(deque, maxlen=MAX_REMEMBERED))
    """Words of the dates of birth that were masked, likewise."""

    def redact_utterance(self, utterance: Utterance) -> Utterance:
        """The utterance as it may be stored."""
        words, spans = self._mask(utterance.words, utterance.speaker, utterance.start_ms)
        runs = digit_runs(utterance.words)
        hidden = "".join(run.number for run in runs if any(first <= run.first <= last for first, last in spans))
        until = utterance.end_ms + CONTINUATION_MS
        if spans:
            self.masked += len(spans)
            births = [word for word in words if word.text == f"[{BIRTH}]"]
            said = [word for word in utterance.words if any(b.start_ms <= word.start_ms < b.end_ms for b in births)]
            if said:
                self._masked_births.append(frozenset(map(normalised, said)))
        ends_with_digits = bool(runs) and are_fillers(utterance.words, runs[-1].last + 1, len(utterance.words))
        count = self._count_digits_only(utterance.words, runs, utterance.speaker, utterance.start_ms)
        if count:
            self._digits_only[utterance.speaker] = count, until
        self._shorten_answered_cues(max(len(hidden), count), utterance.end_ms)
        if ends_with_digits and (runs[-1].digits >= 3 or count >= MIN_DIGITS_ALONE):
            self._continuable_until[utterance.speaker] = until
        elif any(normalised(word) not in FILLERS for word in utterance.words):
            self._continuable_until.pop(utterance.speaker, None)
            if not count:
                self._digits_only.pop(utterance.speaker, None)
        self._note_cues(utterance)
        if spans:
            is_certain = len(hidden) >= MIN_CERTAIN or any(utterance.start_ms <= end for _, end in self._cues.values())
            self._masked_numbers.append((utterance.end_ms, hidden, is_certain))
        return replace(utterance, words=words) if spans else utterance

    def _count_digits_only(
        self, words: Sequence[Word], runs: Sequence[DigitRun], speaker: Speaker, start_ms: int
    ) -> int:
        """Number of digits in these words and the speaker's latest utterances of nothing else; 0 if these say more."""
        if not runs or not is_all_digits(words, runs):
            return 0
        before, until = self._digits_only.get(speaker, (0, -1))
        return sum(run.digits for run in runs) + (before if start_ms <= until else 0)

    def expect_card(self, now_ms: int) -> None:
        """A card's number or code may be said from now on, as if it had just been spoken of."""
        for kind, min_digits, _ in _CUES:
            if kind in CARD_KINDS:
                self._cues[kind] = min_digits, max(now_ms + CUE_MS, self._cues.get(kind, (0, -1))[1])

    def _shorten_answered_cues(self, digits: int, now_ms: int) -> None:
        for kind, (min_digits, until) in self._cues.items():
            if digits >= min_digits:
                self._cues[kind] = min_digits, min(until, now_ms + CUE_MS)

    def redact_hypothesis(self, hypothesis: Hypothesis) -> Hypothesis:
        """The hypothesis as it may be shown: without digits at its end, which wait until they have settled."""
        both = hypothesis.agreed + hypothesis.tentative
        runs = digit_runs(both)
        shown = len(both)
        if runs and are_fillers(both, runs[-1].last + 1, len(both), {*REPEATS, *INTERJECTIONS}):
            shown = runs[-1].first
        elif both and normalised(both[-1]) in {*REPEATS, *INTERJECTIONS}:
            shown = len(both) - 1
        for first, last in interrupted_numbers(both, 3):
            shown = first if first < shown <= last else shown
        shown = min(shown, self._email_start(both, hypothesis.start_ms))
        words, spans = self._mask(both[:shown], hypothesis.speaker, hypothesis.start_ms, min_digits=3)
        agreed = min(len(hypothesis.agreed), shown)
        agreed -= sum(min(last, agreed - 1) - first for first, last in spans if first < agreed)
        return replace(hypothesis, agreed=words[:agreed], tentative=words[agreed:])

    def _email_start(self, words: Sequence[Word], start_ms: int) -> int:
        """Index of the word with which an unfinished e-mail address may begin; len(words) where there is none."""
        if start_ms <= self._email_until:
            return 0
        texts = [normalised(word) for word in words]
        end = len(texts)
        complete = [(first, last) for first, last, _ in _email_spans(words) if last < end - 1]
        last_complete = max((last for _, last in complete), default=-1)
        cue = next((n + 1 for n, text in enumerate(texts) if n > last_complete and _EMAIL_CUE.search(text)), end)
        at = next((index for index in range(max(0, end - 3), end) if texts[index] == "at"), end)
        part = next((n for n, text in enumerate(texts) if n > last_complete and text in _SPOKEN_SEPARATORS), end)
        if part < end:
            before = next((index for index in range(part, max(0, part - 4), -1) if texts[index] == "at"), part)
            part = _local_part_start(texts, before)
        start = min(cue, at, part)
        return next((first for first, last in complete if first < start <= last), start)

    def _note_cues(self, said: Utterance) -> None:
        words, start_ms, now_ms = said.words, said.start_ms, said.end_ms
        text = " ".join(normalised(word) for word in words)
        addresses = _email_spans(words, asked=start_ms <= self._email_until)
        if any(_is_complete_address(words[first : last + 1]) for first, last, _ in addresses):
            self._email_until = -1
        elif addresses or _EMAIL_CUE.search(text):
            self._email_until = now_ms + EMAIL_MS
        for kind, min_digits, pattern in _CUES:
            if pattern.search(text):
                has_to_be_fetched = kind in CODE_KINDS and said.speaker is not Speaker.CUSTOMER
                until = now_ms + (CODE_CUE_MS if has_to_be_fetched else CUE_MS)
                self._cues[kind] = min_digits, max(until, self._cues.get(kind, (0, -1))[1])

    def _is_masked_birth(self, words: Sequence[Word]) -> bool:
        """Whether these words, a month or an ordinal and a year, have all been said in one date of birth."""
        texts = set(map(normalised, words))
        has_year = any(run.digits >= 2 for run in digit_runs(words))
        return has_year and any(map(_is_month_or_ordinal, words)) and any(texts <= each for each in self._masked_births)

    def _mask(
        self, words: tuple[Word, ...], speaker: Speaker, start_ms: int, min_digits: int = 9
    ) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
        """Mask the words.

        Args:
            words: One utterance, or part of one.
            speaker: Who says them.
            start_ms: Call time of their beginning.
            min_digits: Runs of so many digits are masked whatever else is said.

        Returns:
            The words, with one word such as "[card number]" for each masked span, and the spans before masking, as
            (index of the first word, of the last word).
        """
        text = " ".join(normalised(word) for word in words)
        active_cues = {kind: shortest for kind, (shortest, until) in self._cues.items() if start_ms <= until}
        active_cues |= {kind: shortest for kind, shortest, pattern in _CUES if pattern.search(text)}
        is_card = bool(CARD_KINDS & active_cues.keys())
        runs = digit_runs(words)
        total = sum(run.digits for run in runs)
        may_continue = start_ms <= self._continuable_until.get(speaker, -1)
        only_digits = bool(runs) and is_all_digits(words, runs)
        is_number = only_digits and (
            total >= 3 or self._count_digits_only(words, runs, speaker, start_ms) >= MIN_DIGITS_ALONE
        )
        certain = [number for _, number, is_certain in self._masked_numbers if is_certain]
        recent = [number for at_ms, number, _ in self._masked_numbers if start_ms <= at_ms + READ_BACK_MS]
        all_certain, all_recent = "".join(certain), "".join(recent)
        asked_for = [shortest for cue, shortest in active_cues.items() if cue != BIRTH]
        long_numbers = corrected_runs(runs)
        if asked_for:
            long_numbers |= put_right(words, runs, min(asked_for))
        if is_card and total >= min(min_digits, 4):
            long_numbers |= set(range(len(runs)))  # all digits are the card's, whatever misheard words are between
        interrupted = interrupted_numbers(words, min(min_digits, MIN_INTERRUPTED_DIGITS))
        spans = [(first, last, "card number" if is_card else "number") for first, last in interrupted]
        for index, run in enumerate(runs):
            kind = ""
            at_end = index == len(runs) - 1 and are_fillers(words, run.last + 1, len(words))
            at_start = index == 0 and are_fillers(words, 0, run.first)
            if run.digits >= 13:
                kind = "card number"
            elif (
                run.digits >= min_digits
                or is_number
                or index in long_numbers
                or (at_end and run.digits >= 4 and not _is_year(words, run))
                or (may_continue and at_start and (run.digits >= 2 or only_digits))
                or (run.digits >= 3 and run.number in all_recent)
                or (run.digits >= MIN_LATE_READ_BACK and run.number in all_certain)
                or (run.digits == 3 and _is_ending(words, run) and any(each.endswith(run.number) for each in certain))
                or (run.digits == 2 and any(number.endswith(run.number) for number in recent))
            ):
                kind = "number"
            for cue, shortest in active_cues.items():
                if only_digits or (run.digits >= shortest and cue != BIRTH):
                    kind = cue if kind in ("", "number") else kind
            if kind:
                spans.append((run.first, run.last, kind))
        spans += _mixed_spans(words, active_cues, min(min_digits, MIN_MIXED_DIGITS))
        if BIRTH in active_cues:
            spans += _date_spans(words, runs)
        elif self._masked_births:
            spans += [span for span in _date_spans(words, runs) if self._is_masked_birth(words[span[0] : span[1] + 1])]
        spans += _email_spans(words, asked=start_ms <= self._email_until)
        if self.names:
            spans += _name_spans(words)
        return _replace_spans(words, spans)


def is_masked(word: Word) -> bool:
    """Whether a word of a redacted utterance is the mask of a span; its times are those of the span."""
    return _MASK.match(word.text) is not None


def _is_ending(words: Sequence[Word], run: DigitRun) -> bool:
    before = words[max(0, run.first - MAX_ENDING_WORDS) : run.first]
    return not _ENDING.isdisjoint(map(normalised, before))


def _is_month_or_ordinal(word: Word) -> bool:
    return normalised(word) in _MONTHS or _ORDINAL.match(normalised(word)) is not None


def _is_year(words: Sequence[Word], run: DigitRun) -> bool:
    return run.first == run.last and bool(_YEAR.match(normalised(words[run.first])))


def _mixed_spans(words: Sequence[Word], kinds: Collection[str], min_digits: int) -> list[Span]:
    """Words of letters and digits, where one of these kinds was asked for or the word is of its own form."""
    spans: list[Span] = []
    for index, word in enumerate(words):
        text = normalised(word).replace("-", "")
        if _NATIONAL_INSURANCE.fullmatch(text):
            spans.append((index, index, "social security number"))
        elif kinds and text.isalnum() and not text.isdigit() and sum(map(str.isdigit, text)) >= min_digits:
            spans.append((index, index, next(iter(kinds))))
    return spans


def _date_spans(words: Sequence[Word], runs: Sequence[DigitRun]) -> list[Span]:
    """Months, ordinals and digits next to each other: at most one word between, or "of the"."""
    parts = {index for run in runs for index in range(run.first, run.last + 1)}
    parts |= {index for index, word in enumerate(words) if _is_month_or_ordinal(word)}
    spans: list[Span] = []
    for index in sorted(parts):
        between = [normalised(word) for word in words[spans[-1][1] + 1 : index]] if spans else []
        if spans and (len(between) <= 1 or between == ["of", "the"]):
            spans[-1] = (spans[-1][0], index, BIRTH)
        else:
            spans.append((index, index, BIRTH))
    return [span for span in spans if _is_date(words[span[0] : span[1] + 1])]


def _is_date(words: Sequence[Word]) -> bool:
    """Whether this is more than a small number, a single month or a single ordinal."""
    digits = sum(run.digits for run in digit_runs(words))
    named = any(map(_is_month_or_ordinal, words))
    return digits >= 3 or (named and len(words) > 1)


def _email_spans(words: Sequence[Word], *, asked: bool = False) -> list[Span]:
    """E-mail addresses: written ones, and "jane dot smith at example dot com".

    Where e-mail was mentioned (`asked`, or in these words), any domain counts, and so does a part of an address.
    """
    spans: list[Span] = []
    texts = [normalised(word) for word in words]
    line = " ".join(texts)
    providers = _MAIL_PROVIDERS_IN_CONTEXT if asked or "mail" in line else _MAIL_PROVIDERS
    asked = asked or _EMAIL_CUE.search(line) is not None
    for index, text in enumerate(texts):
        if re.search(r"\w@\w", text):
            spans.append((index, index, "e-mail"))
        if text != "at":
            continue
        last = _domain_end(texts, index, asked)
        if last == index and index + 1 < len(texts) and texts[index + 1] in providers:
            last = index + 1
        first = _local_part_start(texts, index)
        if last > index and (asked or first < index):
            spans.append((first, last, "e-mail"))
    if asked and not spans:
        spans += _misheard_address_spans(texts) or _partial_address_spans(texts)
    return spans


def _misheard_address_spans(texts: Sequence[str]) -> list[Span]:
    """Written domains whose "at" was misheard: "kate.brownatexample.com", "bob underscore jones with example.co.uk"."""
    spans: list[Span] = []
    for index, text in enumerate(texts):
        if _WRITTEN_DOMAIN.fullmatch(text) and text.rpartition(".")[2] in _TOP_LEVEL_DOMAINS:
            first = _local_part_start(texts, index)
            spans.append((first if index - first <= MAX_LOCAL_PART_WORDS else index, index, "e-mail"))
    return spans


def _domain_end(texts: Sequence[str], at: int, asked: bool) -> int:
    """Index of the last word of the domain after this "at"; `at` itself where none follows."""
    reach = min(at + (MAX_DOMAIN_WORDS_IN_CONTEXT if asked else MAX_DOMAIN_WORDS), len(texts) - 1)
    dot = next((index for index in range(at + 2, reach) if texts[index] == "dot"), None)
    if dot is not None and (asked or texts[dot + 1] in _TOP_LEVEL_DOMAINS | {"co", "ac"}):
        last = dot + 1
        while last + 2 < len(texts) and texts[last + 1] == "dot":
            if not asked and texts[last] not in ("co", "ac") and texts[last + 2] not in _TOP_LEVEL_DOMAINS:
                break
            last += 2
        while len(texts[last]) == 1 and last + 1 < len(texts) and len(texts[last + 1]) == 1:  # "dot u k"
            last += 1
        return last
    follows = texts[at + 1] if at + 1 < len(texts) else ""
    return at + 1 if _WRITTEN_DOMAIN.fullmatch(follows) else at


def _partial_address_spans(texts: Sequence[str]) -> list[Span]:
    """A part of an address at the end: "jane dot smith", "example dot com"."""
    last = len(texts) - 1
    while last > 0 and (texts[last] in FILLERS or texts[last] == "at"):
        last -= 1
    mark = last - 1
    if mark < 0 or texts[mark] not in _SPOKEN_SEPARATORS:
        return []
    while mark > 1 and texts[mark - 2] in _SPOKEN_SEPARATORS:
        mark -= 2
    return [(_local_part_start(texts, mark), last, "e-mail")]


def _is_complete_address(words: Sequence[Word]) -> bool:
    """Whether this is a complete address, not a part of one."""
    return any(normalised(word) == "at" or "@" in word.text for word in words)


def _local_part_start(texts: Sequence[str], index: int) -> int:
    """Index of the first word of the local part (jane dot smith) that ends before this word."""
    first = index
    while first > 0 and index - first < 8 and texts[first - 1] not in _NOT_IN_LOCAL_PART:
        first -= 1
    return first


def _name_spans(words: Sequence[Word]) -> list[Span]:
    """Names after a cue such as "my name is"."""
    texts = [normalised(word) for word in words]
    spans: list[Span] = []
    for index in range(1, len(texts)):
        if not _NAME_CUES.search(" ".join(texts[max(0, index - 5) : index])) or texts[index] in FILLERS:
            continue
        last = index
        while last < min(len(texts), index + MAX_NAME_WORDS) and texts[last] not in _AFTER_A_NAME:
            last += 1
        if last > index:
            spans.append((index, last - 1, "name"))
    return spans


def _replace_spans(words: tuple[Word, ...], spans: list[Span]) -> tuple[tuple[Word, ...], list[tuple[int, int]]]:
    if not spans:
        return words, []
    merged: list[Span] = []
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
