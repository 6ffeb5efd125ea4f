"""What the pages show of one live call: turns its events into messages to its rooms and to the board."""

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
from assist.screens.call_alerts import CallAlerts
from assist.screens.health import CallHealth, RecogniserInfo, recogniser_fields
from assist.screens.rooms import Rooms
from assist.screens.transcript import Transcript
from assist.wording import clock, label
from audio.events import Hypothesis, Trouble, Utterance
from detectors.signals import CALMER, Level, LevelChange
from overlay import messages
from overlay.hub import Hub

SCORE_HISTORY_MS = 300_000
ROW_POINTS = 60
"""Scores in the sparkline of the board."""
PASSING_TROUBLES = frozenset({"call-resumed"})
"""Codes of troubles that are over at once; others last until they are cleared, or until the end of the call."""
PASSING_TROUBLE_MS = 30_000
"""How long the agent's page shows a passing trouble."""


@dataclass
class CallPages:
    """The agent's page, whoever reads along, and the board's row and alerts of one call. Event loop only."""

    hub: Hub
    started: CallStarted
    recogniser: RecogniserInfo
    transcript: Transcript
    advice: Advice
    alerts: CallAlerts
    rooms: Rooms
    call_health: CallHealth = field(default_factory=CallHealth)
    now_ms: int = 0
    level: Level = Level.CALM
    _level_since_ms: int = 0
    """Call time at which this level began."""
    _score: float = 0.0
    _scores: deque[tuple[int, float]] = field(default_factory=deque)
    """(call time in ms, score 0..100) of the last five minutes."""
    _why: str = ""
    _quote: str = ""
    _readers: list[str] = field(default_factory=list)
    """Who reads along, once for each page."""
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    """Trouble code -> trouble that is shown now, of those that CallHealth does not cover."""
    _message_count: int = 0
    """Messages to the agent so far."""

    def begin(self) -> None:
        """Show the call at its start, in place of what the agent's page showed before."""
        self.rooms.begin(self._call_message("live"))
        self._show_health(starting=True)
        self._show_level()
        self.advice.show_steps()
        self._show_row()

    def show(self, event: Event) -> None:
        """Show an event on every page that it concerns."""
        match event:
            case Utterance() | Hypothesis():
                self._line(event)
            case SignalRaised(signal=signal):
                self.transcript.add_signal(signal)
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
                self.transcript.show_hand_off(event)
            case StepTicked():
                self.advice.ticked(event)
            case Recovery():
                self.advice.recovery(event)
            case AlertRaised():
                signals = self.transcript.signals
                because = [signals[key].evidence for key in event.signals if key in signals]
                quote = because[0].quote if because else ""
                self._show_alerts(self.alerts.raised(event, self.level, quote))
            case AlertMoved():
                self._show_alerts(self.alerts.moved(event))
            case Trouble():
                self._trouble(event)
            case Action():
                self._action(event)
            case ConsentSet():
                self._consent(event)
            case CallEnded():
                self.now_ms = max(self.now_ms, event.at_ms)
            case _:
                pass

    def resume(self) -> list[messages.Alert]:
        """The interrupted call is resumed, after its log was shown: forgets its readers and troubles.

        Returns the alerts that are still open.
        """
        self._readers.clear()
        self._show_readers()
        self.call_health.reset()
        self._show_health()
        self._troubles.clear()
        self._show_trouble()
        return [alert for alert in self.alerts.by_id.values() if alert.state != "resolved"]

    def show_again(self) -> None:
        """A later call of the same agent has ended: the agent's page shows this one again."""
        self.rooms.show_again()
        self.rooms.show_to_agent("call", self._call_message("live"))
        self._show_health()

    def tell_of_other(self, ended: messages.Ended) -> None:
        """Another call of the same agent has ended, whose end the agent's page does not show: say so there."""
        wrap_up = " Its wrap-up can be said in its record, under Review." if ended.record else ""
        self._message(f"Your other call is over. {ended.summary}.{wrap_up}")

    def pulse(self, now_ms: int, score: float) -> None:
        """Called once a second of call time: updates scores, row and health even when nothing happens."""
        self.now_ms, self._score = now_ms, score
        if not self._scores or now_ms - self._scores[-1][0] >= 2_500:
            self._scores.append((now_ms, round(score, 1)))
        while self._scores and self._scores[0][0] < now_ms - SCORE_HISTORY_MS:
            self._scores.popleft()
        passed = [
            code
            for code, trouble in self._troubles.items()
            if code in PASSING_TROUBLES and now_ms - trouble.at_ms > PASSING_TROUBLE_MS
        ]
        for code in passed:
            del self._troubles[code]
            self._show_trouble()
        self._show_health()
        self._show_level()
        self._show_row()

    def delays_ms(self, prompt: PromptShown) -> list[int]:
        """The time from the end of what a prompt answers until it was shown; empty for a step: it answers nothing."""
        ends = [known.evidence.end_ms for key in prompt.signals if (known := self.transcript.signals.get(key))]
        return [max(prompt.at_ms - max(ends), 0)] if ends else []

    def end(self, wrapup: messages.WrapUp | None) -> messages.Ended:
        """The call has ended: the agent's page offers the wrap-up, the board drops the call, readers see how it ended.

        `wrapup` None: nothing was stored, and nothing of the call stays on the page.
        """
        self.rooms.show_to_agent("call", self._call_message("ended"))
        self.rooms.drop_from_agent("notice/help", "notice/handled", "notice/reading")
        if wrapup is not None:
            self.rooms.drop_from_agent("prompt", "next", "plan", "clock", "health", "consent")
            ended = messages.Ended(record=self.started.call, summary=self._summary(), at_ms=self.now_ms)
            self.rooms.show_to_agent("wrapup", wrapup)
        else:
            self.rooms.drop_from_agent(*(key for key in self.hub.snapshot(self.rooms.agent_room) if key != "call"))
            ended = messages.Ended(record="", summary="Nothing was kept: no consent", at_ms=self.now_ms)
        self.rooms.show_to_agent("ended", ended)
        self.hub.drop("board", f"row/{self.started.call}")
        for alert in self.alerts.by_id:
            self.hub.drop("board", f"alert/{self.started.call}-{alert}")
        self.hub.clear(self.rooms.call_room)
        self.hub.show(self.rooms.call_room, "call", self._call_message("ended"))
        self.hub.show(self.rooms.call_room, "ended", ended)
        return ended

    def _line(self, line: Utterance | Hypothesis) -> None:
        if line.settled:
            self.call_health.lag_ms = max(0, self.now_ms - line.end_ms)
        if self.transcript.update_line(line):
            self.advice.forget_ticked_words()

    def _withdrawn(self, event: SignalWithdrawn) -> None:
        """The words of a signal were taken back: nothing on the pages quotes them any more."""
        signal = self.transcript.remove_signal(event.key)
        if signal is None:
            return
        self._show_alerts(self.alerts.drop_signal(event.key, self.transcript.signals))
        if self._quote and self._quote == signal.evidence.quote:
            self._quote = ""
            self._show_row()

    def _level_changed(self, change: LevelChange) -> None:
        if change.level is not self.level:
            self.level, self._level_since_ms = change.level, change.at_ms
        self._score = change.score
        self.now_ms = max(self.now_ms, change.at_ms)
        self._scores.append((change.at_ms, round(change.score, 1)))
        if change.because:
            self._why = ", ".join(dict.fromkeys(label(signal.id) for signal in change.because[:3]))
            self._quote = next((s.evidence.quote for s in change.because if s.evidence.quote), "")
        if change.level is Level.CALM:
            self._why = self._quote = ""
        self._show_level()
        self._show_row()

    def _consent(self, event: ConsentSet) -> None:
        gate = self.call_health.gate = Gate(ConsentPolicy(event.policy), Consent(event.consent), event.by)
        now = {"consent": event.consent, "by": event.by, "heard": gate.may_transcribe, "kept": gate.may_store}
        self.rooms.show("consent", messages.ConsentNow.model_validate(now))
        if not gate.may_transcribe:
            self.transcript.clear()
            self.advice.forget_ticked_words()
            self._why = self._quote = ""
        self._show_health()
        self._show_row()

    def _trouble(self, trouble: Trouble) -> None:
        trouble = replace(trouble, text=complete(trouble.text, on_a_page=True))
        if self.call_health.update(trouble):
            self._show_health()
            if trouble.code == "transcriber-missing":  # the call has another recogniser now
                self.rooms.show_to_agent("call", self._call_message("live"))
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
            self.rooms.drop_from_agent("notice/trouble")

    def _action(self, action: Action) -> None:
        """Show what a person did on a page."""
        self.now_ms = max(self.now_ms, action.at_ms)
        match action.what:
            case "plan-offered" | "plan-asked" | "plan-accepted" | "plan-refused":
                self.advice.option_changed(action.target, action.detail, action.what.removeprefix("plan-"))
                self._show_row()
            case "pause":
                self.call_health.pause(action.detail if action.role == "system" else "")
                self._show_health()
            case "resume":
                self.call_health.resume()
                self._show_health()
            case "alert-seen" | "claim" | "release" | "resolve":
                self._show_alerts(self.alerts.done(action))
            case "plan-answered":
                self.advice.answered(action.target, action.detail.partition(" ")[2])
                self._show_alerts(self.alerts.done(action))
            case "message":
                self._message(action.detail, action.who)
                self._show_alerts(self.alerts.done(action))
            case "watch":
                self._readers.append(action.who)
                self._show_readers()
                self._show_alerts(self.alerts.done(action))
            case "unwatch":
                if action.who in self._readers:
                    self._readers.remove(action.who)
                self._show_readers()
            case _:
                pass

    def _message(self, text: str, who: str = "") -> None:
        """Show a message to the agent, until it was read."""
        self._message_count += 1
        notice = messages.Notice(kind="message", text=text, who=who, at_ms=self.now_ms)
        self.rooms.show_to_agent(f"notice/message/{self._message_count}", notice)

    def _call_message(self, state: str) -> messages.Call:
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
                **recogniser_fields(self.recogniser),
            }
        )

    def _summary(self) -> str:
        clock_shown = self.advice.clock
        if clock_shown is None or clock_shown.result != "met":
            return f"{self.level.value.capitalize()} at the end, {clock(self.now_ms)}"
        took = f"{(clock_shown.at_ms - clock_shown.started_at_ms) / 1000:.0f} s"
        summary = f"Remedy accepted after {took}" if clock_shown.by == "remedy" else f"Recovered in {took}"
        turned = clock_shown.by != "remedy" and self.level in CALMER
        return summary if turned else f"{summary}, {self.level.value} at the end"

    def _show_alerts(self, alerts: list[messages.Alert]) -> None:
        """Show changed alerts on the board; on the agent's page, who is asked and who has claimed one."""
        for alert in alerts:
            self.hub.show("board", f"alert/{alert.call}-{alert.id}", alert)
        if alerts:
            self._show_help_request()
            self._show_handled()
            self._show_row()

    def _show_help_request(self) -> None:
        """Show the state of the agent's newest request that is neither claimed nor over."""
        for alert in reversed(self.alerts.by_id.values()):
            if alert.kind != "escalated" and (text := _request_status(alert)):
                self._notice("help", text, alert.to or alert.by, alert.at_ms)
                return
        self.rooms.drop_from_agent("notice/help")

    def _show_handled(self) -> None:
        claimed = next((alert for alert in self.alerts.by_id.values() if alert.state == "claimed"), None)
        if claimed is None:
            self.rooms.drop_from_agent("notice/handled")
            return
        claimed_ms = claimed.claimed_ms if claimed.claimed_ms is not None else claimed.raised_ms
        self._notice("handled", f"{claimed.by} is on it", claimed.by, claimed_ms)

    def _show_readers(self) -> None:
        """Show the agent and the boards who reads along."""
        names = list(dict.fromkeys(self._readers))
        if names:
            verb = "is" if len(names) == 1 else "are"
            self._notice("reading", f"{' and '.join(names)} {verb} reading along", names[0], self.now_ms)
        else:
            self.rooms.drop_from_agent("notice/reading")
        self._show_row()

    def _notice(self, kind: str, text: str, who: str, at_ms: int) -> None:
        notice = messages.Notice.model_validate({"kind": kind, "text": text, "who": who, "at_ms": at_ms})
        self.rooms.show_to_agent(f"notice/{kind}", notice)

    def _show_health(self, *, starting: bool = False) -> None:
        state, text = ("starting", "") if starting else self.call_health.status
        health = messages.Health.model_validate(
            {
                "state": state,
                "lag_ms": self.call_health.lag_ms,
                "at_ms": self.now_ms,
                "text": text,
                "speakers": list(self.started.speakers),
            }
        )
        self.rooms.show("health", health)

    def _show_level(self) -> None:
        now = messages.LevelNow(
            level=self.level.value, score=_bounded(self._score), at_ms=self.now_ms, course=list(self._scores)[-120:]
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
                "course": _score_points(self._scores, self.now_ms),
                "why": self._why,
                "quote": self._quote,
                "in_use": self.advice.in_use,
                "plan": self.advice.plan,
                "health": self.call_health.status[0],
                "lag_ms": self.call_health.lag_ms,
                "at_ms": self.now_ms,
                "since_ms": self._level_since_ms,
                "handled_by": self.alerts.handled_by,
                "read_by": list(dict.fromkeys(self._readers)),
            }
        )
        self.hub.show("board", f"row/{self.started.call}", row)


