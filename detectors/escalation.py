"""The escalation level of a call: a score of its signals with weights, decay, relief and caps; levels with hysteresis.

The score (0..100) is a pure function of the signals known and of the time; only the level has a state (hysteresis and
minimum dwell times). Words lead. Tone, sentiment and the course of the conversation support words or each other and are
capped: without words they make a call tense at most. Notes alone make no call tense, except those of `TENSE_NOTES`.

- A signal keeps its weight for `hold_ms`, then halves every `half_life_ms`.
- Signals of one id in one utterance, or of several ids on the same words ("you fucking idiot"), count once; further
  utterances of the same id count less and less.
- Thanks, relief and the agent's recovery steps reduce the weight of all earlier signals, but not of one that the
  customer repeats after them: for that they have not worked.
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
"""Points of one signal of severity HELP. Two tiers, from the brief of the product rather than from a fit: a
strong cue alone is past `tense_up` and below `escalated_up`, any two cues (36 + 30) are past `escalated_up`.
`vulnerable` asks for care, not for de-escalation: alone it changes nothing unless it is urgent."""

MILD_CUES = frozenset(("swearing", "time_pressure"))
"""Ids whose notes are cues of their own: mild swearing and being in a hurry. A note of any other id is something that
was asked for or only mentioned ("my lawyer is Mrs Osei"): it adds its points but is not counted as a second cue."""

TENSE_NOTES = frozenset(("upset",))
"""Ids whose notes have the full weight by themselves: `upset` is about the caller, not about words that might only be
mentioned. Such a note makes a call tense; to other signals it adds no more than any note."""

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
"""Points of signals that only support words: together at most `support_cap`."""

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
"""Factor on the weight of all earlier signals after one such signal of full strength. The customer's own relief counts
most; of the agent's steps those that the recovery methods call decisive (ownership, a remedy) count more than courtesy.
Each counts once within `relief_cooldown_ms`: apologising five times is not five times as calming."""


@dataclass(frozen=True, slots=True)
class EscalationSettings:
    """Weights, caps and thresholds; points of the score unless the name says otherwise.

    Sources: the goals (first cue to level <= 5 s, so no smoothing of a rising score; <= 1 false escalation per calm
    call-hour), the rules for raised voices (two rises within 60 s or 6 s in all), and the development scripts in
    tests/data/calls/dev; the held-out scripts were used for measuring only.
    """

    note_share: float = 0.33
    """Share of the weight that a signal of severity NOTE has: two mild ones of different ids stay below tense."""
    repeat_shares: tuple[float, ...] = (1.0, 0.35, 0.2, 0.1)
    """Share of the strongest, second, third ... utterance of the same id; later ones add nothing."""
    hold_ms: int = 20_000
    """A signal has its full weight this long: two cues within 20 s add up fully."""
    half_life_ms: int = 45_000
    """After the hold. A lone strong cue (45) is under `tense_down` after about 80 s."""
    voice_weight: float = 30.0
    """Of a raised voice of full strength."""
    single_rise_cap: float = 24.0
    """Of one short rise at most: below `tense_up`."""
    voice_window_ms: int = 60_000
    voice_rises: int = 2
    voice_total_ms: int = 6_000
    """So many rises, or so long in all, within `voice_window_ms` are not capped and by themselves make a call tense."""
    support_cap: float = 24.0
    """Of all `SUPPORT_WEIGHTS` together at most: below `tense_up`."""
    without_words_cap: float = 50.0
    """In all, where words have under `min_word_points`: below `escalated_up`, as without words nobody is alerted."""
    one_cue_cap: float = 50.0
    """One kind of cue is not supported past this, below `escalated_up`: bad sentiment is often in the same words."""
    min_cue_points: float = 6.0
    """With fewer a signal no longer counts as a kind of cue."""
    notes_cap: float = 17.0
    """Of notes and support at most, where there is no cue of severity HELP, no complaint and no raised voice: below
    `tense_down`, as several doubtful signals are still doubtful. In 23 telephone conversations between strangers
    (Switchboard) notes made 13 of 21 false rises, and kept a call tense for minutes."""
    min_word_points: float = 20.0
    """With fewer the call counts as one without words: one mild word is not enough."""
    urgent_score: float = 85.0
    """Least score with an urgent cue, before its decay."""
    tense_up: float = 30.0
    tense_down: float = 18.0
    escalated_up: float = 55.0
    escalated_down: float = 40.0
    relapse_up: float = 40.0
    """From recovering back to escalated, and only with a new cue in words."""
    calm_down: float = 18.0
    """From recovering to calm."""
    dwell_tense_ms: int = 10_000
    dwell_escalated_ms: int = 10_000
    dwell_recovering_ms: int = 15_000
    """The level does not fall from one of these before it has lasted so long."""
    relief_cooldown_ms: int = 60_000
    horizon_ms: int = 600_000
    """Older signals are forgotten."""


class Escalation:
    """The level of one call. Its methods return the change they caused, or None; call them in order of call time."""

    settings = EscalationSettings()

    def __init__(self) -> None:
        self.level = Level.CALM
        self.score = 0.0
        self._signals: dict[str, Signal] = {}
        """Those known, by their keys."""
        self._reliefs: tuple[Signal, ...] = ()
        """The signals of `RELIEF` among them, in order of time."""
        self._last_cue_ms: dict[str, int] = {}
        """Signal id -> when the customer last gave this cue."""
        self._now_ms = 0
        self._level_since_ms = 0
        self._changes: list[tuple[Level, int, frozenset[str]]] = []
        """Of the last four changes: the level before, when that had begun, and the keys of the signals known then."""

    def update(self, signals: Iterable[Signal], now_ms: int) -> LevelChange | None:
        """Add signals; one with a known key replaces the known one if it is later or settled."""
        new = tuple(signals)
        for signal in new:
            known = self._signals.get(signal.key)
            if known is None or signal.at_ms >= known.at_ms or signal.settled:
                self._signals[signal.key] = signal
        self._advance(now_ms)
        return self._update_level(may_rise=bool(new))

    def resume(self, level: Level, now_ms: int) -> None:
        """Continue at a level whose signals are no longer known."""
        self.level, self._level_since_ms, self._changes = level, now_ms, []

    def withdraw(self, key: str, now_ms: int) -> LevelChange | None:
        """Remove the signal of this key, whose words have changed, and undo the change of level it led to."""
        if self._signals.pop(key, None) is None:
            return None
        self._advance(now_ms)
        affected = (index for index, (_, _, keys) in enumerate(self._changes) if key in keys)
        first = next(affected, None)
        if first is None:
            return self._update_level()
        before, since_ms = self.level, self._level_since_ms
        self.level, self._level_since_ms, _ = self._changes[first]
        after = self._next_level()
        if after is before:
            self.level, self._level_since_ms = before, since_ms
            return None
        del self._changes[first:]
        if after is not self.level:
            self._enter(after)
        return LevelChange(self._now_ms, after, before, round(self.score, 1), self._reasons(after, before))

    def tick(self, now_ms: int) -> LevelChange | None:
        """Time has passed: signals decay, and the level may only fall.

        (Above 100 points the score may rise with time, where relieved signals decay sooner than the others.)
        """
        self._advance(now_ms)
        return self._update_level(may_rise=False)

    def contributions(self) -> list[tuple[Signal, float]]:
        """Signals with the points they have now, before the caps; those of at least 0.5, the most first."""
        points = [(signal, max(self._points(signal), self._least_score(signal))) for signal in self._signals.values()]
        return sorted(((s, p) for s, p in points if p >= 0.5), key=lambda each: (-each[1], each[0].at_ms, each[0].key))

    def _advance(self, now_ms: int) -> None:
        self._now_ms = max(self._now_ms, now_ms)
        horizon = self._now_ms - self.settings.horizon_ms
        self._signals = {key: signal for key, signal in self._signals.items() if signal.at_ms > horizon}
        reliefs = [signal for signal in self._signals.values() if signal.id in RELIEF]
        self._reliefs = tuple(sorted(reliefs, key=lambda signal: (signal.at_ms, signal.key)))
        self._last_cue_ms = {}
        for signal in self._signals.values():
            if _is_cue(signal):
                self._last_cue_ms[signal.id] = max(signal.at_ms, self._last_cue_ms.get(signal.id, 0))
        self.score = self._compute_score()

    def _update_level(self, *, may_rise: bool = True) -> LevelChange | None:
        after = self._next_level()
        if after is self.level or (not may_rise and _is_rise(self.level, after)):
            return None
        change = LevelChange(self._now_ms, after, self.level, round(self.score, 1), self._reasons(after, self.level))
        self._enter(after)
        return change

    def _enter(self, after: Level) -> None:
        self._changes = [*self._changes[-3:], (self.level, self._level_since_ms, frozenset(self._signals))]
        self.level, self._level_since_ms = after, self._now_ms

    def _reasons(self, after: Level, before: Level) -> tuple[Signal, ...]:
        """At most five signals: of a rise those with the most points, else the latest reliefs of the last minute."""
        if _is_rise(before, after):
            return tuple(signal for signal, points in self.contributions() if points >= 2.0)[:5]
        recent = [s for s in self._reliefs if self._now_ms - s.at_ms < self.settings.relief_cooldown_ms]
        return tuple(reversed(recent[-5:]))

    def _next_level(self) -> Level:
        settings, score, dwelt = self.settings, self.score, self._now_ms - self._level_since_ms
        match self.level:
            case Level.CALM:
                if score >= settings.escalated_up:
                    return Level.ESCALATED
                return Level.TENSE if score >= settings.tense_up else Level.CALM
            case Level.TENSE:
                if score >= settings.escalated_up:
                    return Level.ESCALATED
                return Level.CALM if score < settings.tense_down and dwelt >= settings.dwell_tense_ms else Level.TENSE
            case Level.ESCALATED:
                over = score < settings.escalated_down and dwelt >= settings.dwell_escalated_ms
                return Level.RECOVERING if over else Level.ESCALATED
            case Level.RECOVERING:
                if score >= settings.relapse_up and self._has_new_cue():
                    return Level.ESCALATED
                over = score < settings.calm_down and dwelt >= settings.dwell_recovering_ms
                return Level.CALM if over else Level.RECOVERING

    def _has_new_cue(self) -> bool:
        """Whether a cue was said, or heard, since the call began to recover: words are heard a second late."""
        known = self._changes[-1][2] if self._changes else frozenset(self._signals)
        return any(
            (signal.at_ms > self._level_since_ms or key not in known) and _is_cue(signal)
            for key, signal in self._signals.items()
        )

    def _compute_score(self) -> float:
        """The score. It is clipped to 100 before relief reduces it, so that a long quarrel can be calmed too."""
        reliefs, self._reliefs = self._reliefs, ()
        unrelieved = self._capped_sum()
        self._reliefs = reliefs
        share_left = self._capped_sum() / unrelieved if unrelieved > 0 else 0.0
        score = min(unrelieved, 100.0) * share_left
        return max([score, *(self._least_score(signal) for signal in self._signals.values())])

    def _least_score(self, signal: Signal) -> float:
        """The least score while this signal is known, whatever the caps."""
        if signal.speaker is Speaker.AGENT:
            return 0.0
        if signal.severity is Severity.URGENT and signal.id in WORD_WEIGHTS:
            return self.settings.urgent_score * self._decay(signal)
        if signal.id in TENSE_NOTES:
            return WORD_WEIGHTS[signal.id] * _strength_share(signal) * self._decay(signal)
        return 0.0

    def _capped_sum(self) -> float:
        """The sum of all points under the caps."""
        settings = self.settings
        by_cue = self._points_by_id(WORD_WEIGHTS)
        words, voice = self._sum_with_repeats(by_cue), self._voice_points()
        support = min(self._sum_with_repeats(self._points_by_id(SUPPORT_WEIGHTS)), settings.support_cap)
        score = words + voice + support
        clear_ids = self._clear_ids()
        clear = {cue: points for cue, points in by_cue.items() if cue in clear_ids}
        kinds = sum(max(points) >= settings.min_cue_points for points in clear.values()) + (
            voice >= settings.min_cue_points
        )
        if voice < settings.min_cue_points and not self._has_clear_signal():
            score = min(score, settings.notes_cap)
        elif words < settings.min_word_points:
            score = min(score, settings.without_words_cap)
        elif kinds < 2:
            score = min(score, max(self._sum_with_repeats(clear) + voice, settings.one_cue_cap))
        return score

    def _has_clear_signal(self) -> bool:
        """Whether a complaint or a cue above a note has weight."""
        return any(
            self._points(signal) >= self.settings.min_cue_points
            for signal in self._signals.values()
            if signal.id == "complaint" or (signal.id in WORD_WEIGHTS and signal.severity >= Severity.HELP)
        )

    def _clear_ids(self) -> set[str]:
        """Ids with a signal above a note, and `MILD_CUES`."""
        return {
            signal.id for signal in self._signals.values() if signal.severity >= Severity.HELP or signal.id in MILD_CUES
        }

    def _points_by_id(self, weights: Mapping[str, float]) -> dict[str, list[float]]:
        """Id -> points in each utterance; words with signals of several ids count for the one of most weight only."""
        found = [s for s in self._signals.values() if s.id in weights and self._weight(s) > 0]
        # Ordered by weight before decay, so that which of two signals counts does not change with time.
        found.sort(key=lambda s: (-self._weight(s) * _strength_share(s), s.at_ms, s.key))
        spans: dict[str, list[tuple[int, int]]] = {}
        best: dict[str, dict[str, float]] = {}
        for signal in found:
            evidence = signal.evidence
            if evidence.utterance is not None and evidence.last_word >= evidence.first_word:
                counted = spans.setdefault(evidence.utterance, [])
                if any(evidence.first_word <= last and first <= evidence.last_word for first, last in counted):
                    continue
                counted.append((evidence.first_word, evidence.last_word))
            best.setdefault(signal.id, {}).setdefault(evidence.utterance or signal.key, self._points(signal))
        return {name: list(by_utterance.values()) for name, by_utterance in best.items()}

    def _sum_with_repeats(self, points_by_id: Mapping[str, list[float]]) -> float:
        """The sum of all points; those of further utterances of the same id by `repeat_shares`."""
        shares = self.settings.repeat_shares
        return sum(
            points * share
            for each in points_by_id.values()
            for points, share in zip(sorted(each, reverse=True), shares, strict=False)
        )

    def _voice_points(self) -> float:
        """The points of the raised voice (see `single_rise_cap` and `voice_rises`)."""
        settings = self.settings
        rises = [signal for signal in self._signals.values() if signal.id == "raised_voice"]
        if not rises:
            return 0.0
        points = max(self._points(signal) for signal in rises)
        recent = [signal for signal in rises if self._now_ms - signal.at_ms < settings.voice_window_ms]
        total_ms = sum(signal.evidence.end_ms - signal.evidence.start_ms for signal in recent)
        if len(recent) >= settings.voice_rises or total_ms >= settings.voice_total_ms:
            # Lasting or repeated: it makes a call tense by itself, whatever the strength of each rise.
            return max(points, (settings.tense_up + 2.0) * max(self._decay(signal) for signal in recent))
        return min(points, settings.single_rise_cap)

    def _points(self, signal: Signal) -> float:
        return self._weight(signal) * _strength_share(signal) * self._decay(signal)

    def _weight(self, signal: Signal) -> float:
        settings = self.settings
        if signal.id == "raised_voice":
            return settings.voice_weight
        if signal.id in WORD_WEIGHTS:
            if signal.speaker is Speaker.AGENT:
                return 0.0
            return WORD_WEIGHTS[signal.id] * (settings.note_share if signal.severity is Severity.NOTE else 1.0)
        return SUPPORT_WEIGHTS.get(signal.id, 0.0)

    def _decay(self, signal: Signal) -> float:
        """The share of a signal's weight that is left by its age and by the reliefs after it."""
        settings = self.settings
        age = max(self._now_ms - signal.at_ms, 0)
        share = 1.0 if age <= settings.hold_ms else float(0.5 ** ((age - settings.hold_ms) / settings.half_life_ms))
        counted: dict[str, int] = {}
        for relief in self._reliefs:
            is_later = relief.at_ms > signal.at_ms and relief.evidence.utterance != signal.evidence.utterance
            if not is_later or relief.at_ms < self._last_cue_ms.get(signal.id, 0):
                continue
            if relief.at_ms - counted.get(relief.id, -settings.relief_cooldown_ms) >= settings.relief_cooldown_ms:
                counted[relief.id] = relief.at_ms
                strength = min(max(relief.strength, 0.0), 1.0)
                share *= 1.0 - (1.0 - RELIEF[relief.id]) * (0.5 + 0.5 * strength)
        return share


def _is_rise(before: Level, after: Level) -> bool:
    return after is Level.ESCALATED or (after is Level.TENSE and before is Level.CALM)


def _is_cue(signal: Signal) -> bool:
    """Whether this is a cue of the customer's words above a note."""
    return signal.id in WORD_WEIGHTS and signal.severity >= Severity.HELP and signal.speaker is not Speaker.AGENT


def _strength_share(signal: Signal) -> float:
    """Share of the weight by the signal's strength: at least 0.6."""
    return 0.6 + 0.4 * min(max(signal.strength, 0.0), 1.0)
