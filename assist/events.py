"""Everything that happens in a call, as the log keeps it, the screens show it and the incident record folds it.

An event's place in its call is its number `n` (made by the session, counting from 0): (call, n) is its id for ever.
Inputs (what was heard, what people did) and outputs (signals, level, prompts) are both kept, so that a stored call can
be judged again with other rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audio.events import Gap, Hypothesis, SpeechActivity, Trouble, Utterance
from detectors.signals import LevelChange, Severity, Signal


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call began. The only wall-clock time in a call's log is `started_at`."""

    at_ms: int
    call: str
    agent: str
    team: str
    queue: str
    caller: str
    """How the caller is shown, such as "…0142"; never a full number."""
    started_at: str
    """ISO 8601 with offset."""
    source: str
    speakers: tuple[str, ...]
    versions: Mapping[str, str]
    """playbook, rules, recogniser, model, assist."""
    value: str = ""
    """The customer's value as the phone system or CRM names it, such as "gold"; empty when unknown."""


@dataclass(frozen=True, slots=True)
class SignalRaised:
    """A detector found something (first time for this key, or settled after being provisional)."""

    at_ms: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class SignalWithdrawn:
    """The words a provisional signal stood on did not settle."""

    at_ms: int
    key: str


@dataclass(frozen=True, slots=True)
class PlanOption:
    """One Plan B option as offered in this call."""

    id: str
    title: str
    worth: str
    """What it is worth to the customer, or how often it was accepted here."""
    authority: str
    """"yours" or "ask"."""
    cost: float = 0.0
    bring_in: str = ""
    """Who is brought in where it is not the supervisor, such as security."""


@dataclass(frozen=True, slots=True)
class PromptShown:
    """A prompt took the one place on the agent's screen.

    The same id once more, without signals: it was there when consent came, for the log that begins with it.
    """

    at_ms: int
    id: str
    """Unique in the call, such as "p3"."""
    play: str
    """Id of the play in the playbook."""
    step: str
    """The method step it serves; empty when none."""
    title: str
    say: str
    why: tuple[str, ...]
    """Short plain lines: quoted words with their place, measured rise."""
    tier: Severity
    signals: tuple[str, ...]
    """Keys of the signals it answers."""
    avoid: str = ""
    """What not to say now; empty when nothing."""


@dataclass(frozen=True, slots=True)
class PromptEnded:
    """A prompt left its place.

    `how`: used, acted (heard in the agent's words), dismissed, wrong, expired, superseded, withdrawn, ended.
    """

    at_ms: int
    id: str
    how: str
    words: str = ""
    """acted only: the agent's words that showed it."""


@dataclass(frozen=True, slots=True)
class PromptsWaiting:
    """The at most two prompts waiting as one-line chips."""

    at_ms: int
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanOffered:
    """The Plan B options on the agent's screen, best first; empty takes them away.

    Those on screen when consent comes are told again, for the log that begins then.
    """

    at_ms: int
    options: tuple[PlanOption, ...]


@dataclass(frozen=True, slots=True)
class PlanMoved:
    """A Plan B option went on without a hand at its row.

    what: offered, accepted (heard in the words); allowed, denied, expired (a request for it).
    """

    at_ms: int
    option: str
    title: str
    what: str
    by: str
    """"words", the supervisor who answered, "time", or "consent": it stood offered when consent came."""
    words: str = ""
    alert: str = ""
    """Of a request: the id of its alert."""
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class HandOffNoted:
    """Somebody else takes over or joins: what the customer has already said, so that they need not repeat it."""

    at_ms: int
    to: str
    """"supervisor", a supervisor's name, or "another team"."""
    said: tuple[tuple[int, str], ...]
    """Call time in ms and the customer's own words, in order; abuse is left out."""
    done: tuple[str, ...] = ()
    """What was offered and promised so far, one plain line each."""
    words: str = ""
    """The agent's words that began it; empty where a person did it at a screen."""
    signals: tuple[str, ...] = ()
    """Ids of what was heard from the customer that asks for help or more."""


