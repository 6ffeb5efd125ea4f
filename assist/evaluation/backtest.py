"""Stored calls judged again with an old and a new playbook or rule set: which prompts come, go or move. Pure.

Both runs get the same inputs from the log, so what differs comes from the playbook or rules alone: settled words
(handed over word by word, late by the usual delay, as a recogniser would), what people did, and the signals that stood
on sound (the sound itself is not kept: those signals are taken as they were heard).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from assist.coach.coach import Coach
from assist.coach.parts import Playbook
from assist.coach.planb import Caller
from assist.events import (
    Action,
    CallEnded,
    CallStarted,
    Event,
    PromptEnded,
    PromptShown,
    SignalRaised,
    TranscribedLate,
    done_ms,
)
from assist.live.outset import profile_of
from assist.live.session import TICK_MS, Session
from assist.settings import Settings
from audio.events import Hypothesis, Utterance
from detectors.escalation import Escalation
from detectors.factory import DetectorSettings, build_detectors
from detectors.replay import ReplayDetector
from detectors.rulebook import Rulebook

OF_SOUND = frozenset({"raised_voice", "overlap", "silence", "monologue"})
"""Detectors (and the signals of the same name) that judge sound or speech activity, which are not in the log."""
WORDS_LATE_MS = 700
"""How long after it was said a word settles: the median of the recogniser's own measurement (tests/figures.md)."""
MOVED_MS = 1_000
"""A prompt that comes this much sooner or later has moved."""
SAME_MS = 15_000
"""Prompts of one play further apart than this are two prompts."""
OF_PROMPTS = ("seen", "used", "dismissed", "wrong")


@dataclass(frozen=True, slots=True)
class Judges:
    """What a call is judged with."""

    playbook: Playbook
    rulebook: Rulebook
    settings: Settings = field(default_factory=Settings)
    """Whether the sentence model judges too, whose limits count in an agent's calls, and how many prompts they want."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one prompt. `what`: kept, moved, reworded, gained, lost."""

    what: str
    play: str
    title: str
    at_ms: int
    """In the new run; lost: in the old one."""
    before_ms: int | None
    mark: str = ""
    """right or wrong, as reviewers or the agent marked the prompt of the stored call that it stands for."""


@dataclass(frozen=True, slots=True)
class CallChanges:
    """One call, judged twice."""

    call: str
    changes: tuple[Change, ...]
    signals_gained: tuple[str, ...] = ()
    """Ids, once per finding."""
    signals_lost: tuple[str, ...] = ()

    def count(self, what: str, mark: str | None = None) -> int:
        """How many prompts of this kind (and this mark)."""
        return sum(each.what == what and mark in (None, each.mark) for each in self.changes)


def judge(events: Sequence[Event], judges: Judges) -> list[Event]:
    """What these judges would have said in a stored call.

    Raises:
        ValueError: the events hold no CallStarted.
    """
    started = next((event for event in events if isinstance(event, CallStarted)), None)
    if started is None:
        raise ValueError("the events hold no CallStarted")
    heard = [e.signal for e in events if isinstance(e, SignalRaised) and e.signal.id in OF_SOUND]
    detectors = build_detectors(judges.rulebook, DetectorSettings(off=OF_SOUND, meaning=judges.settings.meaning))
    coach = Coach(
        judges.playbook,
        profile_of(judges.settings, started.agent),
        caller=Caller(started.value),
        began=datetime.fromisoformat(started.started_at),
    )
    session = Session(started, [*detectors, ReplayDetector(heard)], Escalation(), coach)
    return _run(session, events)


@dataclass
class _Prompts:
    """Which prompt of this run stands for which of the stored call: people acted on those by their id."""

    stored: dict[str, str]
    """Stored prompt id -> its play."""
    open: dict[str, str] = field(default_factory=dict)
    """Play -> id of this run's prompt that is on screen."""

    def take(self, events: Iterable[Event]) -> None:
        """What this run has said."""
        for event in events:
            if isinstance(event, PromptShown):
                self.open[event.play] = event.id
            elif isinstance(event, PromptEnded):
                self.open = {play: name for play, name in self.open.items() if name != event.id}

    def meant(self, action: Action) -> Action | None:
        """The action as this run understands it; None where its prompt is not on screen here."""
        if action.what not in OF_PROMPTS:
            return action
        here = self.open.get(self.stored.get(action.target, ""))
        return replace(action, target=here) if here is not None else None


