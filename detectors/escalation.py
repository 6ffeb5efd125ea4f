"""One escalation level from everything heard: weights, decay, relief, hysteresis; every change with its reasons.

The score (0..100) is a pure function of the findings known and of the time; only the level has a memory (hysteresis and
dwell). Words lead. Tone, sentiment and the shape of the conversation support words or each other and are capped, so
that without words they make a call tense at most. However much was only noted makes no call tense where nothing clear
was said, but for a note of `TENSE_NOTES`. How it adds up:

- A finding keeps its weight for a while (`hold_ms`), then halves every `half_life_ms`.
- Findings of one id in one utterance, or of several ids on the same words ("you fucking idiot"), count once; further
  utterances of the same id count less and less.
- Thanks, relief and the agent's recovery steps shrink everything heard before them, unless the customer says the same
  again after them: then they have not worked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from audio.events import Speaker
from detectors.signals import AGENT_MISSTEPS, Level, LevelChange, Severity, Signal

_STRONG = 45.0
_FIRM = 36.0

WORD_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "personal_threat": 50.0,
        "supervisor_demand": _STRONG,
        "influence_claim": _STRONG,
        "derogatory": _STRONG,
        "swearing": _STRONG,
        "legal_threat": _STRONG,
        "police": _STRONG,
        "regulator_threat": _FIRM,
        "press_threat": _FIRM,
        "review_threat": _FIRM,
        "cancel_threat": _FIRM,
        "giving_up": _FIRM,
        "passed_around": _FIRM,
        "refund_chargeback": _FIRM,
        "upset": _FIRM,
        "time_pressure": 30.0,
        "vulnerable": 20.0,
    }
)
"""Points of one clear finding of HELP severity. Two tiers, from the brief of the product rather than from a fit: a
strong cue alone is past `tense_up` and below `escalated_up`, any two cues (36 + 30) are past `escalated_up`.
`vulnerable` asks for care, not for de-escalation: alone it changes nothing unless it is urgent."""

MILD_CUES = frozenset(("swearing", "time_pressure"))
"""Ids whose notes are cues of their own: mild swearing and being in a hurry. A note of any other id is something that
was asked for or only mentioned ("my lawyer is Mrs Osei"): it adds its points but is no second kind of cue."""

TENSE_NOTES = frozenset(("upset",))
"""Ids a note of which holds the level up as a clear finding would by itself: `upset` is heard in the caller, not in
words that might only be mentioned. It makes the call tense; to what else was said it adds no more than any note."""

SUPPORT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "complaint": 17.0,
        "negative_sentiment": 12.0,
        "overlap": 12.0,
        "repeated_request": 12.0,
        "fast_speech": 6.0,
        "monologue": 6.0,
        "silence": 4.0,
    }
    | dict.fromkeys(AGENT_MISSTEPS, 8.0)
)
"""Points of what only supports: together at most `support_most`."""

RELIEF: Mapping[str, float] = MappingProxyType(
    {
        "de_escalation": 0.45,
        "apology": 0.88,
        "empathy": 0.88,
        "ownership": 0.85,
        "remedy": 0.80,
        "callback_time": 0.88,
        "alternative": 0.90,
        "repeat_back": 0.90,
        "question": 0.97,
        "thanks": 0.97,
    }
)
"""What is left of everything heard earlier after one such finding. The customer's own relief says most; of the agent's
steps those that the recovery methods call decisive (owning it, giving something) say more than good manners.
The agent's steps count once each within `relief_once_ms`: apologising five times is not five times as calming."""


