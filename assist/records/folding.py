"""Builds the incident record from a call's event log (a fold). Pure; the log is the truth."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from assist.coach.due import due_day
from assist.events import (
    OUTLIVES_CALL,
    Action,
    AlertMoved,
    AlertRaised,
    CallEnded,
    CallResumed,
    CallStarted,
    ConsentSet,
    Event,
    FollowUpNoted,
    HandOffNoted,
    PlanMoved,
    PlanOffered,
    PromptEnded,
    PromptShown,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
    TranscribedLate,
    done_ms,
)
from assist.records.alert_history import AlertHistory
from assist.records.plan_uses import PlanUses
from assist.records.record import (
    ConsentStep,
    Deed,
    FollowUp,
    HandOff,
    HeardSignal,
    IncidentRecord,
    LateRange,
    LevelStep,
    Line,
    Note,
    Pause,
    Problem,
    PromptUse,
    RecoveryTime,
    StepDone,
)
from audio.events import Gap, Trouble, Utterance
from detectors.signals import CALMER, Level, LevelChange, Signal

LISTED_AGENT_ACTIONS = ("help", "pause", "resume", "hang-up", "contest", "outcome", "root-cause", "follow-up")
"""Actions of agents that are listed in the record's `actions`, as no other part of it shows them."""
_MASK_PATTERN = re.compile(r"\[([a-z][a-z -]*)\]")
_LEVEL_RANK = {Level.CALM: 0, Level.RECOVERING: 1, Level.TENSE: 2, Level.ESCALATED: 3}


def fold(events: Iterable[Event]) -> IncidentRecord:
    """The record of a call from its events, in order; also of an interrupted call.

    Raises:
        ValueError: the events hold no CallStarted.
    """
    builder = _RecordBuilder()
    for event in events:
        builder.add(event)
    return builder.record()