def _run(session: Session, events: Sequence[Event]) -> list[Event]:
    end_ms = max((done_ms(event) for event in events), default=0)
    coming = sorted((e for e in events if isinstance(e, Utterance) and e.words), key=lambda each: each.start_ms)
    actions = [event for event in events if isinstance(event, Action)]
    prompts = _Prompts({event.id: event.play for event in events if isinstance(event, PromptShown)})
    said: list[Event] = []

    def say(found: list[Event]) -> None:
        said.extend(found)
        prompts.take(found)

    for now_ms in range(TICK_MS, end_ms + WORDS_LATE_MS + 2 * TICK_MS, TICK_MS):
        while actions and actions[0].at_ms <= now_ms:
            action = prompts.meant(actions.pop(0))
            if action is not None:
                say(session.act(action))
        for utterance in [each for each in coming if each.start_ms < now_ms]:
            known = tuple(word for word in utterance.words if word.end_ms <= now_ms - WORDS_LATE_MS)
            if len(known) == len(utterance.words):
                coming.remove(utterance)
                say(session.hear(utterance))
            elif known:
                say(session.hear(Hypothesis(utterance.id, utterance.speaker, utterance.start_ms, known, ())))
        say(session.tick(now_ms))
    reason = next((event.reason for event in events if isinstance(event, CallEnded)), "interrupted")
    say(session.end(end_ms, reason, {}))
    return said


def _of_the_call(events: Sequence[Event]) -> list[Event]:
    """Without what came after its end, but for words that were transcribed late."""
    after = next((n for n, event in enumerate(events) if isinstance(event, TranscribedLate)), len(events))
    return [*events[:after], *(event for event in events[after:] if isinstance(event, Utterance))]


def compare(
    call: str,
    events: Sequence[Event],
    old: Judges,
    new: Judges,
    marks: dict[str, str] | None = None,
) -> CallChanges:
    """One call judged twice.

    Args:
        call: Its id.
        events: Its stored log.
        old: What was used.
        new: What is to be tried.
        marks: Id of a stored prompt -> right or wrong.
    """
    events = _of_the_call(events)
    before, after = judge(events, old), judge(events, new)
    stored = [event for event in events if isinstance(event, PromptShown)]
    was = [event for event in before if isinstance(event, PromptShown)]
    now = [event for event in after if isinstance(event, PromptShown)]
    pairs = _pairs(was, now)
    marked = {i: _mark(stored, each, marks or {}) for i, each in enumerate(was)}
    changes = []
    for i, each in enumerate(was):
        if i not in pairs:
            changes.append(Change("lost", each.play, each.title, each.at_ms, each.at_ms, marked[i]))
    partner = {j: i for i, j in pairs.items()}
    for j, each in enumerate(now):
        if j not in partner:
            changes.append(Change("gained", each.play, each.title, each.at_ms, None, _mark(stored, each, marks or {})))
            continue
        other = was[partner[j]]
        moved = abs(each.at_ms - other.at_ms) >= MOVED_MS
        what = "moved" if moved else "kept" if (each.title, each.say) == (other.title, other.say) else "reworded"
        changes.append(Change(what, each.play, each.title, each.at_ms, other.at_ms, marked[partner[j]]))
    keys = [{e.signal.key: e.signal.id for e in run if isinstance(e, SignalRaised)} for run in (before, after)]
    return CallChanges(
        call,
        tuple(sorted(changes, key=lambda change: change.at_ms)),
        tuple(sorted(keys[1][key] for key in keys[1].keys() - keys[0].keys())),
        tuple(sorted(keys[0][key] for key in keys[0].keys() - keys[1].keys())),
    )


def _pairs(was: Sequence[PromptShown], now: Sequence[PromptShown]) -> dict[int, int]:
    """Which prompt of the old run is which of the new one: the same play, the nearest in time first, each once."""
    near = sorted(
        (abs(a.at_ms - b.at_ms), i, j)
        for i, a in enumerate(was)
        for j, b in enumerate(now)
        if a.play == b.play and abs(a.at_ms - b.at_ms) <= SAME_MS
    )
    pairs: dict[int, int] = {}
    for _, i, j in near:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _mark(stored: Sequence[PromptShown], prompt: PromptShown, marks: dict[str, str]) -> str:
    """The mark of the stored call's prompt that this one stands for."""
    same = [each for each in stored if each.play == prompt.play and abs(each.at_ms - prompt.at_ms) <= SAME_MS]
    nearest = min(same, key=lambda each: abs(each.at_ms - prompt.at_ms), default=None)
    return marks.get(nearest.id, "") if nearest is not None else ""
