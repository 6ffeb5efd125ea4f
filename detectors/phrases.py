"""Signals by phrase: the rules applied to the latest words of a call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from audio.events import Hypothesis, Speaker, Utterance, Word, mean_probability
from detectors.assertion import ASSERTION_CHECKS
from detectors.attitude import complains, is_friendly, states_intent
from detectors.backchannels import is_backchannel
from detectors.normalisation import NormalisedText, normalise, timed_words
from detectors.phrase_index import PhraseIndex
from detectors.phrase_pattern import PhrasePattern, mark_clauses
from detectors.rulebook import Rule, Rulebook
from detectors.signals import Evidence, Severity, Signal, Window
from detectors.speaker_role import agent_odds

MAX_PAUSE_MS = 2000
"""A phrase may run over a pause of at most this length."""
MAX_EARLIER_WORDS = 8
"""So many words from before the pause are searched as well."""
MIN_PROBABILITY = 0.15
"""A match is dropped where its words' mean probability is lower; urgent rules are exempt. pocketsphinx gives right
words 0.2 on the telephone band: at 0.3 a quarter of its right words was lost, with no false positive less."""
MIN_HINGE_PROBABILITY = 0.6
"""A match is a note only where the recogniser gives a word that the rule hinges on less. Whisper base gave the "shit"
it heard for "ship" 0.23 to 0.55 (a recorded call, 237 spoken lines), one that was said 0.65 and more in 10 of 11."""
NEUTRAL = "something"
"""The sentence model reads this in the place of such a word."""

CONNECTIVES = frozenset("to of for from about with on in at by who that which if".split())
"""After these the object is still to come ("cancel my subscription" ... "to your newsletter"): twice the lookahead."""
LOOKAHEAD_WORDS = 2
"""So many words must follow a match in a hypothesis ("my lawyer" ... "sent you the form"), agreed or tentative, and it
must still match with them; twice as many follow what sounds like self-harm: "thinking of ending it" ... "when the
contract's up". Threats, and rules that are `certain` of it, wait for nothing. Of 1,129 matches in the beginnings of the
development lines and rule examples, cut after every word, 151 were not in the whole line; with one word of lookahead 17
of 663, with two 5 of 434, with three 2 of 299."""

FRIENDLY_MS = 20_000
"""A cue below urgent is only a note where the words since this long before it are friendly and do not complain."""
COMPLAINT_MS = 40_000
NEEDS_INTENT = frozenset(
    """legal_threat regulator_threat press_threat review_threat police passed_around giving_up refund_chargeback
    cancel_threat""".split()
)
"""People speak of these in calm calls too ("my lawyer is Mrs Osei"): they are more than a note only where the customer
states an intent, swears, or has complained in the last `COMPLAINT_MS`. Together with friendliness this makes notes of
22 false and 2 true positives in the 106 written calls."""

MIN_AGENT_ODDS = 0.25
"""In a channel that both parties share, a cue below urgent is only a note from these log-odds on that the words are the
agent's ("I'm processing a full refund"). Set on 36 recorded calls and announcements and on the calls `dev3`."""

EXPLETIVES = frozenset(
    """bloody fucking frigging friggin frickin fricking freaking damn damned goddamn goddam flipping sodding bleeding
    flaming ruddy fecking effing""".split()
)
"""Between two words these change nothing of what a rule says: "my bloody solicitor"."""

MIN_EXACT_WORDS = 2
"""A match with listed misheard words needs so many other words."""


class Match(NamedTuple):
    """A rule's phrase found in some words."""

    rule: Rule
    first: int
    last: int
    """Indices of its first and last word."""
    corrections: Mapping[int, str]
    """Index of a misheard word -> the word the rules know; "" for what was joined to the word before."""


