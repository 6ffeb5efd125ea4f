"""What each page sees of a call: events in, messages into the hub's rooms."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from assist.events import (
    Action,
    AlertMoved,
    AlertRaised,
    CallEnded,
    CallStarted,
    ConsentSet,
    Event,
    HandOffNoted,
    PlanMoved,
    PlanOffered,
    PromptEnded,
    PromptShown,
    PromptsWaiting,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
)
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.records.page import clock, label
from assist.screens.cards import TIERS, Cards
from audio.events import Hypothesis, Trouble, Utterance
from detectors.signals import Level, LevelChange, Severity, Signal
from overlay import messages
from overlay.hub import Hub

DWELL_MS = {Severity.NOTE: 12_000, Severity.HELP: 25_000, Severity.URGENT: 0}
"""How long a prompt is meant to stay: research/market 6d (notes 12 s, help 25 s, urgent until acted on)."""
COURSE_MS = 300_000
SOUND_TROUBLE = ("audio-lost", "audio-swapped", "audio-stalled", "channel-silent")
PLAN_STATE = {"plan-offered": "offered", "plan-asked": "asked", "plan-accepted": "accepted", "plan-refused": "refused"}


class Hears(Protocol):
    """The recogniser, as the pages speak of it."""

    @property
    def name(self) -> str:
        """Such as "faster-whisper base.en (CPU, int8)"."""
        ...

    @property
    def line(self) -> str:
        """What is used, and how to get the better one."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it is the one that needs no download."""
        ...


@dataclass
class _Seen:
    """What the screens remember of one live call."""

    started: CallStarted
    cards: Cards
    method: str
    steps: tuple[tuple[str, str], ...]
    """(step id, title) of the call's method, in order."""
    now_ms: int = 0
    level: Level = Level.CALM
    since_ms: int = 0
    score: float = 0.0
    course: deque[tuple[int, float]] = field(default_factory=deque)
    why: str = ""
    quote: str = ""
    signals: dict[str, Signal] = field(default_factory=dict)
    lines: dict[str, Utterance | Hypothesis] = field(default_factory=dict)
    heard: int = 0
    places: dict[str, list[int]] = field(default_factory=dict)
    """Signal key -> its numbers among what was heard."""
    told: messages.Told | None = None
    lag_ms: int = 0
    sound_lost: dict[str, str] = field(default_factory=dict)
    """Trouble code -> its line, while it lasts."""
    behind: str = ""
    untranscribed: str = ""
    """Why there is no recogniser; empty while there is one."""
    paused: bool = False
    paused_by_itself: str = ""
    gate: Gate = field(default_factory=Gate)
    prompt: PromptShown | None = None
    options: tuple[messages.PlanOption, ...] = ()
    plan_states: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    ticked: tuple[str, str] = ("", "")
    clock: messages.Clock | None = None
    readers: list[str] = field(default_factory=list)

    @property
    def agent_room(self) -> str:
        return f"agent/{self.started.agent}"

    @property
    def call_room(self) -> str:
        return f"call/{self.started.call}"


