"""Server to page: what each key of a room holds (overlay/contract.py has the whole contract)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from overlay.records import Level

Tier = Literal["note", "help", "urgent"]
HealthState = Literal["starting", "ok", "behind", "lost", "paused", "no-consent", "untranscribed"]
"""paused: by a person or by itself, until it is resumed. no-consent: nothing is heard, and it is not paused: consent
would open the ears. untranscribed: there is sound and no recogniser to turn it into words."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Call(_Message):
    """`call`: who is on the line, and what hears them."""

    call: str = Field("", description="empty while waiting for a call")
    agent: str
    team: str = ""
    queue: str = ""
    caller: str = Field("", description='how the caller is shown, such as "…0142"; never a full number')
    state: Literal["waiting", "live", "ended"]
    at_ms: int = 0
    recogniser: str = Field("", description='what hears, such as "faster-whisper base.en (CPU, int8)"')
    embedded: bool = Field(False, description="the recogniser that needs no download and hears less well")
    advice: str = Field("", description="one plain line: how to get the better recogniser; empty when in use")


class Health(_Message):
    """`health`: how well the call is heard. Sent at every change, and at least every two seconds of a live call."""

    state: HealthState
    lag_ms: int = Field(0, description="how late settled words are")
    at_ms: int = 0
    text: str = Field("", description='one plain line where there is trouble, such as "No sound from the caller"')
    speakers: list[Literal["agent", "customer", "unknown"]] = Field(
        default=["agent", "customer"], description="who is heard"
    )


class ConsentNow(_Message):
    """`consent`: what is known about consent to the call, and what follows from it here."""

    consent: Literal["unknown", "granted", "refused"]
    by: str = Field("", description="who said so: settings, replay, demo, api, or a person's name")
    heard: bool = Field(description="the call is listened to")
    kept: bool = Field(description="the call is kept")


class LevelNow(_Message):
    """`level`: how the call stands."""

    level: Level
    score: float = Field(ge=0, le=100)
    at_ms: int
    course: list[tuple[int, float]] = Field(
        default=[], description="(ms, score 0..100) of about the last five minutes, oldest first; at most 120 points"
    )


class Prompt(_Message):
    """`prompt`: the one prompt on the agent's screen; the key is dropped when it leaves."""

    id: str
    label: str = Field(description='what was heard, such as "Influence claim"')
    title: str
    say: str = Field(description="the line to say, without quotation marks")
    why: list[str] = Field(default=[], description="short plain lines: quoted words with their time, measured rise")
    tier: Tier
    avoid: str = Field("", description="what not to say now")
    shown_at_ms: int
    dwell_ms: int = Field(0, description="how long it is meant to stay; 0: until acted on")


class Next(_Message):
    """`next`: at most two prompts waiting as one-line chips."""

    titles: list[str] = Field(max_length=2)


class PlanOption(_Message):
    """One Plan B option, in the order of its key 1-3."""

    id: str
    title: str
    worth: str = Field("", description="what it is worth to the customer, or how often it was accepted here")
    authority: Literal["yours", "ask"]
    who: str = Field("", description="who is asked, where authority is ask")
    state: Literal["", "offered", "asked", "allowed", "denied", "accepted", "refused"] = ""


class Plan(_Message):
    """`plan`: the Plan B options on screen."""

    options: list[PlanOption] = Field(max_length=3)


class Step(_Message):
    """One step of the chosen method."""

    id: str
    title: str
    done: bool = False
    current: bool = False


class Steps(_Message):
    """`steps`: the method and how far it has come."""

    method: str
    steps: list[Step] = Field(max_length=8)
    words: str = Field("", description="the agent's words that ticked the last step")
    ticked: str = Field("", description="title of the step those words ticked")


class Clock(_Message):
    """`clock`: the recovery clock; shown as a ring only while running."""

    running: bool
    limit_ms: int
    started_at_ms: int
    at_ms: int
    result: Literal["", "met", "missed", "stopped"] = ""
    by: Literal["", "remedy"] = Field("", description="remedy: an accepted one stopped it, whatever the level")