class PhraseDetector:
    """Searches the latest words for the phrases of every rule of their speaker; one instance per call."""

    name = "phrases"

    def __init__(self, rulebook: Rulebook) -> None:
        self.version = rulebook.version
        self._index, self._misheard_index = rulebook.index, rulebook.misheard_index
        self._corrector = rulebook.corrector
        self._rules = rulebook.rules
        self._hinges = rulebook.hinges
        self._exceptions = rulebook.exception_patterns
        self._own_exceptions = rulebook.own_exception_patterns
        self._by_id = {rule.id: rule for rule in rulebook.rules}
        self._last_raised: dict[str, Signal] = {}
        """Rule id -> the signal it raised last."""
        self._misheard_tokens = frozenset(
            token for forms in rulebook.misheard.values() for f in forms for token in f.split()
        )
        self._word_of_form = {tuple(form.split()): word for word, forms in rulebook.misheard.items() for form in forms}
        self._corrections: dict[str, Mapping[int, str]] = {}
        """Rule id -> the corrections its match needed in the words last searched (see `Match`)."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Signals in the latest utterance or hypothesis, and in what it completes of the one before."""
        latest = window.latest
        if latest is None:
            return []
        found = self._detect(window, latest) if latest.words else []
        self.set_raised(latest.id, found)
        return found

    def set_raised(self, utterance: str, raised: Iterable[Signal]) -> None:
        """Replace the signals counted as raised on the utterance of this id; only these start a cool-down."""
        self._last_raised = {
            rule: each for rule, each in self._last_raised.items() if each.evidence.utterance != utterance
        }
        self._last_raised |= {signal.rule: signal for signal in raised}

    def _detect(self, window: Window, latest: Utterance | Hypothesis) -> list[Signal]:
        earlier = preceding_words(window, latest, MAX_EARLIER_WORDS)
        found, self._corrections = self._search(latest.words, earlier, latest.speaker, latest.id, latest.settled)
        if isinstance(latest, Hypothesis):
            found = self._stable(found, latest, earlier)
        found = self._downgraded(found, window, latest, earlier)
        return [signal for signal in found if not self._is_cooling_down(signal, window)]

    def _stable(self, found: list[Signal], latest: Hypothesis, earlier: Sequence[Word]) -> list[Signal]:
        """Those with their lookahead (see `LOOKAHEAD_WORDS`), and those that need none or are raised already."""
        waiting = {each.rule for each in found if self._needs_lookahead(each) and not self._is_raised(each)}
        if not waiting:
            return found
        words = (*latest.agreed, *latest.tentative)
        later, _ = self._search(words, earlier, latest.speaker, latest.id, False)
        confirmed = {each.rule for each in later if _has_lookahead(words, each)}
        return [each for each in found if each.rule not in waiting - confirmed]

    def _downgraded(
        self, found: list[Signal], window: Window, latest: Utterance | Hypothesis, earlier: Sequence[Word]
    ) -> list[Signal]:
        """The signals; those of severity HELP as notes where the customer is friendly or only mentions the subject.

        So are those in words that sound like the agent's, where both parties share a channel.
        """
        if latest.speaker is Speaker.AGENT or not any(signal.severity is Severity.HELP for signal in found):
            return found
        recent = self._recent_text(window, latest, FRIENDLY_MS)
        friendly = is_friendly(recent)
        is_agents = agent_odds(latest) >= MIN_AGENT_ODDS
        complaint = complains(recent) or complains(self._recent_text(window, latest, COMPLAINT_MS))
        hostile = any(signal.id in ("swearing", "derogatory") for signal in found)
        text = " ".join(normalise([word.text for word in (*earlier, *latest.words)]).tokens)
        meant = complaint or hostile or states_intent(text)
        return [
            replace(each, severity=Severity.NOTE)
            if each.severity is Severity.HELP and (friendly or is_agents or (self._needs_intent(each) and not meant))
            else each
            for each in found
        ]

    def _needs_lookahead(self, signal: Signal) -> bool:
        """Whether its object may still come; of what is urgent only where the rule of a care cue is not `certain`."""
        is_urgent = signal.severity is Severity.URGENT
        return not is_urgent or (signal.id == "vulnerable" and not self._by_id[signal.rule].certain)

    def _needs_intent(self, signal: Signal) -> bool:
        """Whether people say it in calm calls too (see `NEEDS_INTENT`)."""
        return signal.id in NEEDS_INTENT and not self._by_id[signal.rule].certain

    @staticmethod
    def _recent_text(window: Window, latest: Utterance | Hypothesis, back_ms: int) -> str:
        """The customer's normalised words, from `back_ms` before the latest utterance to its end."""
        words = [
            word.text
            for each in window.utterances
            if each.speaker is latest.speaker and each.id != latest.id
            for word in each.words
            if latest.start_ms - back_ms <= word.start_ms < latest.start_ms
        ]
        return " ".join(normalise([*words, *(word.text for word in latest.words)]).tokens)

    def _is_raised(self, signal: Signal) -> bool:
        return signal.rule in self._last_raised and self._last_raised[signal.rule].key == signal.key

    def may_be_rejected(self, rule: str) -> bool:
        """Whether the sentence model may reject signals of the rule of this id: it is shipped and not `certain`."""
        return self._by_id[rule].shipped and not self._by_id[rule].certain

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """Signals in one written line; times are counted at 300 ms a word."""
        found, self._corrections = self._search(timed_words(text), (), Speaker(speaker), "text", True)
        return found

    def corrected_words(self, rule: str, words: Sequence[Word]) -> Sequence[Word]:
        """The words last searched, misheard ones as the rule of this id corrected them; as many, though some empty."""
        corrections = self._corrections.get(rule)
        if not corrections:
            return words
        return [replace(word, text=corrections.get(at, word.text)) for at, word in enumerate(words)]

    def excepted_words(self, signal: str, words: Sequence[Word], speaker: Speaker) -> frozenset[int]:
        """Indices of the words in clauses in which an exception says that they are no such signal."""
        patterns = self._exceptions.get((signal, _rules_speaker(speaker)))
        if not patterns:
            return frozenset()
        text = normalise([word.text for word in words])
        marked_text = mark_clauses(text)
        clauses = {
            text.clause_starts[token]
            for pattern in patterns
            for first, last in _occurrences(pattern, text, marked_text)
            for token in range(first, last + 1)
        }
        return frozenset(
            index for index, start in zip(text.word_indices, text.clause_starts, strict=True) if start in clauses
        )

    def without_doubtful(self, words: Sequence[Word]) -> Sequence[Word]:
        """The words, with a neutral one for each that rules hinge on and the recogniser doubts."""
        return [replace(word, text=NEUTRAL) if _is_doubtful(word, self._hinges) else word for word in words]

    def _is_cooling_down(self, signal: Signal, window: Window) -> bool:
        """Whether its rule's cool-down holds it back: not if it is more severe, or repeated after an agent's answer."""
        last = self._last_raised.get(signal.rule)
        if last is None or last.key == signal.key or signal.severity > last.severity:
            return False
        cooling = 0 <= signal.at_ms - last.at_ms < self._by_id[signal.rule].cool_down_ms
        return cooling and not _is_answered(signal, last.at_ms, window)

    def _search(
        self, words: Sequence[Word], earlier: Sequence[Word], speaker: Speaker, utterance: str, settled: bool
    ) -> tuple[list[Signal], dict[str, Mapping[int, str]]]:
        """One signal for each rule that matches, and the corrections by rule id, with indices in `words`.

        It is that of the first match, or of the first that is no mere note where the first one is doubtful.
        """
        all_words = (*earlier, *words)
        text = normalise([word.text for word in all_words])
        signals: dict[str, Signal] = {}
        corrections_by_rule: dict[str, Mapping[int, str]] = {}
        for rule, first, last, corrections in self._all_matches(text, speaker, len(earlier)):
            quoted = all_words[first : last + 1]
            probability = mean_probability(quoted)
            if probability < MIN_PROBABILITY and rule.severity < Severity.URGENT:
                continue
            doubtful = any(_is_doubtful(word, rule.hinges_on) for word in quoted)
            severity = Severity.NOTE if doubtful and rule.severity < Severity.URGENT else rule.severity
            if rule.id in signals and severity <= signals[rule.id].severity:
                continue
            corrections_by_rule.pop(rule.id, None)
            if corrections:
                corrections_by_rule[rule.id] = {
                    at - len(earlier): word for at, word in corrections.items() if first <= at <= last
                }
            signals[rule.id] = Signal(
                id=rule.signal,
                rule=rule.id,
                version=rule.version,
                speaker=speaker,
                at_ms=quoted[-1].end_ms,
                strength=round(rule.strength * (0.5 + 0.5 * probability), 3),
                severity=severity,
                evidence=Evidence(
                    start_ms=quoted[0].start_ms,
                    end_ms=quoted[-1].end_ms,
                    quote=" ".join(word.text for word in quoted).strip(" .,;:!?"),
                    utterance=utterance,
                    first_word=max(0, first - len(earlier)),
                    last_word=last - len(earlier),
                ),
                settled=settled,
            )
        return list(signals.values()), corrections_by_rule

    def _all_matches(self, text: NormalisedText, speaker: Speaker, earlier: int) -> Iterable[Match]:
        """Matches in the words as recognised, with listed misheard forms, without expletives, and with corrected words.

        A match that ends within the first `earlier` words is left out: it was found when they came.
        """
        yield from self._matches(text, text.word_indices, speaker, earlier, self._index, {})
        if self._misheard_tokens.intersection(text.tokens):
            listed = self._listed_corrections(text)
            yield from self._matches(text, text.word_indices, speaker, earlier, self._misheard_index, listed)
        if not EXPLETIVES.isdisjoint(text.tokens[:-1]):
            clean, ends = _without_expletives(text)
            yield from self._matches(clean, ends, speaker, earlier, self._index, {})
        corrected = self._corrected(text)
        if corrected is not None:
            corrected_text, ends = corrected
            after = dict(zip(corrected_text.word_indices, corrected_text.tokens, strict=True))
            before = dict(zip(text.word_indices, text.tokens, strict=True))
            changes = {at: after.get(at, "") for at, token in before.items() if after.get(at, "") != token}
            yield from self._matches(corrected_text, ends, speaker, earlier, self._index, changes)

    def _listed_corrections(self, text: NormalisedText) -> Mapping[int, str]:
        """The corrections of all misheard forms that misheard.toml lists (see `Match`)."""
        return {
            text.word_indices[at + nth]: "" if nth else word
            for form, word in self._word_of_form.items()
            for at in range(len(text.tokens))
            if text.tokens[at : at + len(form)] == form
            for nth in range(len(form))
        }

    def _corrected(self, text: NormalisedText) -> tuple[NormalisedText, Sequence[int]] | None:
        """The words with split and misheard ones corrected by sound, and for each token the index of its last word.

        None where nothing was to be corrected.
        """
        tokens: list[str] = []
        kept: list[int] = []
        skip = False
        for index, (one, two) in enumerate(pairwise((*text.tokens, ""))):
            if skip:
                skip = False
                continue
            joined = self._corrector.join(one, two)
            skip = joined is not None
            tokens.append(joined or self._corrector.correct(one) or one)
            kept.append(index)
        return None if tuple(tokens) == text.tokens else _with_tokens(text, tokens, kept)

    def _matches(
        self,
        text: NormalisedText,
        ends: Sequence[int],
        speaker: Speaker,
        earlier: int,
        index: PhraseIndex,
        corrections: Mapping[int, str],
    ) -> Iterable[Match]:
        """The matches of each rule without an exception; `ends`: for each token the index of its last word."""
        marked_text = mark_clauses(text)
        who = _rules_speaker(speaker)
        for rule_index, pattern_index in index.candidates(text.tokens):
            rule = self._rules[rule_index]
            if rule.speaker is not who:
                continue
            pattern = rule.patterns[pattern_index]
            regex = pattern.misheard if index.misheard else pattern.exact
            assert regex is not None
            for found in regex.finditer(marked_text):
                first, last = _token_span(marked_text, found)
                if ends[last] < earlier:
                    continue
                if index.misheard and not self._has_enough_exact(text.tokens[first : last + 1]):
                    continue
                if _crosses_sentence_end(pattern, text, first, last):
                    continue
                if any(ASSERTION_CHECKS[check](text, first) for check in rule.silent_when):
                    continue
                exceptions = (*rule.unless, *self._exceptions_to(rule))
                if any(_is_exception(each, text, marked_text, first, last) for each in exceptions):
                    continue
                yield Match(rule, text.word_indices[first], ends[last], corrections)

    def _exceptions_to(self, rule: Rule) -> Sequence[PhrasePattern]:
        """Those of its signal; none of what is urgent, no shipped ones of a deployment's own rule."""
        if rule.severity is Severity.URGENT:
            return ()
        exceptions = self._exceptions if rule.shipped else self._own_exceptions
        return exceptions.get((rule.signal, rule.speaker), ())

    def _has_enough_exact(self, tokens: Sequence[str]) -> bool:
        misheard = sum(token in self._misheard_tokens for token in tokens)
        return 0 < misheard <= 2 and len(tokens) - misheard >= MIN_EXACT_WORDS


