"""The Plan B options of one call: on screen, offered, answered; asked of a supervisor, allowed, run out. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from assist.coach.parts import Option, Playbook
from assist.coach.planb import ON_SCREEN, Caller, Moment, as_row, fits, may_grant, offered
from assist.coach.words import found, meant
from assist.events import Event, PlanMoved, PlanOffered, PlanOption
from audio.events import Speaker, Utterance
from detectors.normalisation import normalise
from detectors.signals import Level, Signal

REQUEST_MS = 90_000
"""A request that no supervisor has answered by then has run out: the customer is on the line."""
ANSWER_MS = 20_000
"""Relief or thanks this shortly after an offer was heard count as its acceptance."""
_DECLINES = re.compile(
    r" (?:no thanks?|no i (?:want|need|would|will|do|can)|not (?:work|help|want|accept|take|good|enough|what|for me|"
    r"interested|happy)|never (?:accept|take)|rather|instead|too (?:little|late))(?= )"
)
"""Whoever says one of these may be polite and still not take what was offered."""
_OR = re.compile(r"\b(?:or|otherwise|alternatively)\b", re.IGNORECASE)
_AND = re.compile(r"\band\b", re.IGNORECASE)


@dataclass(slots=True)
class Offers:
    """Which options stand where.

    The rows on screen change only when one of them is through or the call escalates, never under the eye.
    """

    playbook: Playbook
    role: str
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    today: str = ""
    rows: tuple[PlanOption, ...] = ()
    _answered: set[str] = field(default_factory=set)
    _about: set[str] = field(default_factory=set)
    _asked: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Option -> (alert, when) of requests that wait for an answer."""
    _allowed: dict[str, str] = field(default_factory=dict)
    _offered_ms: dict[str, int] = field(default_factory=dict)

    def refuses(self, option: str, what: str) -> str:
        """Why a person may not do this with the option now, in one plain line; empty where they may.

        what: offered, asked, accepted, refused.
        """
        known = self.playbook.option(option)
        if known is None:
            return f"There is no option {option!r} in this call's playbook."
        if option in self._answered:
            return f"{known.title}: that has been answered in this call."
        if what == "asked":
            if option in self._asked:
                return f"{known.title}: that was asked already; the answer will show here."
            return f"{known.title}: that is yours to give." if may_grant(known, self._moment(())) else ""
        if not may_grant(known, self._moment(())):
            return f"{known.title}: that is above your limit; ask for it first."
        return ""

    def hear(
        self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None, *, turned: bool
    ) -> list[PlanMoved]:
        """What the words say about the options: offered by the agent; accepted, when relief follows shortly.

        Whoever refuses in the same breath accepts nothing. Of several offers those are meant that the customer names,
        or where they name none, what was offered last.
        """
        events: list[PlanMoved] = []
        if utterance is None:
            return events
        if utterance.speaker is Speaker.AGENT:
            new: dict[str, str] = {}
            for option in self.playbook.options if turned else ():
                if option.id in self._offered_ms or option.id in self._answered or not self._may_offer(option):
                    continue
                if words := meant(option.words, utterance):
                    new[option.id] = words
            for name, words in new.items():
                first = _is_first_choice(words, new.values(), utterance)
                self._offered_ms[name] = utterance.end_ms - (1 if first else 0)
                events.append(self._moved(now_ms, name, "offered", "words", words))
            return events
        self._about |= {o.id for o in self.playbook.options if o.reasons and found(o.reasons, utterance)}
        for signal in signals:
            if signal.id == "de_escalation" and signal.settled:
                for option_id in self._accepted_by(utterance, signal.at_ms):
                    self._answered.add(option_id)
                    events.append(self._moved(now_ms, option_id, "accepted", "words", signal.evidence.quote))
        return events

    def take_up(self, option: str, now_ms: int) -> None:
        """The agent offers it to the customer."""
        self._offered_ms[option] = now_ms

    def to_time(self) -> str:
        """The option that waits for the customer's answer and needs a time: the one that was offered last, or none."""
        waiting = [
            option.id
            for option in self.playbook.options
            if option.timed and option.id in self._offered_ms and option.id not in self._answered
        ]
        return max(waiting, key=lambda option: self._offered_ms[option], default="")

    def answer(self, option: str) -> None:
        """The customer has accepted or refused it."""
        self._answered.add(option)
        self._asked.pop(option, None)

    def ask(self, option: str, alert: str, now_ms: int) -> None:
        """It was asked of a supervisor, by an alert of this id."""
        self._asked[option] = (alert, now_ms)

    def asked_by(self, alert: str) -> str:
        """The option that an open request is about; empty where the request is answered, has run out, or never was."""
        return next((option for option, (asked, _) in self._asked.items() if asked == alert), "")

    def decide(self, alert: str, who: str, *, allowed: bool, now_ms: int) -> list[Event]:
        """A supervisor has answered a request."""
        option = self.asked_by(alert)
        if not option:
            return []
        del self._asked[option]
        if allowed:
            self._allowed[option] = who
        else:
            self._answered.add(option)
        what = "allowed" if allowed else "denied"
        return [self._moved(now_ms, option, what, who, alert=alert)]

    def tick(self, now_ms: int) -> list[PlanMoved]:
        """Time has passed: requests run out."""
        events: list[PlanMoved] = []
        for option, (alert, asked_ms) in list(self._asked.items()):
            if now_ms - asked_ms >= REQUEST_MS:
                del self._asked[option]
                events.append(self._moved(now_ms, option, "expired", "time", alert=alert))
        return events

    def show(self, now_ms: int, level: Level, heard: set[str], *, anew: bool = False) -> list[Event]:
        """The rows as they should stand now, chosen `anew` but for those in use; an event only where they change."""
        moment = self._moment(heard)
        left = tuple(self._renewed(row, moment) for row in self.rows if row.id not in self._answered)
        if anew:
            left = tuple(row for row in left if self._in_use(row.id))
        if level is Level.CALM:
            left = tuple(row for row in left if self._in_use(row.id))
        elif level is not Level.RECOVERING and len(left) < ON_SCREEN:
            left = self._filled(left, offered(self.playbook.options, moment))
        if left == self.rows:
            return []
        self.rows = left
        return [PlanOffered(now_ms, left)]

    def _in_use(self, option: str) -> bool:
        return option in self._asked or option in self._allowed or option in self._offered_ms

    def _filled(self, left: tuple[PlanOption, ...], ranked: tuple[PlanOption, ...]) -> tuple[PlanOption, ...]:
        known = {row.id for row in left}
        asks = any(row.authority == "ask" for row in left)
        new = [row for row in ranked if row.id not in known and not (asks and row.authority == "ask")]
        return (*left, *new)[:ON_SCREEN]

    def _renewed(self, row: PlanOption, moment: Moment) -> PlanOption:
        """The same row; one that was allowed meanwhile is the agent's to give."""
        option = self.playbook.option(row.id)
        if option is None or row.id not in self._allowed:
            return row
        return as_row(option, moment)

    def _may_offer(self, option: Option) -> bool:
        """Heard in the agent's words it counts where it is on screen, or theirs to give and its conditions hold."""
        if any(row.id == option.id and row.authority == "yours" for row in self.rows):
            return True
        moment = self._moment(option.signals)
        return may_grant(option, moment) and fits(option, moment)

    def _accepted_by(self, utterance: Utterance, at_ms: int) -> list[str]:
        """The options that relief in these words takes."""
        if _DECLINES.search(normalise([word.text for word in utterance.words]).text):
            return []
        waiting = {
            option.id: option
            for option in self.playbook.options
            if option.id not in self._answered and 0 <= at_ms - self._offered_ms.get(option.id, at_ms + 1) <= ANSWER_MS
        }
        named = [each.id for each in waiting.values() if found((*each.reasons, *each.words), utterance)]
        last_ms = max((self._offered_ms[option] for option in waiting), default=0)
        return named or [option for option in waiting if self._offered_ms[option] == last_ms]

    def _moved(self, now_ms: int, option: str, what: str, by: str, words: str = "", alert: str = "") -> PlanMoved:
        known = self.playbook.option(option)
        title, cost = (known.title, known.cost) if known is not None else (option, 0.0)
        return PlanMoved(now_ms, option, title, what, by, words, alert, cost)

    def _moment(self, heard: Collection[str]) -> Moment:
        return Moment(
            role=self.role,
            heard=heard,
            about=self._about,
            answered=self._answered,
            allowed=self._allowed,
            accepted_here=self.accepted_here,
            caller=self.caller,
            today=self.today,
        )


def _is_first_choice(words: str, offers: Collection[str], utterance: Utterance) -> bool:
    """Whether another offer follows behind an "or": thanks alone then take what was named last."""
    _, _, later = " ".join(word.text for word in utterance.words).partition(words)
    instead = _OR.search(later)
    if instead is None:
        return False
    choice = _AND.split(later[instead.end() :], maxsplit=1)[0]  # "within an hour or two and ..." offers both
    return any(other != words and other in choice for other in offers)