class Line(_Message):
    """`line/<utterance id>`: one utterance of the transcript, both rooms."""

    speaker: Literal["agent", "customer", "unknown"]
    start_ms: int
    settled: str = Field("", description="words that will not change any more")
    tentative: str = Field("", description="words that still may")
    marks: list[tuple[int, int]] = Field(
        default=[], description="[start, end) offsets in `settled`, in Unicode code points, of phrases that fired"
    )
    final: bool = Field(False, description="the whole utterance has settled")


class Notice(_Message):
    """`notice/<kind>`: something a person has done that the agent should know; one of each kind at a time, but for what
    is said to the agent, `notice/message/<n>`, and what is answered, `notice/answer/<option>`: each is read for itself.
    """

    kind: Literal["help", "message", "reading", "handled", "answer", "trouble"] = Field(
        description='help: how far the own request has come, such as "Asking Maria"; handled: who is on it'
    )
    text: str
    who: str = ""
    at_ms: int = 0


class Ended(_Message):
    """`ended`: the call is over and its record is there."""

    record: str = Field(description="id of the record, for /review/<record>; empty: nothing was kept")
    summary: str = Field("", description='one plain line, such as "Recovered in 58 s"')
    at_ms: int = 0


class WrapUpFollowUp(_Message):
    """Something promised in the call, as the wrap-up shows it."""

    id: str
    what: str
    owner: str = ""
    due: str = Field("", description='as it was said, such as "by Friday"')
    day: str = Field("", description="the day that means, an ISO date; empty where it names none")
    done: bool = False


class WrapUp(_Message):
    """`wrapup`: after the call, what is in its record so far and what the agent may add."""

    call: str
    outcome: str = ""
    outcomes: list[str] = Field(default=[], description="what may be chosen; other words are accepted as well")
    root_cause: str = ""
    root_causes: list[str] = Field(default=[], description="what may be chosen; other words are accepted as well")
    note: str = ""
    contested: str = Field("", description="why the agent contests what the machine heard; empty: not contested")
    follow_ups: list[WrapUpFollowUp] = []
    reset_s: int = Field(
        0, description="after a heavy call: seconds of quiet to offer; 0: none. Whether it is taken is never sent"
    )
    kept: bool = Field(False, description="the agent has kept a wrap-up of this call")


class PracticeStep(_Message):
    """A step of the method after a practice call."""

    title: str
    done: bool
    words: str = Field("", description="the trainee's words that showed it")
    could_say: str = Field("", description="left: a line that would have done it")


class Practice(_Message):
    """`practice`: this is no real call. What the trainee may know, whether it is their turn, and the end's feedback."""

    call: str
    title: str
    about: str = ""
    aim: str = ""
    turn: bool = Field(False, description="the customer waits for an answer")
    aloud: bool = Field(False, description="answered into the microphone, not on the page")
    over: bool = False
    steps: list[PracticeStep] = []
    missteps: list[str] = []
    clock: str = Field("", description="how the 60-second clock went, in words")


class Row(_Message):
    """`row/<call>` of the board: one live call."""

    call: str
    agent: str
    team: str = ""
    level: Level
    score: float = 0
    course: list[float] = Field(default=[], description="scores 0..100 evenly over the last five minutes, at most 60")
    why: str = Field("", description='what carried the level, such as "Influence claim, raised voice"')
    quote: str = Field("", description="the words, without quotation marks")
    in_use: str = Field("", description="the step or prompt in use")
    plan: str = Field("", description='Plan B so far, such as "Fee waived, offered"')
    health: HealthState = "ok"
    lag_ms: int = 0
    at_ms: int = Field(0, description="call time now: how long the call has lasted")
    since_ms: int = Field(0, description="call time at which this level began: keeps the order within a level stable")
    handled_by: str = Field("", description="supervisor who has claimed it")
    read_by: list[str] = Field(default=[], description="who is reading along, in the order in which they came")


class AlertStep(_Message):
    """One step in the life of an alert."""

    at_ms: int = Field(description="call time")
    what: Literal[
        "raised", "raised-again", "turn", "everyone", "queued", "seen", "claimed", "released", "message", "reading",
        "allowed", "denied", "resolved", "calmed", "expired",
    ]  # fmt: skip
    who: str = ""


