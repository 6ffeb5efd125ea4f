from assist.coach.planb import offered
from assist.coach.playbook import Option


def option(name, *, cost=5.0, value=10.0, agent=20.0, signals=(), expires=""):
    return Option(
        id=name, title=name, worth=f"worth {value:g}", value=value, cost=cost, limits={"agent": agent},
        signals=list(signals), expires=expires,
    )  # fmt: skip


def ids(options, **how):
    return [each.id for each in offered(options, "agent", how.pop("heard", ()), **how)]


def test_what_the_agent_may_give_comes_first():
    options = [option("dear", cost=30, agent=50), option("over", cost=30, agent=20), option("cheap", cost=1)]
    found = offered(options, "agent", ())
    assert [each.id for each in found][-1] == "over"
    assert [each.authority for each in found] == ["yours", "yours", "ask"]


def test_a_role_without_a_limit_must_ask():
    assert offered([option("fee")], "trainee", ())[0].authority == "ask"


def test_at_most_three_and_only_what_fits():
    options = [option(name) for name in "abcd"] + [option("legal", signals=["legal_threat"])]
    assert len(ids(options)) == 3
    assert "legal" not in ids(options)
    assert ids(options, heard={"legal_threat"})[0] == "legal"


def test_what_worked_here_comes_first_and_says_so():
    options = [option("a", value=50), option("b")]
    assert ids(options) == ["a", "b"]
    history = {"a": (1, 10), "b": (9, 10)}
    assert ids(options, accepted_here=history) == ["b", "a"]
    assert offered(options, "agent", (), accepted_here=history)[0].worth == "accepted 9 times in 10 here"


def test_answered_and_expired_options_are_gone():
    options = [option("old", expires="2026-01-31"), option("new", expires="2027-01-31"), option("done")]
    assert ids(options, today="2026-11-24", answered={"done"}) == ["new"]