def preceding_words(window: Window, latest: Utterance | Hypothesis, most: int) -> Sequence[Word]:
    """At most `most` last words of the same speaker's utterance before; none after a pause over `MAX_PAUSE_MS`."""
    for one in reversed(window.utterances):
        if one.id != latest.id and one.speaker is latest.speaker and one.start_ms <= latest.start_ms and one.words:
            near = latest.words[0].start_ms - one.words[-1].end_ms <= MAX_PAUSE_MS
            return one.words[-most:] if near else ()
    return ()


def _without_expletives(text: NormalisedText) -> tuple[NormalisedText, Sequence[int]]:
    """As `_with_tokens`, without `EXPLETIVES` before another word of the same sentence."""
    last = len(text.tokens) - 1
    kept = [
        index
        for index, token in enumerate(text.tokens)
        if token not in EXPLETIVES or index == last or index + 1 in text.sentence_starts
    ]
    return _with_tokens(text, [text.tokens[index] for index in kept], kept)


def _with_tokens(
    text: NormalisedText, tokens: Sequence[str], kept: Sequence[int]
) -> tuple[NormalisedText, Sequence[int]]:
    """The text with these tokens for those at the indices `kept`, and for each the index of its last word.

    A sentence or clause whose first token is gone begins with its next one.
    """
    new_index: dict[int, int] = {}
    for new, (at, before) in enumerate(zip(kept, (-1, *kept), strict=False)):
        new_index |= dict.fromkeys(range(before + 1, at + 1), new)
    changed = NormalisedText(
        tuple(tokens),
        tuple(text.word_indices[index] for index in kept),
        frozenset(new_index[index] for index in text.sentence_starts if index in new_index),
        tuple(new_index[text.clause_starts[index]] for index in kept),
        frozenset(new_index[index] for index in text.quote_starts if index in new_index),
    )
    return changed, [text.word_indices[after - 1] for after in (*kept[1:], len(text.tokens))]


