"""The incident record: its shape, and reading a stored one of any version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from assist.errors import AssistError
from assist.privacy.consent import Consent, ConsentPolicy, Gate, unkept_ranges

SCHEMA_VERSION = 2
"""2: Plan B with its answers and outcome, what people did, pauses, wrap-up, marks, redactions, the log's seal."""


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
        description="what an accepted one came to: ms until the call was calmer; 0: it was already; null: it never was",
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
    kind: str = Field("escalated", description="escalated, help, ask, or late: about words transcribed late")
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


class Missed(_Part):
    """What the machine should have noticed, as a reviewer says."""

    at_ms: int | None = Field(description="where in the call; null: not said")
    signal: str = Field(description="id of the signal that should have been there; empty: not said")
    text: str
    who: str


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


class Unkept(_Part):
    """Nothing was kept meanwhile, for want of consent."""

    from_ms: int
    to_ms: int | None = Field(description="null: until the end")


class LateRange(_Part):
    """Speech that was untranscribed when the call ended and has been transcribed since."""

    speaker: str
    start_ms: int
    end_ms: int
    after_s: int = Field(description="how long after the call's end")


class RecoveryTime(_Part):
    """One run of the 60-second recovery clock."""

    started_ms: int
    limit_ms: int
    result: str = Field("", description="met, missed or stopped")
    took_ms: int | None = Field(None, description="until a remedy was accepted or the level came down; null: never was")
    by: str = Field("", description="remedy: an accepted one stopped it; empty: the level came down, or nothing did")


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
    gaps_ms: int = Field(description="time of which the sound of a channel never came; of both at once it counts once")
    accounted_ms: dict[str, int] = Field(description="speaker.what became of it -> ms")
    versions: dict[str, str]
    consent: list[ConsentStep] = Field(default_factory=list, description="as it was set, in order")
    withdrawn: int = Field(0, description="signals taken back because their words did not settle")
    actions: list[Deed] = Field(default_factory=list)
    pauses: list[Pause] = Field(default_factory=list)
    hand_offs: list[HandOff] = Field(default_factory=list)
    transcribed_late: list[LateRange] = Field(default_factory=list)
    levels_late: list[LevelStep] = Field(
        default_factory=list,
        description="the level's course judged again with the words transcribed late; `levels` is what pages showed. "
        "`level_reached` is the higher of both, `level_at_end` is of this one",
    )
    redactions: dict[str, int] = Field(default_factory=dict, description="what was masked -> in how many places")
    wrap_up: WrapUp | None = None
    marks: list[Judgement] = Field(default_factory=list)
    missed: list[Missed] = Field(default_factory=list)
    seal: Seal | None = None

    @computed_field(description="by `consent`, in order")  # type: ignore[prop-decorator]
    @property
    def unkept(self) -> list[Unkept]:
        """What of the call was not kept for want of consent."""
        steps = ((step.at_ms, Gate(ConsentPolicy(step.policy), Consent(step.consent))) for step in self.consent)
        return [Unkept(from_ms=since, to_ms=until) for since, until in unkept_ranges(steps) if since != until]


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
