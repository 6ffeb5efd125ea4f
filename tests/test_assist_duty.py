"""Supervisors and an agent around one real call: what the boards and the agent's page show, what the record keeps."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from assist import hints
from assist.access.audit import open_audit
from assist.events import CallEnded
from assist.live.hearing import Hearing
from assist.live.joining import Joining, start_call
from assist.live.page_actions import PageActions
from assist.live.service import Service
from assist.records.seal import verify_log
from assist.screens.call_alerts import MAX_STEPS
from assist.screens.health import recogniser_fields
from assist.screens.late import WORDS_NOT_KEPT
from audio.events import Trouble
from overlay import doing, messages
from overlay.errors import OverlayError
from overlay.identity import Identity
from tests.quiet_calls import QuietLine, quiet_service
from tests.scripted_call import Ears, on_stage, said

DANA, MARIA, TOM = Identity("Dana", "agent"), Identity("Maria", "supervisor"), Identity("Tom", "supervisor")
ROOT = Identity("Root", "admin")


async def dana_calls(service: Service, *supervisors: Identity) -> tuple[str, Any, Any, Any]:
    """Dana's call, with these at their boards: its name, its task, who does what in it, and a notice on her page."""
    actions = PageActions(service)
    for who in supervisors:
        actions.presence(who, "board", True)
    call, ended = service.start(QuietLine(), agent="Dana")
    await asyncio.sleep(0)

    def do(who: Identity, **what: Any) -> Any:
        return actions.do(who, doing.DO.validate_python({"call": call, **what}))

    def notice(kind: str) -> str:
        return getattr(service.hub.latest("agent/Dana", f"notice/{kind}"), "text", "")

    return call, ended, do, notice


