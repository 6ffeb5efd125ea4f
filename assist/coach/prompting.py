"""The one prompt place on the agent's screen: what may take it, what waits, when it is given up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from assist.coach.attention import AttentionBudget, AttentionSettings
from assist.coach.checks import AGENT
from assist.events import CallEnded, Event, PromptEnded, PromptShown, PromptsWaiting, number_of
from assist.wording import clock
from detectors.signals import Severity, Signal

DWELL_MS = {Severity.NOTE: 12_000, Severity.HELP: 25_000}
"""A prompt leaves by itself after this; an urgent one stays until acted on. Chosen, not measured."""
STALE_MS = 5_000
"""A prompt that would come later than this after what it answers was said is not shown."""
STILL_MS = 1_500
"""Text is never swapped under the eye sooner than this."""
SAID_MS = 8_000
"""Long enough on screen to have been read and said: a new cue of the same tier may take its place."""
HOLD_MS = 15_000
"""While the agent speaks nothing but an urgent card comes, and none leaves by itself; for so long at most, because a
noisy microphone looks like speech without end."""
SETTLES_MS = 2_500
"""So long after the agent has stopped a card waits for their last words: they may have done what it asks for. Settled
words take 0.7 s in the middle and 1.4 s at most in 95 of 100; the embedded recogniser takes about 2.5 s."""
WAITING = 2
"""Chips under the card."""
EXPERIENCED = AttentionSettings(per_minute=1, help_per_call=3, gap_ms=20_000)
"""Fewer prompts for agents who want fewer: experts gain little from assistance (Brynjolfsson et al. 2025)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A prompt that could be shown."""

    topic: str
    """Id of the play, "step-ID" or "offer-ID": what cool-downs count by."""
    step: str
    title: str
    say: tuple[str, ...]
    tier: Severity
    signals: tuple[Signal, ...]
    """What it answers, as far as that still stands."""
    since_ms: int
    """When what it answers was said: it goes stale from then on."""
    acted_by: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    avoid: str = ""
    place: int = 0
    """Of its play in the playbook: what stands first goes first."""
    called_for: bool = False
    """The agent has asked for it (took up an option): no budget, no waiting."""

    @property
    def quiet(self) -> bool:
        """The coach's own idea (a step, a note): whatever answers words goes before it."""
        return not self.called_for and (not self.signals or self.tier is Severity.NOTE)


