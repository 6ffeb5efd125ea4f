"""The prevention report: counts by hand against the program's, and nothing about a person in any form of it."""

import asyncio
import io
import json
import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from assist.errors import AssistError
from assist.privacy.retention import find_due
from assist.records import report_page
from assist.records.export import records_between, select_records
from assist.records.library import Library
from assist.records.report import MIN_AGENTS, POOLED, report
from assist.records.report_page import page, parts, tables
from assist.records.reporting import report_as_json, report_from_store
from assist.settings import KeepSettings
from assist.store.digest import digest_of
from assist.store.rows import Review
from assist.store.store import open_store
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import ReportQuery, TrendsQuery
from tests.made_records import made_records

UNTIL = date(2026, 11, 29)
QA = Identity("Quinn", "qa")


def call(n=1, agent="Dana", team="Billing", level="escalated", end="recovering", day="2026-11-24", **more):
    given = {
        "call": f"k{n}",
        "agent": agent,
        "team": team,
        "started_at": f"{day}T10:00:00+00:00",
        "level_reached": level,
        "level_at_end": end,
        "root_cause": "",
        "recovery": [],
        "signals": [],
        "prompts": [],
        "plan": [],
        "steps": [],
        "follow_ups": [],
    }
    return given | more


def test_what_went_wrong_what_it_cost_and_what_worked():
    fee = {"id": "fee", "title": "Waive the fee", "cost": 4.0, "offered_ms": 1, "answer": "accepted"}
    calls = [
        call(1, recovery=[{"result": "met"}], plan=[fee | {"calmed_after_ms": 8_000}], steps=[{"step": "empathize"}],
             signals=[{"id": "swearing", "speaker": "customer"}, {"id": "apology", "speaker": "agent"}],
             prompts=[{"id": "p1", "play": "a", "title": "A", "how": "acted"}]),
        call(2, end="escalated", plan=[fee | {"calmed_after_ms": None}, fee | {"id": "visit", "answer": "refused"}],
             root_cause="billing", prompts=[{"id": "p1", "play": "a", "title": "A", "how": "wrong"}]),
        call(3, level="tense", end="calm", day="2026-11-16", signals=[{"id": "swearing", "speaker": "customer"}],
             prompts=[{"id": "p1", "play": "a", "title": "A", "how": "expired"}],
             follow_ups=[{"id": "f1", "done": False}, {"id": "f2", "done": False}]),
        call(4, level="calm", end="calm"),
        call(5, day="2026-01-01"),
    ]  # fmt: skip
    said = {
        "k1": [Review("t", "Q", "root-cause", "", "missed appointment"), Review("t", "Q", "prompt", "p1", "wrong")],
        "k2": [Review("t", "Q", "prompt", "p1", "right")],
        "k3": [Review("t", "D", "follow-up", "f1", "done")],
    }
    found = report(calls, said, since=date(2026, 11, 9), until=UNTIL)
    total = found.total
    assert (total.calls, total.tense, total.escalated, total.turned, total.within_60) == (4, 1, 2, 1, 1)
    assert (total.given, total.cost) == (2, 8.0)
    assert {name: (each.escalated, each.cost) for name, each in found.causes.items()} == {
        "billing": (1, 4.0),
        "missed appointment": (1, 4.0),
        "not said": (0, 0.0),
    }
    assert found.signals == {"swearing": (2, 1)}
    option, visit = found.options
    assert (option.offered, option.accepted, option.calmed, option.median_s, option.cost) == (2, 2, 1, 8.0, 8.0)
    assert (visit.refused, visit.accepted, visit.median_s) == (1, 0, None)
    [play] = found.plays
    assert (play.shown, play.done, play.wrong) == (3, 1, 1)  # what a reviewer says counts over what the agent said
    [step] = found.steps
    assert (step.done, step.turned_with, step.left, step.turned_without) == (1, 1, 1, 0)
    assert list(found.weeks) == ["2026-11-09", "2026-11-16", "2026-11-23"]
    assert [week.calls for week in found.weeks.values()] == [0, 1, 3]
    assert found.open_follow_ups == 1


