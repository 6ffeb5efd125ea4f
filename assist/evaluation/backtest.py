"""Back-test: stored calls replayed with an old and a new playbook or rule set, to compare their prompts. Pure.

Both runs get the same inputs from the log, so that differences come from the playbook or rules alone: settled words
(word by word, with the usual delay of a recogniser), actions of people, and acoustic signals as logged (the sound is
not stored).
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
from assist.live.call_setup import agent_profile
from assist.live.session import TICK_MS, Session
from assist.settings import Settings
from audio.events import Hypothesis, Utterance
from detectors.escalation import Escalation
from detectors.factory import DetectorSettings, build_detectors
from detectors.replay import ReplayDetector
from detectors.rulebook import Rulebook

ACOUSTIC_SIGNALS = frozenset({"raised_voice", "overlap", "silence", "monologue"})
"""Detectors (and the signals of the same name) that judge sound or speech activity, which are not in the log."""
SETTLE_DELAY_MS = 700
"""Delay until a word settles: the recogniser's measured median (tests/figures.md)."""
MOVED_MS = 1_000
"""A prompt shown this much sooner or later has moved."""
MAX_MATCH_MS = 15_000
"""Prompts of one play further apart than this are different prompts."""
PROMPT_ACTIONS = ("seen", "used", "dismissed", "wrong")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a call is replayed with."""

    playbook: Playbook
    rulebook: Rulebook
    settings: Settings = field(default_factory=Settings)
    """For the sentence model on or off, and an agent's authority and experience."""


@dataclass(frozen=True, slots=True)
class Change:
    """The difference in one prompt. `what`: kept, moved, reworded, gained, lost."""

    what: str
    play: str
    title: str
    at_ms: int
    """In the new run; lost: in the old one."""
    before_ms: int | None
    mark: str = ""
    """right or wrong, as people marked the corresponding prompt of the stored call; empty: not marked."""


@dataclass(frozen=True, slots=True)
class CallChanges:
    """The differences in one call."""

    call: str
    changes: tuple[Change, ...]
    signals_gained: tuple[str, ...] = ()
    """Ids, once per signal raised."""
    signals_lost: tuple[str, ...] = ()
    unplaced_marks: int = 0
    """Marked prompts of the stored call that came in neither run."""

    def count(self, what: str, mark: str | None = None) -> int:
        """How many prompts of this kind (and this mark)."""
        return sum(each.what == what and mark in (None, each.mark) for each in self.changes)


def replay_call(events: Sequence[Event], configuration: Configuration) -> list[Event]:
    """The events of a stored call replayed with this configuration.

    Raises:
        ValueError: the events hold no CallStarted.
    """
    started = next((event for event in events if isinstance(event, CallStarted)), None)
    if started is None:
        raise ValueError("the events hold no CallStarted")
    heard = [e.signal for e in events if isinstance(e, SignalRaised) and e.signal.id in ACOUSTIC_SIGNALS]
    detectors = build_detectors(
        configuration.rulebook, DetectorSettings(off=ACOUSTIC_SIGNALS, meaning=configuration.settings.meaning)
    )
    coach = Coach(
        configuration.playbook,
        agent_profile(configuration.settings, started.agent),
        caller=Caller(started.value),
        began=datetime.fromisoformat(started.started_at),
    )
    session = Session(started, [*detectors, ReplayDetector(heard)], Escalation(), coach)
    return _run(session, events)


@dataclass
class _PromptMapping:
    """Maps prompts of the stored call to those of this run: actions refer to the former by id."""

    stored: dict[str, str]
    """Stored prompt id -> its play."""
    open: dict[str, str] = field(default_factory=dict)
    """Play -> id of this run's prompt that is on screen."""

    def add(self, events: Iterable[Event]) -> None:
        """Note the prompts shown and ended in this run."""
        for event in events:
            if isinstance(event, PromptShown):
                self.open[event.play] = event.id
            elif isinstance(event, PromptEnded):
                self.open = {play: name for play, name in self.open.items() if name != event.id}

    def translate(self, action: Action) -> Action | None:
        """The action with the prompt id of this run; None where that prompt is not on screen in it."""
        if action.what not in PROMPT_ACTIONS:
            return action
        prompt_id = self.open.get(self.stored.get(action.target, ""))
        return replace(action, target=prompt_id) if prompt_id is not None else None


