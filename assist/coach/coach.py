"""The coach: from signals, level and what people do to one prompt, steps, Plan B, the clock and promises. Pure.

Each concern has its own small state (prompting, progress, clock, offers, follow_ups, story); here they come together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from assist.coach.appointments import Appointment, Appointments
from assist.coach.candidates import (
    candidate_for_accepted,
    candidate_for_offer,
    candidate_for_play,
    candidate_for_step,
    then_topic,
)
from assist.coach.clock import RecoveryClock
from assist.coach.follow_ups import FollowUps, is_to_inform
from assist.coach.matching import asserted_words, is_line_said, matched_words
from assist.coach.offers import Offers
from assist.coach.parts import Play, Playbook
from assist.coach.planb import Caller
from assist.coach.progress import Progress
from assist.coach.promises import promises
from assist.coach.prompting import STALE_MS, PromptCandidate, PromptSlot
from assist.coach.story import Story
from assist.coach.turns import CustomerTurn
from assist.events import Action, Event, FollowUpNoted, HandOffNoted, PlanMoved
from audio.events import Speaker, SpeechActivity, Utterance
from detectors.escalation import MILD_CUES, SUPPORT_WEIGHTS, WORD_WEIGHTS
from detectors.signals import AGENT_MISSTEPS, AGENT_STEPS, CUSTOMER_SIGNALS, Level, LevelChange, Severity, Signal

NEXT_STEP_MS = 6_000
"""After a prompt has left an escalated call, the method's next step waits this long."""
LATELY_MS = 20_000
"""How long a signal lends weight to the steps that fit it."""
GIVEN_MS = 15_000
"""After the agent has taken it on, given something or named a time, the customer has so long to answer before the next
step is suggested; a clear cue is an answer."""
LONE_MS = 30_000
"""In a tense call silence, pace, sentiment and what is only noted make a prompt only so long after a clear word cue or
a raised voice: by then the call has calmed by half, and what only supports no longer supports anything."""
CLEAR_NOTES = MILD_CUES | {"vulnerable"}
"""What is answered like a clear cue where it was only noted: mild swearing, hurry, and what asks for care."""
SETTLING_MS = 3_000
"""After an escalation the words that caused it settle: what they tell may still change the Plan B rows."""
TEAM = (
    "(team|teams|department|desk|colleague*|specialist*|expert*|adviser*|advisor*|agent*|manager*|supervisor*|someone"
    "|somebody|lady|gentleman|person|people|guys|lads|billing|sales|accounts|finance|retention*|complaints|support"
    "|returns|claims|repairs|warehouse|switchboard|reception|dispatch|customer (service|services|care|relations))"
)
"""Who somebody is handed over to."""
TRANSFER = (
    "(transfer|transferring) you (over|through|across|on|to|now|straight|right|back|again|shortly|please|and|so|$)",
    "(put|putting) you [straight|right|back] (through|over|across) "
    "(to|now|in|straight|right|shortly|back|again|please|$)",
    f"(put|putting) you [straight|right|back] (on to|onto|to) [the|a|an|my|our|their|another] [*] [*] {TEAM}",
    "(pass|passing) you [straight|right] [over|through|across|on|back] (to|onto)",
)
JOINING = (
    "(get|getting|fetch|bring|bringing|ask|asking) [in] [you] my (manager|supervisor|team leader)",
    "(i (will|can|am)|let me) (ask|asking) for my (manager|supervisor|team leader)",
)
"""What handing over sounds like in the agent's words."""

GIVING = frozenset(("ownership", "remedy", "callback_time"))
"""Steps of the agent's after which it is the customer's turn."""


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """Who is coached."""

    name: str
    role: str = "agent"
    """Whose limits count for Plan B."""
    experienced: bool = False