def test_what_was_accepted_in_a_call_that_was_calmer_already_has_calmed_nobody():
    fee = {"id": "fee", "title": "Waive the fee", "cost": 4.0, "offered_ms": 1, "answer": "accepted"}
    after = [0, 0, 8_000, None]
    calls = [call(n, plan=[fee | {"calmed_after_ms": ms}]) for n, ms in enumerate(after)]
    found = report(calls, {}, since=None, until=UNTIL)
    [option] = found.options
    assert (option.accepted, option.calmer_already, option.calmed, option.median_s) == (4, 2, 1, 8.0)
    [row] = next(rows for title, _, rows in parts(found) if title.startswith("Plan B"))
    assert row == ("Waive the fee", "4", "4", "4", "50 %", "8 s", "16")


def test_a_great_cost_is_written_out_to_its_hundredths():
    fee = {"id": "fee", "title": "Waive the fee", "offered_ms": 1, "answer": "accepted", "calmed_after_ms": None}
    costs = (1_234_567.1, 0.2, 0.3)
    found = report([call(n, plan=[fee | {"cost": cost}]) for n, cost in enumerate(costs)], {}, since=None, until=UNTIL)
    assert report_as_json(found)["total"]["cost"] == report_as_json(found)["options"][0]["cost"] == 1_234_567.6
    assert "<b>1234567.60</b>cost of what was given" in page(found)
    assert {row[-1] for _, head, rows in parts(found) if head[-1] == "Cost" for row in rows} == {"1234567.60"}


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "–"), (0, 900, "0 %"), (1, 900, "1 %"), (450, 900, "50 %"), (899, 900, "99 %"), (900, 900, "100 %")],
)
def test_no_share_reads_as_none_or_all_that_is_neither(part, whole, told):
    assert report_page.share(part, whole) == told


def test_a_terminal_of_80_columns_shows_every_week_whole(site):
    found, out = report_from_store(site, date(2026, 6, 1), date(2026, 6, 28)), io.StringIO()
    console = Console(file=out, width=80)
    for table in tables(found):
        console.print(table)
    assert all(week in out.getvalue() for week in found.weeks)


def test_a_clock_that_a_yes_has_stopped_is_not_called_calmer():
    shouting = call(1, end="escalated", recovery=[{"result": "met", "took_ms": 10_000}])
    html = page(report([shouting], {}, since=None, until=UNTIL))
    assert "<b>0 %</b>calmer again at the end" in html
    assert "<b>100 %</b>clock met (remedy accepted or calmer within 60 s)" in html
    assert "The clock is met when a remedy is accepted, or the call is calmer" in html


def crew(team, many, first=0):
    return [call(first + n, agent=f"{team} {n}", team=team) for n in range(many)]


def test_a_small_team_is_pooled_and_cannot_be_had_by_subtraction():
    calls = crew("Large", 7) + crew("Middle", 5, 100) + crew("Small", 2, 200)
    found = report(calls, {}, since=None, until=UNTIL)
    assert set(found.teams) == {"Large", POOLED}  # Small alone would be the total less the two others
    assert found.teams[POOLED].calls == 7 and found.left_out == 0
    found = report(crew("Small", 2), {}, since=None, until=UNTIL)
    assert found.teams == {} and found.left_out == 1
    with pytest.raises(AssistError, match="fewer than 5 agents"):
        report(calls, {}, since=None, until=UNTIL, team="Small")
    with pytest.raises(AssistError, match="expected one of: Large, Middle, Small"):
        report(calls, {}, since=None, until=UNTIL, team="Smal")
    with pytest.raises(AssistError, match="figures of fewer than 5 others would follow"):
        report(calls, {}, since=None, until=UNTIL, team="Middle")  # the pool less Middle would be Small
    assert report(calls, {}, since=None, until=UNTIL, team="Large").total.calls == 7