def test_a_request_for_help_from_raised_to_resolved_on_every_page_and_in_the_record(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            hub = service.hub
            call, ended, do, notice = await dana_calls(service, MARIA, TOM)

            def board() -> Any:
                return hub.latest("board", f"alert/{call}-a1")

            await do(DANA, do="help")
            await do(DANA, do="help")  # pressed twice: one alert
            await asyncio.sleep(0)
            assert (board().state, board().to, board().kind) == ("raised", "Maria", "help")
            assert notice("help") == "Asking Maria"
            assert hub.latest("board", f"alert/{call}-a2") is None
            await do(MARIA, do="alert", alert="a1", what="seen")
            assert notice("help") == "Asking Maria, who has seen it"
            await do(TOM, do="alert", alert="a1", what="seen")
            assert board().seen_by == ["Maria", "Tom"]
            assert notice("help") == "Asking Maria, who has seen it"
            await do(MARIA, do="alert", alert="a1", what="claim")
            assert (board().state, board().by, board().to) == ("claimed", "Maria", "")
            assert (notice("help"), notice("handled")) == ("", "Maria is on it")
            row = hub.latest("board", f"row/{call}")
            assert isinstance(row, messages.Row) and row.handled_by == "Maria"
            with pytest.raises(OverlayError, match="Maria is on it already"):
                await do(TOM, do="alert", alert="a1", what="claim")
            await do(MARIA, do="watch", on=True)
            await do(TOM, do="watch", on=True)
            assert notice("reading") == "Maria and Tom are reading along"
            await do(TOM, do="watch", on=False)
            assert notice("reading") == "Maria is reading along"
            await do(MARIA, do="tell", text="Offer the engineer.")
            assert getattr(hub.latest("agent/Dana", "notice/message/1"), "text", "") == "Offer the engineer."
            await do(MARIA, do="alert", alert="a1", what="resolve", how="took over", note="Took over.")
            assert (board().state, board().how, board().note) == ("resolved", "took over", "Took over.")
            assert notice("handled") == ""
            steps = ["raised", "turn", "seen", "seen", "claimed", "reading", "message", "resolved"]
            assert [step.what for step in board().course] == steps
            duty = hub.latest("board", "duty")
            assert isinstance(duty, messages.Duty) and [each.open for each in duty.people] == [0, 0]
            await do(DANA, do="help")
            await do(TOM, do="alert", alert="a2", what="claim")
            service.calls[call].hang_up()
            await ended
            assert notice("help") == notice("handled") == notice("reading") == "", "nobody is on a call that is over"
            body = service.store.record(call)
            assert body is not None
            [alert, _] = body["alerts"]
            assert (alert["kind"], alert["how"], alert["note"]) == ("help", "took over", "Took over.")
            assert [what for _, what, _ in alert["course"]] == [
                "turn", "alert-seen", "alert-seen", "claim", "message", "resolve"]  # fmt: skip

    asyncio.run(scene())


def test_an_admin_at_an_agents_page_reads_along_in_the_audit_log_and_for_the_agent_to_see(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            actions = PageActions(service, open_audit(service.store.people, tmp_path))

            async def dana_calls_again() -> tuple[str, Any]:
                call, ended = service.start(QuietLine(), agent="Dana")
                await asyncio.sleep(0)
                return call, ended

            def reading() -> str:
                return getattr(service.hub.latest("agent/Dana", "notice/reading"), "text", "")

            actions.presence(DANA, "agent/Dana", True)
            first, ended = await dana_calls_again()
            actions.presence(ROOT, "agent/Dana", True)
            assert reading() == "Root is reading along"
            actions.presence(ROOT, "agent/Dana", True)  # on a second page
            actions.presence(ROOT, "agent/Dana", False)
            assert reading() == "Root is reading along"
            actions.presence(ROOT, "agent/Dana", False)
            assert reading() == ""
            service.calls[first].hang_up()
            await ended
            actions.presence(ROOT, "agent/Dana", True)  # the first call is still on the page
            second, ended = await dana_calls_again()
            actions.presence(ROOT, "agent/Root", True)
            assert reading() == "Root is reading along"
            service.calls[second].hang_up()
            await ended
            record = service.store.record(first)
            assert record is not None
            assert [(each["who"], each["what"]) for each in record["actions"]] == [
                ("Root", "watch"), ("Root", "watch"), ("Root", "unwatch"), ("Root", "unwatch")]  # fmt: skip
            entries = [row.entry for row in service.store.people.audit()]
            assert [(each.who, each.role, each.what, each.target) for each in entries] == [
                ("Root", "admin", "read-along", first),
                ("Root", "admin", "read-along", first),
                ("Root", "admin", "look", first),
                ("Root", "admin", "read-along", second),
            ]

    asyncio.run(scene())


def test_however_much_its_holder_does_in_a_call_the_agents_page_says_who_is_on_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            hub = service.hub
            call, _, do, _ = await dana_calls(service, MARIA)
            await do(DANA, do="help")
            await do(MARIA, do="alert", alert="a1", what="claim")
            for n in range(2 * MAX_STEPS):
                await do(MARIA, do="watch", on=n % 2 == 0)
                await do(MARIA, do="tell", text=f"Line {n}.")
            board: Any = hub.latest("board", f"alert/{call}-a1")
            assert len(board.course) == MAX_STEPS and board.course[0].what != "claimed"
            assert getattr(hub.latest("agent/Dana", "notice/handled"), "text", "") == "Maria is on it"
            await do(MARIA, do="alert", alert="a1", what="release")
            board = hub.latest("board", f"alert/{call}-a1")
            assert board.action == "", "whoever claims it next has not written to Dana"
            row: Any = hub.latest("board", f"row/{call}")
            assert (row.handled_by, hub.latest("agent/Dana", "notice/handled")) == ("", None)

    asyncio.run(scene())
    assert not caplog.records


def test_an_over_limit_request_is_answered_once_and_on_the_agents_page(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            hub = service.hub
            call, _, do, _ = await dana_calls(service, MARIA)
            await do(DANA, do="plan", option="month-credit", what="asked")
            await asyncio.sleep(0)
            await do(MARIA, do="answer", alert="a1", allow=False, text="Half a month is fine.")
            notice = hub.latest("agent/Dana", "notice/answer/month-credit")
            assert getattr(notice, "text", "") == "Maria: not this time (One month free). Half a month is fine."
            alert = hub.latest("board", f"alert/{call}-a1")
            assert isinstance(alert, messages.Alert)
            assert (alert.state, alert.how, alert.course[-1].what) == ("resolved", "answered", "denied")
            with pytest.raises(OverlayError, match="already"):
                await do(MARIA, do="answer", alert="a1", allow=True)
            with pytest.raises(OverlayError, match="answered in this call"):
                await do(DANA, do="plan", option="month-credit", what="asked")

    asyncio.run(scene())


def test_what_one_supervisor_says_leaves_what_another_said_on_the_agents_page(tmp_path: Path) -> None:
    async def scene() -> dict[str, str]:
        async with quiet_service(tmp_path) as service:
            _, _, do, _ = await dana_calls(service, MARIA, TOM)
            await do(MARIA, do="tell", text="Do not offer the month.")
            await do(TOM, do="tell", text="I can take over.")
            for n, option in enumerate(("month-credit", "full-refund"), 1):
                await do(DANA, do="plan", option=option, what="asked")
                await asyncio.sleep(0)
                await do(MARIA, do="answer", alert=f"a{n}", allow=n == 1)
            hub = service.hub
            keys = [key for key in hub.snapshot("agent/Dana") if key.startswith(("notice/message/", "notice/answer/"))]
            return {key: getattr(hub.latest("agent/Dana", key), "text", "") for key in keys}

    assert asyncio.run(scene()) == {
        "notice/message/1": "Do not offer the month.",
        "notice/message/2": "I can take over.",
        "notice/answer/month-credit": "Maria: yes, give it (One month free)",
        "notice/answer/full-refund": "Maria: not this time (Refund this charge)",
    }


def test_a_request_that_was_answered_and_a_trouble_that_is_over_leave_the_others_in_their_place(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            call, _, do, notice = await dana_calls(service, MARIA, TOM)
            await do(DANA, do="help")
            await asyncio.sleep(0)
            await do(DANA, do="plan", option="month-credit", what="asked")
            await asyncio.sleep(0)
            assert notice("help") == "Asking Tom"
            await do(TOM, do="answer", alert="a2", allow=True)
            assert notice("help") == "Asking Maria"
            await do(MARIA, do="alert", alert="a1", what="claim")
            assert notice("help") == ""
            trouble = service.calls[call].report_trouble
            trouble(Trouble(0, "transcriber-failed", "A stretch could not be read."))
            trouble(Trouble(0, "store-failed", "Nothing can be written."))
            trouble(Trouble(0, "transcriber-failed", "The recogniser works again.", cleared=True))
            assert notice("trouble") == "Nothing can be written."
            trouble(Trouble(0, "store-failed", "It can again.", cleared=True))
            assert notice("trouble") == ""

    asyncio.run(scene())


def test_a_command_that_a_page_names_works_as_it_stands_there(tmp_path: Path) -> None:
    embedded = Hearing("", "pocketsphinx", "1", True, lambda *_, **__: Ears(), lambda: None)

    async def scene() -> None:
        async with quiet_service(tmp_path) as service:
            call, _, _, notice = await dana_calls(service, MARIA)
            text = "Put the last backup back: `assist restore FILE`"
            service.calls[call].report_trouble(Trouble(0, "store-failed", text))
            assert notice("trouble") == f"Put the last backup back: `assist restore FILE --data {data}`"

    data = tmp_path / "kept"
    hints.begin({"restore": ["--data"], "models fetch": ["--data"]})
    try:
        hints.named("--data", os.path.relpath(data))
        assert str(recogniser_fields(embedded)["advice"]).endswith(f"`assist models fetch base.en --data {data}`")
        asyncio.run(scene())
    finally:
        hints.begin({})


def test_time_moves_an_alert_to_the_next_supervisor_in_the_log_and_on_the_boards(tmp_path: Path) -> None:
    async def scene() -> None:
        async with quiet_service(tmp_path, alerts={"turn_s": 1.0}) as service:
            actions, hub = PageActions(service), service.hub
            moved = asyncio.Event()
            seen: list[str] = []
            told: list[str] = []

            def listener(event: Any) -> None:
                if type(event).__name__ in ("AlertMoved", "Action"):
                    told.append(getattr(hub.latest("agent/Dana", "notice/help"), "text", ""))
                if type(event).__name__ == "AlertMoved":
                    seen.append(f"{event.what} {event.who}".strip())
                    if event.what == "everyone":
                        moved.set()

            for who in (MARIA, TOM):
                actions.presence(who, "board", True)
            call, _ = service.start(QuietLine(), agent="Dana", on_event=listener)
            await asyncio.sleep(0)
            await actions.do(DANA, doing.DoHelp(do="help", call=call))
            await actions.do(MARIA, doing.DoAlert(do="alert", call=call, alert="a1", what="seen"))
            async with asyncio.timeout(20):
                await moved.wait()
            assert seen == ["turn Maria", "turn Tom", "everyone"]
            said = [
                "Asking Maria, who has seen it",
                "Asking Tom, seen by Maria",
                "All were asked, seen by Maria",
            ]
            assert told[-3:] == said

    asyncio.run(scene())


def test_the_board_says_how_long_cards_took_after_the_words_they_answer(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, list[Any], list[Any]]:
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.end()
        record = stage.service.store.record(stage.call)
        after = stage.service.hub.latest("board", "quality")
        stage.service.store.close()
        return after, record["prompts"], record["signals"]

    after, prompts, signals = asyncio.run(scene())
    [prompt] = prompts
    heard = [each for each in signals if each["id"] == "supervisor_demand"]
    assert after.median_ms == after.p95_ms == prompt["shown_ms"] - heard[-1]["end_ms"] > 0


@pytest.mark.parametrize("at_hang_up", [False, True])
def test_an_urgent_alert_rings_on_when_the_caller_hangs_up_until_a_supervisor_has_settled_it(
    at_hang_up: bool, tmp_path: Path
) -> None:
    async def scene() -> None:
        stage = await on_stage(tmp_path, consent="granted", meaning=False)
        service, hub, actions = stage.service, stage.service.hub, PageActions(stage.service)
        for who in (MARIA, TOM):
            actions.presence(who, "board", True)
        await stage.hear(ms=20_000)
        words = said("i am going to kill myself", 18_500)
        if at_hang_up:
            stage.ears.late = [words]
        else:
            await stage.hear(words)
            await actions.do(MARIA, doing.DoAlert(do="alert", call=stage.call, alert="a1", what="claim"))
        service.calls[stage.call].hang_up()
        await stage.task

        def board() -> Any:
            return hub.latest("board", f"alert/{stage.call}-a1")

        assert (board().kind, board().tier, board().state) == ("over", "urgent", "raised" if at_hang_up else "claimed")
        assert board().reason == "Said in a call that is over: “i am going to kill myself”"
        if at_hang_up:
            assert board().to == "Maria"
            await actions.do(MARIA, doing.DoAlert(do="alert", call=stage.call, alert="a1", what="claim"))
        with pytest.raises(OverlayError, match="Maria is on it already"):
            await actions.do(TOM, doing.DoAlert(do="alert", call=stage.call, alert="a1", what="resolve"))
        settled = {"do": "alert", "call": stage.call, "alert": "a1", "what": "resolve", "how": "settled"}
        await actions.do(MARIA, doing.DO.validate_python(settled | {"note": "Rang back."}))
        assert board() is None and all(each.open == 0 for each in hub.latest("board", "duty").people)
        await service.post_call.flush()
        record: Any = service.store.record(stage.call)
        [alert] = record["alerts"]
        assert (alert["note"], [step[1:] for step in alert["course"]]) == (
            "Rang back.", [["turn", "Maria"], ["claim", "Maria"], ["resolve", "Maria"]]
        )  # fmt: skip
        ended = [event for _, event in service.store.events(stage.call) if isinstance(event, CallEnded)]
        assert record["duration_ms"] == ended[0].at_ms and "unchanged" in verify_log(service.store, stage.call)
        await stage.close()

    asyncio.run(scene())


def test_of_a_call_that_was_not_kept_an_urgent_alert_rings_on_without_a_word_of_it(tmp_path: Path) -> None:
    async def scene() -> None:
        stage = await on_stage(tmp_path, meaning=False)
        await stage.hear(said("i am going to kill myself", 1_000), ms=4_000)
        await stage.end()
        alert: Any = stage.service.hub.latest("board", f"alert/{stage.call}-a1")
        assert (alert.kind, alert.reason, alert.quote) == ("over", WORDS_NOT_KEPT, "")
        assert not any("myself" in body for body in stage.service.hub.snapshot("board").values())
        await stage.service.post_call.flush()
        assert stage.service.store.events(stage.call) == [] and stage.service.store.record(stage.call) is None
        await stage.close()

    asyncio.run(scene())


def test_a_call_that_was_cut_short_goes_on_with_what_was_done_about_its_urgent_alert_meanwhile(tmp_path: Path) -> None:
    async def scene() -> None:
        stage = await on_stage(tmp_path, consent="granted", meaning=False)
        service, actions = stage.service, PageActions(stage.service)
        actions.presence(MARIA, "board", True)
        await stage.hear(said("i am going to kill myself", 1_000), ms=4_000)
        stage.task.cancel()
        await asyncio.gather(stage.task, return_exceptions=True)
        await actions.do(MARIA, doing.DoAlert(do="alert", call=stage.call, alert="a1", what="claim"))
        await service.post_call.flush()
        _, task = await service.resume(stage.call, QuietLine())
        await asyncio.sleep(0)
        alert: Any = service.hub.latest("board", f"alert/{stage.call}-a1")
        assert (alert.kind, alert.state, alert.by) == ("escalated", "claimed", "Maria")
        assert not service.post_call.late.has(stage.call)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stage.close()

    asyncio.run(scene())


def test_words_that_settle_after_the_caller_has_hung_up_prompt_nobody(tmp_path: Path) -> None:
    async def scene() -> tuple[Any, Any]:
        stage = await on_stage(tmp_path, consent="granted", meaning=False)
        await stage.hear(ms=4_000)
        stage.ears.late = [said("get me your manager right now", 1_000)]
        stage.service.calls[stage.call].hang_up()
        await stage.task
        record, quality = stage.service.store.record(stage.call), stage.service.hub.latest("board", "quality")
        await stage.close()
        return record, quality

    record, quality = asyncio.run(scene())
    assert record["level_at_end"] == "tense" and record["signals"]
    assert (record["prompts"], record["plan"], quality.shown) == ([], [], 0)


def test_what_comes_of_a_call_after_the_agents_next_one_has_begun_is_not_on_the_agents_page(tmp_path: Path) -> None:
    async def scene() -> None:
        stage = await on_stage(tmp_path, consent="granted")
        hub, actions = stage.service.hub, PageActions(stage.service)
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await actions.do(MARIA, doing.DoTell(do="tell", call=stage.call, text="Offer the engineer."))
        following, _ = stage.service.start(QuietLine(), agent="Dana")
        await asyncio.sleep(0)
        await stage.written()
        page = hub.snapshot("agent/Dana")
        await stage.hear(said("hello is anybody there", 4_200), ms=3_000)
        assert any("anybody there" in body for body in hub.snapshot(f"call/{stage.call}").values())
        await actions.do(MARIA, doing.DoTell(do="tell", call=stage.call, text="Offer a month."))
        await actions.do(MARIA, doing.DoWatch(do="watch", call=stage.call, on=True))
        await stage.end()
        assert stage.service.store.record(stage.call) is not None
        assert stage.shown("call").call == following
        over = stage.shown("notice/message/1").text
        assert over.startswith("Your other call is over. Tense at the end, ") and "under Review" in over
        assert {key: hub.snapshot("agent/Dana")[key] for key in page} == page
        assert hub.snapshot("agent/Dana").keys() - page == {"notice/message/1"}
        stage.service.calls[following].hang_up()
        await stage.service.hang_up()
        assert (stage.shown("call").state, stage.shown("ended").record) == ("ended", following)
        await stage.close()

    asyncio.run(scene())


def test_a_replay_under_the_name_of_an_agent_who_is_in_a_call_leaves_them_their_page(tmp_path: Path) -> None:
    async def replayed(service: Service) -> tuple[str, asyncio.Task[str]]:
        asked = Joining(recording=tmp_path / "earlier.wav", agent="Dana")
        begun = await start_call(service, asked, QuietLine(), lambda event: None)
        await asyncio.sleep(0)
        return begun

    async def scene() -> None:
        stage = await on_stage(tmp_path, consent="granted")
        service = stage.service
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.written()
        page = service.hub.snapshot("agent/Dana")
        (first, _), (second, _) = await replayed(service), await replayed(service)
        await stage.written()
        assert service.hub.snapshot("agent/Dana") == page and service.hub.latest(f"call/{first}", "call") is not None
        await stage.end()
        assert (stage.shown("call").state, stage.shown("ended").record) == ("ended", stage.call)
        third, ended = await replayed(service)
        await stage.written()
        assert stage.shown("call").call == third, "no other call is on"
        service.calls[third].hang_up()
        await ended
        assert stage.shown("call").call == second, "of replays the newest"
        await stage.close()

    asyncio.run(scene())


def test_the_course_on_the_board_is_of_the_last_five_minutes_evenly(tmp_path: Path) -> None:
    async def scene() -> list[float]:
        stage = await on_stage(tmp_path, consent="granted")
        for second in range(330):
            heard = [said("get me your manager right now", 182_000)] if second == 184 else []
            await stage.hear(*heard)
        row = stage.service.hub.latest("board", f"row/{stage.call}")
        await stage.end()
        await stage.close()
        assert isinstance(row, messages.Row)
        return row.course

    course = asyncio.run(scene())  # each five seconds from 35 s to 330 s
    assert len(course) == 60
    before, after = course[:29], course[30:32]
    assert not any(before) and all(after)