class _RecordBuilder:
    def __init__(self) -> None:
        self.started: CallStarted | None = None
        self.ended = CallEnded(0, "interrupted")
        self.last_ms = 0
        self.is_over = False
        """The last event was CallEnded, or came of an alert that has outlived the call."""
        self.signals: dict[str, HeardSignal] = {}
        self.levels: list[LevelStep] = []
        self.late: TranscribedLate | None = None
        """Events after it are of words transcribed after the call."""
        self.versions: dict[str, list[str]] = {}
        """Those that the call began with, and went on with after it was interrupted."""
        self.late_ranges: list[LateRange] = []
        self.levels_late: list[LevelStep] = []
        self.prompts: dict[str, dict[str, Any]] = {}
        self.plan = PlanUses()
        self.steps: dict[str, StepDone] = {}
        self.follow_ups: dict[str, FollowUp] = {}
        self.alerts = AlertHistory()
        self.notes: list[Note] = []
        self.recovery: list[dict[str, Any]] = []
        self.lines: dict[str, Line] = {}
        self.troubles: list[Problem] = []
        self.consent: list[ConsentStep] = []
        self.withdrawn_count = 0
        self.actions: list[Deed] = []
        self.pauses: list[Pause] = []
        self.hand_offs: list[HandOff] = []
        self.lost_ranges: list[tuple[int, int]] = []
        """(from, to) in ms of sound that never came, of any channel."""
        self.outcome = self.root_cause = self.contested = ""

    def add(self, event: Event) -> None:
        if isinstance(event, OUTLIVES_CALL) and self.is_over:
            pass  # what became of an alert after the call
        elif self.late is None:
            self.is_over = isinstance(event, CallEnded)
            self.last_ms = max(self.last_ms, done_ms(event))
        match event:
            case CallStarted():
                self.started = event
                self.versions = {name: [version] for name, version in event.versions.items()}
            case CallEnded():
                self.ended = event
            case CallResumed():
                for name, version in event.versions.items():
                    self.versions.setdefault(name, []).append(version)
            case TranscribedLate():
                self.late, self.levels_late = event, []
                self.late_ranges += [
                    LateRange(speaker=speaker, start_ms=start_ms, end_ms=end_ms, after_s=event.after_s)
                    for speaker, start_ms, end_ms in event.ranges
                ]
            case ConsentSet():
                self.consent.append(
                    ConsentStep(at_ms=event.at_ms, consent=event.consent, by=event.by, policy=event.policy)
                )
            case Utterance():
                self.lines.pop(event.id, None)  # again under its id: a pause has shortened it
                if event.words:
                    self.lines[event.id] = _transcript_line(event)
            case SignalRaised(signal=signal):
                self.signals[signal.key] = _signal_entry(signal)
            case SignalWithdrawn():
                self.withdrawn_count += self.signals.pop(event.key, None) is not None
            case LevelChange(level=Level.CALM, before=Level.CALM) if not self.levels:
                pass  # a log begins with it
            case LevelChange():
                because = [signal.key for signal in event.because]
                (self.levels if self.late is None else self.levels_late).append(
                    LevelStep(at_ms=event.at_ms, level=event.level, score=round(event.score, 1), because=because)
                )
            case PromptShown():
                self.prompts.setdefault(event.id, _prompt_entry(event))
            case PromptEnded():
                if event.id in self.prompts:
                    self.prompts[event.id] |= {"ended_ms": event.at_ms, "how": event.how, "words": event.words}
            case PlanOffered():
                self.plan.shown(event)
            case PlanMoved():
                self.plan.moved(event)
            case HandOffNoted():
                self.hand_offs.append(_hand_off(event))
            case StepTicked():
                if event.done:
                    self.steps.setdefault(
                        event.step, StepDone(step=event.step, at_ms=event.at_ms, by=event.by, words=event.words)
                    )
                else:
                    self.steps.pop(event.step, None)
            case Recovery(what="started"):
                started_ms = event.at_ms - event.took_ms
                if self.recovery and self.recovery[-1]["started_ms"] == started_ms:
                    self.recovery.pop()  # it runs on: the remedy that had stopped it was not accepted
                self.recovery.append({"started_ms": started_ms, "limit_ms": event.limit_ms})
            case Recovery():
                if self.recovery:
                    run = self.recovery[-1]
                    result = run.get("result") or event.what
                    # "missed" is told when the goal passes, and once more when the call recovers after all
                    is_final = event.what == "met" or (event.what == "missed" and "result" in run)
                    run |= {"result": result, "took_ms": event.took_ms if is_final else None, "by": event.by}
            case FollowUpNoted():
                self.follow_ups[event.id] = FollowUp(
                    id=event.id,
                    what=event.what,
                    due=event.due,
                    owner=event.owner,
                    words=event.words,
                    day=event.due_at[:10] or _due_day(event.due, self.started),
                    at=event.due_at if "T" in event.due_at else "",
                )
            case AlertRaised():
                self.alerts.raised(event)
                if event.kind == "ask":
                    self.plan.asked(event.target, event.at_ms)
            case AlertMoved():
                self.alerts.add_step(event.id, event.at_ms, event.what, event.who)
            case Action():
                self._add_action(event)
            case Trouble():
                self.troubles.append(
                    Problem(at_ms=event.at_ms, code=event.code, text=event.text, cleared=event.cleared)
                )
            case Gap() if event.why == "lost":
                self.lost_ranges.append((event.start_ms, event.end_ms))
            case _:
                pass

    def _add_action(self, action: Action) -> None:
        if action.role != "agent" or action.what in LISTED_AGENT_ACTIONS:
            self.actions.append(
                Deed(
                    at_ms=action.at_ms,
                    who=action.who,
                    role=action.role,
                    what=action.what,
                    target=action.target,
                    text=action.detail,
                )
            )
        match action.what:
            case "seen":
                if action.target in self.prompts:
                    self.prompts[action.target].setdefault("seen_ms", action.at_ms)
            case "plan-offered" | "plan-accepted" | "plan-refused":
                self.plan.agent_acted(action)
                if action.what == "plan-refused":  # what was taken for accepted leaves no follow-up of its own
                    title = self.plan.title(action.target)
                    self.follow_ups = {name: each for name, each in self.follow_ups.items() if each.what != title}
            case "pause":
                if not self.pauses or self.pauses[-1].to_ms is not None:
                    self.pauses.append(Pause(from_ms=action.at_ms))
            case "resume":
                if self.pauses and self.pauses[-1].to_ms is None:
                    self.pauses[-1] = self.pauses[-1].model_copy(update={"to_ms": action.at_ms})
            case "message":
                self.alerts.message_sent(action)
                self.notes.append(Note(at_ms=action.at_ms, who=action.who, text=action.detail))
            case "note":
                self.notes.append(Note(at_ms=action.at_ms, who=action.who, text=action.detail))
            case "outcome":
                self.outcome = action.detail
            case "root-cause":
                self.root_cause = action.detail
            case "contest":
                self.contested = action.detail or "contested"
            case "follow-up":
                known = self.follow_ups.get(action.target)
                if known is not None:
                    self.follow_ups[action.target] = known.model_copy(update={"done": action.detail == "done"})
            case "alert-seen" | "claim" | "release":
                self.alerts.add_step(action.target, action.at_ms, action.what, action.who)
            case "resolve" | "plan-answered":
                option, answer = self.alerts.resolved(action)
                if option:
                    self.plan.request_answered(option, answer)
            case _:
                pass

    def record(self) -> IncidentRecord:
        if self.started is None:
            raise ValueError("the events hold no CallStarted")
        levels = [*self.levels, *self.levels_late]
        reached = max((Level(step.level) for step in levels), key=_LEVEL_RANK.__getitem__, default=Level.CALM)
        at_end = Level(levels[-1].level) if levels else Level.CALM
        return IncidentRecord(
            call=self.started.call,
            agent=self.started.agent,
            team=self.started.team,
            queue=self.started.queue,
            caller=self.started.caller,
            source=self.started.source,
            started_at=self.started.started_at,
            duration_ms=self.last_ms,
            ended=self.ended.reason,
            level_reached=reached,
            level_at_end=at_end,
            outcome=self.outcome or _outcome(reached, at_end),
            root_cause=self.root_cause,
            recovery=[RecoveryTime(**run) for run in self.recovery],
            signals=sorted(self.signals.values(), key=lambda each: each.at_ms),
            levels=self.levels,
            prompts=[PromptUse(**use) for use in self.prompts.values()],
            plan=self.plan.uses(self.levels),
            steps=sorted(self.steps.values(), key=lambda each: each.at_ms),
            follow_ups=list(self.follow_ups.values()),
            alerts=list(self.alerts.alerts.values()),
            notes=self.notes,
            contested=self.contested,
            transcript=sorted(self.lines.values(), key=lambda line: line.start_ms),
            troubles=self.troubles,
            gaps_ms=_union_ms(self.lost_ranges),
            accounted_ms=dict((self.late or self.ended).accounted_ms),
            versions={name: ", then ".join(dict.fromkeys(each)) for name, each in self.versions.items()}
            | {f"late {name}": version for name, version in (self.late.versions.items() if self.late else ())},
            transcribed_late=self.late_ranges,
            levels_late=self.levels_late,
            consent=self.consent,
            withdrawn=self.withdrawn_count,
            actions=self.actions,
            hand_offs=self.hand_offs,
            pauses=self.pauses,
            redactions=_mask_counts(self.lines.values()),
        )


