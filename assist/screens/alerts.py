"""The life of alerts: whose turn it is, who has claimed what, what waits. Pure: time is an argument.

Times are seconds on one clock that never goes back (not call time: supervisors live in real time, and one supervisor
has alerts of many calls). Every method returns the moves that follow from what happened, for the log and the boards.

An alert is one supervisor's turn at a time. Who is asked: somebody who already has this call; else, among those present
who have room (their attention budget) and have not been asked for it, the first of the escalation list, then whoever
was asked longest ago. Unclaimed after `turn_s` it is the next one's turn; after all, everyone's. Where nobody has room
it is queued, the most urgent and oldest first; an urgent alert does not wait for room.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.signals import Severity
from overlay.errors import OverlayError

TURN_S = 20.0
"""Unclaimed for this long: the next supervisor is asked. Chosen, not measured."""
AWAY_S = 5.0
"""A board gone for this long is not asked any more: long enough for a reload or a reconnect."""
LEFT_S = 60.0
"""A claim of somebody gone for this long is given back."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site can set."""

    turn_s: float = TURN_S
    budget: int = 3
    """Open alerts (claimed by or ringing for one person) beyond which only urgent ones come."""
    order: tuple[str, ...] = ()
    """Escalation list: who is asked first; people not on it come after, in turn."""


@dataclass(frozen=True, slots=True)
class Move:
    """An alert went on by itself: `what` and `who` as in assist.events.AlertMoved."""

    call: str
    alert: str
    what: str
    who: str = ""


@dataclass(slots=True)
class Case:
    """One open alert."""

    call: str
    id: str
    kind: str
    tier: Severity
    raised_s: float
    by: str = ""
    """Who has claimed it."""
    turn: str = ""
    turn_since_s: float = 0.0
    waits: str = ""
    """"queued" or "everyone"; empty while it is somebody's turn or claimed."""
    asked: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Person:
    pages: int = 0
    gone_s: float | None = None
    asked_s: float = float("-inf")