def _is_doubtful(word: Word, hinges: Sequence[PhrasePattern]) -> bool:
    """Whether the recogniser doubts a word that something hinges on: "how do you shit my orders"."""
    if not hinges or word.probability >= MIN_HINGE_PROBABILITY:
        return False
    text = mark_clauses(normalise([word.text]))
    return any(hinge.exact.search(text) for hinge in hinges)


def _has_lookahead(words: Sequence[Word], found: Signal) -> bool:
    """Whether enough words follow what was found (see `LOOKAHEAD_WORDS`)."""
    after = words[found.evidence.last_word + 1 :]
    connects = bool(after) and after[0].text.lower() in CONNECTIVES
    return len(after) >= LOOKAHEAD_WORDS * (2 if connects or found.severity is Severity.URGENT else 1)


def _is_answered(signal: Signal, since_ms: int, window: Window) -> bool:
    """Whether the agent has said more than a backchannel between `since_ms` and this signal of the customer's."""
    return signal.speaker is not Speaker.AGENT and any(
        each.speaker is Speaker.AGENT and each.start_ms >= since_ms and not is_backchannel(each.words)
        for each in window.utterances
        if each.words and each.words[-1].end_ms <= signal.at_ms
    )


def _token_span(marked_text: str, found: re.Match[str]) -> tuple[int, int]:
    """Indices of the first and last token of a match."""
    return marked_text.count(" ", 0, found.start()), marked_text.count(" ", 0, found.end()) - 1


