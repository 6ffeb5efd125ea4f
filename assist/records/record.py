"""The incident record: what a call's event log comes to, folded. Pure; the log is the truth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assist.coach.promises import due_date
from assist.errors import AssistError
from assist.events import (
    Action,
    AlertMoved,
    AlertRaised,
    CallEnded,
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
)
from audio.events import Gap, Trouble, Utterance
from detectors.signals import Level, LevelChange

SCHEMA_VERSION = 2
"""2: Plan B with its answers and outcome, what people did, pauses, wrap-up, marks, redactions, the log's seal."""
KEPT_OF_AGENTS = ("help", "pause", "resume", "hang-up", "contest", "outcome", "root-cause", "follow-up")
"""What an agent does that stands nowhere else in the record."""
_MASK = re.compile(r"\[([a-z][a-z -]*)\]")
_RANK = {Level.CALM: 0, Level.RECOVERING: 1, Level.TENSE: 2, Level.ESCALATED: 3}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_serialization_defaults_required=True)


class Line(_Part):
    """One utterance of the transcript."""

    id: str
    speaker: str
    start_ms: int
    end_ms: int
    text: str
    words: list[tuple[str, int, int, float]] = Field(description="text, start ms, end ms, probability")


class HeardSignal(_Part):
    """A signal with its evidence."""

    key: str
    id: str
    rule: str
    version: str
    speaker: str
    at_ms: int
    strength: float
    severity: int
    quote: str
    summary: str
    utterance: str | None
    first_word: int
    last_word: int
    start_ms: int
    end_ms: int
    measured: dict[str, float]


class LevelStep(_Part):
    """The level from `at_ms` on, and what carried it there."""

    at_ms: int
    level: str
    score: float
    because: list[str] = Field(description="keys of signals")


class PromptUse(_Part):
    """A prompt and what was done with it: shown, seen and acted on are kept apart."""

    id: str
    play: str
    step: str
    title: str
    say: str
    why: list[str]
    tier: int
    signals: list[str]
    shown_ms: int
    seen_ms: int | None = None
    ended_ms: int | None = None
    how: str = Field(
        "", description="used, acted, dismissed, wrong, expired, superseded, withdrawn, ended; empty: cut short"
    )
    words: str = Field("", description="acted: the agent's words that showed it")
    avoid: str = Field("", description="what it said not to say")


class PlanUse(_Part):
    """A Plan B option that was on the agent's screen."""

    id: str
    title: str
    worth: str
    authority: str
    cost: float
    shown_ms: int
    offered_ms: int | None = None
    asked_ms: int | None = Field(None, description="when a supervisor was asked for it")
    permission: str = Field("", description="allowed, denied, expired (nobody answered), or empty: nobody was asked")
    answered_ms: int | None = Field(None, description="when the customer answered")
    answer: str = Field("", description="accepted, refused, or empty")
    heard: str = Field("", description="the words that showed the offer or the answer; empty: said by hand")
    calmed_after_ms: int | None = Field(
        None,
        description="what an accepted one came to: ms until the call was recovering or calm; null: it never was",
    )


class StepDone(_Part):
    """A step of the method, when it was done and by which words (or by hand)."""

    step: str
    at_ms: int
    by: str
    words: str


class FollowUp(_Part):
    """Something promised."""

    id: str
    what: str
    due: str
    owner: str
    words: str
    done: bool = False
    day: str = Field("", description="the day `due` means, an ISO date; empty where it names none")
    at: str = Field("", description="the moment `due` means where it names an hour, ISO 8601; empty where it does not")


class HandOff(_Part):
    """Somebody took over or joined: what the customer had already said by then."""

    at_ms: int
    to: str
    said: list[tuple[int, str]] = Field(description="call time in ms and the customer's own words, in order")
    done: list[str] = Field(description="what was given and promised so far")
    words: str = Field("", description="the agent's words that began it; empty: done at a screen")
    signals: list[str] = Field(default_factory=list, description="ids of what was heard that asks for help or more")