@dataclass
class Screens:
    """Keeps the rooms of all live calls up to date. Event loop only."""

    hub: Hub
    supervisor: str
    hearing: Hears
    method: str
    steps: tuple[tuple[str, str], ...]
    """(step id, title) of the method that the next call begins with, in order."""
    turn_ms: int = 20_000
    """How long one supervisor is asked about an alert before the next one is."""
    _calls: dict[str, _Seen] = field(default_factory=dict)
    _shown: int = 0
    _wrong: int = 0
    _delays_ms: deque[int] = field(default_factory=lambda: deque(maxlen=1000))

    def waiting(self, agent: str) -> None:
        """An agent's page while no call is on."""
        room = f"agent/{agent}"
        self.hub.clear(room)
        self.hub.show(
            room, "call", messages.Call.model_validate({"agent": agent, "state": "waiting", **self._recogniser()})
        )

    def show(self, call: str, event: Event) -> None:
        """Let every page that should see this event see it."""
        if isinstance(event, CallStarted):
            self._begin(call, event)
            return
        seen = self._calls.get(call)
        if seen is None:
            return
        match event:
            case Utterance() | Hypothesis():
                self._line(seen, event)
            case SignalRaised(signal=signal):
                seen.signals[signal.key] = signal
                self._heard(seen, signal)
                self._redraw(seen, signal.evidence.utterance)
            case SignalWithdrawn():
                withdrawn = seen.signals.pop(event.key, None)
                if withdrawn is not None:
                    self._unsay(seen, event.key, withdrawn)
            case LevelChange():
                self._level(seen, event)
            case PromptShown():
                self._prompt(seen, event)
            case PromptEnded():
                if seen.prompt is not None and seen.prompt.id == event.id:
                    seen.prompt = None
                    self.hub.drop(seen.agent_room, "prompt")
                    self._row(seen)
                if event.how == "wrong":
                    self._wrong += 1
                    self._quality()
            case PromptsWaiting():
                if event.titles:
                    self.hub.show(seen.agent_room, "next", messages.Next(titles=list(event.titles[:2])))
                else:
                    self.hub.drop(seen.agent_room, "next")
            case PlanOffered():
                seen.options = tuple(
                    messages.PlanOption(
                        id=option.id,
                        title=option.title,
                        worth=option.worth,
                        authority="yours" if option.authority == "yours" else "ask",
                        who="" if option.authority == "yours" else _asked(option.bring_in, self.supervisor),
                    )
                    for option in event.options[:3]
                )
                self._plan(seen)
            case PlanMoved():
                self._plan_moved(seen, event)
            case HandOffNoted():
                heard = [label(name) for name in event.signals]
                told = messages.Told(said=list(event.said), done=list(event.done), heard=heard, at_ms=event.at_ms)
                seen.told = told
                self.hub.show(seen.call_room, "told", told)
            case StepTicked():
                (seen.done.add if event.done else seen.done.discard)(event.step)
                if event.done and event.words:
                    seen.ticked = (event.words, dict(seen.steps).get(event.step, label(event.step)))
                self._steps(seen)
            case Recovery():
                self._clock(seen, event)
            case AlertRaised():
                because = [seen.signals[key].evidence for key in event.signals if key in seen.signals]
                quote = because[0].quote if because else ""
                self._show_alerts(seen, seen.cards.raised(event, seen.level, quote))
            case AlertMoved():
                self._show_alerts(seen, seen.cards.moved(event))
            case Trouble():
                self._trouble(seen, event)
            case Action():
                self._action(seen, event)
            case ConsentSet():
                self._consent(seen, event)
            case CallEnded():
                seen.now_ms = max(seen.now_ms, event.at_ms)
            case _:
                pass

    def pulse(self, call: str, now_ms: int, score: float) -> None:
        """Once a second of call time: course, row and health go on even when nothing happens."""
        seen = self._calls.get(call)
        if seen is None:
            return
        seen.now_ms, seen.score = now_ms, score
        if not seen.course or now_ms - seen.course[-1][0] >= 2_500:
            seen.course.append((now_ms, round(score, 1)))
        while seen.course and seen.course[0][0] < now_ms - COURSE_MS:
            seen.course.popleft()
        self._health(seen)
        self._show_level(seen)
        self._row(seen)

    def delay(self, milliseconds: int) -> None:
        """A measured time from the end of the words that fired to the card on its way to the page."""
        self._delays_ms.append(milliseconds)
        self._quality()

    def ended(self, call: str, wrapup: messages.WrapUp | None) -> None:
        """The record is written: the agent's page offers it with its wrap-up, the board forgets the call.

        None: nothing was kept of this call.
        """
        seen = self._calls.pop(call, None)
        if seen is None:
            return
        for key in ("prompt", "next", "plan", "clock", "health", "consent"):
            self.hub.drop(seen.agent_room, key)
        self.hub.show(seen.agent_room, "call", self._call(seen, "ended"))
        if wrapup is not None:
            ended = messages.Ended(record=call, summary=_summary(seen), at_ms=seen.now_ms)
            self.hub.show(seen.agent_room, "wrapup", wrapup)
        else:
            ended = messages.Ended(record="", summary="Nothing was kept: no consent", at_ms=seen.now_ms)
        self.hub.show(seen.agent_room, "ended", ended)
        self.hub.drop("board", f"row/{call}")
        for alert in seen.cards.open:
            self.hub.drop("board", f"alert/{call}-{alert}")
        self.hub.clear(seen.call_room)
        self._quality()

    def wrapped_up(self, agent: str, wrapup: messages.WrapUp) -> None:
        """A wrap-up was kept: shown as it now stands, unless the agent is on the next call already."""
        current = self.hub.latest(f"agent/{agent}", "call")
        if isinstance(current, messages.Call) and current.call == wrapup.call:
            self.hub.show(f"agent/{agent}", "wrapup", wrapup)

    def _begin(self, call: str, started: CallStarted) -> None:
        seen = _Seen(started, Cards(started, self.turn_ms), self.method, self.steps)
        self._calls[call] = seen
        self.hub.clear(seen.agent_room)
        for room in (seen.agent_room, seen.call_room):
            self.hub.show(room, "call", self._call(seen, "live"))
        self._health(seen, starting=True)
        self._show_level(seen)
        self._steps(seen)
        self._row(seen)
        self._quality()

    def _consent(self, seen: _Seen, event: ConsentSet) -> None:
        seen.gate = Gate(ConsentPolicy(event.policy), Consent(event.consent), event.by)
        now = messages.ConsentNow.model_validate(
            {"consent": event.consent, "by": event.by, "heard": seen.gate.heard, "kept": seen.gate.kept}
        )
        for room in (seen.agent_room, seen.call_room):
            self.hub.show(room, "consent", now)
        if not seen.gate.heard:
            for room in (seen.agent_room, seen.call_room):
                for key in [key for key in self.hub.snapshot(room) if key.startswith(("line/", "heard/"))]:
                    self.hub.drop(room, key)
            seen.lines.clear()
            seen.why = seen.quote = ""
        self._health(seen)
        self._row(seen)

    def _recogniser(self) -> dict[str, str | bool]:
        return {
            "recogniser": self.hearing.name,
            "embedded": self.hearing.embedded,
            "advice": "Built-in recogniser. Better: assist models fetch base.en" if self.hearing.embedded else "",
        }

    def _call(self, seen: _Seen, state: str) -> messages.Call:
        started = seen.started
        return messages.Call.model_validate(
            {
                "call": started.call,
                "agent": started.agent,
                "team": started.team,
                "queue": started.queue,
                "caller": started.caller,
                "state": state,
                "at_ms": seen.now_ms,
                **self._recogniser(),
            }
        )

    def _line(self, seen: _Seen, said: Utterance | Hypothesis) -> None:
        if said.settled:
            seen.lag_ms = max(0, seen.now_ms - said.end_ms)
        before = seen.lines.get(said.id)
        if before is not None and before.settled and len(said.words) < len(before.words):
            self._untell(seen, said.start_ms)
        if said.settled and not said.words:
            seen.lines.pop(said.id, None)
            for room in (seen.agent_room, seen.call_room):
                self.hub.drop(room, f"line/{said.id}")
            return
        seen.lines[said.id] = said
        while len(seen.lines) > 60:
            del seen.lines[next(iter(seen.lines))]
        self._redraw(seen, said.id)

    def _unsay(self, seen: _Seen, key: str, withdrawn: Signal) -> None:
        """The words under a signal were taken back: nothing that is shown quotes them."""
        self._redraw(seen, withdrawn.evidence.utterance)
        for place in seen.places.pop(key, ()):
            self.hub.drop(seen.call_room, f"heard/{place}")
        self._show_alerts(seen, seen.cards.unsaid(key, seen.signals))
        if seen.quote and seen.quote == withdrawn.evidence.quote:
            seen.quote = ""
            self._row(seen)

    def _untell(self, seen: _Seen, since_ms: int) -> None:
        """Words were taken back: whoever takes over does not read them, and no ticked step shows them."""
        if seen.told is not None:
            said = [line for line in seen.told.said if line[0] < since_ms]
            seen.told = seen.told.model_copy(update={"said": said})
            self.hub.show(seen.call_room, "told", seen.told)
        if seen.ticked != ("", ""):
            seen.ticked = ("", "")
            self._steps(seen)

    def _redraw(self, seen: _Seen, utterance: str | None) -> None:
        said = seen.lines.get(utterance or "")
        if said is None:
            return
        words = [word.text for word in said.words]
        starts = [sum(len(word) + 1 for word in words[:n]) for n in range(len(words))]
        marks = [
            (starts[signal.evidence.first_word], starts[last] + len(words[last]))
            for signal in seen.signals.values()
            if signal.evidence.utterance == said.id
            and signal.severity >= Severity.HELP
            and signal.evidence.first_word <= (last := min(signal.evidence.last_word, len(words) - 1))
        ]
        line = messages.Line(
            speaker=said.speaker.value,
            start_ms=said.start_ms,
            settled=" ".join(words),
            tentative="" if isinstance(said, Utterance) else " ".join(word.text for word in said.tentative),
            marks=sorted(set(marks)),
            final=said.settled,
        )
        for room in (seen.agent_room, seen.call_room):
            self.hub.show(room, f"line/{said.id}", line)

    def _heard(self, seen: _Seen, signal: Signal) -> None:
        seen.heard += 1
        evidence = f"“{signal.evidence.quote}”" if signal.evidence.quote else signal.evidence.summary
        heard = messages.Heard(
            at_ms=signal.at_ms, label=label(signal.id), evidence=evidence, rule=f"{signal.rule} v{signal.version}"
        )
        seen.places.setdefault(signal.key, []).append(seen.heard)
        self.hub.show(seen.call_room, f"heard/{seen.heard}", heard)

    def _level(self, seen: _Seen, change: LevelChange) -> None:
        seen.level, seen.since_ms, seen.score = change.level, change.at_ms, change.score
        seen.now_ms = max(seen.now_ms, change.at_ms)
        seen.course.append((change.at_ms, round(change.score, 1)))
        if change.because:
            seen.why = ", ".join(dict.fromkeys(label(signal.id) for signal in change.because[:3]))
            seen.quote = next((s.evidence.quote for s in change.because if s.evidence.quote), "")
        if change.level is Level.CALM:
            seen.why = seen.quote = ""
        self._show_level(seen)
        self._row(seen)
        self._quality()

    def _show_level(self, seen: _Seen) -> None:
        now = messages.LevelNow(
            level=seen.level.value, score=_bounded(seen.score), at_ms=seen.now_ms, course=list(seen.course)[-120:]
        )
        for room in (seen.agent_room, seen.call_room):
            self.hub.show(room, "level", now)

    def _prompt(self, seen: _Seen, shown: PromptShown) -> None:
        seen.prompt = shown
        self._shown += 1
        ids = [seen.signals[key].id for key in shown.signals if key in seen.signals]
        self.hub.show(
            seen.agent_room,
            "prompt",
            messages.Prompt.model_validate(
                {
                    "id": shown.id,
                    "label": ", ".join(dict.fromkeys(label(each) for each in ids[:2])),
                    "title": shown.title,
                    "say": shown.say,
                    "why": list(shown.why),
                    "tier": TIERS[shown.tier],
                    "avoid": shown.avoid,
                    "shown_at_ms": shown.at_ms,
                    "dwell_ms": DWELL_MS[shown.tier],
                }
            ),
        )
        self._steps(seen)
        self._row(seen)
        self._quality()

    def _plan(self, seen: _Seen) -> None:
        if not seen.options:
            self.hub.drop(seen.agent_room, "plan")
            return
        options = [option.model_copy(update={"state": seen.plan_states.get(option.id, "")}) for option in seen.options]
        self.hub.show(seen.agent_room, "plan", messages.Plan(options=options))
        self._row(seen)

    def _plan_moved(self, seen: _Seen, moved: PlanMoved) -> None:
        """What was heard about an option, or a request that ran out, stands on its row."""
        seen.plan_states[moved.option] = "" if moved.what == "expired" else moved.what
        if moved.what == "expired":
            text = "Nobody has answered: offer what is yours, or ask again"
            self.hub.show(
                seen.agent_room, "notice/answer", messages.Notice(kind="answer", text=text, at_ms=moved.at_ms)
            )
        self._plan(seen)

    def _steps(self, seen: _Seen) -> None:
        undone = [step for step, _ in seen.steps if step not in seen.done]
        wanted = seen.prompt.step if seen.prompt is not None and seen.prompt.step in undone else ""
        current = wanted or (undone[0] if undone else "")
        steps = [
            messages.Step(id=step, title=title, done=step in seen.done, current=step == current)
            for step, title in seen.steps[:8]
        ]
        words, ticked = seen.ticked
        self.hub.show(
            seen.agent_room, "steps", messages.Steps(method=seen.method, steps=steps, words=words, ticked=ticked)
        )

    def _clock(self, seen: _Seen, event: Recovery) -> None:
        if event.what == "started":
            seen.clock = messages.Clock(
                running=True, limit_ms=event.limit_ms, started_at_ms=event.at_ms, at_ms=event.at_ms
            )
        elif seen.clock is not None:
            result = seen.clock.result or event.what
            seen.clock = messages.Clock.model_validate(
                seen.clock.model_dump() | {"running": False, "result": result, "at_ms": event.at_ms}
            )
        if seen.clock is not None:
            self.hub.show(seen.agent_room, "clock", seen.clock)

    def _show_alerts(self, seen: _Seen, alerts: list[messages.Alert]) -> None:
        """The board shows what became of each alert, the agent's page who is asked for it and who has it."""
        for alert in alerts:
            self.hub.show("board", f"alert/{alert.call}-{alert.id}", alert)
            if alert.kind != "escalated":
                self._show_asked(seen, alert)
        if alerts:
            self._show_handled(seen)
            self._row(seen)

    def _show_asked(self, seen: _Seen, alert: messages.Alert) -> None:
        """How far the agent's own request has come."""
        text = ""
        if alert.state == "seen":
            text = f"{alert.by} has seen it"
        elif alert.state == "raised":
            waiting = {"everyone": "Everybody has been asked", "queued": "Waiting for a supervisor"}
            text = f"Asking {alert.to}" if alert.to else waiting.get(alert.waits, "")
        if text:
            notice = messages.Notice(kind="help", text=text, who=alert.to or alert.by, at_ms=alert.at_ms)
            self.hub.show(seen.agent_room, "notice/help", notice)
        elif alert.state != "raised":
            self.hub.drop(seen.agent_room, "notice/help")

    def _show_handled(self, seen: _Seen) -> None:
        held = next((alert for alert in seen.cards.open.values() if alert.state == "claimed"), None)
        if held is None:
            self.hub.drop(seen.agent_room, "notice/handled")
            return
        claimed_ms = next(step.at_ms for step in reversed(held.course) if step.what in ("claimed", "raised"))
        notice = messages.Notice(kind="handled", text=f"{held.by} is on it", who=held.by, at_ms=claimed_ms)
        self.hub.show(seen.agent_room, "notice/handled", notice)

    def _trouble(self, seen: _Seen, trouble: Trouble) -> None:
        if trouble.code.split(":")[0] in SOUND_TROUBLE:
            seen.sound_lost.pop(trouble.code, None)
            if not trouble.cleared:
                seen.sound_lost[trouble.code] = trouble.text
            self._health(seen)
        elif trouble.code == "transcriber-missing":
            seen.untranscribed = "" if trouble.cleared else trouble.text
            self._health(seen)
            self.hub.show(seen.agent_room, "call", self._call(seen, "live"))
        elif trouble.code == "transcriber-behind":
            seen.behind = "" if trouble.cleared else trouble.text
            seen.lag_ms = trouble.lag_ms
            self._health(seen)
        elif trouble.cleared:
            self.hub.drop(seen.agent_room, "notice/trouble")
        else:
            notice = messages.Notice(kind="trouble", text=trouble.text, at_ms=trouble.at_ms)
            self.hub.show(seen.agent_room, "notice/trouble", notice)

    def _action(self, seen: _Seen, action: Action) -> None:
        seen.now_ms = max(seen.now_ms, action.at_ms)
        match action.what:
            case "plan-offered" | "plan-asked" | "plan-accepted" | "plan-refused":
                seen.plan_states[action.target] = PLAN_STATE[action.what]
                self._plan(seen)
            case "pause" | "resume":
                seen.paused = action.what == "pause"
                seen.paused_by_itself = action.detail if seen.paused and action.role == "system" else ""
                self._health(seen)
            case "alert-seen" | "claim" | "release" | "resolve":
                self._show_alerts(seen, seen.cards.done(action))
            case "plan-answered":
                self._answered(seen, action)
            case "message":
                self._notice(seen, "message", action, action.detail)
                self._show_alerts(seen, seen.cards.done(action))
            case "watch":
                seen.readers.append(action.who)
                self._reading(seen)
                self._show_alerts(seen, seen.cards.done(action))
            case "unwatch":
                if action.who in seen.readers:
                    seen.readers.remove(action.who)
                self._reading(seen)
            case _:
                pass

    def _answered(self, seen: _Seen, action: Action) -> None:
        answer, _, words = action.detail.partition(" ")
        text = "yes, give it" if answer == "allowed" else "not this time"
        self._notice(seen, "answer", action, f"{action.who}: {text}" + (f". {words}" if words else ""))
        self._show_alerts(seen, seen.cards.done(action))

    def _reading(self, seen: _Seen) -> None:
        """The agent sees who reads along, the boards too."""
        names = list(dict.fromkeys(seen.readers))
        if names:
            verb = "is" if len(names) == 1 else "are"
            text = f"{' and '.join(names)} {verb} reading along"
            notice = messages.Notice(kind="reading", text=text, who=names[0], at_ms=seen.now_ms)
            self.hub.show(seen.agent_room, "notice/reading", notice)
        else:
            self.hub.drop(seen.agent_room, "notice/reading")
        self._row(seen)

    def _notice(self, seen: _Seen, kind: str, action: Action, text: str) -> None:
        notice = messages.Notice.model_validate({"kind": kind, "text": text, "who": action.who, "at_ms": action.at_ms})
        self.hub.show(seen.agent_room, f"notice/{kind}", notice)

    def _health(self, seen: _Seen, *, starting: bool = False) -> None:
        state, text = "ok", ""
        if starting:
            state = "starting"
        elif seen.paused:
            state, text = "paused", "Paused: nothing is heard or kept"
            if seen.paused_by_itself:
                text = f"Paused by itself: {seen.paused_by_itself}. P goes on"
        elif not seen.gate.heard:
            state, text = "paused", "Not listening: there is no consent to this call"
        elif seen.sound_lost:
            state, text = "lost", next(iter(seen.sound_lost.values()))
        elif seen.untranscribed:
            state, text = "untranscribed", seen.untranscribed
        elif seen.behind:
            state, text = "behind", seen.behind
        health = messages.Health.model_validate(
            {
                "state": state,
                "lag_ms": seen.lag_ms,
                "at_ms": seen.now_ms,
                "text": text,
                "speakers": list(seen.started.speakers),
            }
        )
        for room in (seen.agent_room, seen.call_room):
            self.hub.show(room, "health", health)

    def _row(self, seen: _Seen) -> None:
        started = seen.started
        trouble = "untranscribed" if seen.untranscribed else "behind" if seen.behind else "ok"
        state = "paused" if seen.paused else "lost" if seen.sound_lost else trouble
        given = [option.title for option in seen.options if seen.plan_states.get(option.id) == "accepted"]
        offered = [option.title for option in seen.options if seen.plan_states.get(option.id) == "offered"]
        plan = f"{given[0]}, accepted" if given else f"{offered[0]}, offered" if offered else ""
        row = messages.Row.model_validate(
            {
                "call": started.call,
                "agent": started.agent,
                "team": started.team,
                "level": seen.level.value,
                "score": _bounded(seen.score),
                "course": [score for _, score in list(seen.course)[-60:]],
                "why": seen.why,
                "quote": seen.quote,
                "in_use": seen.prompt.title if seen.prompt is not None else "",
                "plan": plan,
                "health": state,
                "lag_ms": seen.lag_ms,
                "at_ms": seen.now_ms,
                "since_ms": seen.since_ms,
                "handled_by": seen.cards.handled_by,
                "read_by": list(dict.fromkeys(seen.readers)),
            }
        )
        self.hub.show("board", f"row/{started.call}", row)

    def _quality(self) -> None:
        delays = sorted(self._delays_ms)
        counts = {level.value: 0 for level in Level}
        for seen in self._calls.values():
            counts[seen.level.value] += 1
        self.hub.show(
            "board",
            "quality",
            messages.Quality.model_validate(
                {
                    "median_ms": delays[len(delays) // 2] if delays else None,
                    "p95_ms": delays[min(len(delays) - 1, len(delays) * 95 // 100)] if delays else None,
                    "wrong": self._wrong,
                    "shown": self._shown,
                    "calls": counts,
                }
            ),
        )


def _asked(bring_in: str, supervisor: str) -> str:
    """Who is asked for an option: the supervisor by name, or whom it brings in."""
    return supervisor if bring_in in ("", "supervisor") else bring_in


def _bounded(score: float) -> float:
    return min(100.0, max(0.0, score))


def _summary(seen: _Seen) -> str:
    if seen.clock is not None and seen.clock.result == "met":
        return f"Recovered in {(seen.clock.at_ms - seen.clock.started_at_ms) / 1000:.0f} s"
    return f"{seen.level.value.capitalize()} at the end, {clock(seen.now_ms)}"
