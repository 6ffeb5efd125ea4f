"""The one prompt slot of the agent's page: which prompt takes it, which ones wait, when one leaves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from assist.coach.attention import AttentionBudget, AttentionSettings
from assist.coach.checks import AGENT_PLACEHOLDER
from assist.events import Action, CallEnded, Event, PromptEnded, PromptShown, PromptsWaiting, number_of
from assist.wording import clock
from detectors.signals import Severity, Signal

DWELL_MS = {Severity.NOTE: 12_000, Severity.HELP: 25_000}
"""A prompt expires after this; an urgent one stays until acted on. Chosen, not measured."""
STALE_MS = 5_000
"""A prompt is not shown later than this after what it answers was said."""
MIN_SHOWN_MS = 1_500
"""No prompt is replaced sooner: nobody could have read it."""
REPLACEABLE_MS = 8_000
"""After this a prompt has been read and said: another one of the same tier may replace it."""
MAX_DEFERRED_MS = 15_000
"""While the agent speaks only urgent prompts are shown, and none expires; for so long at most, because a noisy
microphone looks like endless speech."""
SETTLE_WAIT_MS = 2_500
"""After the agent has stopped, prompts wait so long for the last words to settle: they may have done what is asked for.
Settled words take 0.7 s in the middle and 1.4 s at most in 95 of 100; the embedded recogniser takes about 2.5 s."""
MAX_WAITING = 2
"""Waiting prompts, shown by title under the current one."""
EXPERIENCED_LIMITS = AttentionSettings(per_minute=1, help_per_call=3, gap_ms=20_000)
"""Fewer prompts for agents who want fewer: experts gain little from assistance (Brynjolfsson et al. 2025)."""


@dataclass(frozen=True, slots=True)
class PromptCandidate:
    """A prompt that may be shown; fields without a comment are those of `PromptShown` or of the playbook."""

    topic: str
    """What cool-downs are counted by: the id of the play, or "step-ID", "offer-ID", "then-ID"."""
    step: str
    title: str
    say: tuple[str, ...]
    tier: Severity
    signals: tuple[Signal, ...]
    """What it answers, without signals that were withdrawn."""
    since_ms: int
    """Call time since when it could be shown; see `STALE_MS`."""
    acted_by: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    avoid: str = ""
    playbook_index: int = 0
    """Place of its play in the playbook: among equals the first goes first."""
    requested: bool = False
    """The agent's own action asks for it (an option offered or accepted): it neither needs the budget nor waits."""

    @property
    def is_low_priority(self) -> bool:
        """The coach's own suggestion (the next step), or the answer to a mere note: every other prompt goes first."""
        return not self.requested and (not self.signals or self.tier is Severity.NOTE)