@dataclass(frozen=True, slots=True)
class StepTicked:
    """A step of the chosen method was done (or, by hand, undone)."""

    at_ms: int
    step: str
    done: bool
    by: str
    """"words" or "hand"."""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The recovery clock (Tschohl's 60 seconds): started, met, missed or stopped.

    One that was running when consent came is started again then, with `took_ms` of it gone.
    """

    at_ms: int
    what: str
    limit_ms: int
    took_ms: int = 0
    by: str = ""
    """"remedy" where an accepted remedy stopped it; empty where the level came down, or nothing did."""


@dataclass(frozen=True, slots=True)
class FollowUpNoted:
    """A promise made in the call, or one typed in."""

    at_ms: int
    id: str
    what: str
    due: str
    """As said or typed: "by Friday", or an ISO date."""
    owner: str
    words: str = ""
    due_at: str = ""
    """What that means, counted from the call: an ISO date, or date and time; empty where it names no day."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person did at a screen.

    what: seen, used, dismissed, wrong (target: prompt id); plan-offered, plan-accepted, plan-refused (target: option
    id); plan-asked (target: option id, detail: its title); plan-answered (target: alert id, detail: allowed|denied,
    then words to the agent); step (target: step id, detail: done|undone); help; alert-seen, claim, release (target:
    alert id); resolve (target: alert id, detail: its code, then a note); watch, unwatch; message, note, contest
    (detail: text); outcome, root-cause (detail); follow-up (target: id, detail: done|open);
    pause; resume; hang-up; consent (detail: granted|refused|unknown).
    """

    at_ms: int
    who: str
    role: str
    what: str
    target: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Supervisors were alerted.

    The same id once more, while it is open: it has become more urgent, or what it stood on is found under other keys;
    without signals, a log begins with it: it was raised before consent, and whoever knows it learns nothing new.
    """

    at_ms: int
    id: str
    tier: Severity
    reason: str
    """A quote or measured values."""
    signals: tuple[str, ...]
    kind: str = "escalated"
    """escalated, help (the agent asked), ask (permission for an option above the agent's limit), late (about words that
    were transcribed after the call)."""
    target: str = ""
    """ask: the id of the option."""


@dataclass(frozen=True, slots=True)
class AlertMoved:
    """An alert went on without anybody's doing.

    what: turn (who: the supervisor asked now), everyone (all were asked, nobody claimed it), queued (nobody has room or
    is there), released (who: the supervisor whose claim ended, gone too long), calmed (the call calmed down unclaimed),
    expired (a request that nobody answered in time).
    """

    at_ms: int
    id: str
    what: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class ConsentSet:
    """What is known about consent from now on, and what the site's policy makes of it (assist/privacy/consent.py)."""

    at_ms: int
    consent: str
    """unknown, granted, refused."""
    by: str
    """Who said so: settings, replay, demo, api, or a person's name."""
    policy: str
    """one-party, all-party, strict."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over. reason: hang-up, end-of-recording, interrupted, failed."""

    at_ms: int
    reason: str
    accounted_ms: Mapping[str, int] = field(default_factory=dict)
    """Where the time of each channel went: "customer.speech", "customer.silence", "customer.lost", ..."""


@dataclass(frozen=True, slots=True)
class CallResumed:
    """A call that was interrupted goes on, with these versions (as in CallStarted)."""

    at_ms: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TranscribedLate:
    """What had been untranscribed when the call ended was transcribed after it: what follows in the log is of that.

    Its utterances and what was found in them come with the times at which they were said, and the level's whole course
    as it would have been with these words. Nobody was prompted or alerted in the call because of them.
    """

    at_ms: int
    """The end of the call."""
    ranges: tuple[tuple[str, int, int], ...]
    """(speaker, from, to) in ms."""
    after_s: int
    """How long after the call's end that was."""
    accounted_ms: Mapping[str, int]
    """Where the time of each channel went, as CallEnded said it before."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The recogniser and the model that heard it, and the rules that judged."""


Event = (
    CallStarted
    | Utterance
    | Hypothesis
    | SpeechActivity
    | Gap
    | Trouble
    | SignalRaised
    | SignalWithdrawn
    | LevelChange
    | PromptShown
    | PromptEnded
    | PromptsWaiting
    | PlanOffered
    | PlanMoved
    | HandOffNoted
    | StepTicked
    | Recovery
    | FollowUpNoted
    | Action
    | AlertRaised
    | AlertMoved
    | ConsentSet
    | CallEnded
    | CallResumed
    | TranscribedLate
)

SCREEN_ONLY = (Hypothesis, SpeechActivity, PromptsWaiting)
"""Of the moment: shown, not kept. Everything else is appended to the log."""
OUTLIVES_CALL = (Action, AlertMoved)
"""May also come after `CallEnded`: what became of an urgent alert."""


def done_ms(event: Event) -> int:
    """The call time at which it has happened: the end of what lasts, the moment of everything else."""
    match event:
        case Utterance() | Gap():
            return event.end_ms
        case Hypothesis():
            return event.start_ms
    return event.at_ms


def number_of(identifier: str) -> int:
    """Which of a call's prompts, alerts or follow-ups an id names ("p3"); 0 for one that is not counted ("late")."""
    digits = identifier[1:]
    return int(digits) if digits.isdecimal() else 0
