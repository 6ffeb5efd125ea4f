"""The coach: from signals, level and what people do to one prompt, steps, Plan B, the clock and promises. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from assist.coach.planb import ON_SCREEN, offered
from assist.coach.playbook import Play, Playbook, Step
from assist.coach.promises import promises
from assist.events import (
    Action,
    Event,
    FollowUpNoted,
    PlanOffered,
    PlanOption,
    PromptEnded,
    PromptShown,
    PromptsWaiting,
    Recovery,
    StepTicked,
)
from audio.events import Speaker, Utterance
from detectors.attention import AttentionBudget, AttentionSettings
from detectors.escalation import WORD_WEIGHTS
from detectors.signals import AGENT_STEPS, Level, LevelChange, Severity, Signal

RECOVERY_MS = 60_000
"""Tschohl's goal for turning a customer round, from the moment the call escalates."""
DWELL_MS = {Severity.NOTE: 12_000, Severity.HELP: 25_000}
"""A prompt leaves by itself after this; an urgent one stays until acted on (market study 6d)."""
STALE_MS = 5_000
"""A prompt that would come later than this after its signal is not shown."""
STILL_MS = 1_500
"""Text is never swapped under the eye sooner than this."""
SAID_MS = 8_000
"""Long enough on screen to have been read and said: a new cue of the same tier may take its place."""
NEXT_STEP_MS = 6_000
"""After a prompt has left an escalated call, the method's next step waits this long."""
WAITING = 2
EXPERIENCED = AttentionSettings(per_minute=1, help_per_call=3, gap_ms=20_000)
"""Fewer prompts for agents who want fewer: experts gain little from assistance (Brynjolfsson et al. 2025)."""


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """Who is coached."""

    name: str
    role: str = "agent"
    experienced: bool = False


@dataclass(frozen=True, slots=True)
class _Wish:
    """A prompt that could be shown."""

    topic: str
    step: str
    title: str
    say: tuple[str, ...]
    tier: Severity
    acted_by: frozenset[str]
    signals: tuple[Signal, ...]
    wished_ms: int
    avoid: str = ""


