"""The life of alerts, without a clock: whose turn, who has room, what waits."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assist.screens.alert_routing import AWAY_S, RELEASE_AFTER_S, TURN_S, AlertRouting, Move, RoutingRules
from detectors.signals import Severity
from overlay.errors import OverlayError

HELP, URGENT = Severity.HELP, Severity.URGENT


def alerts_with(*people: str, budget: int = 3, order: tuple[str, ...] = ()) -> AlertRouting:
    alerts = AlertRouting(RoutingRules(budget=budget, order=order))
    for who in people:
        assert alerts.arrive(who, 0.0) == []
    return alerts


def raise_(alerts: AlertRouting, call: str, now: float = 0.0, tier: Severity = HELP, name: str = "a1") -> list[Move]:
    return alerts.raised(call, name, "escalated", tier, now)


def test_unclaimed_for_twenty_seconds_it_is_the_next_ones_turn_and_after_all_everyones() -> None:
    alerts = alerts_with("Ann", "Bob")
    assert raise_(alerts, "c1") == [Move("c1", "a1", "turn", "Ann")]
    assert alerts.next_due_s(0.0) == TURN_S
    assert alerts.tick(TURN_S - 0.1) == []
    assert alerts.tick(TURN_S) == [Move("c1", "a1", "turn", "Bob")]
    assert alerts.tick(2 * TURN_S) == [Move("c1", "a1", "everyone")]
    assert alerts.tick(9 * TURN_S) == []
    assert alerts.arrive("Cy", 200.0) == [Move("c1", "a1", "turn", "Cy")]


def test_turns_go_round_and_an_escalation_list_goes_first() -> None:
    alerts = alerts_with("Ann", "Bob")
    assert [raise_(alerts, f"c{n}", float(n))[0].who for n in range(4)] == ["Ann", "Bob", "Ann", "Bob"]
    alerts = alerts_with("Ann", "Bob", "Cy", order=("Cy", "Bob"))
    assert [raise_(alerts, f"c{n}", float(n))[0].who for n in range(4)] == ["Cy", "Cy", "Cy", "Bob"]


def test_one_with_no_room_is_not_asked_again_unless_it_is_urgent_and_the_queue_empties_worst_first() -> None:
    alerts = alerts_with("Ann", budget=1)
    raise_(alerts, "c1")
    alerts.claim("c1", "a1", "Ann", 1.0)
    assert raise_(alerts, "c2", 2.0) == [Move("c2", "a1", "queued")]
    assert raise_(alerts, "c3", 3.0, Severity.NOTE) == [Move("c3", "a1", "queued")]
    assert raise_(alerts, "c4", 4.0, URGENT) == [Move("c4", "a1", "turn", "Ann")]
    assert alerts.queued == 2
    alerts.claim("c4", "a1", "Ann", 5.0)
    assert alerts.resolve("c1", "a1", "Ann", 6.0) == []  # c4 still fills the budget
    assert alerts.resolve("c4", "a1", "Ann", 7.0) == [Move("c2", "a1", "turn", "Ann")]


def test_what_waits_for_nobody_rings_for_the_first_who_comes() -> None:
    alerts = alerts_with()
    assert raise_(alerts, "c1") == [Move("c1", "a1", "queued")]
    assert alerts.arrive("Ann", 5.0) == [Move("c1", "a1", "turn", "Ann")]


def test_somebody_who_has_the_call_already_is_asked_first_even_without_room() -> None:
    alerts = alerts_with("Ann", "Bob", budget=1)
    raise_(alerts, "c1")
    alerts.claim("c1", "a1", "Bob", 1.0)
    assert raise_(alerts, "c1", 2.0, name="a2") == [Move("c1", "a2", "turn", "Bob")]


def test_what_was_open_when_the_program_was_cut_short_is_asked_for_again_and_a_claim_waits_for_its_holder() -> None:
    for is_back in (True, False):
        alerts = alerts_with("Bob")
        assert alerts.restored("c1", "a1", "help", HELP, "", 10.0) == [Move("c1", "a1", "turn", "Bob")]
        assert alerts.restored("c1", "a2", "ask", HELP, "Ann", 10.0) == []
        alerts.claim("c1", "a1", "Bob", 10.0)
        with pytest.raises(OverlayError, match="Ann is on it already"):
            alerts.claim("c1", "a2", "Bob", 11.0)
        if is_back:
            assert alerts.arrive("Ann", 12.0) == []
        again = [Move("c1", "a2", "released", "Ann"), Move("c1", "a2", "turn", "Bob")]
        assert alerts.tick(10.0 + RELEASE_AFTER_S) == ([] if is_back else again)


def test_claimed_it_is_refused_to_others_in_a_line_that_names_who_has_it() -> None:
    alerts = alerts_with("Ann", "Bob")
    raise_(alerts, "c1")
    assert alerts.claim("c1", "a1", "Bob", 1.0) == []  # out of turn is fine
    for act in (alerts.claim, alerts.resolve, alerts.release):
        with pytest.raises(OverlayError, match="Bob is on it already"):
            act("c1", "a1", "Ann", 2.0)
    assert alerts.tick(500.0) == []
    alerts.resolve("c1", "a1", "Bob", 3.0)
    with pytest.raises(OverlayError, match="closed already"):
        alerts.claim("c1", "a1", "Ann", 4.0)


def test_given_back_or_left_behind_the_others_are_asked() -> None:
    alerts = alerts_with("Ann", "Bob")
    raise_(alerts, "c1")
    alerts.claim("c1", "a1", "Ann", 1.0)
    assert alerts.release("c1", "a1", "Ann", 2.0) == [Move("c1", "a1", "turn", "Bob")]
    alerts.claim("c1", "a1", "Bob", 3.0)
    alerts.leave("Bob", 4.0)
    assert alerts.supervisors() == [("Ann", 0, False), ("Bob", 1, True)]
    assert alerts.tick(4.0 + RELEASE_AFTER_S - 1) == []
    assert alerts.tick(4.0 + RELEASE_AFTER_S) == [Move("c1", "a1", "released", "Bob"), Move("c1", "a1", "turn", "Ann")]


def test_a_reload_keeps_the_turn_and_a_board_that_stays_away_loses_it() -> None:
    alerts = alerts_with("Ann", "Bob")
    raise_(alerts, "c1")
    alerts.leave("Ann", 1.0)
    alerts.arrive("Ann", 2.0)
    assert alerts.tick(1.0 + AWAY_S) == []
    alerts.leave("Ann", 8.0)
    assert alerts.next_due_s(8.0) == 8.0 + AWAY_S
    assert alerts.tick(8.0 + AWAY_S) == [Move("c1", "a1", "turn", "Bob")]


def test_a_call_that_calms_down_or_ends_takes_its_alerts_along() -> None:
    alerts = alerts_with("Ann")
    raise_(alerts, "c1")
    assert alerts.calmed("c1", 1.0) == [Move("c1", "a1", "calmed")]
    raise_(alerts, "c2", 2.0)
    alerts.claim("c2", "a1", "Ann", 3.0)
    assert alerts.calmed("c2", 4.0) == []  # hers to end
    assert alerts.raised("c2", "a2", "help", HELP, 5.0)[0].what == "turn"
    assert alerts.calmed("c2", 6.0) == []  # the agent still asks
    alerts.ended("c2", 7.0)
    assert alerts.supervisors() == [("Ann", 0, False)]


def test_an_urgent_alert_outlives_its_call_until_somebody_has_settled_it_or_the_call_is_gone() -> None:
    alerts = alerts_with("Ann", "Bob")
    raise_(alerts, "c1", tier=URGENT)
    raise_(alerts, "c1", 1.0, name="a2")
    assert (alerts.ended("c1", 2.0), alerts.open_alerts("c1")) == ([], ["a1"])
    assert alerts.tick(TURN_S) == [Move("c1", "a1", "turn", "Bob")]
    alerts.claim("c1", "a1", "Bob", 30.0)
    alerts.forgotten("c1", 31.0)
    assert alerts.supervisors() == [("Ann", 0, False), ("Bob", 0, False)]


def test_more_urgent_the_same_alert_is_asked_for_anew_when_nobody_has_it() -> None:
    alerts = alerts_with("Ann", budget=1)
    raise_(alerts, "c1")
    alerts.claim("c1", "a1", "Ann", 1.0)
    assert raise_(alerts, "c2", 2.0)[0].what == "queued"
    assert raise_(alerts, "c2", 3.0) == []
    assert raise_(alerts, "c2", 4.0, URGENT) == [Move("c2", "a1", "turn", "Ann")]


PEOPLE, CALLS = ("Ann", "Bob", "Cy"), ("c1", "c2", "c3", "c4", "c5")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("arrive", "leave", "raise", "urgent", "claim", "release", "resolve", "calm", "end", "wait", "long")
        ),
        st.sampled_from(PEOPLE),
        st.sampled_from(CALLS),
    ),
    min_size=20,  # of few steps hardly any are about the same alert
    max_size=80,
)


@example(
    [
        ("arrive", "Ann", "c1"),
        ("raise", "Ann", "c1"),
        ("urgent", "Ann", "c2"),
        ("arrive", "Bob", "c1"),
        ("wait", "Ann", "c1"),
    ],
    1,
)
@example(  # who has gone gives back what they had, while an urgent one goes on to the next
    [
        *[("arrive", who, "c1") for who in ("Ann", "Bob", "Cy")],
        ("leave", "Bob", "c1"),
        ("raise", "Ann", "c1"),
        ("raise", "Ann", "c5"),
        ("urgent", "Ann", "c1"),
        ("claim", "Bob", "c5"),
        ("long", "Ann", "c1"),
    ],
    1,
)
@settings(max_examples=300)
@given(STEPS, st.integers(1, 3))
def test_whatever_happens_no_alert_is_forgotten_and_no_one_is_asked_beyond_the_budget(
    steps: list[tuple[str, str, str]], budget: int
) -> None:
    alerts, now = AlertRouting(RoutingRules(budget=budget)), 0.0
    pages = dict.fromkeys(PEOPLE, 0)
    open_: set[str] = set()
    for what, who, call in steps:
        now += 1.0
        try:
            match what:
                case "arrive":
                    pages[who] += 1
                    moves = alerts.arrive(who, now)
                case "leave":
                    pages[who] = max(0, pages[who] - 1)
                    alerts.leave(who, now)
                    moves = []
                case "raise" | "urgent":
                    open_.add(call)
                    moves = raise_(alerts, call, now, URGENT if what == "urgent" else HELP)
                case "claim":
                    moves = alerts.claim(call, "a1", who, now)
                case "release":
                    moves = alerts.release(call, "a1", who, now)
                case "resolve":
                    moves = alerts.resolve(call, "a1", who, now)
                    open_.discard(call)
                case "calm":
                    moves = alerts.calmed(call, now)
                    open_ -= {move.call for move in moves if move.what == "calmed"}
                case "end":
                    last = alerts.open_alert(call, "a1")
                    moves = alerts.ended(call, now)
                    if last is None or last.tier is not URGENT:  # an urgent one outlives its call
                        open_.discard(call)
                case _:
                    now += 25.0 if what == "wait" else 100.0
                    moves = alerts.tick(now)
        except OverlayError:
            continue
        for move in moves:
            if move.what == "turn":
                given = alerts.open_alert(move.call, move.alert)
                load = sum(
                    case is not None and move.who in (case.by, case.turn)
                    for case in (alerts.open_alert(each, "a1") for each in CALLS)
                )
                assert load <= budget or (given is not None and given.tier is URGENT)
        cases = {call: alerts.open_alert(call, "a1") for call in CALLS}
        assert {call for call, case in cases.items() if case is not None} == open_
        for case in cases.values():  # each is exactly one of: claimed, somebody's turn, waiting
            assert case is None or [bool(case.by), bool(case.turn), bool(case.waits)].count(True) == 1
        free = [who for who in PEOPLE if pages[who]]
        if free and what in ("wait", "long"):
            for case in cases.values():
                assert case is None or case.waits != "queued" or set(free) - case.asked