class PromptPlace:
    """One call's prompt place. Every method returns the events it caused."""

    def __init__(self, agent: str, *, experienced: bool = False) -> None:
        self.shown: PromptShown | None = None
        self.wish: Wish | None = None
        self.left_ms = 0
        """When a prompt last left the place."""
        self.given: set[str] = set()
        """Topics of prompts that were acted on or used."""
        self.times: dict[str, int] = {}
        """Topic -> how often it was shown."""
        self._agent = agent
        self._budget = AttentionBudget(EXPERIENCED if experienced else None)
        self._said: set[str] = set()
        self._before = (self._budget, self._said, self.times)
        """How these were before the prompt on screen: one that is withdrawn has cost nothing."""
        self._waiting: list[Wish] = []
        self._muted: set[str] = set()
        self._speaking_since: int | None = None
        self._settles_by: int | None = None
        self._number = 0
        self._logged: PromptShown | None = None
        """The card that is on screen by the log of a call that was cut short."""

    def could_show(self, topic: str, lines: tuple[str, ...] | list[str], now_ms: int) -> bool:
        """Whether the topic has a line left that was not used, has cooled down, and was not called wrong."""
        fresh = any(line not in self._said for line in lines)
        return fresh and topic not in self._muted and self._budget.cool(topic, now_ms)

    def speaking(self, since_ms: int) -> None:
        """The agent has begun to speak."""
        self._speaking_since, self._settles_by = since_ms, None

    def paused(self, now_ms: int) -> None:
        """The agent has stopped; the last words may still be on their way."""
        self._speaking_since, self._settles_by = None, now_ms + SETTLES_MS

    def settled(self, now_ms: int, acts: Callable[[Wish], bool]) -> list[Event]:
        """The agent's words have settled; what waits and is acted on by them need not come any more."""
        self._settles_by = None
        before = len(self._waiting)
        self._waiting = [wish for wish in self._waiting if not acts(wish)]
        return self._chips(now_ms, always=len(self._waiting) != before)

    def is_held(self, now_ms: int) -> bool:
        """The agent speaks, or has just stopped and what was said is not known yet."""
        if self._speaking_since is not None:
            return now_ms - self._speaking_since < HOLD_MS
        return self._settles_by is not None and now_ms < self._settles_by

    def want(self, wish: Wish, now_ms: int, *, waits: bool = True) -> list[Event]:
        """Show it, make it wait (where it `waits`), or let it go."""
        if now_ms - wish.since_ms > STALE_MS or (self.shown is not None and self.shown.play == wish.topic):
            return []
        say = next((line for line in wish.say if line not in self._said), None)
        if say is None:
            return []
        if not wish.called_for and not self._is_free_for(wish, now_ms):
            return self._wait(wish, now_ms) if waits else []
        events = self.end(now_ms, "superseded")
        if any(each.topic == wish.topic for each in self._waiting):
            self._waiting = [each for each in self._waiting if each.topic != wish.topic]
        self._spend(wish, say, now_ms)
        self._number += 1
        self.shown = PromptShown(
            now_ms,
            f"p{self._number}",
            wish.topic,
            wish.step,
            wish.title,
            say.replace(AGENT, self._agent),
            tuple(_why(signal) for signal in wish.signals[:2]),
            wish.tier,
            tuple(signal.key for signal in wish.signals),
            wish.avoid,
        )
        return [*events, self.shown, *self._chips(now_ms, always=bool(self._waiting))]

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: the card leaves, what waits comes or goes stale."""
        events: list[Event] = []
        if self.shown is not None and not self.is_held(now_ms):
            dwell = DWELL_MS.get(self.shown.tier)
            if dwell is not None and now_ms - self.shown.at_ms >= dwell:
                events += self.end(now_ms, "expired")
        fresh = [wish for wish in self._waiting if now_ms - wish.since_ms <= STALE_MS]
        if len(fresh) != len(self._waiting):
            self._waiting = fresh
            events += self._chips(now_ms, always=True)
        for wish in list(self._waiting):
            if self._is_free_for(wish, now_ms):
                events += self.want(wish, now_ms)
        return events

    def withdraw(self, key: str, now_ms: int, instead: Sequence[Signal] = ()) -> list[Event]:
        """The words under a signal did not hold: prompts that nothing else stands under go.

        `instead`: the same finding under another key, for what answers it.
        """
        events: list[Event] = []
        if self.wish is not None:
            left = _without(self.wish, key, instead)
            if left is None:
                events += self.end(now_ms, "withdrawn")
                self._budget, self._said, self.times = self._before
            else:
                self.wish = left
        before = len(self._waiting)
        self._waiting = [left for wish in self._waiting if (left := _without(wish, key, instead)) is not None]
        return events + self._chips(now_ms, always=len(self._waiting) != before)

    def forget(self, signal: str, now_ms: int) -> list[Event]:
        """What waits because of this signal alone has become pointless."""
        before = len(self._waiting)
        self._waiting = [wish for wish in self._waiting if {each.id for each in wish.signals} != {signal}]
        return self._chips(now_ms, always=len(self._waiting) != before)

    def unquote(self) -> None:
        """What waits no longer says which words it answers."""
        self._waiting = [replace(wish, signals=tuple(map(_unquoted, wish.signals))) for wish in self._waiting]

    def clear(self, now_ms: int) -> list[Event]:
        """The call is calm again: nothing waits, and a card below urgent leaves."""
        had, self._waiting = bool(self._waiting), []
        events = self._chips(now_ms, always=had)
        if self.shown is not None and self.shown.tier is not Severity.URGENT:
            events += self.end(now_ms, "expired")
        return events

    def end(self, now_ms: int, how: str, words: str = "") -> list[Event]:
        """The prompt leaves its place, if there is one."""
        if self.shown is None:
            return []
        shown, self.shown, self.wish = self.shown, None, None
        self.left_ms = now_ms
        if how in ("acted", "used"):
            self.given.add(shown.play)
        elif how == "wrong":
            self._muted.add(shown.play)
        return [PromptEnded(now_ms, shown.id, how, words)]

    def follow(self, event: Event) -> None:
        """A call that was cut short goes on: on screen was what its log says, whatever would have been by its words."""
        match event:
            case PromptShown():
                self._number = number_of(event.id)
                if self.wish is None or self.wish.topic != event.play:
                    self._drop_unseen()
                    self._spend(_wish_of(event), event.say, event.at_ms)
                self.shown = self._logged = event
            case PromptEnded() if self._logged is not None and self._logged.id == event.id:
                self.shown = self.shown or self._logged
                if self.shown is self._logged:
                    self.end(event.at_ms, event.how)
                    if event.how == "withdrawn":
                        self._budget, self._said, self.times = self._before
                self._logged = None
            case CallEnded():
                self._drop_unseen()
                if self.shown is None and self._logged is not None:
                    self.shown, self.wish = self._logged, _wish_of(self._logged)

    def _drop_unseen(self) -> None:
        """A card that the log does not have was on no page and has cost nothing."""
        if self.shown is not None and self.shown is not self._logged:
            self.shown = self.wish = None
            self._budget, self._said, self.times = self._before

    def _spend(self, wish: Wish, say: str, now_ms: int) -> None:
        """It takes the place."""
        self._before = deepcopy((self._budget, self._said, self.times))
        self._budget.spend(wish.topic, wish.tier, now_ms, quiet=wish.quiet)
        self._said.add(say)
        self.times[wish.topic] = self.times.get(wish.topic, 0) + 1
        self.wish = wish

    def _is_free_for(self, wish: Wish, now_ms: int) -> bool:
        if wish.tier is not Severity.URGENT and self.is_held(now_ms):
            return False
        if self.shown is not None and self.wish is not None:
            stood = now_ms - self.shown.at_ms
            higher = wish.tier > self.shown.tier or (self.wish.quiet and not wish.quiet)
            said = wish.tier == self.shown.tier and not wish.quiet and stood >= SAID_MS
            if not ((higher and stood >= STILL_MS) or said):
                return False
        return self._budget.allows(wish.topic, wish.tier, now_ms, quiet=wish.quiet)

    def _wait(self, wish: Wish, now_ms: int) -> list[Event]:
        if any(each.topic == wish.topic for each in self._waiting):
            return []
        before = self._waiting
        self._waiting = sorted([*before, wish], key=lambda each: (-each.tier, each.place, -each.since_ms))[:WAITING]
        return self._chips(now_ms, always=self._waiting != before)

    def _chips(self, now_ms: int, *, always: bool) -> list[Event]:
        """Chips stand under a card, never alone: without a card what waits only waits for its moment."""
        if not always:
            return []
        titles = tuple(wish.title for wish in self._waiting) if self.shown is not None else ()
        return [PromptsWaiting(now_ms, titles)]


def _without(wish: Wish, key: str, instead: Sequence[Signal]) -> Wish | None:
    """The wish on the signals that still stand; None where it stood on this one alone."""
    if all(signal.key != key for signal in wish.signals):
        return wish
    left = {signal.key: signal for signal in (*wish.signals, *instead) if signal.key != key}
    return replace(wish, signals=tuple(left.values())) if left else None


def _wish_of(card: PromptShown) -> Wish:
    """What was wished for where its words are not known any more: they had not settled, or may not be kept."""
    answers = bool(card.signals)
    return Wish(card.play, card.step, card.title, (card.say,), card.tier, (), card.at_ms, called_for=answers)


def _unquoted(signal: Signal) -> Signal:
    evidence = signal.evidence
    return replace(signal, evidence=replace(evidence, quote="", summary=evidence.summary or "said before consent"))


def _why(signal: Signal) -> str:
    at, evidence = clock(signal.evidence.start_ms), signal.evidence
    return f"Heard at {at}: “{evidence.quote}”" if evidence.quote else f"{at}: {evidence.summary}"
