"""Review and trends in a real browser, against the real server, with made-up records."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from assist.privacy.retention import without_words
from assist.records.library import Library
from assist.store.store import open_store
from detectors.signals import SIGNAL_IDS
from overlay.identity import Identity, Role
from overlay.records import Mark, Trends, TrendsQuery, Week
from tests.made_records import made_records
from tests.overlay_records import Shelf, incident, recorded, trends
from tests.overlay_stage import IN_A_BROWSER, LATER, place, play, stage

pytestmark = IN_A_BROWSER


def test_every_signal_can_be_searched_for() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/review", width=1440, height=900)
            ids = await page.locator("#signals option").evaluate_all("(all) => all.map((each) => each.value)")
            assert sorted(ids) == sorted(["", *SIGNAL_IDS])

    play(scene)


def test_a_record_is_reviewed_by_keyboard() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900, script=LATER)
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await expect(page.locator(".masked")).to_have_text("card number")
            await expect(page.locator("#side")).to_contain_text("Dana")
            told = "04:09 Maria was asked, 04:12 Maria saw it, 04:15 Maria claimed it"
            await expect(page.locator("#side")).to_contain_text(told)
            for key in ("j", "r", "j", "j", "w"):
                await page.keyboard.press(key)
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right", "Wrong"])
            assert [(mark.kind, mark.target, mark.verdict) for _, mark in shelf.marks] == [
                ("signal", "passed.times@u9", "right"),
                ("signal", "tone@241000", "wrong"),
            ]
            await page.keyboard.press("w")  # the key has bounced
            await page.evaluate("window.later += 700")
            await page.keyboard.press("w")
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right"])
            assert [mark.verdict for _, mark in shelf.marks] == ["right", "wrong", "clear"]
            await page.get_by_role("button", name="Wrong: Passed around").dblclick()
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Wrong"])
            await page.evaluate("window.later += 700")
            await page.get_by_role("button", name="Right: Passed around").click()
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right"])
            assert [mark.verdict for _, mark in shelf.marks][3:] == ["wrong", "right"]
            shelf.marks.append(("2026-11-24-dana-1", Mark(kind="signal", target="passed.times@u9", verdict="wrong")))
            await page.evaluate("window.later += 700")
            await page.get_by_role("button", name="Right: Passed around").click()  # to take it back
            await expect(page.locator("#found")).to_have_text(re.compile("^Rita has marked this wrong meanwhile"))
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Wrong"])
            assert shelf.marks.pop()[1].verdict == "wrong"
            for key in ("j", "j"):
                await page.keyboard.press(key)
            await page.keyboard.press("m")
            await page.keyboard.press("Escape")  # leaves the list of signals, not the record
            await page.keyboard.press("m")
            await page.get_by_label("Which signal").select_option("derogatory")
            await page.get_by_role("button", name="Add").click()
            await expect(page.locator("#side li").filter(has_text="Derogatory")).to_be_visible()
            await expect(page.locator("#said tr.current")).to_contain_text("missed here: Derogatory")
            missed = shelf.notes[0][2]
            assert (missed.kind, missed.signal, missed.at_ms) == ("missed", "derogatory", 241_000)
            await page.get_by_role("group", name="Took responsibility").get_by_role("radio", name="partly").check()
            await expect(page.locator(".form [role=status]")).to_have_text("Saved")
            assert [(answer.question, answer.answer) for _, answer in shelf.answers] == [("owned", "partly")]
            await page.keyboard.press("n")
            await expect(page.locator("#record h2")).to_have_text("Claim refused twice")
            await expect(page.locator(".flag")).to_contain_text("Contested by Tom")
            assert page.url.endswith("/review/2026-11-24-tom-1")
            await page.keyboard.press("b")
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await page.go_back()
            await expect(page.locator("#record h2")).to_have_text("Claim refused twice")
            assert [each for each in here.complaints if "409" not in each] == []

    play(scene)


def test_a_call_of_the_list_that_is_drawn_anew_while_it_is_pressed_is_opened_all_the_same() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await page.get_by_role("button", name="Claim refused twice").hover()
            await page.mouse.down()
            await page.keyboard.press("j")
            await page.keyboard.press("w")
            await expect(page.locator("#list [aria-current=true]")).to_contain_text("1 wrong")
            await page.mouse.up()
            await expect(page.locator("#record h2")).to_have_text("Claim refused twice")

    play(scene)


def test_a_page_that_is_loaded_anew_has_its_search_and_a_view_that_is_not_saved_after_all_is_left() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#found")).to_have_text("5 calls")
            await page.get_by_label("Level reached").select_option("tense")
            await expect(page.locator("#found")).to_have_text("1 call")
            await page.reload()
            await expect(page.locator("#found")).to_have_text("1 call")
            await expect(page.get_by_label("Level reached")).to_have_value("tense")
            await page.get_by_role("button", name="Save view").click()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("button", name="Save view")).to_be_focused()
            await expect(page.locator("#save")).to_be_hidden()

    play(scene)


def test_what_somebody_searched_for_is_nothing_to_whoever_logs_in_after_them() -> None:
    async def scene() -> None:
        people = [Identity("Quinn", "qa")]
        async with stage(records=Shelf(), identify=lambda headers, peer: people[-1]) as here:
            page = await here.page("/review", width=1440, height=900)
            await page.get_by_label("Level reached").select_option("tense")
            await expect(page.locator("#found")).to_have_text("1 call")
            people.append(Identity("Olu", "supervisor"))
            await page.reload()
            await expect(page.locator("#found")).to_have_text("5 calls")

    play(scene)


def test_on_a_slow_line_it_is_said_that_something_is_on_its_way() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            for path, asked, told, known in (
                ("/review", "/api/records?", "#found", "5 calls"),
                ("/trends", "/api/trends?", "#state", "5295 calls"),
            ):
                page = await here.page("/")
                held: asyncio.Queue[Route] = asyncio.Queue()
                await page.route(lambda url, asked=asked: asked in url, held.put)
                await page.goto(here.url + path)
                route = await held.get()
                await expect(page.locator(told)).to_have_text("Loading")
                await route.continue_()
                await expect(page.locator(told)).to_have_text(known)

    play(scene)


def test_what_is_chosen_while_the_page_loads_is_searched_for_and_what_is_opened_stays_open() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/")
            held: asyncio.Queue[Route] = asyncio.Queue()
            await page.route(here.url + "/api/views", held.put)
            await page.goto(here.url + "/review")
            route = await held.get()
            await page.get_by_label("Search words").fill("nobody came")
            await page.get_by_role("button", name="Parcel left outside").click()
            await expect(page.locator("#record h2")).to_have_text("Parcel left outside")
            await page.get_by_label("Level reached").select_option("tense")
            await route.continue_()
            await expect(page.locator("#view")).to_have_value("Unreviewed, worst first")
            await expect(page.get_by_label("Marks")).to_have_value("unreviewed")
            await expect(page.locator("#found")).to_have_text("1 call")
            await expect(page.get_by_label("Level reached")).to_have_value("tense")
            await expect(page.get_by_label("Search words")).to_have_value("nobody came")
            await expect(page.locator("#record h2")).to_have_text("Parcel left outside")

    play(scene)


def test_what_is_answered_late_never_reaches_another_record() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            title = page.locator("#record h2")
            await expect(title).to_have_text("Late fee after missed visits")
            held: dict[str, Route] = {}
            await page.route(
                lambda url: url.endswith(("/api/records/2026-11-24-tom-1", "/marks")),
                lambda route: held.__setitem__(route.request.url.rpartition("/")[2], route),
            )
            listed = page.locator("#list button")
            await page.keyboard.press("j")
            await page.keyboard.press("r")
            await page.keyboard.press("n")
            await page.keyboard.press("n")  # the one between has not come yet
            await expect(title).to_have_text("Parcel left outside")
            assert set(held) == {"marks", "2026-11-24-tom-1"}
            for route in held.values():
                await route.continue_()
            await page.unroute_all()
            await expect(listed.nth(0)).to_contain_text("reviewed")
            await page.keyboard.press("j")
            await page.keyboard.press("r")
            await expect(page.locator(".verdict[aria-pressed=true]")).to_have_text(["Right"])
            await expect(title).to_have_text("Parcel left outside")
            marks = [(name, mark.verdict) for name, mark in shelf.marks]
            assert marks == [("2026-11-24-dana-1", "right"), ("2026-11-23-aisha-1", "right")]
            await expect(listed.nth(1)).not_to_contain_text("reviewed")
            assert here.complaints == []

    play(scene)


def test_where_a_record_has_gone_no_key_marks_the_one_before_and_the_next_follows() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            title = page.locator("#record h2")
            await expect(title).to_have_text("Late fee after missed visits")
            await page.keyboard.press("j")
            del shelf.records["2026-11-24-tom-1"]
            await page.keyboard.press("n")
            await expect(title).to_have_text("This record cannot be opened")
            for key in ("w", "j", "w", "m", " "):
                await page.keyboard.press(key)
            await page.keyboard.press("n")
            await expect(title).to_have_text("Parcel left outside")
            assert shelf.marks == []
            assert not [each for each in here.complaints if "404" not in each]

    play(scene)


def test_what_was_begun_about_a_call_waits_for_it_and_is_added_once() -> None:
    async def scene() -> None:
        shelf = Shelf()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            title = page.locator("#record h2")
            await expect(title).to_have_text("Late fee after missed visits")
            await page.get_by_label("What to add").select_option("root-cause")
            await page.get_by_label("Text").fill("The rota")
            await page.locator("#list button").nth(1).click()
            await expect(title).to_have_text("Claim refused twice")
            await expect(page.locator("#list button").nth(1)).to_be_focused()
            await expect(page.get_by_label("Text")).to_have_value("")
            await page.keyboard.press("b")
            await expect(title).to_have_text("Late fee after missed visits")
            await expect(page.get_by_label("Text")).to_have_value("The rota")
            await page.get_by_role("button", name="Add").dblclick()
            await expect(page.locator("#side")).to_contain_text("Root cause: The rota")
            await expect(page.get_by_label("Text")).to_have_value("")
            assert [(note.kind, note.text) for _, _, note in shelf.notes] == [("root-cause", "The rota")]
            await expect(title).to_have_text("The rota")  # wherever it is told
            for kind, text in (("outcome", "paid back"), ("contest", "not so")):
                await page.get_by_label("What to add").select_option(kind)
                await page.get_by_label("Text").fill(text)
                await page.get_by_role("button", name="Add").click()
                await expect(page.locator("#side li").filter(has_text=text)).to_be_visible()
            await expect(page.locator("#record .flag")).to_have_text("Contested by Dana: not so")
            row = page.locator("#list button").first
            await expect(row.locator("b")).to_have_text("The rota")
            await expect(row).to_contain_text("paid back")
            await expect(row).to_contain_text("contested by the agent")
            assert await page.locator("#causes option").evaluate_all(
                "(all) => all.some((it) => it.value === 'The rota')"
            )

    play(scene)


@pytest.mark.parametrize(("role", "offered"), [("qa", 0), ("agent", 1)])
def test_only_the_agent_is_offered_to_contest(role: Role, offered: int) -> None:
    async def scene() -> None:
        who = Identity("Dana" if role == "agent" else "Quinn", role)
        async with stage(records=Shelf(), identify=lambda headers, peer: who) as here:
            page = await here.page("/review/2026-11-24-dana-1", width=1440, height=900)
            await expect(page.locator("#add-kind option[value=comment]")).to_have_count(1)
            await expect(page.locator("#add-kind option[value=contest]")).to_have_count(offered)

    play(scene)


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        ({"result": "met", "took_ms": 4_700, "by": "remedy"}, "remedy accepted after 5 s, met (goal 60 s)"),
        ({"result": "missed"}, "missed, never in this call (goal 60 s)"),
    ],
)
def test_how_the_clock_ended_is_named_beside_the_level(ended: dict[str, object], told: str) -> None:
    async def scene() -> None:
        shelf = Shelf()
        run = {"started_ms": 249_000, "limit_ms": 60_000, **ended}
        shelf.records["2026-11-24-dana-1"] = incident(recovery=[run])
        async with stage(records=shelf) as here:
            page = await here.page("/review/2026-11-24-dana-1", width=1440, height=900)
            await expect(page.locator("#side")).to_contain_text(told)

    play(scene)


def test_what_came_without_consent_is_drawn_as_not_kept_and_never_as_calm() -> None:
    async def scene() -> None:
        shelf = Shelf()
        consent = [
            {"at_ms": at_ms, "consent": consent, "by": "Dana", "policy": "all-party"}
            for at_ms, consent in ((63_000, "granted"), (480_000, "unknown"))
        ]
        stood = {"at_ms": 63_000, "level": "escalated", "score": 78, "because": []}
        shelf.records["2026-11-24-dana-1"] = incident(consent=consent, levels=[stood])
        async with stage(records=shelf) as here:
            page = await here.page("/review/2026-11-24-dana-1", width=1440, height=900)
            await expect(page.locator(".flag", has_text="The first")).to_contain_text("01:03 were not kept")
            await expect(page.locator(".flag", has_text="From")).to_contain_text("08:00 to the end nothing was kept")
            bands = page.locator(".timeline rect")
            drawn = [
                (await band.get_attribute("class"), await band.get_attribute("width")) for band in await bands.all()
            ]
            assert [name for name, width in drawn if float(width or 0) > 0] == ["unkept", "escalated", "unkept"]

    play(scene)


def test_calls_are_searched_filtered_kept_as_a_view_and_taken_away_as_a_table() -> None:
    async def scene() -> None:
        shelf = Shelf()
        shelf.records["2026-11-24-tom-1"]["root_cause"] = "=Claim, refused"
        shelf.records["2026-11-23-aisha-1"]["root_cause"] = " +1 parcel"
        piotr = next(record for call, record in shelf.records.items() if "piotr" in call)
        piotr["root_cause"] = "\uff1d1"
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#list li")).to_have_count(5)
            async with page.expect_download() as taken:
                await page.get_by_role("button", name="Export list").click()
            table = (await (await taken.value).path()).read_text(encoding="utf-8-sig").splitlines()
            assert len(table) == 6
            assert '"\'=Claim, refused"' in table[2]  # no spreadsheet takes it for a formula
            assert ",' +1 parcel," in table[3]
            assert any(",'\uff1d1," in row for row in table), "nor what begins with an equals sign of full width"
            await page.get_by_role("button", name="More", exact=True).click()
            await page.get_by_label("Root cause", exact=True).fill("late fee")
            await expect(page.locator("#list li")).to_have_count(1)
            await page.get_by_label("From").fill("2026-11-01")
            await page.get_by_role("button", name="Save view").click()
            await page.get_by_label("Name of this view").fill("Contested")
            await page.keyboard.press("Enter")
            await expect(page.locator("#found")).to_contain_text("choose another")
            await page.get_by_label("Name of this view").fill("Late fees")
            await page.keyboard.press("Enter")
            await expect(page.locator("#view")).to_have_value("Late fees")
            await page.reload()
            await expect(page.get_by_label("Root cause", exact=True)).to_have_value("late fee")
            await expect(page.locator("#list li")).to_have_count(1)
            assert str(shelf.asked[-1].since) == "2026-11-01"
            await page.get_by_role("button", name="Delete view").click()
            await expect(page.locator("#list li")).to_have_count(5)
            await page.get_by_label("Level reached").select_option("calm")
            await expect(page.locator("#list li")).to_have_count(1)
            await page.keyboard.press("Escape")
            await page.get_by_label("Search words").fill("nothing like this")
            await expect(page.locator("#found")).to_contain_text("No calls found")
            assert here.complaints == []

    play(scene)


def test_of_more_calls_than_are_listed_none_is_passed_over_and_all_are_exported(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(records=Library(store)) as here:
            page = await here.page("/review", width=1440, height=900)
            shown = page.locator("#list [data-key]")
            await expect(page.locator("#view")).to_have_value("Unreviewed, worst first")
            await expect(page.locator("#found")).to_have_text("50 of 420 calls")
            async with page.expect_download() as taken:
                await page.get_by_role("button", name="Export list").click()
            table = (await (await taken.value).path()).read_text(encoding="utf-8-sig").splitlines()
            assert sorted(row.partition(",")[0] for row in table[1:]) == calls
            await expect(page.locator("#found")).to_have_text("50 of 420 calls")
            await expect(page.locator("#table")).to_be_focused()
            await page.keyboard.press("j")
            await page.keyboard.press("r")  # one that was unreviewed is so no more
            await expect(page.locator("#list [aria-current=true]")).to_contain_text("reviewed")
            await shown.last.click()
            await expect(shown.last).to_have_attribute("aria-current", "true")
            await page.keyboard.press("n")
            await expect(shown).to_have_count(100)
            await expect(shown.nth(50)).to_have_attribute("aria-current", "true")
            more = page.locator("#more")
            while await more.is_visible():
                before = await shown.count()
                await more.click()
                await expect(shown.nth(before)).to_be_visible()
            ids = await shown.evaluate_all("(all) => all.map((each) => each.dataset.key)")
            assert sorted(ids) == calls
            assert here.complaints == []

    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    calls = []
    for record in made_records(420):
        store.begin(record["call"], record["started_at"], record["agent"])
        store.finish(record["call"], "ended", record)
        calls.append(record["call"])
    store.flush().result(30)
    try:
        play(scene)
    finally:
        store.close()


def test_a_call_that_is_chosen_while_the_next_ones_are_asked_for_stays_open(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(records=Library(store)) as here:
            page = await here.page("/review", width=1440, height=900)
            shown = page.locator("#list [data-key]")
            held: list[Route] = []
            await page.route(lambda url: "after=" in url and "after=&" not in url, lambda route: held.append(route))
            await shown.last.click()
            await expect(shown.last).to_have_attribute("aria-current", "true")
            await page.keyboard.press("n")
            await shown.nth(3).click()
            await expect(shown.nth(3)).to_have_attribute("aria-current", "true")
            await held[0].continue_()
            await expect(shown).to_have_count(60)
            await page.keyboard.press("b")
            await expect(shown.nth(2)).to_have_attribute("aria-current", "true")

    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    for record in made_records(60):
        store.begin(record["call"], record["started_at"], record["agent"])
        store.finish(record["call"], "ended", record)
    store.flush().result(30)
    try:
        play(scene)
    finally:
        store.close()


def test_no_further_page_follows_a_list_that_is_searched_anew(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stage(records=Library(store)) as here:
            page = await here.page("/review", width=1440, height=900)
            shown, more = page.locator("#list [data-key]"), page.locator("#more")
            held: list[Route] = []
            await page.route(lambda url: "level=calm" in url, lambda route: held.append(route))
            await expect(more).to_be_visible()
            async with page.expect_request(lambda request: "level=calm" in request.url):
                await page.get_by_label("Level reached").select_option("calm")
            await expect(more).to_be_hidden()
            await page.locator("#list [data-key]").last.click()
            await page.keyboard.press("n")
            await held[0].continue_()
            await expect(shown).to_have_count(calm)
            assert len(held) == 1

    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    records = list(made_records(60))
    calm = sum(record["level_reached"] == "calm" for record in records)
    for record in records:
        store.begin(record["call"], record["started_at"], record["agent"])
        store.finish(record["call"], "ended", record)
    store.flush().result(30)
    try:
        play(scene)
    finally:
        store.close()


def test_what_went_wrong_is_not_told_as_a_record_that_is_gone_nor_as_a_small_note() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#record h2")).to_have_text("Late fee after missed visits")
            await here.stop()
            await page.keyboard.press("j")
            await page.keyboard.press("w")
            told = page.locator("#found.trouble")
            await expect(told).to_have_text("Not connected: the server does not answer.")
            await page.keyboard.press("n")
            await expect(page.locator("#record h2")).to_have_text("This record cannot be opened")
            await expect(page.locator("#record")).to_contain_text("the server does not answer")

    play(scene)


def test_where_all_is_reviewed_it_is_said_so_and_a_search_without_a_find_is_another_matter() -> None:
    async def scene() -> None:
        shelf = Shelf()
        shelf.records.clear()
        async with stage(records=shelf) as here:
            page = await here.page("/review", width=1440, height=900)
            await expect(page.locator("#found")).to_have_text("No calls left to review.")
            await expect(page.locator("#record")).to_have_text("")
            await page.get_by_label("Search words").fill("fee")
            await expect(page.locator("#found")).to_have_text(
                "No calls found. Widen the search or choose another view."
            )

    play(scene)


def test_a_word_that_is_clicked_is_heard_and_the_word_that_is_heard_is_marked() -> None:
    async def scene() -> None:
        async with stage(records=recorded()) as here:
            page = await here.page("/review/2026-11-24-dana-1", width=1440, height=900)
            word = page.locator(".w", has_text="guy").first
            await word.click()
            await expect(page.locator(".w.now")).to_have_count(1)
            await expect(page.get_by_role("button", name="Pause")).to_be_visible()
            await page.locator("#record h2").click()
            await page.keyboard.press("Space")
            await expect(page.get_by_role("button", name="Play")).to_be_visible()
            spoken = await word.evaluate("(node) => Number(node.dataset.from) / 1000")
            at = await page.evaluate("document.querySelector('audio').currentTime")
            assert spoken <= at < spoken + 10
            await page.get_by_role("button", name="Speed").click()
            assert await page.evaluate("document.querySelector('audio').playbackRate") == 1.25
            assert (await page.locator(".timeline .voice").first.get_attribute("d") or "").count("M") == 1000
            assert here.complaints == []
            silent = await here.page("/review/2026-11-24-tom-1", width=1440, height=900)
            await silent.locator(".w", has_text="guy").first.click()
            await expect(silent.locator("tr.current")).to_contain_text("call my guy")
            await expect(silent.locator("audio")).to_have_count(0)

    play(scene)


def test_trends_are_plots_with_their_figures_beside_them() -> None:
    async def scene() -> None:
        async with stage(records=Shelf()) as here:
            page = await here.page("/trends", width=1440, height=900)
            await expect(page.locator(".plot")).to_have_count(5)
            await expect(page.locator(".plot").first.locator("rect.escalated")).to_have_count(
                13
            )  # 12 weeks and the key
            await page.get_by_text("As a table").first.click()
            await expect(page.locator("table").first.locator("tbody tr")).to_have_count(12)
            await expect(page.locator("#state")).to_have_text(f"{sum(week.calls for week in trends().weeks)} calls")
            await expect(page.locator(".axis").first.locator("span")).to_have_text(["30", "15", "0"])
            await expect(page.locator(".axis").nth(1).locator("span")).to_have_text(["100 %", "50 %", "0 %"])
            await page.locator("[name=weeks]").select_option("4 weeks")
            await expect(page.locator(".plot").first.locator("rect.escalated")).to_have_count(5)
            counted = await page.locator(".plot h2 + p").all_inner_texts()
            assert counted == [
                "Calls out of every 100 that week.",
                "Share of that week’s escalated calls.",
                "Share of the prompts shown that week.",
                "Escalated calls, all 4 weeks together.",
                "Calls in which it was heard, all 4 weeks together.",
            ]
            await expect(page.locator(".bars li").first).to_contain_text("Late fee after missed visits")
            assert here.complaints == []
            await page.route(
                "**/api/trends*", lambda route: route.fulfill(status=400, json={"text": "Too few agents."})
            )
            await page.get_by_label("Team").fill("Billing")
            await page.keyboard.press("Enter")
            await expect(page.locator("#state")).to_have_text("Too few agents.")
            await expect(page.locator(".plot")).to_have_count(0)  # those of all teams

    play(scene)


def test_weeks_without_a_call_have_no_share_rather_than_none_that_turned() -> None:
    class Beginning(Shelf):
        """Calls in the fifth, the sixth and the last of the weeks."""

        async def trends(self, who: Identity, asked: TrendsQuery) -> Trends:
            made = await super().trends(who, asked)
            weeks = [week if n in (4, 5, 11) else Week(starts=week.starts) for n, week in enumerate(made.weeks)]
            return made.model_copy(update={"weeks": weeks})

    async def scene() -> None:
        async with stage(records=Beginning()) as here:
            page = await here.page("/trends", width=1440, height=900)
            turned = page.get_by_role("region", name="What became of escalated calls")
            line = str(await turned.locator("svg[role=img] .line").first.get_attribute("d"))
            assert [step for step in line if step.isalpha()] == ["M", "L", "M", "h"]
            label = str(await turned.get_by_role("img").get_attribute("aria-label"))
            assert "calm again at the end 59 % at first, 95 % last" in label
            await turned.locator("summary").click()
            await expect(turned.locator("tbody tr").first.locator("td")).to_have_text([re.compile("Sep"), "–", "–"])
            of_hundred = page.get_by_role("region", name="Of 100 calls")
            await expect(of_hundred.locator("tbody tr").first.locator("td")).to_have_text([re.compile("Sep"), "–", "–"])
            assert here.complaints == []

    play(scene)


def test_without_words_each_signal_has_its_time_and_words_that_were_taken_out_are_not_called_unheard() -> None:
    async def scene() -> None:
        shelf = Shelf()
        name = "Maximiliane Freifrau von und zu Hohenfels-Sonnenberg"
        shelf.records["old"] = without_words(incident(call="old", agent=name, accounted_ms={"customer.speech": 90_000}))
        async with stage(records=shelf) as here:
            page = await here.page("/review/old", width=1440, height=900)
            rows = page.locator("#said tr")
            await expect(rows.first).to_contain_text("The words of this call are not kept.")
            await expect(rows.nth(1)).to_contain_text("02:21Passed around")
            await page.keyboard.press("j")
            await page.keyboard.press("j")
            await expect(page.locator("#said .current .when")).to_have_text("02:22")
            axis = await place(page, ".axis svg")
            named = await place(page, ".timeline .names li:nth-child(3)")
            assert named[0] + named[2] <= axis[0]
            page = await here.page("/review/2026-11-20-mei-1", width=1440)
            await expect(page.locator("#said")).to_contain_text("No words were recognised.")

    play(scene)


def test_a_record_that_is_not_there_and_one_without_words_are_said_so() -> None:
    async def scene() -> None:
        shelf = Shelf()
        line = incident()["transcript"][2]
        late = {"speaker": line["speaker"], "start_ms": line["start_ms"], "end_ms": line["end_ms"], "after_s": 600}
        shelf.records["late"] = incident(call="late", transcribed_late=[late])
        async with stage(records=shelf) as here:
            page = await here.page("/review/late", width=1440)
            await expect(page.locator(".flag")).to_contain_text("1 utterance transcribed after the call: nobody was")
            await expect(page.locator("#said tr", has_text="transcribed after the call")).to_have_count(1)
            page = await here.page("/review/none", width=1440)
            await expect(page.locator("#record")).to_contain_text("There is no such record")
            page = await here.page("/review/2026-11-20-mei-1", width=1440)
            await expect(page.locator("#record h2")).to_have_text("Line drops")
        async with stage() as here:
            page = await here.page("/review", width=1440)
            await expect(page.locator("#found")).to_contain_text("No records are kept here")

    play(scene)