def test_one_agent_in_several_spellings_is_one():
    calls = [
        {**call, "agent": name}
        for call, name in zip(crew("Small", 6), ("Dana", "dana", "DANA", "Zoë", "ZOE\u0308", "Jo"), strict=True)
    ]
    with pytest.raises(AssistError, match="fewer than 5 agents"):
        report(calls, {}, since=None, until=UNTIL, team="Small")


@pytest.mark.parametrize("many", [2, 7])
def test_where_nobody_names_a_team_there_is_no_word_of_teams(many):
    calls = crew("", many)
    found = report(calls, {}, since=None, until=UNTIL)
    assert (found.teams, found.left_out) == ({}, 0)
    with pytest.raises(AssistError, match="in this span: no call in it names a team"):
        report(calls, {}, since=None, until=UNTIL, team="Sales")


@given(st.dictionaries(st.sampled_from("ABCDEFG"), st.integers(1, 9), min_size=1))
def test_no_shown_team_and_no_difference_stands_for_fewer_than_five(sizes):
    calls = [each for n, (team, many) in enumerate(sizes.items()) for each in crew(team, many, n * 100)]
    found = report(calls, {}, since=None, until=UNTIL)
    shown = set(found.teams) - {POOLED}
    hidden = sum(many for team, many in sizes.items() if team not in shown)
    assert all(sizes[team] >= MIN_AGENTS for team in shown)
    assert hidden == 0 or hidden >= MIN_AGENTS or not shown
    for team in sizes:
        if team in shown:
            assert report(calls, {}, since=None, until=UNTIL, team=team).total == found.teams[team]
        else:
            with pytest.raises(AssistError, match="not shown"):
                report(calls, {}, since=None, until=UNTIL, team=team)


def test_trends_show_no_team_beside_which_too_few_are_left(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    bodies = list(made_records(10, agents=5))
    began = datetime.now().astimezone().isoformat(timespec="seconds")

    def trends():
        return asyncio.run(Library(store).trends(QA, TrendsQuery(weeks=1, team="Sales")))

    try:
        for n, body in enumerate(bodies):
            store.begin(f"k{n}", began, body["agent"])
            store.finish(f"k{n}", "ended", body | {"call": f"k{n}", "team": "Sales", "started_at": began}).result(10)
        assert trends().weeks[-1].calls == 10
        alone = {"call": "k10", "agent": "Dana", "team": "Claims", "started_at": began}
        store.begin("k10", began, "Dana")
        store.finish("k10", "ended", bodies[0] | alone).result(10)
        with pytest.raises(OverlayError, match="fewer than 5 others would follow"):
            trends()
    finally:
        store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('site') / 'assist.db'}")
    for body in made_records(300, weeks=8):
        store.begin(body["call"], body["started_at"], body["agent"])
        store.finish(body["call"], "ended", body)
    store.flush().result(30)
    yield store
    store.close()


def test_no_form_of_the_report_names_an_agent(site):
    found = report_from_store(site, date(2026, 6, 1), date(2026, 8, 1))
    assert found.total.calls == 300 and len(found.teams) == 4
    texts = [page(found), json.dumps(report_as_json(found)), "".join(map(str, tables(found)))]
    for text in texts:
        assert not re.search(r"agent \d", text)


def test_the_page_is_self_contained_escaped_and_drawn(site):
    site.review("k000001", Review("t", "Q", "root-cause", "", "<script>alert(1)</script>")).result(10)
    calls = [digest_of(body) | {"level_reached": "escalated"} for body in made_records(20, weeks=3)]
    said = {"k000001": [Review("t", "Q", "root-cause", "", "<script>alert(1)</script>")]}
    html = page(report(calls, said, since=date(2026, 6, 1), until=date(2026, 6, 22)))
    assert "<script" not in html and "&lt;script" in html
    assert "src=" not in html and "href=" not in html and "url(" not in html
    assert html.count("<svg") == 2 and 'class="rate"' in html