class PromptSlot:
    """One call's prompt slot. Methods return the events they have caused."""

    def __init__(self, agent: str, *, experienced: bool = False) -> None:
        self.shown: PromptShown | None = None
        self.candidate: PromptCandidate | None = None
        self.closed = False
        """Nobody sees it any more: nothing is shown or waits."""
        self.last_ended_ms = 0
        """Call time when the last prompt left."""
        self.acted_on: set[str] = set()
        """Topics of prompts that were acted on or used."""
        self.shown_counts: dict[str, int] = {}
        """Topic -> how often it was shown."""
        self._agent = agent
        self._budget = AttentionBudget(EXPERIENCED_LIMITS if experienced else None)
        self._used_lines: set[str] = set()
        self._before_shown = (self._budget, self._used_lines, self.shown_counts)
        """Their state before the current prompt: one that is withdrawn costs nothing."""
        self._waiting: list[PromptCandidate] = []
        self._muted: set[str] = set()
        self._speaking_since: int | None = None
        self._settles_by: int | None = None
        self._last_number = 0
        self._seen: Action | None = None
        """Somebody has seen the current prompt."""
        self._logged_prompt: PromptShown | None = None
        """The prompt that is on screen by the log of a call that is being resumed."""

    def can_show(self, topic: str, lines: tuple[str, ...] | list[str], now_ms: int) -> bool:
        """Whether the topic has an unused line, has cooled down and was not marked as wrong."""
        fresh = any(line not in self._used_lines for line in lines)
        return fresh and not self.is_muted(topic) and self._budget.has_cooled_down(topic, now_ms)

    def is_muted(self, topic: str) -> bool:
        """Whether a prompt of the topic was marked as wrong in this call."""
        return topic in self._muted

    def agent_started(self, since_ms: int) -> None:
        """The agent has begun to speak."""
        self._speaking_since, self._settles_by = since_ms, None

    def agent_stopped(self, now_ms: int) -> None:
        """The agent has stopped speaking; the last words have not settled yet."""
        self._speaking_since, self._settles_by = None, now_ms + SETTLE_WAIT_MS

    def agent_settled(self, now_ms: int, is_acted_on: Callable[[PromptCandidate], bool]) -> list[Event]:
        """The agent's words have settled: waiting prompts that they have acted on are dropped."""
        self._settles_by = None
        before = len(self._waiting)
        self._waiting = [candidate for candidate in self._waiting if not is_acted_on(candidate)]
        return self._waiting_event(now_ms, changed=len(self._waiting) != before)

    def is_deferring(self, now_ms: int) -> bool:
        """Whether prompts below urgent wait: the agent speaks, or has just stopped and the words have not settled."""
        if self._speaking_since is not None:
            return now_ms - self._speaking_since < MAX_DEFERRED_MS
        return self._settles_by is not None and now_ms < self._settles_by

    def propose(self, candidate: PromptCandidate, now_ms: int, *, may_wait: bool = True) -> list[Event]:
        """Shows the candidate, lets it wait if it `may_wait`, or drops it."""
        is_shown = self.shown is not None and self.shown.play == candidate.topic
        if self.closed or is_shown or now_ms - candidate.since_ms > STALE_MS:
            return []
        say = next((line for line in candidate.say if line not in self._used_lines), None)
        if say is None:
            return []
        if not candidate.requested and not self._may_show(candidate, now_ms):
            return self._enqueue(candidate, now_ms) if may_wait else []
        events = self.end(now_ms, "superseded")
        if any(each.topic == candidate.topic for each in self._waiting):
            self._waiting = [each for each in self._waiting if each.topic != candidate.topic]
        self._take_slot(candidate, say, now_ms)
        self._last_number += 1
        self._seen = None
        self.shown = PromptShown(
            now_ms,
            f"p{self._last_number}",
            candidate.topic,
            candidate.step,
            candidate.title,
            say.replace(AGENT_PLACEHOLDER, self._agent),
            tuple(_reason(signal) for signal in candidate.signals[:2]),
            candidate.tier,
            tuple(signal.key for signal in candidate.signals),
            candidate.avoid,
        )
        return [*events, self.shown, *self._waiting_event(now_ms, changed=bool(self._waiting))]

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: the prompt may expire, waiting ones are shown or become stale."""
        events: list[Event] = []
        if self.shown is not None and not self.is_deferring(now_ms):
            dwell = DWELL_MS.get(self.shown.tier)
            if dwell is not None and now_ms - self.shown.at_ms >= dwell:
                events += self.end(now_ms, "expired")
        fresh = [candidate for candidate in self._waiting if now_ms - candidate.since_ms <= STALE_MS]
        if len(fresh) != len(self._waiting):
            self._waiting = fresh
            events += self._waiting_event(now_ms, changed=True)
        for candidate in list(self._waiting):
            if self._may_show(candidate, now_ms):
                events += self.propose(candidate, now_ms)
        return events

    def withdraw(self, key: str, now_ms: int, replacements: Sequence[Signal] = ()) -> list[Event]:
        """A signal was withdrawn: prompts that answer no other one go.

        Args:
            key: of the signal.
            now_ms: call time.
            replacements: the same finding under other keys.
        """
        events: list[Event] = []
        if self.candidate is not None:
            left = _without_signal(self.candidate, key, replacements)
            if left is None:
                events += self.end(now_ms, "withdrawn")
                self._budget, self._used_lines, self.shown_counts = self._before_shown
            else:
                self.candidate = left
        before = len(self._waiting)
        self._waiting = [
            left for candidate in self._waiting if (left := _without_signal(candidate, key, replacements)) is not None
        ]
        return events + self._waiting_event(now_ms, changed=len(self._waiting) != before)

    def drop_waiting(self, signal: str, now_ms: int) -> list[Event]:
        """Drops waiting prompts that answer nothing but signals of this id."""
        before = len(self._waiting)
        self._waiting = [
            candidate for candidate in self._waiting if {each.id for each in candidate.signals} != {signal}
        ]
        return self._waiting_event(now_ms, changed=len(self._waiting) != before)

    def remove_quotes(self) -> None:
        """Waiting prompts no longer quote the words that they answer."""
        self._waiting = [
            replace(candidate, signals=tuple(map(_without_quote, candidate.signals))) for candidate in self._waiting
        ]

    def mark_seen(self, seen: Action) -> None:
        """A prompt was drawn on a visible page."""
        if self.shown is not None and self.shown.id == seen.target:
            self._seen = seen

    def state_events(self, now_ms: int) -> list[Event]:
        """Events that start a log with the prompt on screen, without the words that it answers."""
        if self.shown is None:
            return []
        seen = [replace(self._seen, at_ms=now_ms)] if self._seen is not None else []
        return [replace(self.shown, at_ms=now_ms, why=(), signals=()), *seen]

    def clear(self, now_ms: int) -> list[Event]:
        """The call is calm again: waiting prompts are dropped, and one below urgent expires."""
        had, self._waiting = bool(self._waiting), []
        events = self._waiting_event(now_ms, changed=had)
        if self.shown is not None and self.shown.tier is not Severity.URGENT:
            events += self.end(now_ms, "expired")
        return events

    def end(self, now_ms: int, how: str, words: str = "") -> list[Event]:
        """The prompt on screen, if any, leaves; `how`: as in `PromptEnded`."""
        if self.shown is None:
            return []
        shown, self.shown, self.candidate = self.shown, None, None
        self.last_ended_ms = now_ms
        if how in ("acted", "used"):
            self.acted_on.add(shown.play)
        elif how == "wrong":
            self._muted.add(shown.play)
        return [PromptEnded(now_ms, shown.id, how, words)]

    def restore(self, event: Event) -> None:
        """An interrupted call is resumed: what was on screen by its log counts, whatever its words give now."""
        match event:
            case PromptShown():
                self._last_number = number_of(event.id)
                if self.candidate is None or self.candidate.topic != event.play:
                    self._drop_unseen()
                    self._take_slot(_candidate_of(event), event.say, event.at_ms)
                self.shown = self._logged_prompt = event
            case PromptEnded() if self._logged_prompt is not None and self._logged_prompt.id == event.id:
                self.shown = self.shown or self._logged_prompt
                if self.shown is self._logged_prompt:
                    self.end(event.at_ms, event.how)
                    if event.how == "withdrawn":
                        self._budget, self._used_lines, self.shown_counts = self._before_shown
                self._logged_prompt = None
            case CallEnded():
                self._drop_unseen()
                if self.shown is None and self._logged_prompt is not None:
                    self.shown, self.candidate = self._logged_prompt, _candidate_of(self._logged_prompt)

    def _drop_unseen(self) -> None:
        """A prompt that is not in the log was on no page and costs nothing."""
        if self.shown is not None and self.shown is not self._logged_prompt:
            self.shown = self.candidate = None
            self._budget, self._used_lines, self.shown_counts = self._before_shown

    def _take_slot(self, candidate: PromptCandidate, say: str, now_ms: int) -> None:
        """Charges the budget for a candidate and makes it the current one."""
        self._before_shown = deepcopy((self._budget, self._used_lines, self.shown_counts))
        self._budget.spend(candidate.topic, candidate.tier, now_ms, low_priority=candidate.is_low_priority)
        self._used_lines.add(say)
        self.shown_counts[candidate.topic] = self.shown_counts.get(candidate.topic, 0) + 1
        self.candidate = candidate

    def _may_show(self, candidate: PromptCandidate, now_ms: int) -> bool:
        if candidate.tier is not Severity.URGENT and self.is_deferring(now_ms):
            return False
        if self.shown is not None and self.candidate is not None:
            shown_for_ms = now_ms - self.shown.at_ms
            low = candidate.is_low_priority
            higher = candidate.tier > self.shown.tier or (self.candidate.is_low_priority and not low)
            is_replaceable = candidate.tier == self.shown.tier and not low and shown_for_ms >= REPLACEABLE_MS
            if not ((higher and shown_for_ms >= MIN_SHOWN_MS) or is_replaceable):
                return False
        return self._budget.allows(candidate.topic, candidate.tier, now_ms, low_priority=candidate.is_low_priority)

    def _enqueue(self, candidate: PromptCandidate, now_ms: int) -> list[Event]:
        """Let it wait; where its topic waits already, the newer cue keeps it from becoming stale."""
        before = self._waiting
        known = next((each for each in before if each.topic == candidate.topic), None)
        if known is not None:
            candidate = _merged(known, candidate)
        others = [each for each in before if each is not known]
        self._waiting = sorted(
            [*others, candidate], key=lambda each: (-each.tier, each.playbook_index, -each.since_ms)
        )[:MAX_WAITING]
        titles, titles_before = ([each.title for each in waiting] for waiting in (self._waiting, before))
        return self._waiting_event(now_ms, changed=titles != titles_before)

    def _waiting_event(self, now_ms: int, *, changed: bool) -> list[Event]:
        """The titles of what waits, which are shown only under a prompt; nothing where they have not `changed`."""
        if not changed:
            return []
        titles = tuple(candidate.title for candidate in self._waiting) if self.shown is not None else ()
        return [PromptsWaiting(now_ms, titles)]


def _without_signal(candidate: PromptCandidate, key: str, replacements: Sequence[Signal]) -> PromptCandidate | None:
    """The candidate without the signal of this key; None where it answers no other."""
    if all(signal.key != key for signal in candidate.signals):
        return candidate
    left = {signal.key: signal for signal in (*candidate.signals, *replacements) if signal.key != key}
    return replace(candidate, signals=tuple(left.values())) if left else None


def _merged(known: PromptCandidate, newer: PromptCandidate) -> PromptCandidate:
    """The newer candidate of a topic, which answers the signals of both; the latest are its reasons."""
    signals = {signal.key: signal for signal in (*newer.signals, *known.signals)}
    return replace(newer, tier=max(known.tier, newer.tier), signals=tuple(signals.values()))


def _candidate_of(shown: PromptShown) -> PromptCandidate:
    """The candidate of a logged prompt, without its signals: their words had not settled, or may not be kept."""
    answers = bool(shown.signals)
    return PromptCandidate(
        shown.play, shown.step, shown.title, (shown.say,), shown.tier, (), shown.at_ms, requested=answers
    )


def _without_quote(signal: Signal) -> Signal:
    evidence = signal.evidence
    return replace(signal, evidence=replace(evidence, quote="", summary=evidence.summary or "said before consent"))


def _reason(signal: Signal) -> str:
    at, evidence = clock(signal.evidence.start_ms), signal.evidence
    return f"Heard at {at}: “{evidence.quote}”" if evidence.quote else f"{at}: {evidence.summary}"
