"""What the pages show of one live call: its events in, messages into its rooms and onto the board."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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
from assist.hints import complete
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.screens.advice import Advice
from assist.screens.cards import Cards
from assist.screens.listening import Hears, Listening, recogniser_of
from assist.screens.rooms import Rooms
from assist.screens.transcript import Transcript
from assist.wording import clock, label
from audio.events import Hypothesis, Trouble, Utterance
from detectors.signals import CALMER, Level, LevelChange
from overlay import messages
from overlay.hub import Hub

COURSE_MS = 300_000
ROW_POINTS = 60
"""Of the course on the board."""
OF_A_MOMENT = frozenset({"call-resumed"})
"""Codes of what has happened and is over; every other trouble lasts until it is said to be over, or for the call."""
MOMENT_MS = 30_000
"""So long the agent's page tells of it."""


@dataclass
class CallPages:
    """The agent's page, whoever reads along, and the board's row and alerts of one call. Event loop only."""

    hub: Hub
    started: CallStarted
    hearing: Hears
    transcript: Transcript
    advice: Advice
    cards: Cards
    rooms: Rooms
    listening: Listening = field(default_factory=Listening)
    now_ms: int = 0
    level: Level = Level.CALM
    _since_ms: int = 0
    _score: float = 0.0
    _course: deque[tuple[int, float]] = field(default_factory=deque)
    _why: str = ""
    _quote: str = ""
    _readers: list[str] = field(default_factory=list)
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    """By code: what is wrong apart from the hearing, while it lasts."""
    _messages: int = 0
    """Said to the agent so far."""

    def begin(self) -> None:
        """The call's first picture, in the place of whatever the agent's page showed before."""
        self.rooms.begin(self._call("live"))
        self._show_health(starting=True)
        self._show_level()
        self.advice.show_steps()
        self._show_row()

    def show(self, event: Event) -> None:
        """Let every page that should see this event see it."""
        match event:
            case Utterance() | Hypothesis():
                self._said(event)
            case SignalRaised(signal=signal):
                self.transcript.raised(signal)
            case SignalWithdrawn():
                self._withdrawn(event)
            case LevelChange():
                self._level_changed(event)
            case PromptShown():
                self.advice.shown(event, self.transcript.signals)
                self._show_row()
            case PromptEnded():
                if self.advice.ended(event):
                    self._show_row()
            case PromptsWaiting():
                self.advice.waiting(event)
            case PlanOffered():
                self.advice.offered(event)
                self._show_row()
            case PlanMoved():
                self.advice.moved(event)
                self._show_row()
            case HandOffNoted():
                self.transcript.told(event)
            case StepTicked():
                self.advice.ticked(event)
            case Recovery():
                self.advice.recovery(event)
            case AlertRaised():
                signals = self.transcript.signals
                because = [signals[key].evidence for key in event.signals if key in signals]
                quote = because[0].quote if because else ""
                self._show_alerts(self.cards.raised(event, self.level, quote))
            case AlertMoved():
                self._show_alerts(self.cards.moved(event))
            case Trouble():
                self._trouble(event)
            case Action():
                self._done(event)
            case ConsentSet():
                self._consent(event)
            case CallEnded():
                self.now_ms = max(self.now_ms, event.at_ms)
            case _:
                pass

    def resume(self) -> list[messages.Alert]:
        """The call goes on after its log was shown: nobody reads along any more, and no trouble of before lasts.

        The alerts that are still open.
        """
        self._readers.clear()
        self._show_readers()
        self.listening.anew()
        self._show_health()
        self._troubles.clear()
        self._show_trouble()
        return [alert for alert in self.cards.open.values() if alert.state != "resolved"]

    def come_back(self, ended: messages.Ended) -> None:
        """A later call of the same agent `ended`: the agent's page shows this one again, and says so."""
        self.rooms.come_back()
        self.rooms.tell("call", self._call("live"))
        self._show_health()
        wrap_up = " Its wrap-up can be said in its record, under Review." if ended.record else ""
        self._message(f"Your other call is over. {ended.summary}.{wrap_up}")

    def pulse(self, now_ms: int, score: float) -> None:
        """Once a second of call time: course, row and health go on even when nothing happens."""
        self.now_ms, self._score = now_ms, score
        if not self._course or now_ms - self._course[-1][0] >= 2_500:
            self._course.append((now_ms, round(score, 1)))
        while self._course and self._course[0][0] < now_ms - COURSE_MS:
            self._course.popleft()
        past = [name for name, one in self._troubles.items() if name in OF_A_MOMENT and now_ms - one.at_ms > MOMENT_MS]
        for name in past:
            del self._troubles[name]
            self._show_trouble()
        self._show_health()
        self._show_level()
        self._show_row()

    def delays_ms(self, prompt: PromptShown) -> list[int]:
        """How long after the end of what a prompt answers its card came; nothing for a step that answers nothing."""
        ends = [known.evidence.end_ms for key in prompt.signals if (known := self.transcript.signals.get(key))]
        return [max(prompt.at_ms - max(ends), 0)] if ends else []

    def end(self, wrapup: messages.WrapUp | None) -> messages.Ended:
        """The agent's page offers the record with its wrap-up, the board forgets the call; readers see how it ended.

        None: nothing was kept, and nothing of it stays on the page.
        """
        self.rooms.tell("call", self._call("ended"))
        if wrapup is not None:
            self.rooms.untell("prompt", "next", "plan", "clock", "health", "consent")
            ended = messages.Ended(record=self.started.call, summary=self._summary(), at_ms=self.now_ms)
            self.rooms.tell("wrapup", wrapup)
        else:
            self.rooms.untell(*(key for key in self.hub.snapshot(self.rooms.agent) if key != "call"))
            ended = messages.Ended(record="", summary="Nothing was kept: no consent", at_ms=self.now_ms)
        self.rooms.tell("ended", ended)
        self.hub.drop("board", f"row/{self.started.call}")
        for alert in self.cards.open:
            self.hub.drop("board", f"alert/{self.started.call}-{alert}")
        self.hub.clear(self.rooms.call)
        self.hub.show(self.rooms.call, "call", self._call("ended"))
        self.hub.show(self.rooms.call, "ended", ended)
        return ended

    def _said(self, said: Utterance | Hypothesis) -> None:
        if said.settled:
            self.listening.lag_ms = max(0, self.now_ms - said.end_ms)
        if self.transcript.said(said):
            self.advice.untick_words()

    def _withdrawn(self, event: SignalWithdrawn) -> None:
        """The words under a signal were taken back: nothing that is shown quotes them."""
        signal = self.transcript.withdrawn(event.key)
        if signal is None:
            return
        self._show_alerts(self.cards.unsaid(event.key, self.transcript.signals))
        if self._quote and self._quote == signal.evidence.quote:
            self._quote = ""
            self._show_row()

    def _level_changed(self, change: LevelChange) -> None:
        if change.level is not self.level:
            self.level, self._since_ms = change.level, change.at_ms
        self._score = change.score
        self.now_ms = max(self.now_ms, change.at_ms)
        self._course.append((change.at_ms, round(change.score, 1)))
        if change.because:
            self._why = ", ".join(dict.fromkeys(label(signal.id) for signal in change.because[:3]))
            self._quote = next((s.evidence.quote for s in change.because if s.evidence.quote), "")
        if change.level is Level.CALM:
            self._why = self._quote = ""
        self._show_level()
        self._show_row()

    def _consent(self, event: ConsentSet) -> None:
        gate = self.listening.gate = Gate(ConsentPolicy(event.policy), Consent(event.consent), event.by)
        now = {"consent": event.consent, "by": event.by, "heard": gate.may_transcribe, "kept": gate.may_store}
        self.rooms.show("consent", messages.ConsentNow.model_validate(now))
        if not gate.may_transcribe:
            self.transcript.clear()
            self.advice.untick_words()
            self._why = self._quote = ""
        self._show_health()
        self._show_row()

    def _trouble(self, trouble: Trouble) -> None:
        trouble = replace(trouble, text=complete(trouble.text, on_a_page=True))
        if self.listening.take(trouble):
            self._show_health()
            if trouble.code == "transcriber-missing":  # another recogniser hears from now on
                self.rooms.tell("call", self._call("live"))
            return
        self._troubles.pop(trouble.code, None)
        if not trouble.cleared:
            self._troubles[trouble.code] = trouble
        self._show_trouble()

    def _show_trouble(self) -> None:
        if self._troubles:
            newest = next(reversed(self._troubles.values()))
            self._notice("trouble", newest.text, "", newest.at_ms)
        else:
            self.rooms.untell("notice/trouble")

    def _done(self, action: Action) -> None:
        """A person has done something at a screen."""
        self.now_ms = max(self.now_ms, action.at_ms)
        match action.what:
            case "plan-offered" | "plan-asked" | "plan-accepted" | "plan-refused":
                self.advice.chosen(action.target, action.detail, action.what.removeprefix("plan-"))
                self._show_row()
            case "pause":
                self.listening.pause(action.detail if action.role == "system" else "")
                self._show_health()
            case "resume":
                self.listening.resume()
                self._show_health()
            case "alert-seen" | "claim" | "release" | "resolve":
                self._show_alerts(self.cards.done(action))
            case "plan-answered":
                self.advice.answered(action.target, action.detail.partition(" ")[2])
                self._show_alerts(self.cards.done(action))
            case "message":
                self._message(action.detail, action.who)
                self._show_alerts(self.cards.done(action))
            case "watch":
                self._readers.append(action.who)
                self._show_readers()
                self._show_alerts(self.cards.done(action))
            case "unwatch":
                if action.who in self._readers:
                    self._readers.remove(action.who)
                self._show_readers()
            case _:
                pass

    def _message(self, text: str, who: str = "") -> None:
        """Said to the agent, and on the page until it was read."""
        self._messages += 1
        notice = messages.Notice(kind="message", text=text, who=who, at_ms=self.now_ms)
        self.rooms.tell(f"notice/message/{self._messages}", notice)

    def _call(self, state: str) -> messages.Call:
        started = self.started
        return messages.Call.model_validate(
            {
                "call": started.call,
                "agent": started.agent,
                "team": started.team,
                "queue": started.queue,
                "caller": started.caller,
                "state": state,
                "at_ms": self.now_ms,
                **recogniser_of(self.hearing),
            }
        )

    def _summary(self) -> str:
        ran = self.advice.clock
        if ran is None or ran.result != "met":
            return f"{self.level.value.capitalize()} at the end, {clock(self.now_ms)}"
        took = f"{(ran.at_ms - ran.started_at_ms) / 1000:.0f} s"
        told = f"Remedy accepted after {took}" if ran.by == "remedy" else f"Recovered in {took}"
        turned = ran.by != "remedy" and self.level in CALMER
        return told if turned else f"{told}, {self.level.value} at the end"

    def _show_alerts(self, alerts: list[messages.Alert]) -> None:
        """The board shows what became of each alert, the agent's page who is asked for it and who has it."""
        for alert in alerts:
            self.hub.show("board", f"alert/{alert.call}-{alert.id}", alert)
        if alerts:
            self._show_asked()
            self._show_handled()
            self._show_row()

    def _show_asked(self) -> None:
        """How far the agent's own requests have come: the newest that nobody has taken or ended."""
        for alert in reversed(self.cards.open.values()):
            if alert.kind != "escalated" and (text := _asked(alert)):
                self._notice("help", text, alert.to or alert.by, alert.at_ms)
                return
        self.rooms.untell("notice/help")

    def _show_handled(self) -> None:
        held = next((alert for alert in self.cards.open.values() if alert.state == "claimed"), None)
        if held is None:
            self.rooms.untell("notice/handled")
            return
        claimed_ms = held.claimed_ms if held.claimed_ms is not None else held.raised_ms
        self._notice("handled", f"{held.by} is on it", held.by, claimed_ms)

    def _show_readers(self) -> None:
        """The agent sees who reads along, the boards too."""
        names = list(dict.fromkeys(self._readers))
        if names:
            verb = "is" if len(names) == 1 else "are"
            self._notice("reading", f"{' and '.join(names)} {verb} reading along", names[0], self.now_ms)
        else:
            self.rooms.untell("notice/reading")
        self._show_row()

    def _notice(self, kind: str, text: str, who: str, at_ms: int) -> None:
        notice = messages.Notice.model_validate({"kind": kind, "text": text, "who": who, "at_ms": at_ms})
        self.rooms.tell(f"notice/{kind}", notice)

    def _show_health(self, *, starting: bool = False) -> None:
        state, text = ("starting", "") if starting else self.listening.health
        health = messages.Health.model_validate(
            {
                "state": state,
                "lag_ms": self.listening.lag_ms,
                "at_ms": self.now_ms,
                "text": text,
                "speakers": list(self.started.speakers),
            }
        )
        self.rooms.show("health", health)

    def _show_level(self) -> None:
        now = messages.LevelNow(
            level=self.level.value, score=_bounded(self._score), at_ms=self.now_ms, course=list(self._course)[-120:]
        )
        self.rooms.show("level", now)

    def _show_row(self) -> None:
        row = messages.Row.model_validate(
            {
                "call": self.started.call,
                "agent": self.started.agent,
                "team": self.started.team,
                "level": self.level.value,
                "score": _bounded(self._score),
                "course": _evenly(self._course, self.now_ms),
                "why": self._why,
                "quote": self._quote,
                "in_use": self.advice.in_use,
                "plan": self.advice.plan,
                "health": self.listening.health[0],
                "lag_ms": self.listening.lag_ms,
                "at_ms": self.now_ms,
                "since_ms": self._since_ms,
                "handled_by": self.cards.handled_by,
                "read_by": list(dict.fromkeys(self._readers)),
            }
        )
        self.hub.show("board", f"row/{self.started.call}", row)


def _evenly(course: Iterable[tuple[int, float]], now_ms: int) -> list[float]:
    """The highest score of each step of the last five minutes; where a step has none, as before it."""
    step_ms = COURSE_MS // ROW_POINTS
    last = now_ms // step_ms
    highest: dict[int, float] = {}
    for at_ms, score in course:
        step = max(at_ms // step_ms, last - ROW_POINTS)
        highest[step] = max(score, highest.get(step, 0.0))
    scores: list[float] = []
    for step in range(min(highest, default=last + 1), last + 1):
        scores.append(highest.get(step, scores[-1] if scores else 0.0))
    return scores[-ROW_POINTS:]


def _asked(alert: messages.Alert) -> str:
    """How far a request of the agent has come; empty where somebody has taken it or it is over."""
    if alert.state == "seen":
        return f"{alert.by} has seen it"
    if alert.state != "raised":
        return ""
    waiting = {"everyone": "Everybody has been asked", "queued": "Waiting for a supervisor"}
    return f"Asking {alert.to}" if alert.to else waiting.get(alert.waits, "")


def _bounded(score: float) -> float:
    return min(100.0, max(0.0, score))