def _score_points(scores: Iterable[tuple[int, float]], now_ms: int) -> list[float]:
    """The highest score in each of ROW_POINTS intervals of the last five minutes; where none was, the one before."""
    step_ms = SCORE_HISTORY_MS // ROW_POINTS
    last = now_ms // step_ms
    highest: dict[int, float] = {}
    for at_ms, score in scores:
        step = max(at_ms // step_ms, last - ROW_POINTS)
        highest[step] = max(score, highest.get(step, 0.0))
    points: list[float] = []
    for step in range(min(highest, default=last + 1), last + 1):
        points.append(highest.get(step, points[-1] if points else 0.0))
    return points[-ROW_POINTS:]


def _request_status(alert: messages.Alert) -> str:
    """The state of an agent's request in words: who is asked, and who has seen it; empty if it is claimed or over."""
    if alert.state != "raised":
        return ""
    waiting = {"everyone": "All were asked", "queued": "Waiting for help"}
    asked = f"Asking {alert.to}" if alert.to else waiting.get(alert.waits, "")
    if alert.to in alert.seen_by:
        return f"{asked}, who has seen it"
    return ", ".join(filter(None, (asked, f"seen by {alert.seen_by[-1]}" if alert.seen_by else "")))


def _bounded(score: float) -> float:
    return min(100.0, max(0.0, score))