def _union_ms(spans: Iterable[tuple[int, int]]) -> int:
    """Length in ms of the union of ranges: what both channels lack at once counts once."""
    total_ms = until = 0
    for start, end in sorted(spans):
        total_ms += max(0, end - max(start, until))
        until = max(until, end)
    return total_ms


def _transcript_line(said: Utterance) -> Line:
    words = [(word.text, word.start_ms, word.end_ms, round(word.probability, 3)) for word in said.words]
    return Line(
        id=said.id, speaker=said.speaker, start_ms=said.start_ms, end_ms=said.end_ms, text=said.text, words=words
    )


def _signal_entry(signal: Signal) -> HeardSignal:
    evidence = signal.evidence
    return HeardSignal(
        key=signal.key,
        id=signal.id,
        rule=signal.rule,
        version=signal.version,
        speaker=signal.speaker,
        at_ms=signal.at_ms,
        strength=round(signal.strength, 3),
        severity=signal.severity,
        quote=evidence.quote,
        summary=evidence.summary,
        utterance=evidence.utterance,
        first_word=evidence.first_word,
        last_word=evidence.last_word,
        start_ms=evidence.start_ms,
        end_ms=evidence.end_ms,
        measured=dict(evidence.measured),
    )


def _prompt_entry(prompt: PromptShown) -> dict[str, Any]:
    """Fields of a PromptUse when it is shown; how it ends is added later."""
    return {
        "id": prompt.id,
        "play": prompt.play,
        "step": prompt.step,
        "title": prompt.title,
        "say": prompt.say,
        "why": list(prompt.why),
        "tier": prompt.tier,
        "signals": list(prompt.signals),
        "shown_ms": prompt.at_ms,
        "avoid": prompt.avoid,
    }


def _hand_off(noted: HandOffNoted) -> HandOff:
    return HandOff(
        at_ms=noted.at_ms,
        to=noted.to,
        said=list(noted.said),
        done=list(noted.done),
        words=noted.words,
        signals=list(noted.signals),
    )


def _due_day(due: str, started: CallStarted | None) -> str:
    day = due_day(due, datetime.fromisoformat(started.started_at).date()) if started is not None else None
    return day.isoformat() if day is not None else ""


def _mask_counts(lines: Iterable[Line]) -> dict[str, int]:
    """Number of masks in the transcript by kind (assist/privacy/redaction.py writes "[card number]")."""
    found: dict[str, int] = {}
    for line in lines:
        for text, *_ in line.words:
            if mask := _MASK_PATTERN.search(text):
                found[mask[1]] = found.get(mask[1], 0) + 1
    return found


def _outcome(reached: Level, at_end: Level) -> str:
    """The outcome where nobody has given one: only what was heard, never a verdict on a person."""
    if reached in CALMER:
        return "calm throughout"
    if at_end in CALMER:
        return "recovered"
    return f"still {at_end} at the end"