@dataclass
class Coach:
    """One call's coach. Feed it in the order of call time; each method returns what it decided."""

    playbook: Playbook
    agent: AgentProfile
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Plan B option -> (times accepted, times offered) at this site so far."""
    today: str = ""
    """ISO date of the call, for options that expire."""

    def __post_init__(self) -> None:
        self._budget = AttentionBudget(EXPERIENCED if self.agent.experienced else None)
        self._before = self._budget
        """The budget before the prompt on screen: one that is withdrawn has cost nothing."""
        self._level = Level.CALM
        self._shown: PromptShown | None = None
        self._wish: _Wish | None = None
        self._waiting: list[_Wish] = []
        self._said: set[str] = set()
        self._times: dict[str, int] = {}
        self._done: set[str] = set()
        self._heard: set[str] = set()
        self._left_ms = 0
        self._number = 0
        self._promised = 0
        self._options: tuple[PlanOption, ...] = ()
        self._answered: set[str] = set()
        self._clock_from: int | None = None
        self._missed = False

    def hear(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[Event]:
        """New signals, and the utterance that has just settled where there is one."""
        events: list[Event] = []
        for signal in signals:
            if signal.id in AGENT_STEPS:
                events += self._step_heard(now_ms, signal)
            else:
                self._heard.add(signal.id)
        if utterance is not None and utterance.speaker is Speaker.AGENT:
            for promise in promises(utterance):
                self._promised += 1
                events.append(
                    FollowUpNoted(
                        now_ms, f"f{self._promised}", promise.what, promise.due, self.agent.name, promise.words
                    )
                )
        if wish := self._answer_to(now_ms, signals):
            events += self._want(now_ms, wish)
        return events + self._offer(now_ms)

    def level(self, change: LevelChange) -> list[Event]:
        """The level has changed: the clock, Plan B, and what no longer fits."""
        self._level = change.level
        now_ms = change.at_ms
        events: list[Event] = []
        if change.level is Level.ESCALATED:
            if self._clock_from is None:
                self._clock_from, self._missed = now_ms, False
                events.append(Recovery(now_ms, "started", RECOVERY_MS))
        elif change.level in (Level.RECOVERING, Level.CALM):
            events += self._stop_clock(now_ms)
        if change.level is Level.CALM:
            waiting, self._waiting = self._waiting, []
            events += [PromptsWaiting(now_ms, ())] if waiting else []
            if self._shown is not None and self._shown.tier is not Severity.URGENT:
                events += self._end(now_ms, "expired")
        self._heard |= {signal.id for signal in change.because}
        if wish := self._answer_to(now_ms, change.because):
            events += self._want(now_ms, wish)
        return events + self._offer(now_ms)

    def withdraw(self, key: str, now_ms: int) -> list[Event]:
        """The words under a signal did not hold."""
        events: list[Event] = []
        before = len(self._waiting)
        self._waiting = [wish for wish in self._waiting if key not in {signal.key for signal in wish.signals}]
        if self._shown is not None and self._shown.signals and set(self._shown.signals) <= {key}:
            events += self._end(now_ms, "withdrawn")
            self._budget = self._before
        if len(self._waiting) != before:
            events.append(self._chips(now_ms))
        return events

    def act(self, action: Action) -> list[Event]:
        """Something was done at a screen."""
        now_ms = action.at_ms
        match action.what:
            case "used" | "dismissed" | "wrong":
                if self._shown is not None and self._shown.id == action.target:
                    return self._end(now_ms, action.what)
            case "step":
                done = action.detail != "undone"
                if any(step.id == action.target for step in self.playbook.steps):
                    (self._done.add if done else self._done.discard)(action.target)
                    return [StepTicked(now_ms, action.target, done, "hand")]
            case "plan-accepted":
                self._answered.add(action.target)
                return [*self._stop_clock(now_ms), *self._offer(now_ms)]
            case "plan-refused":
                self._answered.add(action.target)
                return self._offer(now_ms)
        return []

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: prompts leave, waiting ones come or go stale, the clock runs out."""
        events: list[Event] = []
        if self._clock_from is not None and not self._missed and now_ms - self._clock_from >= RECOVERY_MS:
            self._missed = True
            events.append(Recovery(now_ms, "missed", RECOVERY_MS, now_ms - self._clock_from))
        if self._shown is not None:
            dwell = DWELL_MS.get(self._shown.tier)
            if dwell is not None and now_ms - self._shown.at_ms >= dwell:
                events += self._end(now_ms, "expired")
        fresh = [wish for wish in self._waiting if now_ms - wish.wished_ms <= STALE_MS]
        if len(fresh) != len(self._waiting):
            self._waiting = fresh
            events.append(self._chips(now_ms))
        if self._shown is None and self._waiting:
            events += self._want(now_ms, self._waiting.pop(0), again=True)
        due = self._shown is None and self._level is Level.ESCALATED and now_ms - self._left_ms >= NEXT_STEP_MS
        if due and (step := self._next_step()):
            events += self._want(now_ms, _from_step(step, now_ms), quiet=True)
        return events

    def end(self, now_ms: int) -> list[Event]:
        """The call is over."""
        events = self._end(now_ms, "ended") if self._shown is not None else []
        self._waiting = []
        if self._clock_from is not None:
            took = now_ms - self._clock_from
            self._clock_from = None
            events.append(Recovery(now_ms, "stopped", RECOVERY_MS, took))
        return events

    def _step_heard(self, now_ms: int, signal: Signal) -> list[Event]:
        """Recovery steps count from when the call has turned: "thank you for calling" ticks nothing."""
        if self._level is Level.CALM:
            return []
        events: list[Event] = []
        words = signal.evidence.quote
        for step in self.playbook.steps:
            if signal.settled and signal.id in step.ticked_by and step.id not in self._done:
                self._done.add(step.id)
                events.append(StepTicked(now_ms, step.id, True, "words", words))
        wish, shown = self._wish, self._shown
        if wish is not None and shown is not None and signal.id in wish.acted_by and signal.at_ms > shown.at_ms:
            events += self._end(now_ms, "acted", words)
        return events

    def _answer_to(self, now_ms: int, signals: Sequence[Signal]) -> _Wish | None:
        """The play that fits best: the most urgent, then the weightiest words (tone only supports), then the order."""
        best: tuple[tuple[float, ...], _Wish] | None = None
        for order, play in enumerate(self.playbook.plays):
            mine = tuple(signal for signal in signals if signal.id in play.signals)
            if not mine:
                continue
            urgent = any(signal.severity is Severity.URGENT for signal in mine)
            tier = Severity.URGENT if urgent else play.severity
            if not urgent and (self._level not in play.levels or self._level is Level.CALM):
                continue
            if self._times.get(play.id, 0) >= play.most:
                continue
            weight = max(WORD_WEIGHTS.get(signal.id, 0.0) * signal.strength for signal in mine)
            rank = (float(tier), weight, float(-order))
            if best is None or rank > best[0]:
                best = rank, self._from_play(play, mine, tier, now_ms)
        return best[1] if best is not None else None

    def _from_play(self, play: Play, signals: tuple[Signal, ...], tier: Severity, now_ms: int) -> _Wish:
        served = next((step for step in self.playbook.steps if step.id == play.step), None)
        acted = frozenset(play.acted_by) | frozenset(served.ticked_by if served is not None else ())
        return _Wish(play.id, play.step, play.title, tuple(play.say), tier, acted, signals, now_ms, play.avoid)

    def _next_step(self) -> Step | None:
        return next((step for step in self.playbook.steps if step.id not in self._done and step.say), None)

    def _want(self, now_ms: int, wish: _Wish, *, again: bool = False, quiet: bool = False) -> list[Event]:
        """Show it, make it wait, or let it go."""
        events: list[Event] = [self._chips(now_ms)] if again else []
        if self._shown is not None:
            if self._shown.play == wish.topic:
                return events
            stood = now_ms - self._shown.at_ms
            higher = wish.tier > self._shown.tier and stood >= STILL_MS
            said = wish.tier == self._shown.tier and bool(wish.signals) and not again and stood >= SAID_MS
            if not (higher or said):
                return events + ([] if quiet else self._wait(now_ms, wish))
        if not self._budget.allows(wish.topic, wish.tier, now_ms):
            return events + ([] if quiet else self._wait(now_ms, wish))
        if self._shown is not None:
            events += self._end(now_ms, "superseded")
        say = next((line for line in wish.say if line not in self._said), None)
        if say is None:
            return events
        self._before = deepcopy(self._budget)
        self._said.add(say)
        self._times[wish.topic] = self._times.get(wish.topic, 0) + 1
        self._budget.spend(wish.topic, wish.tier, now_ms)
        self._number += 1
        self._wish = wish
        self._shown = PromptShown(
            now_ms,
            f"p{self._number}",
            wish.topic,
            wish.step,
            wish.title,
            say.format(agent=self.agent.name),
            tuple(_why(signal) for signal in wish.signals[:2]),
            wish.tier,
            tuple(signal.key for signal in wish.signals),
            wish.avoid,
        )
        return [*events, self._shown]

    def _wait(self, now_ms: int, wish: _Wish) -> list[Event]:
        if any(each.topic == wish.topic for each in self._waiting) or now_ms - wish.wished_ms > STALE_MS:
            return []
        self._waiting = sorted([*self._waiting, wish], key=lambda each: (-each.tier, each.wished_ms))[:WAITING]
        return [self._chips(now_ms)]

    def _chips(self, now_ms: int) -> PromptsWaiting:
        """Chips stand under a card, never alone: without a card what waits only waits for the attention budget."""
        if self._shown is None:
            return PromptsWaiting(now_ms, ())
        return PromptsWaiting(now_ms, tuple(wish.title for wish in self._waiting))

    def _end(self, now_ms: int, how: str, words: str = "") -> list[Event]:
        shown, self._shown, self._wish = self._shown, None, None
        self._left_ms = now_ms
        return [PromptEnded(now_ms, shown.id, how, words)] if shown is not None else []

    def _stop_clock(self, now_ms: int) -> list[Event]:
        if self._clock_from is None:
            return []
        took = now_ms - self._clock_from
        self._clock_from = None
        return [Recovery(now_ms, "missed" if self._missed else "met", RECOVERY_MS, took)]

    def _offer(self, now_ms: int) -> list[Event]:
        """Plan B stays while the call is tense or worse: rows change only when one is answered, never under the eye."""
        left = tuple(option for option in self._options if option.id not in self._answered)
        options = left
        if self._level is Level.CALM:
            options = ()
        elif self._level is not Level.RECOVERING and (not left or len(left) < len(self._options)):
            ranked = offered(
                self.playbook.options,
                self.agent.role,
                self._heard,
                answered=self._answered,
                accepted_here=self.accepted_here,
                today=self.today,
            )
            known = {option.id for option in left}
            options = (*left, *(option for option in ranked if option.id not in known))[:ON_SCREEN]
        if options == self._options:
            return []
        self._options = options
        return [PlanOffered(now_ms, options)]


def _from_step(step: Step, now_ms: int) -> _Wish:
    return _Wish(
        f"step-{step.id}",
        step.id,
        step.prompt,
        tuple(step.say),
        Severity.HELP,
        frozenset(step.ticked_by),
        (),
        now_ms,
        step.avoid,
    )


def _why(signal: Signal) -> str:
    at = f"{signal.evidence.start_ms // 60_000:02d}:{signal.evidence.start_ms // 1000 % 60:02d}"
    if signal.evidence.quote:
        return f"Heard at {at}: “{signal.evidence.quote}”"
    return f"{at}: {signal.evidence.summary}"
