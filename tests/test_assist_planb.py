from datetime import date

from assist.coach.history import History
from assist.coach.parts import Option
from assist.coach.planb import Caller, CallFacts, choose_options


def option(name, *, cost=5.0, value=10.0, limits=None, **more):
    return Option(
        id=name,
        title=name,
        worth=f"worth {value:g}",
        value=value,
        cost=cost,
        limits={"agent": 20.0} if limits is None else limits,
        **more,
    )


def ids(options, **facts):
    return [each.id for each in choose_options(options, CallFacts(facts.pop("role", "agent"), **facts))]


def test_what_the_agent_may_give_comes_first_and_one_row_may_ask():
    options = [
        option("over", cost=30, limits={"senior": 50.0}),
        option("far-over", cost=90, limits={"senior": 100.0}),
        option("dear", cost=15),
        option("cheap", cost=1),
        option("third"),
    ]
    found = choose_options(options, CallFacts("agent"))
    assert [each.authority for each in found] == ["yours", "yours", "ask"]
    assert [each.id for each in choose_options(options[:2], CallFacts("agent"))] == ["over"], "at most one row asks"


def test_a_role_without_a_limit_must_ask():
    assert choose_options([option("fee")], CallFacts("trainee"))[0].authority == "ask"


def test_at_most_three_and_only_what_fits():
    options = [option(name) for name in "abcd"] + [option("legal", signals=["legal_threat"])]
    assert len(ids(options)) == 3
    assert "legal" not in ids(options)
    assert ids(options, heard={"legal_threat"})[0] == "legal"


def test_what_the_customer_spoke_of_is_a_condition():
    options = [option("fee", reasons=["late fee"]), option("other")]
    assert ids(options) == ["other"]
    assert ids(options, about={"fee"}) == ["fee", "other"]


def test_the_customers_value_is_a_condition():
    options = [option("gold-only", customers=["gold"])]
    assert ids(options) == [] == ids(options, caller=Caller("silver"))
    assert ids(options, caller=Caller("gold")) == ["gold-only"]


def test_times_used_per_customer_are_a_condition():
    options = [option("fee", per_customer=2)]
    assert ids(options, caller=Caller("", {"fee": 1})) == ["fee"]
    assert ids(options, caller=Caller("", {"fee": 2})) == []


def test_what_worked_here_comes_first_and_says_so():
    options = [option("a", value=50), option("b")]
    assert ids(options) == ["a", "b"]
    history = {"a": (1, 10), "b": (9, 10)}
    assert ids(options, accepted_here=history) == ["b", "a"]
    assert choose_options(options, CallFacts("agent", accepted_here=history))[0].worth == "accepted 9 times in 10 here"


def test_answered_and_expired_options_are_gone():
    options = [option("old", expires=date(2026, 1, 31)), option("new", expires=date(2027, 1, 31)), option("done")]
    assert ids(options, today="2026-11-24", answered={"done"}) == ["new"]
    assert ids(options[:1], today="2026-01-31") == ["old"], "the last day still counts"


def test_what_a_supervisor_has_allowed_is_theirs_to_give_and_first():
    options = [option("a"), option("dear", cost=90, limits={"supervisor": 100.0})]
    [first, _] = choose_options(options, CallFacts("agent", allowed={"dear": "Maria"}))
    assert (first.id, first.authority, first.worth) == ("dear", "yours", "Maria says yes")


def use(name, **more):
    return {"id": name, "offered_ms": 1_000, "answer": "", **more}


def came(call, started_at, caller, *uses):
    return {"call": call, "started_at": started_at, "caller": caller, "plan": list(uses)}


def test_history_counts_what_was_offered_and_what_each_caller_had():
    history = History()
    history.take(
        [
            came("k1", "2026-11-01T10:00:00+00:00", "…0142", use("fee", answer="accepted")),
            came("k2", "2026-11-20T10:00:00+00:00", "…0142", use("fee")),
            came("k3", "2026-11-20T11:00:00+00:00", "", use("fee", answer="refused")),
            came("k4", "2026-11-20T12:00:00+00:00", "…7", use("seen", offered_ms=None)),
        ]
    )
    history.take([came("k2", "2026-11-20T10:00:00+00:00", "…0142", use("fee", answer="accepted"))])  # it went on
    assert history.accepted_here() == {"fee": (2, 3)}
    options = [option("fee", per_days=10)]
    assert history.used_by("…0142", options, date(2026, 11, 24)) == {"fee": 1}
    assert history.used_by("…0142", [option("fee", per_days=90)], date(2026, 11, 24)) == {"fee": 2}
    assert history.used_by("", options, date(2026, 11, 24)) == {}
    history.forget(["k2", "k4", "nope"])
    assert history.accepted_here() == {"fee": (1, 2)} and not history.used_by("…0142", options, date(2026, 11, 24))