class Alert(_Part):
    """An alert to supervisors and its life."""

    id: str
    at_ms: int
    tier: int
    reason: str
    kind: str = Field("escalated", description="escalated, help or ask")
    course: list[tuple[int, str, str]] = Field(default_factory=list, description="ms, what, who")
    resolved_ms: int | None = None
    how: str = Field("", description='how it was resolved, such as "took over"; empty when nobody said')
    note: str = Field("", description="the supervisor's words at the end")
    target: str = Field("", description="ask: the id of the Plan B option")


class Note(_Part):
    """A line of text somebody left."""

    at_ms: int
    who: str
    text: str


class Deed(_Part):
    """What a person did about the call: supervisors, and the agent besides prompts, steps and Plan B."""

    at_ms: int
    who: str
    role: str
    what: str
    target: str = ""
    text: str = ""


class Pause(_Part):
    """Nothing was heard or kept meanwhile."""

    from_ms: int
    to_ms: int | None = Field(None, description="null: until the end")


class WrapUp(_Part):
    """That somebody wrapped the call up afterwards; what was said is in the record's own fields."""

    at: str = Field(description="ISO 8601")
    who: str


class Judgement(_Part):
    """A reviewer's verdict on a signal (its key) or prompt (its id), the last one on each."""

    kind: str
    target: str
    verdict: str = Field(description="right, wrong")
    who: str
    at: str


class Seal(_Part):
    """The hash chain over the call's event log: a later change of either can be seen (assist records verify)."""

    events: int
    sha256: str = Field(description="hex; of the chain's last link (assist/records/seal.py)")


class Problem(_Part):
    """A trouble of the call: sound lost, listening behind, a detector off."""

    at_ms: int
    code: str
    text: str
    cleared: bool


class ConsentStep(_Part):
    """What was known about consent from `at_ms` on, and who said so."""

    at_ms: int
    consent: str
    by: str
    policy: str


class RecoveryTime(_Part):
    """One run of the 60-second recovery clock."""

    started_ms: int
    limit_ms: int
    result: str = Field("", description="met, missed or stopped")
    took_ms: int | None = None


class IncidentRecord(_Part):
    """One finished call, whole."""

    schema_version: int = SCHEMA_VERSION
    call: str
    agent: str
    team: str
    queue: str
    caller: str
    source: str
    started_at: str
    duration_ms: int
    ended: str = Field(description="hang-up, end-of-recording, interrupted, failed")
    level_reached: str
    level_at_end: str
    outcome: str
    root_cause: str
    recovery: list[RecoveryTime]
    signals: list[HeardSignal]
    levels: list[LevelStep]
    prompts: list[PromptUse]
    plan: list[PlanUse]
    steps: list[StepDone]
    follow_ups: list[FollowUp]
    alerts: list[Alert]
    notes: list[Note]
    contested: str = Field(description="why the agent contests what the machine heard; empty: not contested")
    transcript: list[Line]
    troubles: list[Problem]
    gaps_ms: int
    accounted_ms: dict[str, int] = Field(description="speaker.what became of it -> ms")
    versions: dict[str, str]
    consent: list[ConsentStep] = Field(default_factory=list, description="as it was set, in order")
    withdrawn: int = Field(0, description="signals taken back because their words did not settle")
    actions: list[Deed] = Field(default_factory=list)
    pauses: list[Pause] = Field(default_factory=list)
    hand_offs: list[HandOff] = Field(default_factory=list)
    redactions: dict[str, int] = Field(default_factory=dict, description="what was masked -> in how many places")
    wrap_up: WrapUp | None = None
    marks: list[Judgement] = Field(default_factory=list)
    seal: Seal | None = None