@dataclass
class Coach:
    """One call's coach. Feed it in the order of call time; each method returns what it decided."""

    playbook: Playbook
    agent: AgentProfile
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Plan B option -> (times accepted, times offered) at this site so far."""
    caller: Caller = field(default_factory=Caller)
    began: datetime | None = None
    """When the call began, for due dates and for options that expire."""
    practising: bool = False
    """Steps count from the first word: whoever keeps a practice call calm has done them too."""

    def __post_init__(self) -> None:
        today = self.began.date().isoformat() if self.began is not None else ""
        self._opening = self.began.minute if self.began is not None else 0
        """Any number that differs from call to call and is the same when one is judged again."""
        self._slot = PromptSlot(self.agent.name, experienced=self.agent.experienced)
        self._progress = Progress(self.playbook)
        self._clock = RecoveryClock()
        self._offers = Offers(self.playbook, self.agent.role, self.accepted_here, self.caller, today)
        self._story = Story()
        self._turn = CustomerTurn()
        self._level = Level.CALM
        self._escalated_ms = -SETTLING_MS - 1
        self._heard: dict[str, dict[str, Signal]] = {}
        """Signal id -> the findings of that id, by key."""
        self._follow_ups = FollowUps(self.agent.name, self.began)
        self._given: list[str] = []
        """Titles of options accepted in this call."""
        self._appointments = Appointments(self.playbook)
        self._handed: dict[str, HandOffNoted] = {}
        """To whom it was handed over -> what was told then."""
        self._consented_ms = -1

    def hear(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[Event]:
        """New signals, and the utterance that has just settled where there is one."""
        for signal in signals:
            self._heard.setdefault(signal.id, {})[signal.key] = signal
        events: list[Event] = []
        theirs = utterance is not None and utterance.speaker is not Speaker.AGENT
        said = None if theirs else utterance
        mine = [signal for signal in signals if signal.id in AGENT_STEPS and signal.settled]
        waiting = self._offers.awaiting_time()
        moves = self._offers.hear(now_ms, signals, utterance, above_calm=self._level is not Level.CALM)
        timed: list[Appointment] = []
        if utterance is not None:
            callback = any(signal.id == "callback_time" for signal in mine)
            timed = self._appointments.hear(now_ms, utterance, moves, waiting, callback=callback)
        if mine or said is not None:
            events += self._agent_said(now_ms, mine, said, timed)
        if utterance is not None and theirs:
            self._story.hear(utterance, [each for known in self._heard.values() for each in known.values()])
            events += self._time_named(now_ms, timed)
        for moved in moves:
            events.append(moved)
            if moved.what == "accepted":
                events += self._accepted(now_ms, moved.option, by_hand=False)
        if candidate := self._answer_to(now_ms, signals):
            events += self._slot.propose(candidate, now_ms)
        return events + self._show_plan(now_ms, rechoose=0 <= now_ms - self._escalated_ms <= SETTLING_MS)

    def speech(self, activity: SpeechActivity) -> list[Event]:
        """Somebody has begun to speak or has stopped: what waited for the agent's pause may come."""
        self._turn.update(activity)
        events: list[Event] = self._slot.drop_waiting("silence", activity.at_ms) if activity.speaking else []
        if activity.speaker is Speaker.AGENT:
            (self._slot.agent_started if activity.speaking else self._slot.agent_stopped)(activity.at_ms)
        return events

    def level(self, change: LevelChange, *, withdrawn: bool = False) -> list[Event]:
        """The level has changed: the clock, Plan B, and what no longer fits.

        `withdrawn`: because words did not hold; a call that comes down by that has not been recovered.
        """
        self._level = change.level
        now_ms = change.at_ms
        events: list[Event] = []
        if change.level is Level.ESCALATED:
            events += self._clock.start(now_ms)
            self._escalated_ms = now_ms
        elif withdrawn or change.level is Level.TENSE:
            events += self._clock.cancel(now_ms)
        else:
            events += self._clock.recovered(now_ms)
        if change.level is Level.CALM:
            events += self._slot.clear(now_ms)
        for signal in change.because:
            self._heard.setdefault(signal.id, {})[signal.key] = signal
        if candidate := self._answer_to(now_ms, change.because):
            events += self._slot.propose(candidate, now_ms)
        return events + self._show_plan(now_ms, rechoose=change.level is Level.ESCALATED)

    def stand(self, level: Level) -> None:
        """Go on from this level."""
        self._level = level

    def withdraw(self, key: str, now_ms: int, instead: Sequence[Signal] = ()) -> list[Event]:
        """The words under a signal did not hold; `instead`: the same finding under another key."""
        for known in self._heard.values():
            known.pop(key, None)
        return self._slot.withdraw(key, now_ms, instead)

    def refuses(self, action: Action) -> str:
        """Why this cannot be done now, in one plain line for the page that tried; empty where it can."""
        if action.what.startswith("plan-") and action.what != "plan-answered":
            return self._offers.refusal(action.target, action.what.removeprefix("plan-"))
        if action.what == "plan-answered" and not self._offers.requested_by(action.target):
            return "That request has run out or is answered already."
        if action.what == "step" and self.playbook.step(action.target) is None:
            return f"There is no step {action.target!r} in this call's playbook."
        return ""

    def asked(self, option: str, alert: str, now_ms: int) -> None:
        """An option above the agent's limit was asked for, by an alert of this id."""
        self._offers.mark_requested(option, alert, now_ms)

    def act(self, action: Action) -> list[Event]:
        """Something was done at a screen."""
        now_ms = action.at_ms
        events: list[Event] = []
        match action.what:
            case "used" | "dismissed" | "wrong":
                if self._slot.shown is not None and self._slot.shown.id == action.target:
                    return self._slot.end(now_ms, action.what)
            case "step":
                events += self._progress.by_hand(now_ms, action.target, done=action.detail != "undone")
            case "plan-offered":
                self._offers.mark_offered(action.target, now_ms)
                if (option := self.playbook.option(action.target)) is not None and option.say:
                    events += self._slot.propose(candidate_for_offer(self.playbook, option, now_ms), now_ms)
            case "plan-accepted":
                self._offers.mark_answered(action.target)
                events += self._accepted(now_ms, action.target, by_hand=True)
            case "plan-refused":
                self._offers.mark_answered(action.target)
                events += self._offer_answered(now_ms, action.target)
            case "plan-answered":
                allowed = action.detail.startswith("allowed")
                events += self._offers.decide(action.target, action.who, allowed=allowed, now_ms=now_ms)
                if allowed and any(isinstance(each, PlanMoved) and self._brings_in(each.option) for each in events):
                    events += self._hand_off(now_ms, action.who)
            case "claim":
                events += self._hand_off(now_ms, action.who)
        if action.what.startswith("plan-"):
            events += self._show_plan(now_ms)
        return events

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: prompts leave, waiting ones come or go stale, requests and the clock run out."""
        events: list[Event] = [*self._clock.tick(now_ms), *self._slot.tick(now_ms), *self._offers.tick(now_ms)]
        due = self._slot.shown is None and now_ms - self._slot.last_ended_ms >= NEXT_STEP_MS
        if due and not self._alone() and self._level in (Level.ESCALATED, Level.RECOVERING):
            given = [signal.at_ms for name in GIVING for signal in self._heard.get(name, {}).values()]
            if self._clear_ms() < max(given, default=-inf) >= now_ms - GIVEN_MS:
                return events
            lately = self._heard_within(LATELY_MS, now_ms)
            step = self._progress.next(self._level, lately)
            candidate = candidate_for_step(step, now_ms) if step is not None else None
            if candidate is not None and self._slot.can_show(candidate.topic, candidate.say, now_ms):
                events += self._slot.propose(candidate, now_ms, may_wait=False)
        return events

    def end(self, now_ms: int, *, cut_short: bool = False) -> list[Event]:
        """The call is over; one that is cut short may go on, and its clock runs meanwhile."""
        return [*self._slot.end(now_ms, "ended"), *([] if cut_short else self._clock.cancel(now_ms))]

    def forget(self, since_ms: int) -> None:
        """What was said after this has been taken back: nobody who takes over reads it."""
        self._story.forget(since_ms)
        self._follow_ups.discard_after(since_ms)
        self._appointments.discard_after(since_ms)
        for noted in self._follow_ups.current():
            self._appointments.restore(noted)
        self._handed = {to: noted for to, noted in self._handed.items() if noted.at_ms <= since_ms}

    def consented(self, now_ms: int) -> list[Event]:
        """Only from now on may be kept what is said: no hand-over tells and no card quotes what was said before.

        The clock that runs is told, for the log.
        """
        self._consented_ms = now_ms
        self.forget(-1)
        self._slot.remove_quotes()
        return [*self._clock.standing(now_ms)]

    def story(self) -> tuple[tuple[int, str], ...]:
        """What the customer has said so far: call time in ms and their words."""
        return self._story.told()

    def follow(self, event: Event) -> None:
        """A call that was cut short goes on: its cards, its clock and its promises are those of its log."""
        self._slot.restore(event)
        self._clock.follow(event)
        self._follow_ups.restore(event, [option.title for option in self.playbook.options if option.timed])
        if isinstance(event, FollowUpNoted):
            self._appointments.restore(event)

    def _alone(self) -> bool:
        """A play that comes before everything else has been shown."""
        return any(play.alone and self._slot.shown_counts.get(play.id) for play in self.playbook.plays)

    def _show_plan(self, now_ms: int, *, rechoose: bool = False) -> list[Event]:
        level = Level.CALM if self._alone() else self._level
        return self._offers.update_rows(now_ms, level, self._ids(), rechoose=rechoose)

    def _heard_within(self, span_ms: int, now_ms: int) -> set[str]:
        return {
            name
            for name, known in self._heard.items()
            if any(now_ms - signal.at_ms <= span_ms for signal in known.values())
        }

    def _ids(self) -> set[str]:
        return {name for name, known in self._heard.items() if known}

    def _agent_said(
        self, now_ms: int, mine: Sequence[Signal], utterance: Utterance | None, given: Sequence[Appointment]
    ) -> list[Event]:
        """The agent's settled signals, and the utterance where one has just settled."""
        events: list[Event] = []
        if self.practising or self._level is not Level.CALM:
            # Recovery steps count from when the call has turned: "thank you for calling" ticks nothing.
            events += self._progress.heard(now_ms, mine, utterance)
        events += self._acted(now_ms, mine, utterance)
        if utterance is None:
            return events
        done = {signal.id for signal in mine}
        events += self._slot.agent_settled(
            now_ms, lambda candidate: bool(done & candidate.acted_by or matched_words(candidate.words, utterance))
        )
        events += self._slot.tick(now_ms)
        timed = self._time_named(now_ms, given)
        events += timed
        due = " / ".join(each.due.casefold() for each in timed if isinstance(each, FollowUpNoted))
        for promise in promises(utterance):
            if promise.due and promise.due.casefold() in due and not is_to_inform(promise.what):
                continue
            events += self._follow_ups.note(now_ms, promise.what, promise.due, promise.words)
        for phrases, to in ((TRANSFER, "another team"), (JOINING, "supervisor")):
            if self._level is not Level.CALM and (words := asserted_words(phrases, utterance)):
                events += self._hand_off(now_ms, to, words)
        return events

    def _time_named(self, now_ms: int, given: Sequence[Appointment]) -> list[Event]:
        """The time of what was accepted: its card goes, and the one for another that has none comes."""
        events: list[Event] = []
        for each in given:
            events += self._follow_ups.reschedule(now_ms, each.option.title, each.due, each.words)
            if self._slot.shown is not None and self._slot.shown.play == then_topic(each.option):
                events += self._slot.end(now_ms, "acted", each.words)
        if (
            given
            and self._slot.shown is None
            and (left := self._appointments.last_without_time()) is not None
            and left.then
        ):
            events += self._slot.propose(
                candidate_for_accepted(left, now_ms, requested=not self._slot.is_deferring(now_ms)), now_ms
            )
        return events

    def _acted(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[Event]:
        """The prompt on screen ends when what it asks for is heard after it was shown; its step is done with it."""
        candidate, shown = self._slot.candidate, self._slot.shown
        if candidate is None or shown is None:
            return []
        heard = [signal for signal in signals if signal.id in candidate.acted_by and signal.at_ms > shown.at_ms]
        words = next((signal.evidence.quote for signal in heard), "")
        if not words and utterance is not None:
            since = replace(utterance, words=tuple(word for word in utterance.words if word.end_ms > shown.at_ms))
            words = matched_words(candidate.words, since) or (since.text if is_line_said(shown.say, since) else "")
        events: list[Event] = []
        if words and candidate.step and self._level is not Level.CALM:
            events += self._progress.said(now_ms, candidate.step, words)
        if words:
            return [*events, *self._slot.end(now_ms, "acted", words)]
        if candidate.topic == f"step-{candidate.step}" and self._progress.is_done(candidate.step):
            return self._slot.end(now_ms, "withdrawn")  # it was said just before the card came
        return []

    def _accepted(self, now_ms: int, option: str, *, by_hand: bool) -> list[Event]:
        """The customer has taken it: the clock stops, and what needs a time of its own becomes a follow-up."""
        events: list[Event] = [*self._clock.recovered(now_ms, "remedy"), *self._offer_answered(now_ms, option)]
        given = self.playbook.option(option)
        if given is not None:
            self._given.append(given.title)
            time = self._appointments.accept(now_ms, given, by_hand=by_hand) if given.timed else None
            timeless = given.timed and time is None
            if given.timed:
                due, words, at_ms = (time.due, time.words, time.at_ms) if time is not None else ("", "", now_ms)
                events += self._follow_ups.note_option(now_ms, given.title, due, words, at_ms)
            if given.then and (timeless or not given.timed):
                events += self._slot.propose(candidate_for_accepted(given, now_ms, requested=by_hand), now_ms)
        return events

    def _offer_answered(self, now_ms: int, option: str) -> list[Event]:
        """The customer has answered: the card that offers it ends and makes room."""
        known, shown = self.playbook.option(option), self._slot.shown
        if known is None or shown is None or shown.play != candidate_for_offer(self.playbook, known, now_ms).topic:
            return []
        return self._slot.end(now_ms, "ended")

    def _brings_in(self, option: str) -> bool:
        known = self.playbook.option(option)
        return known is not None and bool(known.bring_in)

    def _hand_off(self, now_ms: int, to: str, words: str = "") -> list[Event]:
        """What whoever takes over need not ask; to the same again only where there is more to tell."""
        told = self.story()
        done = [*(f"given: {title}" for title in self._given), *self._follow_ups.lines()]
        known = self._handed.get(to)
        if not told or (known is not None and {*told, *done} <= {*known.said, *known.done}):
            return []
        heard = tuple(
            name
            for name, known in self._heard.items()
            if name in CUSTOMER_SIGNALS
            and any(each.severity >= Severity.HELP and each.at_ms > self._consented_ms for each in known.values())
        )
        self._handed[to] = HandOffNoted(now_ms, to, told, tuple(done), words, heard)
        return [self._handed[to]]

    def _answer_to(self, now_ms: int, signals: Sequence[Signal]) -> PromptCandidate | None:
        """The play that fits best: the most urgent, words before tone, what was clear before what was only noted, the
        more particular, then the order in the file.

        What was said too long ago is not answered any more, nor what was only noted where the agent has just done what
        the answer asks for.
        """
        recent = [signal for signal in signals if now_ms - self._turn.answerable_ms(signal, now_ms) <= STALE_MS]
        given = self._heard_within(GIVEN_MS, now_ms) & GIVING
        best: tuple[tuple[int, ...], PromptCandidate] | None = None
        for order, play in enumerate(self.playbook.plays):
            mine = tuple(s for s in recent if s.id in play.signals and s.severity >= play.from_severity)
            if not mine or not self._may_come(play, mine, now_ms):
                continue
            tier = Severity.URGENT if any(s.severity is Severity.URGENT for s in mine) else play.severity
            words = any(signal.id in WORD_WEIGHTS for signal in mine)
            clear = any(signal.severity >= Severity.HELP or signal.id in CLEAR_NOTES for signal in mine)
            if words and not clear and not given.isdisjoint(play.acted_by):
                continue
            particular = 2 * self.playbook.rung(play) + (play.at_least > 1)
            rank = (tier, words, clear, play.from_severity, particular, -order)
            if best is None or rank > best[0]:
                since_ms = max(self._turn.answerable_ms(signal, now_ms) for signal in mine)
                best = rank, candidate_for_play(self.playbook, play, mine, tier, since_ms, order, self._opening)
        return best[1] if best is not None else None

    def _may_come(self, play: Play, signals: Sequence[Signal], now_ms: int) -> bool:
        urgent = any(signal.severity is Severity.URGENT for signal in signals)
        if self._alone() and not (urgent and play.severity is Severity.URGENT):
            return False
        if not urgent and (self._level not in play.levels or self._level is Level.CALM):
            return False
        if self._level is Level.TENSE and not self._is_supported(signals):
            return False
        findings = [signal for name in play.signals for signal in self._heard.get(name, {}).values()]
        grave = [signal for signal in findings if signal.severity >= play.from_severity]
        often = len({signal.evidence.utterance or signal.key for signal in grave})
        return (
            often >= play.at_least
            and self._slot.acted_on.issuperset(play.after)
            and self._slot.shown_counts.get(play.id, 0) < play.most
            and self._slot.can_show(play.id, play.say, now_ms)
        )

    def _is_supported(self, signals: Sequence[Signal]) -> bool:
        """Whether one of these is a clear cue or of the agent's words, or comes shortly after a cue.

        What is only noted, or supports, never makes a prompt by itself: several such may make a call tense.
        """
        if any(
            signal.id in AGENT_MISSTEPS
            or signal.id in MILD_CUES
            or (signal.id not in SUPPORT_WEIGHTS and signal.severity >= Severity.HELP)
            for signal in signals
        ):
            return True
        return max(signal.at_ms for signal in signals) - self._clear_ms() <= LONE_MS

    def _clear_ms(self) -> float:
        """When the last clear word cue or raised voice was heard."""
        said = [
            signal.at_ms
            for name in (*WORD_WEIGHTS, "raised_voice")
            for signal in self._heard.get(name, {}).values()
            if signal.severity >= Severity.HELP or name == "raised_voice"
        ]
        return max(said, default=-inf)
