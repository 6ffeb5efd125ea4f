"""The coach of a call: turns signals, the level and people's actions into prompts, steps, Plan B and follow-ups. Pure.

Each concern has its own state (prompting, progress, clock, offers, appointments, follow_ups, summary); `Coach` decides
what reaches which.
"""

from __future__ import annotations

from collections import deque
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
from assist.coach.matching import asserted_words, is_line_said, matched_words, source_end_ms
from assist.coach.offers import Offers
from assist.coach.parts import Play, Playbook
from assist.coach.planb import Caller
from assist.coach.progress import Progress
from assist.coach.promises import promises
from assist.coach.prompting import STALE_MS, PromptCandidate, PromptSlot
from assist.coach.summary import CustomerSummary
from assist.coach.turns import CustomerTurn
from assist.events import Action, Event, FollowUpNoted, HandOffNoted, PlanMoved
from audio.events import Speaker, SpeechActivity, Utterance
from detectors.escalation import MILD_CUES, SUPPORT_WEIGHTS, WORD_WEIGHTS
from detectors.signals import AGENT_MISSTEPS, AGENT_STEPS, CUSTOMER_SIGNALS, Level, LevelChange, Severity, Signal

NEXT_STEP_MS = 6_000
"""The method's next step is suggested so long after the last prompt has left, in an escalated call."""
RECENT_MS = 20_000
"""For so long after a signal, steps that fit it go first."""
CUSTOMER_REPLY_MS = 15_000
"""After one of `AWAIT_REPLY_STEPS` no step is suggested for so long: the customer answers first. A clear cue is an
answer."""
CUE_SUPPORT_MS = 30_000
"""In a tense call supporting signals (silence, pace, sentiment, notes) make a prompt only so long after a clear word
cue or a raised voice: by then the call has calmed by half, and there is nothing left to support."""
CLEAR_NOTES = MILD_CUES | {"vulnerable"}
"""Answered like clear cues even as notes: mild swearing, hurry, and what asks for care."""
SETTLING_MS = 3_000
"""So long after an escalation the Plan B rows may still change: the words that caused it are settling."""
MAX_HEARD = 50
"""More utterances than settle within a pause by hand and the 2 s before it, whose words are forgotten."""
TEAM = (
    "(team|teams|department|desk|colleague*|specialist*|expert*|adviser*|advisor*|agent*|manager*|supervisor*|someone"
    "|somebody|lady|gentleman|person|people|guys|lads|billing|sales|accounts|finance|retention*|complaints|support"
    "|returns|claims|repairs|warehouse|switchboard|reception|dispatch|customer (service|services|care|relations))"
)
"""Who a customer is transferred to."""
TRANSFER = (  # the agent's words
    "(transfer|transferring) you (over|through|across|on|to|now|straight|right|back|again|shortly|please|and|so|$)",
    "(put|putting) you [straight|right|back] (through|over|across) "
    "(to|now|in|straight|right|shortly|back|again|please|$)",
    f"(put|putting) you [straight|right|back] (on to|onto|to) [the|a|an|my|our|their|another] [*] [*] {TEAM}",
    "(pass|passing) you [straight|right] [over|through|across|on|back] (to|onto)",
)
FETCHING_SUPERVISOR = (
    "(get|getting|fetch|bring|bringing|ask|asking) [in] [you] my (manager|supervisor|team leader)",
    "(i (will|can|am)|let me) (ask|asking) for my (manager|supervisor|team leader)",
)
AWAIT_REPLY_STEPS = frozenset(("ownership", "remedy", "callback_time"))
"""Agent signals after which it is the customer's turn: ownership, a remedy, a time."""


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """The agent who is coached."""

    name: str
    role: str = "agent"
    """Decides the limits for Plan B."""
    experienced: bool = False
    """Gets fewer prompts (see `prompting.EXPERIENCED_LIMITS`)."""


