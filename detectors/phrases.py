"""Escalation and recovery heard in the words: the rules applied to what has just been said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors import context
from detectors.backchannels import is_backchannel
from detectors.context import Line
from detectors.courtesy import complains, intends, is_friendly
from detectors.phrase_index import PhraseIndex
from detectors.phrasing import Phrase, marked
from detectors.rulebook import Rule, Rulebook
from detectors.signals import Evidence, Severity, Signal, Window

STRADDLE_MS = 2000
"""A phrase may run over a pause of this length."""
STRADDLE_WORDS = 8
"""So many words of what the speaker said before the pause are looked at."""
LEAST_PROBABILITY = 0.15
"""A phrase whose words the recogniser believed less on average is no evidence; severe rules are exempt. pocketsphinx
gives right words 0.2 on the telephone band: at 0.3 a quarter of what it heard rightly was lost, with no false hit
less."""

CONNECTING = frozenset("to of for from about with on in at by who that which if".split())
"""After these the object is still to come ("cancel my subscription" ... "to your newsletter"): two words more."""
WAIT_WORDS = 2
"""So many words must have followed a phrase before it is acted on in an unfinished sentence ("my lawyer" ... "sent you
the form"), and it must hold with them, agreed on or not. Urgent phrases wait for nothing. Of 1,129 phrases found in the
beginnings of the development lines and rule examples, cut after every word, 151 were not in the whole line; with one
word after them 17 of 663, with two 5 of 434, with three 2 of 299."""

FRIENDLY_MS = 20_000
"""A cue below urgent among friendly words without a complaint, of this long, is worth a note only."""
COMPLAINT_MS = 40_000
MENTIONED = frozenset(
    """legal_threat regulator_threat press_threat review_threat police passed_around giving_up refund_chargeback
    cancel_threat""".split()
)
"""People speak of these in calm calls too ("my lawyer is Mrs Osei"): they are worth more than a note only where the
customer says what they are going to do, swears, or has complained in the last `COMPLAINT_MS`. With friendliness this
makes notes of 22 false and 2 true findings of the 106 written calls."""

LEAST_EXACT = 2
"""A phrase with a misheard word needs so many words that were heard as they are."""


class PhraseDetector:
    """Judges the latest words by every rule of their speaker; one instance per call."""

    name = "phrases"

    def __init__(self, rulebook: Rulebook) -> None:
        """One call's judge by these rules."""
        self.version = rulebook.version
        self._sounds, self._exact, self._loose = rulebook.sounds, rulebook.exact, rulebook.loose
        self._rules = rulebook.rules
        self._by_id = {rule.id: rule for rule in rulebook.rules}
        self._last: dict[str, Signal] = {}
        """What each rule has raised last."""
        self._misheard = frozenset(token for forms in rulebook.misheard.values() for f in forms for token in f.split())
        self._meant = {tuple(form.split()): word for word, forms in rulebook.misheard.items() for form in forms}
        self._taken: dict[str, Mapping[int, str]] = {}
        """For a rule that took the words judged last for misheard ones: what it took each for, by their indices."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Signals in the latest utterance or hypothesis, and in what it completes of the one before."""
        latest = window.latest
        if latest is None:
            return []
        found = self._heard(window, latest) if latest.words else []
        self.stand(latest.id, found)
        return found

    def stand(self, utterance: str, raised: Iterable[Signal]) -> None:
        """What stands on the words of this utterance now: whatever else was raised on them cools nothing down."""
        self._last = {rule: each for rule, each in self._last.items() if each.evidence.utterance != utterance}
        self._last |= {signal.rule: signal for signal in raised}

    def _heard(self, window: Window, latest: Utterance | Hypothesis) -> list[Signal]:
        earlier = just_before(window, latest, STRADDLE_WORDS)
        found, self._taken = self._judge(latest.words, earlier, latest.speaker, latest.id, latest.settled)
        if isinstance(latest, Hypothesis):
            found = self._ripe(found, latest, earlier)
        found = self._weighed(found, window, latest)
        return [signal for signal in found if self._warm(signal, window)]

    def _ripe(self, found: list[Signal], latest: Hypothesis, earlier: Sequence[Word]) -> list[Signal]:
        """Those that what follows will hardly change, and those that have been raised already."""
        waiting = {each.rule for each in found if each.severity < Severity.URGENT and not self._is_out(each)}
        if not waiting:
            return found
        words = (*latest.agreed, *latest.tentative)
        later, _ = self._judge(words, earlier, latest.speaker, latest.id, False)
        followed = {each.rule for each in later if _is_followed(words, each.evidence.last_word)}
        return [each for each in found if each.rule not in waiting - followed]

    def _weighed(self, found: list[Signal], window: Window, latest: Utterance | Hypothesis) -> list[Signal]:
        """What is said in a friendly way, or only mentioned, is noted and not acted on, unless it is urgent."""
        if latest.speaker is Speaker.AGENT or not any(signal.severity is Severity.HELP for signal in found):
            return found
        lately = self._plain_text(window, latest, FRIENDLY_MS)
        friendly = is_friendly(lately)
        complaint = complains(lately) or complains(self._plain_text(window, latest, COMPLAINT_MS))
        hostile = any(signal.id in ("swearing", "derogatory") for signal in found)
        meant = complaint or hostile or intends(" ".join(context.line([word.text for word in latest.words]).tokens))
        return [
            replace(each, severity=Severity.NOTE)
            if each.severity is Severity.HELP and (friendly or (each.id in MENTIONED and not meant))
            else each
            for each in found
        ]

    @staticmethod
    def _plain_text(window: Window, latest: Utterance | Hypothesis, back_ms: int) -> str:
        """The customer's words from so long before the latest utterance on."""
        words = [
            word.text
            for each in window.utterances
            if each.speaker is latest.speaker and each.id != latest.id
            for word in each.words
            if latest.start_ms - back_ms <= word.start_ms < latest.start_ms
        ]
        return " ".join(context.line([*words, *(word.text for word in latest.words)]).tokens)

    def _is_out(self, signal: Signal) -> bool:
        return signal.rule in self._last and self._last[signal.rule].key == signal.key

    def is_doubtful(self, rule: str) -> bool:
        """Whether the sentence model may doubt the rule of this id: it comes with the program and is not certain."""
        return self._by_id[rule].shipped and not self._by_id[rule].certain

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """Signals in one written line; times are counted at 300 ms a word."""
        found, self._taken = self._judge(context.written(text), (), Speaker(speaker), "text", True)
        return found

    def as_taken(self, rule: str, words: Sequence[Word]) -> Sequence[Word]:
        """The words judged last, misheard ones as the rule of this id took them; as many, though some are empty."""
        taken = self._taken.get(rule, {})
        return [replace(word, text=taken.get(at, word.text)) for at, word in enumerate(words)] if taken else words

    def _warm(self, signal: Signal, window: Window) -> bool:
        """Not held back: the rule has cooled down, it is more severe now, or it is said again after an answer."""
        last = self._last.get(signal.rule)
        if last is None or last.key == signal.key or signal.severity > last.severity:
            return True
        cooling = 0 <= signal.at_ms - last.at_ms < self._by_id[signal.rule].cool_down_ms
        return not cooling or _answered(signal, last.at_ms, window)

    def _judge(
        self, words: Sequence[Word], earlier: Sequence[Word], speaker: Speaker, utterance: str, settled: bool
    ) -> tuple[list[Signal], dict[str, Mapping[int, str]]]:
        """What is found, and for each rule that took words for misheard ones what it took them for."""
        everything = (*earlier, *words)
        heard = context.line([word.text for word in everything])
        signals: dict[str, Signal] = {}
        taken: dict[str, Mapping[int, str]] = {}
        for rule, first, last, meant in self._found(heard, speaker, len(earlier)):
            if rule.id in signals:
                continue
            quoted = everything[first : last + 1]
            sure = sum(word.probability for word in quoted) / len(quoted)
            if sure < LEAST_PROBABILITY and rule.severity < Severity.URGENT:
                continue
            if meant:
                taken[rule.id] = {at - len(earlier): word for at, word in meant.items() if first <= at <= last}
            signals[rule.id] = Signal(
                id=rule.signal,
                rule=rule.id,
                version=rule.version,
                speaker=speaker,
                at_ms=quoted[-1].end_ms,
                strength=round(rule.strength * (0.5 + 0.5 * sure), 3),
                severity=rule.severity,
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
        return list(signals.values()), taken

    def _found(self, heard: Line, speaker: Speaker, earlier: int) -> Iterable[tuple[Rule, int, int, Mapping[int, str]]]:
        """Rule, first and last heard word, and what misheard words were taken for: in the words as heard, then mended.

        What ends within the first `earlier` words was judged when they came.
        """
        for each in self._matches(heard, heard.origin, speaker, earlier, self._exact):
            yield *each, {}
        if self._misheard.intersection(heard.tokens):
            for each in self._matches(heard, heard.origin, speaker, earlier, self._loose):
                yield *each, self._known(heard)
        mended = self._mended(heard)
        if mended is not None:
            line, ends = mended
            now = dict(zip(line.origin, line.tokens, strict=True))
            was = dict(zip(heard.origin, heard.tokens, strict=True))
            taken = {at: now.get(at, "") for at, token in was.items() if now.get(at, "") != token}
            for each in self._matches(line, ends, speaker, earlier, self._exact):
                yield *each, taken

    def _known(self, heard: Line) -> Mapping[int, str]:
        """By the index of each misheard word the one that the rules know; empty for what belongs to the one before."""
        return {
            heard.origin[at + nth]: "" if nth else word
            for form, word in self._meant.items()
            for at in range(len(heard.tokens))
            if heard.tokens[at : at + len(form)] == form
            for nth in range(len(form))
        }

    def _mended(self, heard: Line) -> tuple[Line, Sequence[int]] | None:
        """The words with split and misheard ones brought back to those the rules know, and the last heard word of each.

        None where there are none.
        """
        tokens: list[str] = []
        kept: list[int] = []
        skip = False
        for index, (one, two) in enumerate(pairwise((*heard.tokens, ""))):
            if skip:
                skip = False
                continue
            joined = self._sounds.joined(one, two)
            skip = joined is not None
            tokens.append(joined or self._sounds.nearest(one) or one)
            kept.append(index)
        if tuple(tokens) == heard.tokens:
            return None
        place = {old: new for new, old in enumerate(kept)}
        mended = Line(
            tuple(tokens),
            tuple(heard.origin[index] for index in kept),
            frozenset(place[index] for index in heard.opens if index in place),
            tuple(place.get(heard.clause[index], 0) for index in kept),
            frozenset(place[index] for index in heard.quoted if index in place),
        )
        return mended, [heard.origin[after - 1] for after in (*kept[1:], len(heard.tokens))]

    def _matches(
        self, heard: Line, ends: Sequence[int], speaker: Speaker, earlier: int, index: PhraseIndex
    ) -> Iterable[tuple[Rule, int, int]]:
        """Rule, first and last heard word; `ends`: the last one of each token."""
        text = marked(heard)
        who = Speaker.CUSTOMER if speaker is Speaker.UNKNOWN else speaker
        done: set[int] = set()
        for number, which in index.candidates(heard.tokens):
            rule = self._rules[number]
            if number in done or rule.speaker is not who:
                continue
            phrase = rule.patterns[which]
            pattern = phrase.loose if index.loose else phrase.exact
            assert pattern is not None
            for found in pattern.finditer(text):
                first, last = _span(text, found)
                if ends[last] < earlier:
                    continue
                if index.loose and not self._near_enough(heard.tokens[first : last + 1]):
                    continue
                if _runs_over(phrase, heard, first, last):
                    continue
                if any(context.POLICIES[policy](heard, first) for policy in rule.silent_when):
                    continue
                if any(_excepted(unless, heard, text, first, last) for unless in rule.unless):
                    continue
                done.add(number)
                yield rule, heard.origin[first], ends[last]
                break

    def _near_enough(self, tokens: Sequence[str]) -> bool:
        misheard = sum(token in self._misheard for token in tokens)
        return 0 < misheard <= 2 and len(tokens) - misheard >= LEAST_EXACT


def just_before(window: Window, latest: Utterance | Hypothesis, most: int) -> Sequence[Word]:
    """The last words of what the same speaker said before the latest, where the pause between is short."""
    for one in reversed(window.utterances):
        if one.id != latest.id and one.speaker is latest.speaker and one.start_ms <= latest.start_ms and one.words:
            near = latest.words[0].start_ms - one.words[-1].end_ms <= STRADDLE_MS
            return one.words[-most:] if near else ()
    return ()


def _is_followed(words: Sequence[Word], last: int) -> bool:
    """Whether enough words come after the one of this index for what is said to be clear."""
    after = words[last + 1 :]
    connects = bool(after) and after[0].text.lower() in CONNECTING
    return len(after) >= WAIT_WORDS * (2 if connects else 1)


def _answered(signal: Signal, since_ms: int, window: Window) -> bool:
    """Whether the agent has said more than "I see" between this finding of the customer's and the one before."""
    return signal.speaker is not Speaker.AGENT and any(
        each.speaker is Speaker.AGENT and each.start_ms >= since_ms and not is_backchannel(each.words)
        for each in window.utterances
        if each.words and each.words[-1].end_ms <= signal.at_ms
    )


def _span(text: str, found: re.Match[str]) -> tuple[int, int]:
    """First and last token of a match."""
    return text.count(" ", 0, found.start()), text.count(" ", 0, found.end()) - 1


def _runs_over(phrase: Phrase, heard: Line, first: int, last: int) -> bool:
    """Whether this match of a phrase with a gap runs over the end of a sentence."""
    return phrase.gapped and any(place in heard.opens for place in range(first + 1, last + 1))


def _excepted(unless: Phrase, heard: Line, text: str, first: int, last: int) -> bool:
    """The exception overlaps the match, or stands in one clause with it."""
    own = {heard.clause[first], heard.clause[last]}
    for found in unless.exact.finditer(text):
        start, end = _span(text, found)
        if _runs_over(unless, heard, start, end):
            continue
        if (start <= last and first <= end) or own.intersection(heard.clause[start : end + 1]):
            return True
    return False
