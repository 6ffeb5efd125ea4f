"""Trends over finished calls: counted week by week, from stored records and what reviewers said about them."""

from __future__ import annotations

import asyncio
import time
from datetime import date, datetime, timedelta
from typing import Literal

import pytest

from assist.evaluation.backtest_run import _marks
from assist.records.library import Library
from assist.records.trends import trends
from assist.settings import REVIEW_FORM
from assist.store.rows import Review
from assist.store.store import open_store
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import Answer, Filters, Marking, RecordNote, SavedView, TrendsQuery
from tests.overlay_records import incident

QUINN = Identity("Quinn", "qa")


def test_calls_are_counted_in_the_week_they_began_in():
    records = [
        incident(call="a", started_at="2026-11-23T00:01:00+00:00"),
        incident(call="b", started_at="2026-11-29T23:59:00+00:00", level_reached="tense"),
        incident(call="c", started_at="2026-11-22T23:59:00+00:00", level_at_end="escalated", recovery=[]),
        incident(call="d", started_at="2026-11-08T12:00:00+00:00"),
    ]
    found = trends(records, {}, date(2026, 11, 26), 2)
    assert [(week.starts, week.calls, week.tense, week.escalated) for week in found.weeks] == [
        ("2026-11-16", 1, 0, 1),
        ("2026-11-23", 2, 1, 1),
    ]
    assert [(week.turned, week.within_60) for week in found.weeks] == [(0, 0), (1, 1)]
    assert found.root_causes == [("Late fee after missed visits", 2)]
    assert dict(found.signals)["influence_claim"] == 3


def test_a_reviewers_word_counts_before_the_agents():
    record = incident(call="a", started_at="2026-11-24T10:00:00+00:00")
    plain = trends([record], {}, date(2026, 11, 24), 1).weeks[0]
    verdicts = [("root-cause", "", "Rota"), ("prompt", "p2", "wrong"), ("prompt", "p1", "right")]
    said = {"a": [Review("t", "Quinn", *each) for each in verdicts]}
    reviewed = trends([record], said, date(2026, 11, 24), 1)
    assert (plain.prompts, plain.used, plain.wrong) == (3, 1, 0)
    assert reviewed.weeks[0].wrong == 1
    assert reviewed.root_causes == [("Rota", 1)]


