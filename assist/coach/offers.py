"""State of the Plan B options of one call: shown, offered, answered; requested from a supervisor, allowed. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from assist.coach.matching import asserted_words, matched_words
from assist.coach.parts import Option, Playbook
from assist.coach.planb import MAX_ROWS, Caller, CallFacts, as_row, choose_options, is_applicable, may_grant
from assist.events import Event, PlanMoved, PlanOffered, PlanOption
from audio.events import Speaker, Utterance
from detectors.normalisation import normalise
from detectors.signals import Level, Signal

REQUEST_MS = 90_000
"""A request to a supervisor expires after this: the customer is waiting on the line."""
ACCEPTANCE_MS = 20_000
"""Relief or thanks (the signal `de_escalation`) so soon after an offer count as its acceptance."""
_DECLINES = re.compile(
    r" (?:no thanks?|no i (?:want|need|would|will|do|can)|not (?:work|help|want|accept|take|good|enough|what|for me|"
    r"interested|happy|(?:really )?change|about)|never (?:accept|take)|rather|instead|too (?:little|late)|"
    r"think (?:about|it over|that over)|ask my \w+|talk (?:it over|to my)|discuss (?:it|that|this) with|"
    r"still (?:leaving|cancelling|going to|(?:want|like|need|wish) to (?:leave|cancel|go|complain|speak|talk)))(?= )"
)
"""With one of these, thanks are polite and accept nothing."""
_OR = re.compile(r"\b(?:or|otherwise|alternatively)\b", re.IGNORECASE)
_AND = re.compile(r"\band\b", re.IGNORECASE)


@dataclass(slots=True)
class Offers:
    """The options of one call.

    The rows on the page change only when one of them is answered or the call escalates, not while they are being read.
    One that was accepted stays, in a call that is not calm, as long as that may be corrected.
    """

    playbook: Playbook
    role: str
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    today: str = ""
    rows: tuple[PlanOption, ...] = ()
    _answered: set[str] = field(default_factory=set)
    _correctable: set[str] = field(default_factory=set)
    """Those accepted, in words or by hand, until something else is offered: the agent may correct it."""
    _reasons_heard: set[str] = field(default_factory=set)
    _requests: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Option -> (alert id, call time) of open requests."""
    _allowed: dict[str, str] = field(default_factory=dict)
    """Option -> the supervisor who has allowed it."""
    _offered_ms: dict[str, int] = field(default_factory=dict)

    def refusal(self, option: str, what: str) -> str:
        """Why a person may not do this with the option now, as a line for the page; empty where they may.

        `what`: offered, asked, accepted or refused.
        """
        known = self.playbook.option(option)
        if known is None:
            return f"There is no option {option!r} in this call's playbook."
        if self.is_correction(option, what):
            return ""
        if option in self._answered:
            return f"{known.title}: that has been answered in this call."
        if what == "asked":
            if option in self._requests:
                return f"{known.title}: that was asked already; the answer will show here."
            return f"{known.title}: that is yours to give." if may_grant(known, self._facts(())) else ""
        if not may_grant(known, self._facts(())):
            return f"{known.title}: that is above your limit; ask for it first."
        return ""

    def is_correction(self, option: str, what: str) -> bool:
        """Whether the agent takes an acceptance back: the customer has not accepted it."""
        return what == "refused" and option in self._correctable

    def is_accepted_with_others(self, option: str) -> bool:
        """Whether others, too, were just accepted."""
        return bool(self._correctable - {option})

    def hear(
        self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None, *, above_calm: bool
    ) -> list[PlanMoved]:
        """Finds offers in the agent's words, and their acceptance in the customer's: relief soon after.

        Of several offers the customer accepts those that they name, or, naming none, the last one.

        Args:
            now_ms: call time.
            signals: new ones.
            utterance: the one that has just settled, if any.
            above_calm: whether the level is; in a calm call nothing counts as an offer.
        """
        events: list[PlanMoved] = []
        if utterance is None:
            return events
        if utterance.speaker is Speaker.AGENT:
            new: dict[str, str] = {}
            for option in self.playbook.options if above_calm else ():
                if option.id in self._offered_ms or option.id in self._answered or not self._counts_as_offer(option):
                    continue
                if words := asserted_words(option.words, utterance):
                    new[option.id] = words
            if new:
                self._correctable.clear()
            for name, words in new.items():
                first = _has_alternative(words, new.values(), utterance)
                self._offered_ms[name] = utterance.end_ms - (1 if first else 0)
                events.append(self._event(now_ms, name, "offered", "words", words))
            return events
        self._reasons_heard |= {
            o.id for o in self.playbook.options if o.reasons and matched_words(o.reasons, utterance)
        }
        for signal in signals:
            if signal.id == "de_escalation" and signal.settled:
                for option_id in self._accepted_by(utterance, signal.at_ms):
                    self.mark_accepted(option_id)
                    events.append(self._event(now_ms, option_id, "accepted", "words", signal.evidence.quote))
        return events

    def mark_offered(self, option: str, now_ms: int) -> None:
        """The agent says, on the page, that they offer it."""
        self._offered_ms[option] = now_ms
        self._correctable.clear()

    def awaiting_time(self) -> str:
        """The option offered last that needs a time and has no answer yet; empty: none."""
        waiting = [
            option.id
            for option in self.playbook.options
            if option.timed and option.id in self._offered_ms and option.id not in self._answered
        ]
        return max(waiting, key=lambda option: self._offered_ms[option], default="")

    def mark_accepted(self, option: str) -> None:
        """The customer has accepted it."""
        self._answered.add(option)
        self._correctable.add(option)
        self._requests.pop(option, None)

    def mark_refused(self, option: str) -> None:
        """The customer has refused it."""
        self._answered.add(option)
        self._correctable.discard(option)
        self._requests.pop(option, None)

    def mark_requested(self, option: str, alert: str, now_ms: int) -> None:
        """A supervisor was asked for it, by an alert of this id."""
        self._requests[option] = (alert, now_ms)

    def requested_by(self, alert: str) -> str:
        """The option of an open request, by its alert; empty where there is no such request (any more)."""
        return next((option for option, (asked, _) in self._requests.items() if asked == alert), "")

    def decide(self, alert: str, who: str, *, allowed: bool, now_ms: int) -> list[Event]:
        """A supervisor has answered a request."""
        option = self.requested_by(alert)
        if not option:
            return []
        del self._requests[option]
        if allowed:
            self._allowed[option] = who
        else:
            self._answered.add(option)
        what = "allowed" if allowed else "denied"
        return [self._event(now_ms, option, what, who, alert=alert)]

    def tick(self, now_ms: int) -> list[PlanMoved]:
        """Time has passed: requests may expire."""
        events: list[PlanMoved] = []
        for option, (alert, asked_ms) in list(self._requests.items()):
            if now_ms - asked_ms >= REQUEST_MS:
                del self._requests[option]
                events.append(self._event(now_ms, option, "expired", "time", alert=alert))
        return events

    def update_rows(self, now_ms: int, level: Level, heard: set[str], *, rechoose: bool = False) -> list[Event]:
        """Updates the rows; an event only where they change. `rechoose`: only rows in use are kept."""
        facts = self._facts(heard)
        gone = self._answered - self._correctable
        left = tuple(self._refreshed(row, facts) for row in self.rows if row.id not in gone)
        if rechoose:
            left = tuple(row for row in left if self._in_use(row.id))
        if level is Level.CALM:
            left = tuple(row for row in left if self._in_use(row.id) and row.id not in self._answered)
        elif level is not Level.RECOVERING and len(left) < MAX_ROWS:
            left = self._fill_up(left, choose_options(self.playbook.options, facts))
        if left == self.rows:
            return []
        self.rows = left
        return [PlanOffered(now_ms, left)]

    def state_events(self, now_ms: int) -> list[Event]:
        """Events that start a log with the rows on screen and those of them that are offered and not answered."""
        if not self.rows:
            return []
        offered = (row.id for row in self.rows if row.id in self._offered_ms and row.id not in self._answered)
        return [PlanOffered(now_ms, self.rows), *(self._event(now_ms, row, "offered", "consent") for row in offered)]

    def _in_use(self, option: str) -> bool:
        return option in self._requests or option in self._allowed or option in self._offered_ms

    def _fill_up(self, left: tuple[PlanOption, ...], ranked: tuple[PlanOption, ...]) -> tuple[PlanOption, ...]:
        known = {row.id for row in left}
        asks = any(row.authority == "ask" for row in left)
        new = [row for row in ranked if row.id not in known and not (asks and row.authority == "ask")]
        return (*left, *new)[:MAX_ROWS]

    def _refreshed(self, row: PlanOption, facts: CallFacts) -> PlanOption:
        """The row; rebuilt where a supervisor has allowed the option."""
        option = self.playbook.option(row.id)
        if option is None or row.id not in self._allowed:
            return row
        return as_row(option, facts)

    def _counts_as_offer(self, option: Option) -> bool:
        """Whether the agent's words can offer it: it is on the page as theirs to give, or would be."""
        if any(row.id == option.id and row.authority == "yours" for row in self.rows):
            return True
        facts = self._facts(option.signals)
        return may_grant(option, facts) and is_applicable(option, facts)

    def _accepted_by(self, utterance: Utterance, at_ms: int) -> list[str]:
        """The options that relief in this utterance accepts."""
        if _DECLINES.search(normalise([word.text for word in utterance.words]).text):
            return []
        waiting = {
            option.id: option
            for option in self.playbook.options
            if option.id not in self._answered
            and 0 <= at_ms - self._offered_ms.get(option.id, at_ms + 1) <= ACCEPTANCE_MS
        }
        named = [each.id for each in waiting.values() if matched_words((*each.reasons, *each.words), utterance)]
        last_ms = max((self._offered_ms[option] for option in waiting), default=0)
        return named or [option for option in waiting if self._offered_ms[option] == last_ms]

    def _event(self, now_ms: int, option: str, what: str, by: str, words: str = "", alert: str = "") -> PlanMoved:
        known = self.playbook.option(option)
        title, cost = (known.title, known.cost) if known is not None else (option, 0.0)
        return PlanMoved(now_ms, option, title, what, by, words, alert, cost)

    def _facts(self, heard: Collection[str]) -> CallFacts:
        return CallFacts(
            role=self.role,
            heard=heard,
            about=self._reasons_heard,
            answered=self._answered,
            allowed=self._allowed,
            accepted_here=self.accepted_here,
            caller=self.caller,
            today=self.today,
        )


def _has_alternative(words: str, offers: Collection[str], utterance: Utterance) -> bool:
    """Whether another offer follows after an "or": mere thanks then accept the one named last."""
    _, _, later = " ".join(word.text for word in utterance.words).partition(words)
    instead = _OR.search(later)
    if instead is None:
        return False
    choice = _AND.split(later[instead.end() :], maxsplit=1)[0]  # "within an hour or two and ..." offers both
    return any(other != words and other in choice for other in offers)