def _run(session: Session, events: Sequence[Event]) -> list[Event]:
    end_ms = max((done_ms(event) for event in events), default=0)
    pending = sorted((e for e in events if isinstance(e, Utterance) and e.words), key=lambda each: each.start_ms)
    actions = [event for event in events if isinstance(event, Action)]
    prompts = _PromptMapping({event.id: event.play for event in events if isinstance(event, PromptShown)})
    emitted: list[Event] = []

    def emit(found: list[Event]) -> None:
        emitted.extend(found)
        prompts.add(found)

    for now_ms in range(TICK_MS, end_ms + SETTLE_DELAY_MS + 2 * TICK_MS, TICK_MS):
        while actions and actions[0].at_ms <= now_ms:
            action = prompts.translate(actions.pop(0))
            if action is not None:
                emit(session.act(action))
        for utterance in [each for each in pending if each.start_ms < now_ms]:
            known = tuple(word for word in utterance.words if word.end_ms <= now_ms - SETTLE_DELAY_MS)
            if len(known) == len(utterance.words):
                pending.remove(utterance)
                emit(session.hear(utterance))
            elif known:
                emit(session.hear(Hypothesis(utterance.id, utterance.speaker, utterance.start_ms, known, ())))
        emit(session.tick(now_ms))
    reason = next((event.reason for event in events if isinstance(event, CallEnded)), "interrupted")
    emit(session.end(end_ms, reason, {}))
    return emitted


def _without_later_events(events: Sequence[Event]) -> list[Event]:
    """The events up to the call's end, and utterances transcribed late."""
    after = next((n for n, event in enumerate(events) if isinstance(event, TranscribedLate)), len(events))
    return [*events[:after], *(event for event in events[after:] if isinstance(event, Utterance))]


def compare(
    call: str,
    events: Sequence[Event],
    old: Configuration,
    new: Configuration,
    marks: dict[str, str] | None = None,
) -> CallChanges:
    """Replay one call with both configurations.

    Args:
        call: Its id.
        events: Its stored log.
        old: The configuration that was used.
        new: The one to try.
        marks: Id of a stored prompt -> right or wrong.
    """
    events = _without_later_events(events)
    before, after = replay_call(events, old), replay_call(events, new)
    stored = [event for event in events if isinstance(event, PromptShown)]
    old_prompts = [event for event in before if isinstance(event, PromptShown)]
    new_prompts = [event for event in after if isinstance(event, PromptShown)]
    pairs = _matches(old_prompts, new_prompts)
    marks = marks or {}
    came = {_nearest(stored, each) for each in (*old_prompts, *new_prompts)}
    marked = {i: marks.get(_nearest(stored, each), "") for i, each in enumerate(old_prompts)}
    changes = []
    for i, each in enumerate(old_prompts):
        if i not in pairs:
            changes.append(Change("lost", each.play, each.title, each.at_ms, each.at_ms, marked[i]))
    partner = {j: i for i, j in pairs.items()}
    for j, each in enumerate(new_prompts):
        if j not in partner:
            mark = marks.get(_nearest(stored, each), "")
            changes.append(Change("gained", each.play, each.title, each.at_ms, None, mark))
            continue
        other = old_prompts[partner[j]]
        moved = abs(each.at_ms - other.at_ms) >= MOVED_MS
        what = "moved" if moved else "kept" if (each.title, each.say) == (other.title, other.say) else "reworded"
        changes.append(Change(what, each.play, each.title, each.at_ms, other.at_ms, marked[partner[j]]))
    keys = [{e.signal.key: e.signal.id for e in run if isinstance(e, SignalRaised)} for run in (before, after)]
    return CallChanges(
        call,
        tuple(sorted(changes, key=lambda change: change.at_ms)),
        tuple(sorted(keys[1][key] for key in keys[1].keys() - keys[0].keys())),
        tuple(sorted(keys[0][key] for key in keys[0].keys() - keys[1].keys())),
        len(marks.keys() - came),
    )


def _matches(old_prompts: Sequence[PromptShown], new_prompts: Sequence[PromptShown]) -> dict[int, int]:
    """Index in the old run -> index in the new run of prompts of the same play, nearest in time first, each once."""
    near = sorted(
        (abs(a.at_ms - b.at_ms), i, j)
        for i, a in enumerate(old_prompts)
        for j, b in enumerate(new_prompts)
        if a.play == b.play and abs(a.at_ms - b.at_ms) <= MAX_MATCH_MS
    )
    pairs: dict[int, int] = {}
    for _, i, j in near:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _nearest(stored: Sequence[PromptShown], prompt: PromptShown) -> str:
    """The id of the stored prompt that corresponds to this one; empty: none."""
    same = [each for each in stored if each.play == prompt.play and abs(each.at_ms - prompt.at_ms) <= MAX_MATCH_MS]
    nearest = min(same, key=lambda each: abs(each.at_ms - prompt.at_ms), default=None)
    return nearest.id if nearest is not None else ""
