"""Escalation and recovery heard in the words: the rules applied to what has just been said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors import context
from detectors.context import Line
from detectors.rulebook import Rule, Rulebook
from detectors.signals import Evidence, Signal, Window
from detectors.sounds import Sounds

STRADDLE_MS = 2000
"""A phrase may run over a pause of this length."""
STRADDLE_WORDS = 8
"""So many words of what the speaker said before the pause are looked at."""
LEAST_PROBABILITY = 0.3
"""A phrase whose words the recogniser believed less on average is no evidence; severe rules are exempt."""

_SAYS = {
    "negated": context.negated,
    "reported": context.reported,
    "conditional": context.conditional,
    "asked": context.asked,
}


class PhraseDetector:
    """Judges the latest words by every rule of their speaker; one instance per call."""

    name = "phrases"

    def __init__(self, rulebook: Rulebook) -> None:
        """Index the rules by speaker and anchor word."""
        self.version = rulebook.version
        self._sounds = Sounds(rulebook.literals())
        self._rules = rulebook.rules
        self._last: dict[str, tuple[str, int]] = {}
        self._by_word: dict[str, list[tuple[int, int]]] = {}
        self._always: list[tuple[int, int]] = []
        for number, rule in enumerate(rulebook.rules):
            for which, anchors in enumerate(rule.anchors):
                for word in anchors:
                    self._by_word.setdefault(word, []).append((number, which))
                if not anchors:
                    self._always.append((number, which))

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Signals in the latest utterance or hypothesis, and in what it completes of the one before."""
        latest = window.latest
        if latest is None or not latest.words:
            return []
        found = self._judge(latest.words, self._earlier(window, latest), latest.speaker, latest.id, latest.settled)
        return [signal for signal in found if self._warm(signal)]

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """Signals in one written line; times are counted at 300 ms a word."""
        words = [Word(word, 300 * n, 300 * n + 300) for n, word in enumerate(text.split())]
        return self._judge(words, (), Speaker(speaker), "text", True)

    def _warm(self, signal: Signal) -> bool:
        rule = next(rule for rule in self._rules if rule.id == signal.rule)
        key, at = self._last.get(rule.id, ("", -(10**9)))
        if key != signal.key and 0 <= signal.at_ms - at < rule.cool_down_ms:
            return False
        if key != signal.key:
            self._last[rule.id] = (signal.key, signal.at_ms)
        return True

    @staticmethod
    def _earlier(window: Window, latest: Utterance | Hypothesis) -> Sequence[Word]:
        for one in reversed(window.utterances):
            if one.id != latest.id and one.speaker is latest.speaker and one.start_ms <= latest.start_ms and one.words:
                near = latest.words[0].start_ms - one.words[-1].end_ms <= STRADDLE_MS
                return one.words[-STRADDLE_WORDS:] if near else ()
        return ()

    def _judge(
        self, words: Sequence[Word], earlier: Sequence[Word], speaker: Speaker, utterance: str, settled: bool
    ) -> list[Signal]:
        everything = (*earlier, *words)
        heard = context.line([word.text for word in everything])
        signals: dict[str, Signal] = {}
        for reading in self._readings(heard):
            for rule, first, last in self._matches(reading, speaker):
                if last < len(earlier) or rule.id in signals:
                    continue
                quoted = everything[first : last + 1]
                sure = sum(word.probability for word in quoted) / len(quoted)
                if sure < LEAST_PROBABILITY and rule.severity < 3:
                    continue
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
        return list(signals.values())

    def _readings(self, heard: Line) -> Iterable[Line]:
        """The words as heard, and, where it differs, with split and misheard words mended."""
        yield heard
        tokens: list[str] = []
        origin: list[int] = []
        skip = False
        for (one, two), place in zip(pairwise((*heard.tokens, "")), heard.origin, strict=False):
            if skip:
                skip = False
                continue
            joined = self._sounds.joined(one, two)
            skip = joined is not None
            tokens.append(joined or self._sounds.nearest(one) or one)
            origin.append(place)
        if tuple(tokens) != heard.tokens:
            yield Line(tuple(tokens), tuple(origin), frozenset([0]))

    def _matches(self, heard: Line, speaker: Speaker) -> Iterable[tuple[Rule, int, int]]:
        text = heard.text
        wanted = {place for token in set(heard.tokens) for place in self._by_word.get(token, ())}
        done: set[int] = set()
        for number, which in sorted(wanted.union(self._always)):
            rule = self._rules[number]
            if number in done or rule.speaker is not (Speaker.CUSTOMER if speaker is Speaker.UNKNOWN else speaker):
                continue
            for found in rule.patterns[which].finditer(text):
                first = text.count(" ", 0, found.start())
                last = text.count(" ", 0, found.end()) - 1
                if any(_SAYS[policy](heard, first) for policy in rule.silent_when):
                    continue
                if any(unless.search(text) for unless in rule.unless):
                    continue
                done.add(number)
                yield rule, heard.origin[first], heard.origin[last]
                break