def _crosses_sentence_end(pattern: PhrasePattern, text: NormalisedText, first: int, last: int) -> bool:
    """Whether a gap of the pattern may hide the end of a sentence within this match."""
    return pattern.has_gap and any(place in text.sentence_starts for place in range(first + 1, last + 1))


def _rules_speaker(speaker: Speaker) -> Speaker:
    """Whose rules are applied to a speaker's words: where both parties share a channel, the customer's."""
    return Speaker.CUSTOMER if speaker is Speaker.UNKNOWN else speaker


def _occurrences(pattern: PhrasePattern, text: NormalisedText, marked_text: str) -> Iterable[tuple[int, int]]:
    """(first, last) token of each place where the phrase stands, within a sentence where it has a gap."""
    if any(anchors.isdisjoint(text.tokens) for anchors in pattern.anchor_sets):
        return
    for found in pattern.exact.finditer(marked_text):
        first, last = _token_span(marked_text, found)
        if not _crosses_sentence_end(pattern, text, first, last):
            yield first, last


def _is_exception(unless: PhrasePattern, text: NormalisedText, marked_text: str, first: int, last: int) -> bool:
    """Whether the exception overlaps the match from token `first` to `last`, or is in the same clause."""
    own = {text.clause_starts[first], text.clause_starts[last]}
    return any(
        (start <= last and first <= end) or own.intersection(text.clause_starts[start : end + 1])
        for start, end in _occurrences(unless, text, marked_text)
    )