@dataclass(frozen=True, slots=True)
class EscalationSettings:
    """Thresholds of the level.

    Sources: the goals (first cue to level <= 5 s, so no smoothing on the way up; <= 1 false escalation per calm
    call-hour), tone's refractory and supervisor rules (two rises within 60 s or 6 s in all), and the development
    scripts in tests/data/calls/dev; the held-out scripts were used for measuring only.
    """

    note_share: float = 0.33
    """Share of the weight that a finding of NOTE severity has: two mild ones of different kinds stay below tense."""
    repeat_shares: tuple[float, ...] = (1.0, 0.35, 0.2, 0.1)
    """Share of the strongest, second, third ... utterance of the same id; later ones add nothing."""
    hold_ms: int = 20_000
    """A finding counts fully this long: two cues within 20 s meet at full weight."""
    half_life_ms: int = 45_000
    """After the hold. A lone strong cue (45) is under `tense_down` after about 80 s."""
    voice: float = 30.0
    """Points of a raised voice of full strength."""
    voice_single_most: float = 24.0
    """One short rise adds no more than this, below `tense_up`."""
    voice_memory_ms: int = 60_000
    voice_rises: int = 2
    voice_total_ms: int = 6_000
    support_most: float = 24.0
    """Everything that only supports, without the voice: below `tense_up`."""
    without_words_most: float = 50.0
    """Below `escalated_up`: without words nobody is alerted."""
    one_kind_most: float = 50.0
    """What supports does not carry one kind of cue past `escalated_up`: bad sentiment is often those very words."""
    cue_least: float = 6.0
    """Points under which a finding no longer counts as a kind of cue of its own."""
    noted_most: float = 17.0
    """What is only noted and what supports add up to no more than this, below `tense_down`, where there is no clear
    cue, no plain complaint and no raised voice: several things half heard are still only half heard. In 23 telephone
    conversations between strangers (Switchboard) notes made 13 of 21 false rises, and kept a call tense for minutes."""
    words_least: float = 20.0
    """Word points under which the call counts as one without words: one mild word is not a word cue."""
    urgent_score: float = 85.0
    tense_up: float = 30.0
    tense_down: float = 18.0
    escalated_up: float = 55.0
    escalated_down: float = 40.0
    again_up: float = 40.0
    """From recovering back to escalated, and only on a new word cue."""
    calm_down: float = 18.0
    """From recovering to calm."""
    dwell_tense_ms: int = 10_000
    dwell_escalated_ms: int = 10_000
    dwell_recovering_ms: int = 15_000
    relief_once_ms: int = 60_000
    forget_ms: int = 600_000