def test_an_empty_span_is_a_report_too(site):
    found = report_from_store(site, date(2020, 1, 1), date(2020, 1, 31))
    assert found.total.calls == 0 and "Prevention report" in page(found)
    with pytest.raises(AssistError, match="give an earlier first or a later last one"):
        report_from_store(site, date(2021, 1, 1), date(2020, 1, 1))


def test_the_review_page_gives_the_report(site):
    library = Library(site)
    asked = ReportQuery(since="2026-06-01", until="2026-08-01")
    assert "Prevention report" in asyncio.run(library.report(QA, asked))
    with pytest.raises(OverlayError, match="No calls of team 'nobody'"):
        asyncio.run(library.report(QA, ReportQuery(since="2026-06-01", until="2026-08-01", team="nobody")))


def test_the_last_day_there_is_has_an_end_and_a_report_of_thousands_of_years_is_refused(site):
    from overlay.records import Filters

    last, library = date(9999, 12, 31), Library(site)
    assert len(asyncio.run(library.search(QA, Filters(until=last, limit=200))).records) == 200
    assert len(select_records(site, [], records_between(None, last))) == 300
    for since, until in ((None, last), (date(1, 1, 1), None), (None, date(1, 1, 1)), (date(202, 1, 1), UNTIL)):
        with pytest.raises(AssistError, match="between 2000-01-01 and 2099-12-31"):
            report_from_store(site, since, until)
        with pytest.raises(OverlayError, match="between 2000-01-01 and 2099-12-31"):
            asyncio.run(library.report(QA, ReportQuery(since=since or "", until=until or "")))
    assert report_from_store(site, date(2000, 1, 1), date(2099, 12, 31)).total.calls == 300


def test_a_day_that_is_asked_for_ends_at_midnight(site):
    from overlay.records import Filters

    def found(since, until):
        asked = Filters(since=since, until=until, limit=200)
        calls = {each.id for each in asyncio.run(Library(site).search(QA, asked)).records}
        assert calls == {record.call for record in select_records(site, [], records_between(since, until))}
        return calls

    day, next_day = date(2026, 6, 1), date(2026, 6, 2)
    one, other = found(day, day), found(next_day, next_day)
    assert one and other and not one & other and one | other == found(day, next_day)


def test_the_page_of_a_report_is_not_drawn_where_live_calls_wait_for_it(site, monkeypatch):
    import threading

    drew = []
    monkeypatch.setattr(report_page, "page", lambda found: drew.append(threading.current_thread()) or page(found))
    asyncio.run(Library(site).report(QA, ReportQuery(since="2026-06-01", until="2026-08-01")))
    assert len(drew) == 1 and threading.main_thread() not in drew


def test_lists_and_counts_read_no_whole_record(site, monkeypatch):
    def whole(*_):
        raise AssertionError("a whole record was read")

    monkeypatch.setattr(site, "records", whole)
    monkeypatch.setattr(site, "record", whole)
    from overlay.records import Filters, TrendsQuery

    library = Library(site)
    found = asyncio.run(library.search(QA, Filters(order="worst", words="engineer"))).records
    assert len(found) == 50 and found[0].level_reached == "escalated"
    asyncio.run(library.trends(QA, TrendsQuery()))
    asyncio.run(library.trends(QA, TrendsQuery(weeks=104, team="team 1")))
    with pytest.raises(OverlayError, match="from 5 agents up"):
        asyncio.run(library.trends(QA, TrendsQuery(weeks=104, team="nobody")))
    report_from_store(site, date(2026, 6, 1), date(2026, 8, 1))
    assert find_due(site, KeepSettings(), datetime(2026, 9, 1, tzinfo=UTC)).words == ()
