"""Which supervisor is asked about each alert, who has claimed it, and what is queued. Pure: time is an argument.

Times are seconds on a monotonic clock, not call time: one supervisor has alerts of many calls. Methods return the moves
that follow, if any, for the log and the boards.

An alert is one supervisor's turn at a time. Who is asked: somebody who has claimed an alert of this call; else, among
those present who are below their attention budget and were not asked about it yet, the first of the escalation list,
then whoever was asked longest ago. Unclaimed after `turn_s` it is the next one's turn; after all, everyone's. While
nobody is below the budget it is queued, the most urgent and oldest first; an urgent alert does not wait for that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.signals import Severity
from overlay.errors import OverlayError

TURN_S = 20.0
"""An alert not claimed within this time goes to the next supervisor. Chosen, not measured."""
AWAY_S = 5.0
"""A supervisor without an open board for this time is not asked any more: longer than a reload takes."""
RELEASE_AFTER_S = 60.0
"""The claims of a supervisor without an open board for this time are released."""


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """The settings of a site."""

    turn_s: float = TURN_S
    budget: int = 3
    """Open alerts of one supervisor, claimed or their turn, beyond which they are asked about urgent ones only."""
    order: tuple[str, ...] = ()
    """Escalation list: who is asked first, in order; the others follow in turn."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of an alert that no supervisor made: `what` and `who` as in assist.events.AlertMoved."""

    call: str
    alert: str
    what: str
    who: str = ""


@dataclass(slots=True)
class OpenAlert:
    """An alert that is neither resolved nor over."""

    call: str
    id: str
    kind: str
    tier: Severity
    raised_s: float
    by: str = ""
    """Who has claimed it."""
    turn: str = ""
    """Whose turn it is."""
    turn_since_s: float = 0.0
    waits: str = ""
    """"queued" or "everyone"; empty while it is somebody's turn or claimed."""
    asked: set[str] = field(default_factory=set)
    """Who has had a turn."""


@dataclass(slots=True)
class _Supervisor:
    boards: int = 0
    left_s: float | None = None
    last_asked_s: float = float("-inf")