class Escalation:
    """The level of one call. Feed it in the order of call time; each method returns the change it caused, or None."""

    settings = EscalationSettings()

    def __init__(self) -> None:
        self.level = Level.CALM
        self.score = 0.0
        self._found: dict[str, Signal] = {}
        self._reliefs: tuple[Signal, ...] = ()
        """Those of the findings that calm, in order of time."""
        self._again: dict[str, int] = {}
        """Cue id -> when the customer last said it."""
        self._now_ms = 0
        self._since_ms = 0
        self._steps: list[tuple[Level, int, frozenset[str]]] = []
        """Of the last few changes: the level before, when that had begun, and the keys known at the change."""

    def hear(self, signals: Iterable[Signal], now_ms: int) -> LevelChange | None:
        """Take findings in; a known key is refreshed (its newest form and time count), never added."""
        heard = tuple(signals)
        for signal in heard:
            known = self._found.get(signal.key)
            if known is None or signal.at_ms >= known.at_ms or signal.settled:
                self._found[signal.key] = signal
        self._advance(now_ms)
        return self._judge(rises=bool(heard))

    def stand(self, level: Level, now_ms: int) -> None:
        """Go on from this level, whose findings are not known any more."""
        self.level, self._since_ms, self._steps = level, now_ms, []

    def withdraw(self, key: str, now_ms: int) -> LevelChange | None:
        """The words under this finding did not hold: take back its points and whatever change came of it."""
        if self._found.pop(key, None) is None:
            return None
        self._advance(now_ms)
        stood = (number for number, (_, _, keys) in enumerate(self._steps) if key in keys)
        first = next(stood, None)
        if first is None:
            return self._judge()
        now, since_ms = self.level, self._since_ms
        self.level, self._since_ms, _ = self._steps[first]
        after = self._next_level()
        if after is now:
            self.level, self._since_ms = now, since_ms
            return None
        del self._steps[first:]
        if after is not self.level:
            self._enter(after)
        return LevelChange(self._now_ms, after, now, round(self.score, 1), self._because(after, now))

    def tick(self, now_ms: int) -> LevelChange | None:
        """Time has passed: findings fade, and the level can only fall. (In a quarrel of more than 100 points what was
        relieved may fade sooner than what was not, and the score rise by that.)
        """
        self._advance(now_ms)
        return self._judge(rises=False)

    def contributions(self) -> list[tuple[Signal, float]]:
        """What the score is made of now: findings with their points, strongest first (before the caps)."""
        points = [(signal, max(self._points(signal), self._floor(signal))) for signal in self._found.values()]
        return sorted(((s, p) for s, p in points if p >= 0.5), key=lambda each: (-each[1], each[0].at_ms, each[0].key))

    def _advance(self, now_ms: int) -> None:
        self._now_ms = max(self._now_ms, now_ms)
        horizon = self._now_ms - self.settings.forget_ms
        self._found = {key: signal for key, signal in self._found.items() if signal.at_ms > horizon}
        reliefs = [signal for signal in self._found.values() if signal.id in RELIEF]
        self._reliefs = tuple(sorted(reliefs, key=lambda signal: (signal.at_ms, signal.key)))
        self._again = {}
        for signal in self._found.values():
            theirs = signal.speaker is not Speaker.AGENT and signal.severity >= Severity.HELP
            if theirs and signal.id in WORD_WEIGHTS:
                self._again[signal.id] = max(signal.at_ms, self._again.get(signal.id, 0))
        self.score = self._sum()

    def _judge(self, *, rises: bool = True) -> LevelChange | None:
        after = self._next_level()
        if after is self.level or (not rises and _rises(self.level, after)):
            return None
        change = LevelChange(self._now_ms, after, self.level, round(self.score, 1), self._because(after, self.level))
        self._enter(after)
        return change

    def _enter(self, after: Level) -> None:
        self._steps = [*self._steps[-3:], (self.level, self._since_ms, frozenset(self._found))]
        self.level, self._since_ms = after, self._now_ms

    def _because(self, after: Level, before: Level) -> tuple[Signal, ...]:
        return self._carriers() if _rises(before, after) else self._relievers()

    def _next_level(self) -> Level:
        at, score, dwelt = self.settings, self.score, self._now_ms - self._since_ms
        match self.level:
            case Level.CALM:
                if score >= at.escalated_up:
                    return Level.ESCALATED
                return Level.TENSE if score >= at.tense_up else Level.CALM
            case Level.TENSE:
                if score >= at.escalated_up:
                    return Level.ESCALATED
                return Level.CALM if score < at.tense_down and dwelt >= at.dwell_tense_ms else Level.TENSE
            case Level.ESCALATED:
                over = score < at.escalated_down and dwelt >= at.dwell_escalated_ms
                return Level.RECOVERING if over else Level.ESCALATED
            case Level.RECOVERING:
                if score >= at.again_up and self._has_new_cue():
                    return Level.ESCALATED
                over = score < at.calm_down and dwelt >= at.dwell_recovering_ms
                return Level.CALM if over else Level.RECOVERING

    def _has_new_cue(self) -> bool:
        """A word cue of weight that was said after the call had begun to recover."""
        return any(
            signal.at_ms > self._since_ms
            and signal.id in WORD_WEIGHTS
            and signal.severity >= Severity.HELP
            and signal.speaker is not Speaker.AGENT
            for signal in self._found.values()
        )

    def _sum(self) -> float:
        """The score. What was heard saturates at 100 before relief shrinks it: a long quarrel can be calmed too."""
        reliefs, self._reliefs = self._reliefs, ()
        unrelieved = self._raw()
        self._reliefs = reliefs
        left = self._raw() / unrelieved if unrelieved > 0 else 0.0
        score = min(unrelieved, 100.0) * left
        return max([score, *(self._floor(signal) for signal in self._found.values())])

    def _floor(self, signal: Signal) -> float:
        """The score that this finding holds up by itself, whatever else was heard."""
        if signal.speaker is Speaker.AGENT:
            return 0.0
        if signal.severity is Severity.URGENT and signal.id in WORD_WEIGHTS:
            return self.settings.urgent_score * self._fade(signal)
        if signal.id in TENSE_NOTES:
            return WORD_WEIGHTS[signal.id] * _sureness(signal) * self._fade(signal)
        return 0.0

    def _raw(self) -> float:
        """Everything added up under the caps for calls without words and with one kind of cue."""
        at = self.settings
        cues = self._by_kind(WORD_WEIGHTS)
        words, voice = self._diminished(cues), self._voice()
        core = words + voice
        score = core + min(self._diminished(self._by_kind(SUPPORT_WEIGHTS)), at.support_most)
        said = self._clear()
        clear = {kind: points for kind, points in cues.items() if kind in said}
        kinds = sum(max(points) >= at.cue_least for points in clear.values()) + (voice >= at.cue_least)
        if voice < at.cue_least and not self._is_carried():
            score = min(score, at.noted_most)
        elif words < at.words_least:
            score = min(score, at.without_words_most)
        elif kinds < 2:
            score = min(score, max(self._diminished(clear) + voice, at.one_kind_most))
        return score

    def _is_carried(self) -> bool:
        """Whether something clear was said: a cue that is more than noted, that they are displeased or upset."""
        return any(
            self._points(signal) >= self.settings.cue_least
            for signal in self._found.values()
            if signal.id == "complaint" or (signal.id in WORD_WEIGHTS and signal.severity >= Severity.HELP)
        )

    def _clear(self) -> set[str]:
        """Ids that were more than noted, or are never more than a note: what was only mentioned is no second cue."""
        return {
            signal.id for signal in self._found.values() if signal.severity >= Severity.HELP or signal.id in MILD_CUES
        }

    def _by_kind(self, weights: Mapping[str, float]) -> dict[str, list[float]]:
        """Points of each id, one per utterance; words that several ids were found in count for the weightiest only."""
        found = [s for s in self._found.values() if s.id in weights and self._weight(s) > 0]
        # Ordered by weight before fading, so that which of two findings counts does not change with time.
        found.sort(key=lambda s: (-self._weight(s) * _sureness(s), s.at_ms, s.key))
        spans: dict[str, list[tuple[int, int]]] = {}
        best: dict[str, dict[str, float]] = {}
        for signal in found:
            evidence = signal.evidence
            if evidence.utterance is not None and evidence.last_word >= evidence.first_word:
                taken = spans.setdefault(evidence.utterance, [])
                if any(evidence.first_word <= last and first <= evidence.last_word for first, last in taken):
                    continue
                taken.append((evidence.first_word, evidence.last_word))
            best.setdefault(signal.id, {}).setdefault(evidence.utterance or signal.key, self._points(signal))
        return {kind: list(places.values()) for kind, places in best.items()}

    def _diminished(self, kinds: Mapping[str, list[float]]) -> float:
        """Further utterances of the same id count less and less."""
        shares = self.settings.repeat_shares
        return sum(
            points * share
            for each in kinds.values()
            for points, share in zip(sorted(each, reverse=True), shares, strict=False)
        )

    def _voice(self) -> float:
        """The raised voice: one short rise is capped below tense; two rises within a minute or 6 s in all are not."""
        at = self.settings
        rises = [signal for signal in self._found.values() if signal.id == "raised_voice"]
        if not rises:
            return 0.0
        points = max(self._points(signal) for signal in rises)
        recent = [signal for signal in rises if self._now_ms - signal.at_ms < at.voice_memory_ms]
        total_ms = sum(signal.evidence.end_ms - signal.evidence.start_ms for signal in recent)
        if len(recent) >= at.voice_rises or total_ms >= at.voice_total_ms:
            # Lasting or repeated: it may make a call tense by itself, whatever strength each rise was given.
            return max(points, (at.tense_up + 2.0) * max(self._fade(signal) for signal in recent))
        return min(points, at.voice_single_most)

    def _points(self, signal: Signal) -> float:
        return self._weight(signal) * _sureness(signal) * self._fade(signal)

    def _weight(self, signal: Signal) -> float:
        at = self.settings
        if signal.id == "raised_voice":
            return at.voice
        if signal.id in WORD_WEIGHTS:
            if signal.speaker is Speaker.AGENT:
                return 0.0
            return WORD_WEIGHTS[signal.id] * (at.note_share if signal.severity is Severity.NOTE else 1.0)
        return SUPPORT_WEIGHTS.get(signal.id, 0.0)

    def _fade(self, signal: Signal) -> float:
        """Share left of a finding: full during the hold, then halving; shrunk by every relief heard after it."""
        at = self.settings
        age = max(self._now_ms - signal.at_ms, 0)
        share = 1.0 if age <= at.hold_ms else float(0.5 ** ((age - at.hold_ms) / at.half_life_ms))
        counted: dict[str, int] = {}
        for relief in self._reliefs:
            said_later = relief.at_ms > signal.at_ms and relief.evidence.utterance != signal.evidence.utterance
            if not said_later or relief.at_ms < self._again.get(signal.id, 0):
                continue
            if relief.at_ms - counted.get(relief.id, -at.relief_once_ms) >= at.relief_once_ms:
                counted[relief.id] = relief.at_ms
                strength = min(max(relief.strength, 0.0), 1.0)
                share *= 1.0 - (1.0 - RELIEF[relief.id]) * (0.5 + 0.5 * strength)
        return share

    def _carriers(self) -> tuple[Signal, ...]:
        return tuple(signal for signal, points in self.contributions() if points >= 2.0)[:5]

    def _relievers(self) -> tuple[Signal, ...]:
        """Reliefs heard in the last minute, the newest first: what brought it down, if not time alone."""
        recent = [s for s in self._reliefs if self._now_ms - s.at_ms < self.settings.relief_once_ms]
        return tuple(reversed(recent[-5:]))


def _rises(before: Level, after: Level) -> bool:
    return after is Level.ESCALATED or (after is Level.TENSE and before is Level.CALM)


def _sureness(signal: Signal) -> float:
    """Share of the weight by the finding's strength; what was found at all counts for more than half."""
    return 0.6 + 0.4 * min(max(signal.strength, 0.0), 1.0)