def read_record(body: Mapping[str, Any]) -> IncidentRecord:
    """A stored or exported record, of this version or an earlier one.

    Raises:
        AssistError: codes record-newer, record-unreadable.
    """
    version = body.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise AssistError(
            "record-newer", f"a record of schema {version}: this program knows up to {SCHEMA_VERSION}; update it"
        )
    try:
        return IncidentRecord.model_validate({**body, "schema_version": SCHEMA_VERSION})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise AssistError("record-unreadable", f"not an incident record: {place}: {first['msg']}") from None


def record_schema() -> dict[str, Any]:
    """JSON Schema of the record as it is written."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **IncidentRecord.model_json_schema(mode="serialization"),
    }


def fold(events: Iterable[Event]) -> IncidentRecord:
    """The record of a call from its events, in order; a call cut short folds as well.

    Raises:
        ValueError: the events hold no CallStarted.
    """
    folding = _Folding()
    for event in events:
        folding.take(event)
    return folding.record()


class _Folding:
    def __init__(self) -> None:
        self.started: CallStarted | None = None
        self.ended = CallEnded(0, "interrupted")
        self.last_ms = 0
        self.signals: dict[str, HeardSignal] = {}
        self.levels: list[LevelStep] = []
        self.prompts: dict[str, dict[str, Any]] = {}
        self.plan: dict[str, dict[str, Any]] = {}
        self.steps: dict[str, StepDone] = {}
        self.follow_ups: dict[str, FollowUp] = {}
        self.alerts: dict[str, Alert] = {}
        self.notes: list[Note] = []
        self.recovery: list[dict[str, Any]] = []
        self.lines: dict[str, Line] = {}
        self.troubles: list[Problem] = []
        self.consent: list[ConsentStep] = []
        self.withdrawn = 0
        self.actions: list[Deed] = []
        self.pauses: list[Pause] = []
        self.hand_offs: list[HandOff] = []
        self.gaps_ms = 0
        self.outcome = self.root_cause = self.contested = ""

    def take(self, event: Event) -> None:
        self.last_ms = max(self.last_ms, getattr(event, "at_ms", getattr(event, "end_ms", 0)))
        match event:
            case CallStarted():
                self.started = event
            case CallEnded():
                self.ended = event
            case ConsentSet():
                self.consent.append(
                    ConsentStep(at_ms=event.at_ms, consent=event.consent, by=event.by, policy=event.policy)
                )
            case Utterance():
                words = [(word.text, word.start_ms, word.end_ms, round(word.probability, 3)) for word in event.words]
                self.lines.pop(event.id, None)  # said again: a pause has shortened it
                if words:
                    self.lines[event.id] = Line(
                        id=event.id,
                        speaker=event.speaker,
                        start_ms=event.start_ms,
                        end_ms=event.end_ms,
                        text=event.text,
                        words=words,
                    )
            case SignalRaised(signal=signal):
                evidence = signal.evidence
                self.signals[signal.key] = HeardSignal(
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
            case SignalWithdrawn():
                self.withdrawn += self.signals.pop(event.key, None) is not None
            case LevelChange():
                because = [signal.key for signal in event.because]
                self.levels.append(
                    LevelStep(at_ms=event.at_ms, level=event.level, score=round(event.score, 1), because=because)
                )
            case PromptShown():
                self.prompts[event.id] = {
                    "id": event.id,
                    "play": event.play,
                    "step": event.step,
                    "title": event.title,
                    "say": event.say,
                    "why": list(event.why),
                    "tier": event.tier,
                    "signals": list(event.signals),
                    "shown_ms": event.at_ms,
                    "avoid": event.avoid,
                }
            case PromptEnded():
                if event.id in self.prompts:
                    self.prompts[event.id] |= {"ended_ms": event.at_ms, "how": event.how, "words": event.words}
            case PlanOffered():
                for option in event.options:
                    self.plan.setdefault(
                        option.id,
                        {
                            "id": option.id,
                            "title": option.title,
                            "worth": option.worth,
                            "authority": option.authority,
                            "cost": option.cost,
                            "shown_ms": event.at_ms,
                        },
                    )
            case PlanMoved():
                self.move_plan(event)
            case HandOffNoted():
                self.hand_offs.append(
                    HandOff(
                        at_ms=event.at_ms,
                        to=event.to,
                        said=list(event.said),
                        done=list(event.done),
                        words=event.words,
                        signals=list(event.signals),
                    )
                )
            case StepTicked():
                if event.done:
                    self.steps.setdefault(
                        event.step, StepDone(step=event.step, at_ms=event.at_ms, by=event.by, words=event.words)
                    )
                else:
                    self.steps.pop(event.step, None)
            case Recovery(what="started"):
                self.recovery.append({"started_ms": event.at_ms, "limit_ms": event.limit_ms})
            case Recovery():
                if self.recovery:
                    result = self.recovery[-1].get("result") or event.what
                    self.recovery[-1] |= {"result": result, "took_ms": event.took_ms}
            case FollowUpNoted():
                self.follow_ups[event.id] = FollowUp(
                    id=event.id,
                    what=event.what,
                    due=event.due,
                    owner=event.owner,
                    words=event.words,
                    day=event.due_at[:10] or _day(event.due, self.started),
                    at=event.due_at if "T" in event.due_at else "",
                )
            case AlertRaised():
                self.raise_alert(event)
            case AlertMoved():
                self.step_alert(event.id, event.at_ms, event.what, event.who)
            case Action():
                self.act(event)
            case Trouble():
                self.troubles.append(
                    Problem(at_ms=event.at_ms, code=event.code, text=event.text, cleared=event.cleared)
                )
            case Gap() if event.why == "lost":
                self.gaps_ms += event.end_ms - event.start_ms
            case _:
                pass

    def act(self, action: Action) -> None:
        if action.role != "agent" or action.what in KEPT_OF_AGENTS:
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
                if action.target in self.plan:
                    use = self.plan[action.target]
                    use.setdefault("offered_ms", action.at_ms)
                    if action.what != "plan-offered":
                        use |= {"answer": action.what.removeprefix("plan-"), "answered_ms": action.at_ms}
            case "plan-asked":
                if action.target in self.plan:
                    self.plan[action.target].setdefault("asked_ms", action.at_ms)
            case "pause":
                if not self.pauses or self.pauses[-1].to_ms is not None:
                    self.pauses.append(Pause(from_ms=action.at_ms))
            case "resume":
                if self.pauses and self.pauses[-1].to_ms is None:
                    self.pauses[-1] = self.pauses[-1].model_copy(update={"to_ms": action.at_ms})
            case "message":
                for alert in list(self.alerts.values()):
                    if _holder(alert) == action.who:
                        self.step_alert(alert.id, action.at_ms, "message", action.who)
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
                self.step_alert(action.target, action.at_ms, action.what, action.who)
            case "resolve" | "plan-answered":
                answered = action.what == "plan-answered"
                first, _, words = action.detail.partition(" " if answered else "\n")
                how, step = ("answered", first) if answered else (first, "resolve")
                ending = {"resolved_ms": action.at_ms, "how": how, "note": words}
                self.step_alert(action.target, action.at_ms, step, action.who, ending)
                if answered and action.target in self.alerts and self.alerts[action.target].target in self.plan:
                    self.plan[self.alerts[action.target].target]["permission"] = first
            case _:
                pass

    def move_plan(self, moved: PlanMoved) -> None:
        """What was heard about an option, and requests that ran out; what is done by hand is an action."""
        use = self.plan.get(moved.option)
        if use is None:
            use = {"id": moved.option, "title": moved.title, "worth": "", "authority": "yours"}
            use = self.plan[moved.option] = use | {"cost": moved.cost, "shown_ms": moved.at_ms}
        match moved.what:
            case "offered":
                use.setdefault("offered_ms", moved.at_ms)
                use["heard"] = moved.words
            case "accepted":
                use |= {"answer": "accepted", "answered_ms": moved.at_ms, "heard": moved.words}
            case "expired":
                use["permission"] = "expired"

    def raise_alert(self, event: AlertRaised) -> None:
        known = self.alerts.get(event.id)
        if known is None:
            self.alerts[event.id] = Alert(
                id=event.id,
                at_ms=event.at_ms,
                tier=event.tier,
                reason=event.reason,
                kind=event.kind,
                target=event.target,
            )
            return
        self.alerts[event.id] = known.model_copy(update={"tier": event.tier, "reason": event.reason})
        self.step_alert(event.id, event.at_ms, "raised-again", "")

    def step_alert(self, name: str, at_ms: int, what: str, who: str, ending: dict[str, Any] | None = None) -> None:
        known = self.alerts.get(name)
        if known is not None:
            course = [*known.course, (at_ms, what, who)]
            self.alerts[name] = known.model_copy(update={"course": course, **(ending or {})})

    def record(self) -> IncidentRecord:
        if self.started is None:
            raise ValueError("the events hold no CallStarted")
        reached = max((Level(step.level) for step in self.levels), key=_RANK.__getitem__, default=Level.CALM)
        at_end = Level(self.levels[-1].level) if self.levels else Level.CALM
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
            plan=[self.planned(use) for use in self.plan.values()],
            steps=sorted(self.steps.values(), key=lambda each: each.at_ms),
            follow_ups=list(self.follow_ups.values()),
            alerts=list(self.alerts.values()),
            notes=self.notes,
            contested=self.contested,
            transcript=sorted(self.lines.values(), key=lambda line: line.start_ms),
            troubles=self.troubles,
            gaps_ms=self.gaps_ms,
            accounted_ms=dict(self.ended.accounted_ms),
            versions=dict(self.started.versions),
            consent=self.consent,
            withdrawn=self.withdrawn,
            actions=self.actions,
            hand_offs=self.hand_offs,
            pauses=self.pauses,
            redactions=_redactions(self.lines.values()),
        )

    def planned(self, use: dict[str, Any]) -> PlanUse:
        """A Plan B option with what came of it: when the call came down after it was accepted."""
        calmed = None
        if use.get("answer") == "accepted":
            since = use["answered_ms"]
            below = [step.at_ms for step in self.levels if step.level in (Level.RECOVERING, Level.CALM)]
            before = [step.level for step in self.levels if step.at_ms <= since]
            if before and before[-1] in (Level.RECOVERING, Level.CALM):
                calmed = 0
            else:
                calmed = next((at_ms - since for at_ms in below if at_ms >= since), None)
        return PlanUse(**use, calmed_after_ms=calmed)


def _day(due: str, started: CallStarted | None) -> str:
    day = due_date(due, datetime.fromisoformat(started.started_at).date()) if started is not None else None
    return day.isoformat() if day is not None else ""


def _holder(alert: Alert) -> str:
    """Who has claimed it and neither given it back nor ended it."""
    held = ""
    for _, what, who in alert.course:
        held = who if what == "claim" else "" if what in ("release", "released") else held
    return "" if alert.resolved_ms is not None else held


def _redactions(lines: Iterable[Line]) -> dict[str, int]:
    """How often each kind of mask stands in the transcript (assist/privacy/redaction.py writes "[card number]")."""
    found: dict[str, int] = {}
    for line in lines:
        for text, *_ in line.words:
            if mask := _MASK.search(text):
                found[mask[1]] = found.get(mask[1], 0) + 1
    return found


def _outcome(reached: Level, at_end: Level) -> str:
    """In plain words where nobody has said better: only what was heard, never a verdict on a person."""
    if reached in (Level.CALM, Level.RECOVERING):
        return "calm throughout"
    if at_end in (Level.CALM, Level.RECOVERING):
        return "recovered"
    return f"still {at_end} at the end"
