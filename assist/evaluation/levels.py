"""Scores the escalation level and the prompts on whole calls: false, early, in time, missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from statistics import median

from assist.evaluation.cases import LabelledCall
from assist.evaluation.figures import LevelFigures, percentile, rate
from assist.events import Event, PromptShown, SignalRaised
from detectors.escalation import EscalationSettings
from detectors.signals import CALMER, Level, LevelChange, Signal

EARLY_S = 2.0
"""A change of level up to so much before the labelled moment, or in the same turn, is in time."""
MAX_EARLY_S = 60.0
"""A change up to so much before the labelled moment is early if the level stays up until then; else false."""
MAX_LATE_S = 60.0
"""A call whose level rises later than so long after the labelled moment counts as one whose level never rose."""
TAKEN_BACK_MS = EscalationSettings().dwell_tense_ms
"""A level that falls sooner was taken back: by itself it stays longer."""
LATE_S = 5.0
"""The goal: at most so long from the first cue to the change of level."""


TurnIndex = Callable[[LabelledCall, Signal], int]


def level_figures(calls: Sequence[tuple[LabelledCall, list[Event]]], turn_index: TurnIndex) -> LevelFigures:
    """Count over whole calls. Calm time is that of calm calls, and that before the first cue of the others.

    It begins with the first turn: of a long call only a part may be labelled.

    Args:
        calls: Labelled calls with the events of the session they were played to.
        turn_index: Index of the turn of a call that a signal belongs to.
    """
    calm_hours = 0.0
    counts: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    delays: list[float] = []
    early: list[float] = []
    for call, events in calls:
        changes = [event for event in events if isinstance(event, LevelChange)]
        cue_s = call.escalates_at
        calm_s = max(turn.end_ms for turn in call.turns) / 1000 if cue_s is None else _calm_until_s(call, cue_s)
        calm_hours += max(calm_s - call.turns[0].start, 0.0) / 3600
        calm_changes = [change for change in changes if cue_s is None or change.at_ms / 1000 < calm_s]
        rise = _last_rise(calm_changes) if cue_s is not None else None
        early_s = cue_s - rise.at_ms / 1000 if cue_s is not None and rise is not None else 0.0
        if early_s > MAX_EARLY_S:
            rise = None
        false = [change for change in calm_changes if rise is None or change.at_ms < rise.at_ms]
        counts["tense"] += sum(c.level is Level.TENSE and c.before is Level.CALM for c in false)
        counts["false"] += sum(c.level is Level.ESCALATED for c in false)
        causes.update(_false_prompts(call, events, turn_index, round(calm_s * 1000) if cue_s is not None else None))
        if cue_s is None:
            counts["calm"] += 1
            continue
        counts["escalating"] += 1
        rises = [c for c in _standing_rises(changes) if c not in calm_changes]
        if rise is None and rises and rises[0].at_ms / 1000 - cue_s > MAX_LATE_S:
            rises = []
        if rise is not None:
            early.append(early_s)
        elif rises:
            counts["in time"] += 1
            delays.append(max(rises[0].at_ms / 1000 - cue_s, 0.0))
        matched = [*rises, *(c for c in calm_changes if rise is not None and c.at_ms >= rise.at_ms)]
        escalated_ms = [c.at_ms for c in matched if c.level is Level.ESCALATED]
        if escalated_ms:
            counts["escalated"] += 1
            counts["recovered"] += any(c.level in CALMER and c.at_ms > min(escalated_ms) for c in changes)
    prompts = sum(causes.values())
    return LevelFigures(
        calm_calls=counts["calm"],
        calm_hours=calm_hours,
        false_tense=counts["tense"],
        false_escalations=counts["false"],
        false_prompts=prompts,
        false_escalations_per_hour=rate(counts["false"], calm_hours),
        false_prompts_per_hour=rate(prompts, calm_hours),
        false_prompt_causes=tuple(causes.most_common()),
        escalating_calls=counts["escalating"],
        noticed=counts["in time"] + len(early),
        early=len(early),
        early_median_s=median(early) if early else None,
        early_most_s=max(early, default=None),
        escalated=counts["escalated"],
        recovered=counts["recovered"],
        delay_median_s=median(delays) if delays else None,
        delay_p95_s=percentile(delays, 95),
        late=sum(delay > LATE_S for delay in delays),
    )


def _calm_until_s(call: LabelledCall, cue_s: float) -> float:
    """End of the calm time: the start of the customer's turn with the cue, or EARLY_S before the cue."""
    theirs = [turn for turn in call.turns if turn.speaker == "customer" and turn.end_ms >= round(cue_s * 1000)]
    begins = (turn.start for turn in theirs if turn.start <= cue_s)
    return max(min((cue_s - EARLY_S, *begins)), 0.0)


def _standing_rises(changes: Sequence[LevelChange]) -> list[LevelChange]:
    """The changes to a higher level that were not taken back, because words settled otherwise."""
    return [
        change
        for change, after in zip_longest(changes, changes[1:])
        if (change.level is Level.ESCALATED or (change.level is Level.TENSE and change.before is not Level.ESCALATED))
        and (after is None or after.level is Level.ESCALATED or after.at_ms - change.at_ms >= TAKEN_BACK_MS)
    ]


def _last_rise(changes: Sequence[LevelChange]) -> LevelChange | None:
    """The last change from calm; None where the level is calm at the end."""
    since: LevelChange | None = None
    for change in changes:
        if change.level is Level.CALM:
            since = None
        elif since is None:
            since = change
    return since


def _false_prompts(
    call: LabelledCall, events: Sequence[Event], turn_index: TurnIndex, until_ms: int | None
) -> list[str]:
    """Cause (rules, or the play) of each prompt for which no signal is labelled in its turn."""
    raised = {event.signal.key: event.signal for event in events if isinstance(event, SignalRaised)}
    true = {key for key, signal in raised.items() if signal.id in call.turns[turn_index(call, signal)].labels}
    return [
        ", ".join(sorted({raised[key].rule for key in event.signals if key in raised})) or event.play
        for event in events
        if isinstance(event, PromptShown)
        and not true & set(event.signals)
        and (until_ms is None or event.at_ms < until_ms)
    ]