@dataclass
class Alerts:
    """All open alerts of a site, and the supervisors who have the board open."""

    rules: Rules = Rules()
    _cases: dict[tuple[str, str], Case] = field(default_factory=dict)
    _people: dict[str, _Person] = field(default_factory=dict)

    def case(self, call: str, alert: str) -> Case | None:
        """An open alert."""
        return self._cases.get((call, alert))

    def people(self) -> list[tuple[str, int, bool]]:
        """(name, open alerts, away) of everyone on duty, in the order of their names."""
        return [(who, self._load(who), not person.pages) for who, person in sorted(self._people.items())]

    @property
    def queued(self) -> int:
        """Alerts waiting until somebody has room."""
        return sum(case.waits == "queued" for case in self._cases.values())

    # ---- who is there ----

    def arrive(self, who: str, now_s: float) -> list[Move]:
        """A supervisor has opened a board."""
        person = self._people.setdefault(who, _Person())
        person.pages += 1
        person.gone_s = None
        return self._drain(now_s)

    def leave(self, who: str, now_s: float) -> None:
        """A supervisor's board has gone; it counts after `AWAY_S`."""
        person = self._people.get(who)
        if person is not None and person.pages:
            person.pages -= 1
            person.gone_s = None if person.pages else now_s

    # ---- what happens in calls ----

    def raised(self, call: str, alert: str, kind: str, tier: Severity, now_s: float) -> list[Move]:
        """A call needs somebody; the same alert once more means that it is more urgent now."""
        case = self._cases.get((call, alert))
        if case is None:
            case = self._cases[call, alert] = Case(call, alert, kind, tier, now_s)
        elif tier <= case.tier:
            return []
        case.tier = tier
        if case.by or case.turn:
            return []
        case.asked.clear()
        return self._ask(case, now_s)

    def restored(self, call: str, alert: str, kind: str, tier: Severity, by: str, now_s: float) -> list[Move]:
        """An open alert of a call that goes on after the program was cut short; `by`: who had claimed it, if anybody.

        They count as gone until their board is back: in time it is still theirs, otherwise the others are asked.
        """
        if not by:
            return self.raised(call, alert, kind, tier, now_s)
        self._people.setdefault(by, _Person(gone_s=now_s))
        self._cases[call, alert] = Case(call, alert, kind, tier, now_s, by)
        return []

    def calmed(self, call: str, now_s: float) -> list[Move]:
        """The call is calm again: what nobody has taken is over; what somebody has is theirs to end."""
        over = [case for case in self._of(call) if case.kind == "escalated" and not case.by]
        for case in over:
            del self._cases[call, case.id]
        return [Move(call, case.id, "calmed") for case in over] + self._drain(now_s)

    def expired(self, call: str, alert: str, now_s: float) -> list[Move]:
        """A request that nobody answered in time has run out."""
        self._cases.pop((call, alert), None)
        return self._drain(now_s)

    def ended(self, call: str, now_s: float) -> list[Move]:
        """The call is over, and its alerts with it."""
        for case in self._of(call):
            del self._cases[call, case.id]
        return self._drain(now_s)

    # ---- what supervisors do ----

    def claim(self, call: str, alert: str, who: str, now_s: float) -> list[Move]:
        """`who` takes it; whose turn it was does not matter.

        Raises:
            OverlayError: code refused, when it is somebody else's or over.
        """
        case = self._open_to(call, alert, who)
        case.by, case.turn, case.waits = who, "", ""
        return self._drain(now_s)

    def release(self, call: str, alert: str, who: str, now_s: float) -> list[Move]:
        """`who` gives it back; the others are asked.

        Raises:
            OverlayError: code refused, when it is not theirs.
        """
        case = self._open_to(call, alert, who)
        if case.by != who:
            raise OverlayError("refused", "Only what you have claimed can be given back.")
        case.by, case.asked = "", {who}
        return self._ask(case, now_s) + self._drain(now_s)

    def resolve(self, call: str, alert: str, who: str, now_s: float) -> list[Move]:
        """It is over: resolved or answered.

        Raises:
            OverlayError: code refused, when it is somebody else's or over.
        """
        self._open_to(call, alert, who)
        del self._cases[call, alert]
        return self._drain(now_s)

    # ---- time ----

    def tick(self, now_s: float) -> list[Move]:
        """Turns that have run out, people who have gone, and what can now be asked."""
        moves: list[Move] = []
        free: list[Case] = []
        for who, person in list(self._people.items()):
            if person.gone_s is not None and now_s - person.gone_s >= LEFT_S:
                del self._people[who]
                for case in [case for case in self._cases.values() if case.by == who]:
                    case.by, case.asked = "", {who}
                    moves.append(Move(case.call, case.id, "released", who))
                    free.append(case)
        free += [
            case
            for case in self._cases.values()
            if case.turn and (now_s - case.turn_since_s >= self.rules.turn_s or not self._present(case.turn, now_s))
        ]
        for case in sorted(free, key=lambda each: -each.tier):  # urgent ones first: they take the room
            moves += self._ask(case, now_s)
        return moves + self._drain(now_s)

    def due_s(self, now_s: float) -> float | None:
        """When `tick` has something to do, if nothing else happens before; None: never."""
        times = [case.turn_since_s + self.rules.turn_s for case in self._cases.values() if case.turn]
        for person in self._people.values():
            if person.gone_s is not None:
                times.append(person.gone_s + (AWAY_S if now_s < person.gone_s + AWAY_S else LEFT_S))
        return min(times, default=None)

    # ---- who is asked ----

    def _ask(self, case: Case, now_s: float) -> list[Move]:
        """Give the case to the next one; at most one move."""
        present = [who for who in self._people if self._present(who, now_s)]
        left = [who for who in present if who not in case.asked]
        chosen = self._choice(case, left)
        before = case.waits
        case.turn = ""
        if chosen:
            case.turn, case.turn_since_s, case.waits = chosen, now_s, ""
            case.asked.add(chosen)
            self._people[chosen].asked_s = now_s
            return [Move(case.call, case.id, "turn", chosen)]
        case.waits = "everyone" if present and not left else "queued"
        return [Move(case.call, case.id, case.waits)] if case.waits != before else []

    def _choice(self, case: Case, left: list[str]) -> str:
        has_call = {other.by for other in self._of(case.call) if other.by}
        already = sorted(who for who in left if who in has_call)
        if already:
            return already[0]
        room = [who for who in left if self._load(who) < self.rules.budget]
        if not room and case.tier is Severity.URGENT:
            least = min((self._load(who) for who in left), default=0)
            room = [who for who in left if self._load(who) == least]
        order = {who: place for place, who in enumerate(self.rules.order)}
        return min(room, key=lambda who: (order.get(who, len(order)), self._people[who].asked_s, who), default="")

    def _drain(self, now_s: float) -> list[Move]:
        """Ask for what is queued, the most urgent and oldest first, and for everyone's where somebody new has come."""
        waiting = [case for case in self._cases.values() if case.waits]
        moves: list[Move] = []
        for case in sorted(waiting, key=lambda case: (-case.tier, case.raised_s)):
            if case.waits == "queued" or any(
                who not in case.asked for who in self._people if self._present(who, now_s)
            ):
                moves += self._ask(case, now_s)
        return moves

    def _present(self, who: str, now_s: float) -> bool:
        person = self._people.get(who)
        return person is not None and (person.gone_s is None or now_s - person.gone_s < AWAY_S)

    def _load(self, who: str) -> int:
        return sum(who in (case.by, case.turn) for case in self._cases.values())

    def _of(self, call: str) -> list[Case]:
        return [case for case in self._cases.values() if case.call == call]

    def _open_to(self, call: str, alert: str, who: str) -> Case:
        case = self._cases.get((call, alert))
        if case is None:
            raise OverlayError("refused", "That alert is closed already.")
        if case.by and case.by != who:
            raise OverlayError("refused", f"{case.by} is on it already.")
        return case