@dataclass
class AlertRouting:
    """The open alerts of a site, and the supervisors on duty: those who have the board open."""

    rules: RoutingRules = RoutingRules()
    _open: dict[tuple[str, str], OpenAlert] = field(default_factory=dict)
    _supervisors: dict[str, _Supervisor] = field(default_factory=dict)

    def open_alert(self, call: str, alert_id: str) -> OpenAlert | None:
        """An open alert; None if there is none of that id."""
        return self._open.get((call, alert_id))

    def supervisors(self) -> list[tuple[str, int, bool]]:
        """(name, number of open alerts, away) of everyone on duty, by name."""
        return [(who, self._load(who), not supervisor.boards) for who, supervisor in sorted(self._supervisors.items())]

    def open_alerts(self, call: str) -> list[str]:
        """Ids of the open alerts of a call."""
        return [alert.id for alert in self._alerts_of(call)]

    @property
    def queued(self) -> int:
        """How many alerts wait until somebody is below their budget."""
        return sum(alert.waits == "queued" for alert in self._open.values())

    # ---- supervisors on duty ----

    def arrive(self, who: str, now_s: float) -> list[Move]:
        """A supervisor has opened a board."""
        supervisor = self._supervisors.setdefault(who, _Supervisor())
        supervisor.boards += 1
        supervisor.left_s = None
        return self._ask_for_waiting(now_s)

    def leave(self, who: str, now_s: float) -> None:
        """A supervisor's board was closed; without another one they are away after `AWAY_S`."""
        supervisor = self._supervisors.get(who)
        if supervisor is not None and supervisor.boards:
            supervisor.boards -= 1
            supervisor.left_s = None if supervisor.boards else now_s

    # ---- what happens in calls ----

    def raised(self, call: str, alert_id: str, kind: str, tier: Severity, now_s: float) -> list[Move]:
        """An alert is raised, or raised again; asks once more only if it is more urgent now."""
        alert = self._open.get((call, alert_id))
        if alert is None:
            alert = self._open[call, alert_id] = OpenAlert(call, alert_id, kind, tier, now_s)
        elif tier <= alert.tier:
            return []
        alert.tier = tier
        if alert.by or alert.turn:
            return []
        alert.asked.clear()
        return self._ask_next(alert, now_s)

    def restored(self, call: str, alert_id: str, kind: str, tier: Severity, by: str, now_s: float) -> list[Move]:
        """An open alert of an interrupted call that is resumed; `by`: who had claimed it, if anybody.

        The claim holds if their board is open again within RELEASE_AFTER_S; otherwise the others are asked.
        """
        if not by:
            return self.raised(call, alert_id, kind, tier, now_s)
        self._supervisors.setdefault(by, _Supervisor(left_s=now_s))
        self._open[call, alert_id] = OpenAlert(call, alert_id, kind, tier, now_s, by)
        return []

    def calmed(self, call: str, now_s: float) -> list[Move]:
        """The call is calm again: its unclaimed alerts about the level end; claimed ones their supervisor ends."""
        over = [alert for alert in self._alerts_of(call) if alert.kind == "escalated" and not alert.by]
        for alert in over:
            del self._open[call, alert.id]
        return [Move(call, alert.id, "calmed") for alert in over] + self._ask_for_waiting(now_s)

    def expired(self, call: str, alert_id: str, now_s: float) -> list[Move]:
        """A request that nobody answered in time has run out."""
        self._open.pop((call, alert_id), None)
        return self._ask_for_waiting(now_s)

    def ended(self, call: str, now_s: float) -> list[Move]:
        """The call is over, and its alerts with it, urgent ones excepted: somebody may still be in danger."""
        for alert in self._alerts_of(call):
            if alert.tier < Severity.URGENT:
                del self._open[call, alert.id]
        return self._ask_for_waiting(now_s)

    def forgotten(self, call: str, now_s: float) -> list[Move]:
        """The call is erased or resumed: its alerts are nobody's any more."""
        for alert in self._alerts_of(call):
            del self._open[call, alert.id]
        return self._ask_for_waiting(now_s)

    # ---- what supervisors do ----

    def claim(self, call: str, alert_id: str, who: str, now_s: float) -> list[Move]:
        """`who` takes it; whose turn it was does not matter.

        Raises:
            OverlayError: code refused, when it is somebody else's or over.
        """
        alert = self._open_alert_for(call, alert_id, who)
        alert.by, alert.turn, alert.waits = who, "", ""
        return self._ask_for_waiting(now_s)

    def release(self, call: str, alert_id: str, who: str, now_s: float) -> list[Move]:
        """`who` gives it back; the others are asked.

        Raises:
            OverlayError: code refused, when it is not theirs.
        """
        alert = self._open_alert_for(call, alert_id, who)
        if alert.by != who:
            raise OverlayError("refused", "Only what you have claimed can be given back.")
        alert.by, alert.asked = "", {who}
        return self._ask_next(alert, now_s) + self._ask_for_waiting(now_s)

    def resolve(self, call: str, alert_id: str, who: str, now_s: float) -> list[Move]:
        """It is over: resolved or answered.

        Raises:
            OverlayError: code refused, when it is somebody else's or over.
        """
        self._open_alert_for(call, alert_id, who)
        del self._open[call, alert_id]
        return self._ask_for_waiting(now_s)

    # ---- time ----

    def tick(self, now_s: float) -> list[Move]:
        """Time has passed: turns end, claims of those away are released, and others are asked."""
        moves: list[Move] = []
        free: list[OpenAlert] = []
        for who, supervisor in list(self._supervisors.items()):
            if supervisor.left_s is not None and now_s - supervisor.left_s >= RELEASE_AFTER_S:
                del self._supervisors[who]
                for alert in [alert for alert in self._open.values() if alert.by == who]:
                    alert.by, alert.asked = "", {who}
                    moves.append(Move(alert.call, alert.id, "released", who))
                    free.append(alert)
        free += [
            alert
            for alert in self._open.values()
            if alert.turn
            and (now_s - alert.turn_since_s >= self.rules.turn_s or not self._is_present(alert.turn, now_s))
        ]
        for alert in sorted(free, key=lambda each: -each.tier):  # urgent ones first: they use up the budget
            moves += self._ask_next(alert, now_s)
        return moves + self._ask_for_waiting(now_s)

    def next_due_s(self, now_s: float) -> float | None:
        """When `tick` must be called next, if nothing else happens before; None: not at all."""
        times = [alert.turn_since_s + self.rules.turn_s for alert in self._open.values() if alert.turn]
        for supervisor in self._supervisors.values():
            if supervisor.left_s is not None:
                times.append(supervisor.left_s + (AWAY_S if now_s < supervisor.left_s + AWAY_S else RELEASE_AFTER_S))
        return min(times, default=None)

    # ---- who is asked ----

    def _ask_next(self, alert: OpenAlert, now_s: float) -> list[Move]:
        """Ask the next supervisor about the alert; at most one move."""
        present = [who for who in self._supervisors if self._is_present(who, now_s)]
        left = [who for who in present if who not in alert.asked]
        chosen = self._choose(alert, left)
        before = alert.waits
        alert.turn = ""
        if chosen:
            alert.turn, alert.turn_since_s, alert.waits = chosen, now_s, ""
            alert.asked.add(chosen)
            self._supervisors[chosen].last_asked_s = now_s
            return [Move(alert.call, alert.id, "turn", chosen)]
        alert.waits = "everyone" if present and not left else "queued"
        return [Move(alert.call, alert.id, alert.waits)] if alert.waits != before else []

    def _choose(self, alert: OpenAlert, candidates: list[str]) -> str:
        has_call = {other.by for other in self._alerts_of(alert.call) if other.by}
        already = sorted(who for who in candidates if who in has_call)
        if already:
            return already[0]
        available = [who for who in candidates if self._load(who) < self.rules.budget]
        if not available and alert.tier is Severity.URGENT:
            least = min((self._load(who) for who in candidates), default=0)
            available = [who for who in candidates if self._load(who) == least]
        order = {who: place for place, who in enumerate(self.rules.order)}
        return min(
            available,
            key=lambda who: (order.get(who, len(order)), self._supervisors[who].last_asked_s, who),
            default="",
        )

    def _ask_for_waiting(self, now_s: float) -> list[Move]:
        """Ask about queued alerts, most urgent and oldest first, and about everyone's if somebody new is on duty."""
        waiting = [alert for alert in self._open.values() if alert.waits]
        moves: list[Move] = []
        for alert in sorted(waiting, key=lambda alert: (-alert.tier, alert.raised_s)):
            if alert.waits == "queued" or any(
                who not in alert.asked for who in self._supervisors if self._is_present(who, now_s)
            ):
                moves += self._ask_next(alert, now_s)
        return moves

    def _is_present(self, who: str, now_s: float) -> bool:
        supervisor = self._supervisors.get(who)
        return supervisor is not None and (supervisor.left_s is None or now_s - supervisor.left_s < AWAY_S)

    def _load(self, who: str) -> int:
        return sum(who in (alert.by, alert.turn) for alert in self._open.values())

    def _alerts_of(self, call: str) -> list[OpenAlert]:
        return [alert for alert in self._open.values() if alert.call == call]

    def _open_alert_for(self, call: str, alert_id: str, who: str) -> OpenAlert:
        alert = self._open.get((call, alert_id))
        if alert is None:
            raise OverlayError("refused", "That alert is closed already.")
        if alert.by and alert.by != who:
            raise OverlayError("refused", f"{alert.by} is on it already.")
        return alert