def test_the_library_keeps_answers_missed_signals_and_finds_by_cause_and_day(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    library = Library(store, REVIEW_FORM)

    async def scene() -> None:
        for call, day, cause in (("a", "2026-11-23", ""), ("b", "2026-11-24", "Late fee"), ("c", "2026-11-25", "")):
            body = incident(call=call, started_at=f"{day}T10:00:00+00:00", root_cause=cause)
            store.begin(call, body["started_at"], "Dana")
            store.finish(call, "ended", body).result()
        await library.note(QUINN, "c", RecordNote(kind="root-cause", text="A late fee again"))
        await library.note(QUINN, "c", RecordNote(kind="missed", text="He swore", at_ms=9000, signal="swearing"))

        await library.note(QUINN, "c", RecordNote(kind="outcome", text="paid back", signal="swearing"))

        exported = await library.export(QUINN, "c")
        assert exported["outcome"] == "paid back"
        assert exported["missed"] == [{"at_ms": 9000, "signal": "swearing", "text": "He swore", "who": "Quinn"}]
        html = await library.html(QUINN, "c")
        assert "What was missed" in html and "He swore" in html

        async def found(**filters: object) -> list[str]:
            asked = Filters.model_validate(filters)
            return [summary.id for summary in (await library.search(QUINN, asked)).records]

        assert await found(root_cause="late fee") == ["c", "b"]
        assert await found(since="2026-11-24", until="2026-11-24") == ["b"]
        assert await found(until="2026-11-24") == ["b", "a"]

        await library.answer(QUINN, "a", Answer(question="owned", answer="no"))
        await library.answer(Identity("Rita", "qa"), "a", Answer(question="owned", answer="yes"))
        await library.answer(QUINN, "a", Answer(question="remedy", answer="partly"))
        await library.answer(QUINN, "a", Answer(question="remedy", answer=""))
        view = await library.get(QUINN, "a")
        assert [(each.question, each.answer, each.who) for each in view.answers] == [("owned", "yes", "Rita")]
        assert [question.id for question in view.questions] == [question.id for question in REVIEW_FORM]
        assert view.notes == []
        for bad in (Answer(question="none", answer="yes"), Answer(question="owned", answer="maybe")):
            with pytest.raises(OverlayError):
                await library.answer(QUINN, "a", bad)
        with pytest.raises(OverlayError) as missing:
            await library.sound(QUINN, "a")
        assert missing.value.code == "sound-missing"
        await library.mark(QUINN, "a", Marking(kind="prompt", target="p2", verdict="wrong"))
        counted = await library.trends(QUINN, TrendsQuery(weeks=104))
        assert sum(week.calls for week in counted.weeks) == 3
        assert sum(week.wrong for week in counted.weeks) == 1

    try:
        asyncio.run(scene())
    finally:
        store.close()


def test_a_prompt_that_the_agent_marked_wrong_is_found_and_counted_until_a_reviewer_says_otherwise(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    library = Library(store)

    async def scene() -> None:
        async def mark(target: str, verdict: Literal["right", "wrong", "clear"]) -> int:
            return await library.mark(QUINN, "a", Marking(kind="prompt", target=target, verdict=verdict))

        async def wrong() -> list[tuple[str, int]]:
            marks = [*_marks(store, "a", store.reviews("a")).values()].count("wrong")
            assert marks == sum(week.wrong for week in (await library.trends(QUINN, TrendsQuery(weeks=104))).weeks)
            found = (await library.search(QUINN, Filters(marks="wrong"))).records
            assert sum(each.wrong for each in found) == marks, "everybody says the same"
            return [(each.id, each.wrong) for each in found]

        for call in "ab":
            body = incident(call=call, started_at="2026-11-24T10:00:00+00:00")
            body["prompts"][2]["how"] = "wrong" if call == "a" else "used"
            store.begin(call, body["started_at"], "Dana")
            store.finish(call, "ended", body).result()
        assert await wrong() == [("a", 1)]
        assert [await mark("p3", "wrong"), await mark("p1", "wrong")] == [1, 2]
        assert await wrong() == [("a", 2)]
        assert [await mark("p1", "clear"), await mark("p3", "right")] == [1, 0]
        assert await wrong() == []
        assert await mark("p3", "clear") == 1
        assert await wrong() == [("a", 1)]

    try:
        asyncio.run(scene())
    finally:
        store.close()


def test_what_is_marked_or_missed_is_of_the_call_and_nobody_overrules_unseen_what_another_has_said(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    store.begin("a", "2026-11-24T09:00:00+00:00", "dana")
    store.finish("a", "ended", incident(call="a")).result()
    library = Library(store)

    async def mark(who: str, verdict: str, was: str | None, target: str = "p2") -> str:
        asked = Marking.model_validate({"kind": "prompt", "target": target, "verdict": verdict, "was": was})
        try:
            await library.mark(Identity(who, "qa"), "a", asked)
        except OverlayError as error:
            return f"{error.code}: {error}"
        return "stored"

    async def scene() -> None:
        assert (await mark("Quinn", "wrong", None, "p9")).startswith("target-unknown: ")
        assert (await mark("Quinn", "wrong", None, "passed.times@u9")).startswith("target-unknown: ")  # a signal's
        assert await mark("Quinn", "wrong", "") == "stored"
        refused = "marked-since: {} has {} meanwhile; yours is not stored. Look again."
        assert await mark("Rita", "right", "") == refused.format("Quinn", "marked this wrong")
        assert await mark("Rita", "right", "wrong") == "stored"
        assert await mark("Quinn", "clear", "wrong") == refused.format("Rita", "marked this right")
        assert [each.verdict for each in (await library.get(QUINN, "a")).marks] == ["right"]
        both = await asyncio.gather(mark("Quinn", "wrong", "right"), mark("Rita", "clear", "right"))
        assert both == ["stored", refused.format("Quinn", "marked this wrong")]
        assert await mark("Rita", "wrong", "right") == "stored"  # they agree
        assert await mark("Rita", "clear", "wrong") == "stored"
        assert await mark("Quinn", "right", "wrong") == refused.format("Rita", "taken the mark off this")
        for code, of in (("signal-unknown", {"signal": "nonsense"}), ("time-unknown", {"at_ms": 86_000_000})):
            with pytest.raises(OverlayError) as error:
                await library.note(QUINN, "a", RecordNote.model_validate({"kind": "missed", "text": "x"} | of))
            assert error.value.code == code
        assert RecordNote(kind="comment", text=" so\0\x1b[1m\nit is ").text == "so[1m\nit is"
        for blank in (" ", "\n", "\0"):
            with pytest.raises(ValueError, match="at least 1 character"):
                RecordNote(kind="comment", text=blank)

    try:
        asyncio.run(scene())
    finally:
        store.close()


@pytest.mark.parametrize("order", ["newest", "worst"])
def test_calls_that_end_or_go_while_the_list_is_read_move_none_of_the_others(order, tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    library = Library(store)

    def end(name: str, minute: int, level: str) -> None:
        began = f"2026-11-24T10:{minute:02}:00+00:00"
        store.begin(name, began, "Dana")
        store.finish(name, "ended", incident(call=name, started_at=began, level_reached=level)).result()

    async def scene() -> None:
        calls = [f"k {n}" for n in range(12)]
        for n, call in enumerate(calls):
            end(call, n // 4, ("calm", "tense", "escalated")[n % 3])  # four in a minute
        listed: list[str] = []
        after, totals = "", []
        while after or not totals:
            found = await library.search(QUINN, Filters.model_validate({"order": order, "limit": 5, "after": after}))
            listed += [each.id for each in found.records]
            totals.append(found.total)
            after = found.next
            end(f"new {len(totals)}", 30, "escalated")
            if len(totals) == 1:
                store.erase([found.records[-1].id]).result()  # where the next page begins
        assert sorted(listed) == sorted(calls)
        assert totals == [12, None, None]

    try:
        asyncio.run(scene())
    finally:
        store.close()


def test_a_search_that_an_earlier_version_saved_hides_none_of_the_others(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    try:
        store.people.save_view("Quinn", "old", '{"level": "escalated", "days": 7, "offset": 50}').result()
        asyncio.run(Library(store).save_view(QUINN, SavedView(name="since", filters=Filters(since="2026-11-24"))))
        saved = {each.name: each.filters for each in asyncio.run(Library(store).views(QUINN))}
        assert saved == {"old": Filters(level="escalated", days=7), "since": Filters(since=date(2026, 11, 24))}
    finally:
        store.close()


@pytest.mark.parametrize("zone", ["Etc/GMT+8", "Etc/GMT-9"])
def test_the_last_day_is_the_last_24_hours_wherever_the_machine_stands(zone, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    try:
        for hours in (23, 25):
            began = (datetime.now() - timedelta(hours=hours)).astimezone().isoformat(timespec="seconds")
            store.begin(f"{hours} h ago", began, "Dana")
            store.finish(f"{hours} h ago", "ended", incident(call=f"{hours} h ago", started_at=began)).result()
        found = asyncio.run(Library(store).search(QUINN, Filters(days=1))).records
        assert [each.id for each in found] == ["23 h ago"]
    finally:
        store.close()
        monkeypatch.undo()
        time.tzset()