@dataclass
class Coach:
    """One call's coach. Feed it in the order of call time; methods return the events they have caused."""

    playbook: Playbook
    agent: AgentProfile
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Plan B option -> (times accepted, times offered) at this site so far."""
    caller: Caller = field(default_factory=Caller)
    began: datetime | None = None
    """When the call began, for due dates and for options that expire."""
    practising: bool = False
    """A practice call: steps count from the first word on, not only above calm."""

    def __post_init__(self) -> None:
        today = self.began.date().isoformat() if self.began is not None else ""
        self._variation = self.began.minute if self.began is not None else 0
        """Selects the first line of plays that vary: differs between calls; a call judged again has the same."""
        self._slot = PromptSlot(self.agent.name, experienced=self.agent.experienced)
        self._progress = Progress(self.playbook)
        self._clock = RecoveryClock()
        self._offers = Offers(self.playbook, self.agent.role, self.accepted_here, self.caller, today)
        self._summary = CustomerSummary()
        self._customer_turn = CustomerTurn()
        self._level = Level.CALM
        self._escalated_ms = -SETTLING_MS - 1
        self._signals: dict[str, dict[str, Signal]] = {}
        """Signal id -> key -> signal, without those that were withdrawn."""
        self._follow_ups = FollowUps(self.agent.name, self.began)
        self._accepted_titles: list[str] = []
        """Titles of accepted options."""
        self._appointments = Appointments(self.playbook)
        self._hand_offs: dict[str, HandOffNoted] = {}
        """To whom -> the last hand-off to them."""
        self._consented_ms = -1
        """Call time of consent, where it was given during the call."""
        self._heard: deque[tuple[int, Utterance]] = deque(maxlen=MAX_HEARD)
        """(call time when it settled, utterance) of the last ones: what is to be forgotten is judged by these."""

    def hear(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[Event]:
        """New signals, and the utterance that has just settled, if any."""
        if utterance is not None and utterance.words:
            self._heard.append((now_ms, utterance))
        for signal in signals:
            self._signals.setdefault(signal.id, {})[signal.key] = signal
        events: list[Event] = []
        by_customer = utterance is not None and utterance.speaker is not Speaker.AGENT
        agent_utterance = None if by_customer else utterance
        agent_signals = [signal for signal in signals if signal.id in AGENT_STEPS and signal.settled]
        pending = self._offers.awaiting_time()
        plan_moves = self._offers.hear(now_ms, signals, utterance, above_calm=self._level is not Level.CALM)
        timed: list[Appointment] = []
        if utterance is not None:
            callback = any(signal.id == "callback_time" for signal in agent_signals)
            timed = self._appointments.hear(now_ms, utterance, plan_moves, pending, callback=callback)
        if agent_signals or agent_utterance is not None:
            events += self._hear_agent(now_ms, agent_signals, agent_utterance, timed)
        if utterance is not None and by_customer:
            self._summary.hear(utterance, [each for known in self._signals.values() for each in known.values()])
            events += self._note_times(now_ms, timed)
        for moved in plan_moves:
            events.append(moved)
            if moved.what == "accepted":
                events += self._accept_option(now_ms, moved.option, by_hand=False)
        if candidate := self._best_play(now_ms, signals):
            events += self._slot.propose(candidate, now_ms)
        return events + self._update_plan(now_ms, rechoose=0 <= now_ms - self._escalated_ms <= SETTLING_MS)

    def speech_changed(self, activity: SpeechActivity) -> list[Event]:
        """Somebody has begun or stopped speaking, which decides when waiting prompts may be shown."""
        self._customer_turn.update(activity)
        events: list[Event] = self._slot.drop_waiting("silence", activity.at_ms) if activity.speaking else []
        if activity.speaker is Speaker.AGENT:
            (self._slot.agent_started if activity.speaking else self._slot.agent_stopped)(activity.at_ms)
        return events

    def level_changed(self, change: LevelChange, *, withdrawn: bool = False) -> list[Event]:
        """The escalation level has changed.

        `withdrawn`: because signals were withdrawn; a call whose level falls by that has not recovered.
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
            self._signals.setdefault(signal.id, {})[signal.key] = signal
        if candidate := self._best_play(now_ms, change.because):
            events += self._slot.propose(candidate, now_ms)
        return events + self._update_plan(now_ms, rechoose=change.level is Level.ESCALATED)

    def set_level(self, level: Level) -> None:
        """The level of a resumed call."""
        self._level = level

    def withdraw(self, key: str, now_ms: int, replacements: Sequence[Signal] = ()) -> list[Event]:
        """The signal of this key was withdrawn; `replacements`: the same finding under other keys."""
        for known in self._signals.values():
            known.pop(key, None)
        return self._slot.withdraw(key, now_ms, replacements)

    def refusal(self, action: Action) -> str:
        """Why an action is refused now, as a line for the page; empty where it is not."""
        if action.what.startswith("plan-") and action.what != "plan-answered":
            return self._offers.refusal(action.target, action.what.removeprefix("plan-"))
        if action.what == "plan-answered" and not self._offers.requested_by(action.target):
            return "That request has run out or is answered already."
        if action.what == "step" and self.playbook.step(action.target) is None:
            return f"There is no step {action.target!r} in this call's playbook."
        return ""

    def plan_requested(self, option: str, alert: str, now_ms: int) -> None:
        """A supervisor was asked for an option above the agent's limit, by an alert of this id."""
        self._offers.mark_requested(option, alert, now_ms)

    def act(self, action: Action) -> list[Event]:
        """Somebody has done something on a page."""
        now_ms = action.at_ms
        events: list[Event] = []
        match action.what:
            case "seen":
                self._slot.mark_seen(action)
            case "used" | "dismissed" | "wrong":
                if self._slot.shown is not None and self._slot.shown.id == action.target:
                    return self._slot.end(now_ms, action.what)
            case "step":
                events += self._progress.set_by_hand(now_ms, action.target, done=action.detail != "undone")
            case "plan-offered":
                self._offers.mark_offered(action.target, now_ms)
                if (option := self.playbook.option(action.target)) is not None and option.say:
                    events += self._slot.propose(candidate_for_offer(self.playbook, option, now_ms), now_ms)
            case "plan-accepted":
                self._offers.mark_accepted(action.target)
                events += self._accept_option(now_ms, action.target, by_hand=True)
            case "plan-refused":
                events += self._refuse_option(now_ms, action.target)
            case "plan-answered":
                allowed = action.detail.startswith("allowed")
                events += self._offers.decide(action.target, action.who, allowed=allowed, now_ms=now_ms)
                if allowed and any(isinstance(each, PlanMoved) and self._brings_in(each.option) for each in events):
                    events += self._hand_off(now_ms, action.who)
            case "claim":
                events += self._hand_off(now_ms, action.who)
        if action.what.startswith("plan-"):
            events += self._update_plan(now_ms)
        return events

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: prompts, requests and the recovery clock may expire, and the next step may be due."""
        events: list[Event] = [*self._clock.tick(now_ms), *self._slot.tick(now_ms), *self._offers.tick(now_ms)]
        is_due = self._slot.shown is None and now_ms - self._slot.last_ended_ms >= NEXT_STEP_MS
        if is_due and not self._is_exclusive() and self._level in (Level.ESCALATED, Level.RECOVERING):
            events += self._suggest_step(now_ms)
        return events

    def sound_ended(self) -> None:
        """The call's sound is over: no prompt and no option is shown for the words that settle after it."""
        self._slot.closed = True

    def end(self, now_ms: int, *, interrupted: bool = False) -> list[Event]:
        """The call is over; an interrupted one may be resumed, and its clock runs on."""
        return [*self._slot.end(now_ms, "ended"), *([] if interrupted else self._clock.cancel(now_ms))]

    def forget(self, since_ms: int) -> None:
        """The words that ended after `since_ms` may not be kept: nothing tells them or what was concluded from them.

        As in the log, what was done by hand stays, unless it quotes them.
        """
        self._summary.discard_after(since_ms)
        self._follow_ups.discard_after(since_ms, self._source_end_ms)
        self._appointments.discard_after(since_ms, self._source_end_ms)
        for noted in self._follow_ups.current():
            self._appointments.take(noted)
        self._hand_offs = {
            to: noted for to, noted in self._hand_offs.items() if self._words_end_ms(noted.at_ms) <= since_ms
        }
        self._heard = deque((each for each in self._heard if each[1].words[-1].end_ms <= since_ms), MAX_HEARD)

    def consented(self, now_ms: int) -> list[Event]:
        """Consent was given: no hand-off tells and no prompt quotes what was said before.

        Returns the state of the recovery clock, Plan B and the prompt on screen, for the log that begins here.
        """
        self._consented_ms = now_ms
        self.forget(-1)
        self._slot.remove_quotes()
        return [
            *self._clock.state_events(now_ms),
            *self._offers.state_events(now_ms),
            *self._slot.state_events(now_ms),
        ]

    def restore(self, event: Event) -> None:
        """An interrupted call is resumed: takes over an event of its log."""
        self._slot.restore(event)
        self._clock.restore(event)
        self._follow_ups.restore(event, [option.title for option in self.playbook.options if option.timed])
        if isinstance(event, FollowUpNoted):
            self._appointments.take(event)

    def _words_end_ms(self, at_ms: int, words: str = "") -> int:
        """The end of the words (see `source_end_ms`) among what had settled by `at_ms`."""
        return source_end_ms(words, [each for settled_ms, each in self._heard if settled_ms <= at_ms])

    def _source_end_ms(self, at_ms: int, words: str) -> int:
        """The end of the words of which something was noted at `at_ms`; 0 where it was by hand, without `words`."""
        by_hand = not words and all(settled_ms != at_ms for settled_ms, _ in self._heard)
        return 0 if by_hand else self._words_end_ms(at_ms, words)

    def _is_exclusive(self) -> bool:
        """Whether a play with `alone` has been shown, and not marked as wrong: only urgent prompts may follow."""
        return any(
            play.alone and self._slot.shown_counts.get(play.id) and not self._slot.is_muted(play.id)
            for play in self.playbook.plays
        )

    def _update_plan(self, now_ms: int, *, rechoose: bool = False) -> list[Event]:
        if self._slot.closed:
            return []
        level = Level.CALM if self._is_exclusive() else self._level
        return self._offers.update_rows(now_ms, level, self._signal_ids(), rechoose=rechoose)

    def _signal_ids_within(self, span_ms: int, now_ms: int) -> set[str]:
        return {
            name
            for name, known in self._signals.items()
            if any(now_ms - signal.at_ms <= span_ms for signal in known.values())
        }

    def _suggest_step(self, now_ms: int) -> list[Event]:
        """The method's next step, unless the customer is to answer first."""
        acted_ms = [signal.at_ms for name in AWAIT_REPLY_STEPS for signal in self._signals.get(name, {}).values()]
        if self._last_clear_cue_ms() < max(acted_ms, default=-inf) >= now_ms - CUSTOMER_REPLY_MS:
            return []
        step = self._progress.next_step(self._level, self._signal_ids_within(RECENT_MS, now_ms))
        candidate = candidate_for_step(step, now_ms) if step is not None else None
        if candidate is None or not self._slot.can_show(candidate.topic, candidate.say, now_ms):
            return []
        return self._slot.propose(candidate, now_ms, may_wait=False)

    def _signal_ids(self) -> set[str]:
        return {name for name, known in self._signals.items() if known}

    def _hear_agent(
        self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None, timed: Sequence[Appointment]
    ) -> list[Event]:
        """The agent's settled signals, the utterance that has just settled, if any, and the options it has timed."""
        events: list[Event] = []
        if self.practising or self._level is not Level.CALM:
            # Steps count above calm only: "thank you for calling" ticks nothing.
            events += self._progress.tick_heard(now_ms, signals, utterance)
        events += self._end_if_acted_on(now_ms, signals, utterance)
        if utterance is None:
            return events
        done = {signal.id for signal in signals}
        events += self._slot.agent_settled(
            now_ms, lambda candidate: bool(done & candidate.acted_by or matched_words(candidate.words, utterance))
        )
        events += self._slot.tick(now_ms)
        noted = self._note_times(now_ms, timed)
        events += noted
        due = " / ".join(each.due.casefold() for each in noted if isinstance(each, FollowUpNoted))
        for promise in promises(utterance):
            if promise.due and promise.due.casefold() in due and not is_to_inform(promise.what):
                continue
            for noted_promise in self._follow_ups.note(now_ms, promise.what, promise.due, promise.words):
                events.append(noted_promise)
                self._appointments.take(noted_promise)
        for phrases, to in ((TRANSFER, "another team"), (FETCHING_SUPERVISOR, "supervisor")):
            if self._level is not Level.CALM and (words := asserted_words(phrases, utterance)):
                events += self._hand_off(now_ms, to, words)
        return events

    def _note_times(self, now_ms: int, timed: Sequence[Appointment]) -> list[Event]:
        """Accepted options have their time: it is noted, and the prompt asks for that of the next one without."""
        events: list[Event] = []
        for each in timed:
            events += self._follow_ups.reschedule(now_ms, each.option.title, each.due, each.words, each.option.id)
            if self._slot.shown is not None and self._slot.shown.play == then_topic(each.option):
                events += self._slot.end(now_ms, "acted", each.words)
        untimed = self._appointments.last_without_time()
        if timed and self._slot.shown is None and untimed is not None and untimed.then:
            requested = not self._slot.is_deferring(now_ms)
            events += self._slot.propose(candidate_for_accepted(untimed, now_ms, requested=requested), now_ms)
        return events

    def _end_if_acted_on(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[Event]:
        """Ends the prompt on screen if what it asks for was said after it was shown, and ticks its step."""
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
            events += self._progress.tick_said(now_ms, candidate.step, words)
        if words:
            return [*events, *self._slot.end(now_ms, "acted", words)]
        if candidate.topic == f"step-{candidate.step}" and self._progress.is_done(candidate.step):
            return self._slot.end(now_ms, "withdrawn")  # it was said just before the prompt was shown
        return []

    def _accept_option(self, now_ms: int, option: str, *, by_hand: bool) -> list[Event]:
        """The customer has accepted an option: the recovery clock stops; an option that needs a time is a follow-up."""
        events: list[Event] = [*self._clock.recovered(now_ms, "remedy"), *self._end_offer_prompt(now_ms, option)]
        accepted = self.playbook.option(option)
        if accepted is None:
            return events
        self._accepted_titles.append(accepted.title)
        time = None
        if accepted.timed:
            time = self._appointments.accept(now_ms, accepted, by_hand=by_hand)
            due, words, at_ms = (time.due, time.words, time.at_ms) if time is not None else ("", "", now_ms)
            if due and (promise := self._appointments.promised_as(option)):
                events += self._follow_ups.reschedule(now_ms, accepted.title, due, words, promise)
            else:
                events += self._follow_ups.note_option(now_ms, accepted.title, due, words, at_ms)
        if accepted.then and time is None:
            events += self._slot.propose(candidate_for_accepted(accepted, now_ms, requested=by_hand), now_ms)
        return events

    def _refuse_option(self, now_ms: int, option: str) -> list[Event]:
        """The customer has refused an option, perhaps one that was taken for accepted.

        No follow-up is left of it, and the clock that it has stopped runs on.
        """
        events: list[Event] = []
        if self._offers.is_correction(option, "refused") and not self._offers.is_accepted_with_others(option):
            events += self._clock.resume(now_ms)
            if self._level is Level.TENSE:
                events += self._clock.cancel(now_ms)
            elif self._level is not Level.ESCALATED:
                events += self._clock.recovered(now_ms)
        self._offers.mark_refused(option)
        self._appointments.withdraw(option)
        known = self.playbook.option(option)
        if known is None:
            return events
        self._accepted_titles = [title for title in self._accepted_titles if title != known.title]
        self._follow_ups.withdraw_option(known.title)
        if self._slot.shown is not None and self._slot.shown.play == then_topic(known):
            events += self._slot.end(now_ms, "ended")
        return [*events, *self._end_offer_prompt(now_ms, option)]

    def _end_offer_prompt(self, now_ms: int, option: str) -> list[Event]:
        """The customer has answered an offer: its prompt, if on screen, ends."""
        known, shown = self.playbook.option(option), self._slot.shown
        if known is None or shown is None or shown.play != candidate_for_offer(self.playbook, known, now_ms).topic:
            return []
        return self._slot.end(now_ms, "ended")

    def _brings_in(self, option: str) -> bool:
        known = self.playbook.option(option)
        return known is not None and bool(known.bring_in)

    def _hand_off(self, now_ms: int, to: str, words: str = "") -> list[Event]:
        """What the next person need not ask the customer again; a second time only where there is more to tell."""
        said = self._summary.sentences()
        done = [*(f"given: {title}" for title in self._accepted_titles), *self._follow_ups.lines()]
        known = self._hand_offs.get(to)
        if not said or (known is not None and {*said, *done} <= {*known.said, *known.done}):
            return []
        heard = tuple(
            name
            for name, known in self._signals.items()
            if name in CUSTOMER_SIGNALS
            and any(each.severity >= Severity.HELP and each.at_ms > self._consented_ms for each in known.values())
        )
        self._hand_offs[to] = HandOffNoted(now_ms, to, said, tuple(done), words, heard)
        return [self._hand_offs[to]]

    def _best_play(self, now_ms: int, signals: Sequence[Signal]) -> PromptCandidate | None:
        """The best play for these signals: the most urgent, words before tone, clear cues (and what asks for care)
        before notes, notes of `CLEAR_NOTES` before others, the more specific, then the order in the playbook.

        Not answered are signals older than `STALE_MS`, and notes where the agent has just done what the play asks for.
        """
        recent = [
            signal for signal in signals if now_ms - self._customer_turn.answerable_ms(signal, now_ms) <= STALE_MS
        ]
        just_done = self._signal_ids_within(CUSTOMER_REPLY_MS, now_ms) & AWAIT_REPLY_STEPS
        best: tuple[tuple[int, ...], PromptCandidate] | None = None
        for index, play in enumerate(self.playbook.plays):
            answered = tuple(s for s in recent if s.id in play.signals and s.severity >= play.min_severity)
            if not answered or not self._is_eligible(play, answered, now_ms):
                continue
            tier = Severity.URGENT if any(s.severity is Severity.URGENT for s in answered) else play.severity
            words = any(signal.id in WORD_WEIGHTS for signal in answered)
            is_cue = any(signal.severity >= Severity.HELP or signal.id == "vulnerable" for signal in answered)
            clear = is_cue or any(signal.id in CLEAR_NOTES for signal in answered)
            if words and not clear and not just_done.isdisjoint(play.acted_by):
                continue
            specificity = 2 * self.playbook.ladder_depth(play) + (play.at_least > 1)
            rank = (tier, words, is_cue, clear, play.min_severity, specificity, -index)
            if best is None or rank > best[0]:
                since_ms = max(self._customer_turn.answerable_ms(signal, now_ms) for signal in answered)
                best = rank, candidate_for_play(self.playbook, play, answered, tier, since_ms, index, self._variation)
        return best[1] if best is not None else None

    def _is_eligible(self, play: Play, signals: Sequence[Signal], now_ms: int) -> bool:
        urgent = any(signal.severity is Severity.URGENT for signal in signals)
        if self._is_exclusive() and not (urgent and play.severity is Severity.URGENT):
            return False
        if not urgent and (self._level not in play.levels or self._level is Level.CALM):
            return False
        if self._level is Level.TENSE and not self._is_supported(signals):
            return False
        if {signal.id for signal in signals} == {"silence"} and self._is_relieved():
            return False
        findings = [signal for name in play.signals for signal in self._signals.get(name, {}).values()]
        severe = [signal for signal in findings if signal.severity >= play.min_severity]
        utterances = {signal.evidence.utterance or signal.key for signal in severe}
        return (
            len(utterances) >= play.at_least
            and self._slot.acted_on.issuperset(play.after)
            and self._slot.shown_counts.get(play.id, 0) < play.most
            and self._slot.can_show(play.id, play.say, now_ms)
        )

    def _is_supported(self, signals: Sequence[Signal]) -> bool:
        """Whether one of these is a clear cue or a misstep, or a clear cue was heard shortly before.

        Notes and supporting signals may make a call tense, but never make a prompt by themselves.
        """
        if any(
            signal.id in AGENT_MISSTEPS
            or signal.id in MILD_CUES
            or (signal.id not in SUPPORT_WEIGHTS and signal.severity >= Severity.HELP)
            for signal in signals
        ):
            return True
        return max(signal.at_ms for signal in signals) - self._last_clear_cue_ms() <= CUE_SUPPORT_MS

    def _is_relieved(self) -> bool:
        """Whether the customer has thanked since their last clear cue: silence is no dead air then."""
        relief_ms = max((signal.at_ms for signal in self._signals.get("de_escalation", {}).values()), default=-inf)
        return relief_ms > self._last_clear_cue_ms()

    def _last_clear_cue_ms(self) -> float:
        """Call time of the last clear word cue or raised voice; -inf: none."""
        heard_ms = [
            signal.at_ms
            for name in (*WORD_WEIGHTS, "raised_voice")
            for signal in self._signals.get(name, {}).values()
            if signal.severity >= Severity.HELP or name == "raised_voice"
        ]
        return max(heard_ms, default=-inf)