class Alert(_Message):
    """`alert/<call>-<alert>` of the board: somebody is needed. The key is dropped when the call ends; about one that is
    over (kinds late and over) when somebody has ended the alert.

    Raised, it is one supervisor's turn at a time: that board rings it, the others show it quietly; at `passes_at_ms`
    unclaimed it is the next one's, and after all have been asked everyone's. Anyone may claim it at any time.
    """

    id: str
    call: str
    agent: str
    team: str = ""
    kind: Literal["escalated", "help", "ask", "late", "over"] = Field(
        description="late: something urgent in words that were transcribed after the call; its record has them. "
        "over: an urgent alert whose call has ended since"
    )
    tier: Tier = "help"
    level: Level = "escalated"
    title: str = Field("", description='ask: what is asked, such as "Dana offers one month free (£34)"')
    reason: str = Field(description="a quote with its quotation marks, or measured values")
    quote: str = Field("", description="the part of `reason` that was said, to underlay; empty when none")
    state: Literal["raised", "claimed", "resolved"]
    by: str = Field("", description="who has claimed or resolved it")
    seen_by: list[str] = Field(default=[], description="on whose boards it was seen, in the order in which they did")
    waits: Literal["", "queued", "everyone"] = Field(
        "", description="queued: until somebody has room for it; everyone: all were asked and nobody has claimed it"
    )
    raised_ms: int
    again: int = Field(0, description="how many more times the same thing was raised")
    at_ms: int
    to: str = Field("", description="whose turn it is while nobody has claimed it; empty: nobody's in particular")
    passes_at_ms: int = Field(0, description="call time at which it goes on to the next supervisor; 0: it does not")
    passed: list[str] = Field(default=[], description="whose turn it was before, oldest first")
    claimed_ms: int | None = Field(None, description="call time at which `by` took it")
    action: str = Field("", description='the last thing done about it, such as "reading along", "wrote to Dana"')
    how: str = Field("", description='resolved only: how it ended, such as "took over", "answered", "calmed down"')
    note: str = Field("", description="resolved only: the supervisor's words")
    course: list[AlertStep] = Field(default=[], description="its newest steps, oldest first; at most 20")


class OnDuty(_Message):
    """One supervisor with the board open."""

    who: str
    open: int = Field(0, description="alerts claimed by or ringing for this person")
    away: bool = Field(False, description="the board has been closed or lost since a moment; claims are kept meanwhile")


class Duty(_Message):
    """`duty` of the board: who can be asked, and what waits."""

    people: list[OnDuty] = []
    budget: int = Field(description="open alerts one person is asked for at once; urgent ones come all the same")
    turn_ms: int = Field(description="how long one person is asked before the next one is, in real time")
    queued: int = Field(0, description="alerts waiting until somebody has room")


class Quality(_Message):
    """`quality`: this site's own measured quality, since the program was started; delays of its last 1,000 prompts."""

    median_ms: int | None = Field(
        None, description="end of what was heard to its prompt, the agent's own words waited for; None before any"
    )
    p95_ms: int | None = None
    wrong: int = 0
    shown: int = 0
    calls: dict[Level, int] = Field(default={}, description="live calls at each level")


class Told(_Message):
    """`told` of a call room: what the customer has already said, for whoever takes over, so that nobody asks again."""

    said: list[tuple[int, str]] = Field(description="call time in ms and the customer's own words, in order")
    done: list[str] = Field(
        default=[], description='what was given and promised so far, such as "given: Waive the fee"'
    )
    heard: list[str] = Field(default=[], description='what was heard, such as "Cancel threat"')
    at_ms: int


class Heard(_Message):
    """`heard/<n>` of a call room: one signal with its evidence."""

    at_ms: int
    label: str
    evidence: str
    rule: str = Field("", description='rule and version, such as "influence.my-guy v3"')


Message = (
    Call
    | Health
    | ConsentNow
    | LevelNow
    | Prompt
    | Next
    | Plan
    | Steps
    | Clock
    | Line
    | Notice
    | Ended
    | WrapUp
    | Practice
    | Row
    | Alert
    | Duty
    | Quality
    | Heard
    | Told
)
