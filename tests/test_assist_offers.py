"""Plan B in a live call: from the agent's page through actions, session and coach to the board and back."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from assist.coach.offers import REQUEST_MS
from assist.events import PlanMoved, PlanOffered, PromptShown, Recovery
from assist.live.page_actions import PageActions
from assist.records.followups import open_followups
from assist.records.page import page
from assist.records.record import read_record
from audio.events import Speaker
from overlay import doing
from overlay.errors import OverlayError
from overlay.identity import Identity
from tests.heard import of
from tests.scripted_call import on_stage, open_service, said

DANA, MARIA = Identity("Dana", "agent"), Identity("Maria", "supervisor")


async def escalated(tmp_path, **settings):
    stage = await on_stage(tmp_path, consent="granted", **settings)
    await stage.hear(said("I want to cancel my contract today", 1_000), ms=3_000)
    await stage.hear(said("and I will leave a one star review", 4_000), ms=3_000)
    return stage, PageActions(stage.service)


def states(stage):
    plan = stage.shown("plan")
    return {option.id: (option.authority, option.state) for option in plan.options} if plan else {}


def run(scenario):
    asyncio.run(scenario())


def plan(stage, option, what):
    return doing.DoPlan(call=stage.call, do="plan", option=option, what=what)


def board(stage):
    return [
        alert for alert in (stage.service.hub.latest("board", f"alert/{stage.call}-a{n}") for n in range(1, 6)) if alert
    ]


def test_above_the_limit_is_asked_allowed_offered_and_accepted(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        assert states(stage)["month-credit"] == ("ask", "")
        with pytest.raises(OverlayError, match="above your limit; ask for it first"):
            await actions.do(DANA, plan(stage, "month-credit", "offered"))
        await actions.do(DANA, plan(stage, "month-credit", "asked"))
        assert states(stage)["month-credit"] == ("ask", "asked")
        with pytest.raises(OverlayError, match="was asked already"):
            await actions.do(DANA, plan(stage, "month-credit", "asked"))
        [ask] = [alert for alert in board(stage) if alert.kind == "ask"]
        assert ask.title == "Dana asks to give: One month free"
        await actions.do(MARIA, doing.DoAnswer(call=stage.call, do="answer", alert=ask.id, allow=True))
        assert states(stage)["month-credit"] == ("yours", "allowed")
        assert stage.shown("notice/answer/month-credit").text == "Maria: yes, give it (One month free)"
        with pytest.raises(OverlayError, match="run out or is answered already"):
            await actions.do(MARIA, doing.DoAnswer(call=stage.call, do="answer", alert=ask.id, allow=False))
        await actions.do(DANA, plan(stage, "month-credit", "offered"))
        [offer] = [prompt for prompt in of(stage.heard, PromptShown) if prompt.play == "offer-month-credit"]
        assert offer.say == "The next month is on us. You will see it on your next bill."
        await actions.do(DANA, plan(stage, "month-credit", "accepted"))
        assert of(stage.heard, Recovery)[-1].what == "met"
        assert states(stage)["month-credit"] == ("yours", "accepted")
        with pytest.raises(OverlayError, match="has been answered in this call"):
            await actions.do(DANA, plan(stage, "month-credit", "offered"))
        await stage.end()
        record = stage.service.store.record(stage.call)
        [use] = [use for use in record["plan"] if use["id"] == "month-credit"]
        assert (use["permission"], use["answer"]) == ("allowed", "accepted")
        assert stage.service.history.accepted_here()["month-credit"] == (1, 1)
        await stage.close()

    run(scenario)


def test_a_request_that_nobody_answers_runs_out_and_may_be_asked_again(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        await actions.do(DANA, plan(stage, "month-credit", "asked"))
        [ask] = [alert for alert in board(stage) if alert.kind == "ask"]
        for second in range(REQUEST_MS // 1000 + 1):
            angry = [said("I will leave a one star review", 7_000 + 1000 * second)] if second % 40 == 30 else []
            await stage.hear(*angry, ms=1_000)
        [gone] = of(stage.heard, PlanMoved)
        assert (gone.option, gone.what, gone.alert) == ("month-credit", "expired", ask.id)
        assert states(stage)["month-credit"] == ("ask", "")
        assert stage.shown("notice/answer/month-credit").text.startswith("No answer (One month free)")
        [after] = [alert for alert in board(stage) if alert.id == ask.id]
        assert (after.state, after.how) == ("resolved", "ran out")
        with pytest.raises(OverlayError, match="run out or is answered already"):
            await actions.do(MARIA, doing.DoAnswer(call=stage.call, do="answer", alert=ask.id, allow=True))
        await actions.do(DANA, plan(stage, "month-credit", "asked"))
        assert states(stage)["month-credit"] == ("ask", "asked")
        await stage.end()
        await stage.close()

    run(scenario)


def test_denied_it_leaves_and_the_answer_says_by_whom(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        await actions.do(DANA, plan(stage, "month-credit", "asked"))
        [ask] = [alert for alert in board(stage) if alert.kind == "ask"]
        answer = doing.DoAnswer(call=stage.call, do="answer", alert=ask.id, allow=False, text="try the visit")
        await actions.do(MARIA, answer)
        assert "month-credit" not in states(stage)
        assert stage.shown("notice/answer/month-credit").text == "Maria: not this time (One month free). try the visit"
        await stage.end()
        await stage.close()

    run(scenario)


@pytest.mark.parametrize("settings", [{"authority": "senior"}, {"authorities": {"Dana": "senior", "Lee": "agent"}}])
def test_a_senior_agent_gives_what_another_must_ask_for(tmp_path, settings):
    async def scenario():
        stage, _ = await escalated(tmp_path, **settings)
        assert states(stage)["month-credit"] == ("yours", "")
        await stage.end()
        await stage.close()

    run(scenario)


@pytest.mark.parametrize("remedy", [True, False])
def test_a_clock_that_a_yes_has_stopped_is_not_told_as_a_call_that_has_turned(remedy, tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        if remedy:
            await actions.do(DANA, plan(stage, "direct-line", "offered"))
            await stage.hear(ms=2_000)
            await actions.do(DANA, plan(stage, "direct-line", "accepted"))
        else:
            await stage.hear(said("okay thank you so much that really helps", 8_000), ms=4_000)
            for _ in range(45):
                await stage.hear()
        assert stage.shown("level").level == ("escalated" if remedy else "recovering")
        assert (stage.shown("clock").result, stage.shown("clock").by) == ("met", "remedy" if remedy else "")
        await stage.end()
        [run] = stage.service.store.record(stage.call)["recovery"]
        took = f"{run['took_ms'] / 1000:.0f} s"
        told = f"Remedy accepted after {took}, escalated at the end" if remedy else f"Recovered in {took}"
        assert stage.shown("ended").summary == told
        assert (run["result"], run["by"]) == ("met", "remedy" if remedy else "")
        told = f"met, {'a remedy accepted after ' if remedy else ''}{took}"
        assert told in page(read_record(stage.service.store.record(stage.call)))
        await stage.close()

    run(scenario)


def test_the_board_goes_on_saying_what_was_accepted_until_something_else_is_offered(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)

        def told():
            return stage.service.hub.latest("board", f"row/{stage.call}").plan

        await actions.do(DANA, plan(stage, "named-callback", "offered"))
        assert told() == "Call back at their time, offered"
        await actions.do(DANA, plan(stage, "named-callback", "accepted"))
        assert states(stage)["named-callback"] == ("yours", "accepted")
        assert told() == "Call back at their time, accepted"
        await actions.do(DANA, plan(stage, "month-credit", "asked"))
        assert told() == "Call back at their time, accepted"
        await actions.do(MARIA, doing.DoAnswer(call=stage.call, do="answer", alert=board(stage)[-1].id, allow=True))
        await actions.do(DANA, plan(stage, "month-credit", "offered"))
        assert told() == "One month free, offered"
        await actions.do(DANA, plan(stage, "month-credit", "refused"))
        assert told() == "Call back at their time, accepted"
        await stage.end()
        await stage.close()

    run(scenario)


def test_a_call_that_recovered_and_was_tense_again_ends_as_tense(tmp_path):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        await stage.hear(said("okay thank you so much that really helps", 8_000), ms=4_000)
        while stage.shown("level").level != "calm":
            await stage.hear()
        await stage.hear(said("I want to cancel my contract", stage.source.end_ms), ms=3_000)
        assert (stage.shown("level").level, stage.shown("clock").result) == ("tense", "met")
        await stage.end()
        record = stage.service.store.record(stage.call)
        took = f"{record['recovery'][0]['took_ms'] / 1000:.0f} s"
        assert record["outcome"] == "still tense at the end"
        assert stage.shown("ended").summary == f"Recovered in {took}, tense at the end"
        await stage.close()

    run(scenario)


def test_what_is_said_is_noted_without_a_click(tmp_path):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        await stage.hear(said("I can call you back tomorrow at ten myself", 8_000, Speaker.AGENT), ms=6_000)
        assert states(stage)["named-callback"] == ("yours", "offered")
        await stage.hear(said("okay thank you that helps", 14_000), ms=5_000)
        assert [(e.option, e.what) for e in of(stage.heard, PlanMoved)] == [
            ("named-callback", "offered"),
            ("named-callback", "accepted"),
        ]
        await stage.end()
        record = stage.service.store.record(stage.call)
        [use] = [use for use in record["plan"] if use["id"] == "named-callback"]
        assert (use["answer"], use["heard"]) == ("accepted", "thank you")
        [promise] = open_followups(stage.service.store)
        assert (promise.what, promise.due, promise.at.hour) == ("Call back at their time", "tomorrow at ten", 10)
        await stage.close()

    run(scenario)


def test_an_acceptance_that_was_only_heard_is_corrected_by_the_agent_s_no(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        await stage.hear(said("I can call you back tomorrow at ten myself", 8_000, Speaker.AGENT), ms=6_000)
        await stage.hear(said("okay thank you that helps", 14_000), ms=5_000)
        assert states(stage)["named-callback"] == ("yours", "accepted")
        assert [(each.what, each.by) for each in of(stage.heard, Recovery)] == [("started", ""), ("met", "remedy")]
        with pytest.raises(OverlayError, match="has been answered in this call"):
            await actions.do(DANA, plan(stage, "named-callback", "accepted"))
        await actions.do(DANA, plan(stage, "named-callback", "refused"))
        assert "named-callback" not in states(stage)
        with pytest.raises(OverlayError, match="has been answered in this call"):
            await actions.do(DANA, plan(stage, "named-callback", "refused"))
        assert [(each.what, each.by) for each in of(stage.heard, Recovery)[2:]] == [("started", ""), ("met", "")]
        assert stage.service.hub.latest("board", f"row/{stage.call}").plan == ""
        await stage.end()
        record = stage.service.store.record(stage.call)
        [use] = [use for use in record["plan"] if use["id"] == "named-callback"]
        assert (use["answer"], use["heard"], use["calmed_after_ms"]) == ("refused", "", None)
        assert open_followups(stage.service.store) == [] and record["follow_ups"] == []
        assert [(run["result"], run["by"]) for run in record["recovery"]] == [("met", "")], "the level has come down"
        assert stage.service.history.accepted_here()["named-callback"] == (0, 1)
        await stage.close()

    run(scenario)


LATE_FEE = "You charged me a late fee and it is on my bill again"


@pytest.mark.parametrize(
    ("agent", "customer", "moved"),
    [
        (["I can waive the late fee for you"], "Okay, no problem, thank you, that helps", ["late-fee accepted"]),
        (["I can waive the late fee for you"], "No, that's perfect, thank you so much", ["late-fee accepted"]),
        (["I can waive the late fee for you"], "Brilliant, thank you, nothing else", ["late-fee accepted"]),
        (["I can waive the late fee for you"], "Thank you, I was not sure anyone would help", ["late-fee accepted"]),
        (["I can waive the late fee for you"], "Okay thank you I do not need anything else", ["late-fee accepted"]),
        (["I can waive the late fee for you"], "No, that doesn't work for me. Thank you though.", []),
        (["I can waive the late fee for you"], "No thank you, that helps nobody", []),
        (["I can waive the late fee for you"], "Thank you. I'd rather have my money back.", []),
        (["I can waive the late fee for you"], "Okay thank you that helps I will think about it", []),
        (["I can waive the late fee for you"], "that is kind of you but it does not change anything thank you", []),
        (["I can waive the late fee for you"], "thank you for being honest but it is not about the money", []),
        (["I can waive the late fee for you"], "thanks but I need to ask my husband first thank you", []),
        (["I can waive the late fee for you"], "okay thank you but I would still like to leave", []),
        (
            ["I can waive the late fee for you", "Or I give you my direct line"],
            "Just the late fee then, thank you, that works for me",
            ["late-fee accepted"],
        ),
        (
            ["I can waive the late fee for you", "And I give you my direct line"],
            "Oh okay, thank you",
            ["direct-line accepted"],
        ),
        (["I can waive the late fee for you, or you get my direct line"], "Oh thank you", ["direct-line accepted"]),
        (
            ["I can waive the late fee for you within an hour or two and you get my direct line"],
            "Oh okay, thank you",
            ["late-fee accepted", "direct-line accepted"],
        ),
        (
            ["I can waive the late fee for you or you get my direct line"],
            "Just the late fee then, thank you, that works for me",
            ["late-fee accepted"],
        ),
        (
            ["I can waive the late fee for you and you get my direct line"],
            "Oh okay, thank you",
            ["late-fee accepted", "direct-line accepted"],
        ),
    ],
)
def test_only_what_the_customer_takes_is_noted_as_accepted(tmp_path, agent, customer, moved):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        await stage.hear(said(LATE_FEE, 8_000), ms=4_500)
        await stage.hear(said("I have been passed around from one to the other", 12_500), ms=4_000)
        for line in agent:
            await stage.hear(said(line, stage.source.end_ms, Speaker.AGENT), ms=5_000)
        await stage.hear(said(customer, stage.source.end_ms), ms=5_000)
        what = [f"{e.option} {e.what}" for e in of(stage.heard, PlanMoved)]
        assert [each for each in what if each.endswith("accepted")] == moved
        assert len(what) > len(moved), "it was offered"
        await stage.end()
        await stage.close()

    run(scenario)


@pytest.mark.parametrize(
    "denied",
    [
        "I'm afraid I cannot waive the late fee",
        "We never waive the late fee",
        "I am unable to waive the late fee",
        "My manager told me to waive the late fee only once",
    ],
)
def test_what_the_agent_cannot_give_is_no_offer_and_thanks_take_nothing(tmp_path, denied):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        await stage.hear(said(LATE_FEE, 8_000), ms=5_000)
        await stage.hear(said(denied, 13_000, Speaker.AGENT), ms=5_000)
        await stage.hear(said("Okay, thank you for explaining that", 18_000), ms=3_000)
        assert of(stage.heard, PlanMoved) == []
        assert [each.what for each in of(stage.heard, Recovery)] == ["started"]
        await stage.hear(said("But I can waive the late fee this time", 21_000, Speaker.AGENT), ms=4_000)
        assert [each.what for each in of(stage.heard, PlanMoved)] == ["offered"]
        await stage.end()
        await stage.close()

    run(scenario)


def test_a_supervisor_who_takes_over_sees_what_the_customer_has_said(tmp_path):
    async def scenario():
        stage, actions = await escalated(tmp_path)
        [alert] = [alert for alert in board(stage) if alert.kind == "escalated"]
        await actions.do(MARIA, doing.DoAlert(call=stage.call, do="alert", alert=alert.id, what="claim"))
        told = stage.service.hub.latest(f"call/{stage.call}", "told")
        assert [text for _, text in told.said] == ["I want to cancel my contract today"]
        assert told.heard == ["Cancel threat", "Review threat"]
        await stage.end()
        [handed] = stage.service.store.record(stage.call)["hand_offs"]
        assert (handed["to"], handed["said"][0][1]) == ("Maria", "I want to cancel my contract today")
        await stage.close()

    run(scenario)


def test_whoever_reads_along_is_told_how_the_call_ended_and_an_erased_one_is_gone_from_there_too(tmp_path):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        hub, room = stage.service.hub, f"call/{stage.call}"
        await stage.end()
        assert set(hub.snapshot(room)) == {"call", "ended"}
        ended = hub.latest(room, "ended")
        assert (hub.latest(room, "call").agent, hub.latest(room, "call").state) == ("Dana", "ended")
        assert (ended.record, ended.summary) == (stage.call, "Escalated at the end, 00:06")
        stage.service.forget([stage.call])
        assert hub.snapshot(room) == {}
        await stage.close()

    run(scenario)


def test_what_worked_in_earlier_calls_is_read_from_the_store(tmp_path):
    async def scenario():
        for _ in range(5):
            stage, actions = await escalated(tmp_path)
            await actions.do(DANA, plan(stage, "named-callback", "offered"))
            await actions.do(DANA, plan(stage, "named-callback", "accepted"))
            await stage.end()
            await stage.close()
        stage, _ = await escalated(tmp_path)
        [row] = [row for row in of(stage.heard, PlanOffered)[-1].options if row.id == "named-callback"]
        assert row.worth == "accepted 5 times in 5 here"
        await stage.end()
        await stage.close()

    run(scenario)


def test_what_a_customer_had_is_known_after_a_restart_however_many_calls_came_after_it(tmp_path):
    async def scenario():
        stage, _ = await escalated(tmp_path)
        await stage.end()
        store, now = stage.service.store, datetime.now().astimezone()
        record = store.record(stage.call)
        credit = {"id": "month-credit", "title": "One month free", "cost": 25.0, "offered_ms": 1_000}
        calls = [("accepted", 1, {"answer": "accepted"}), ("offered", 2, {}), ("too-old", 400, {"answer": "accepted"})]
        for call, days_ago, answer in [*calls, ("seen", 1, {"offered_ms": None})]:
            began = (now - timedelta(days=days_ago)).isoformat()
            uses = {"caller": "…0142", "plan": [credit | {"answer": ""} | answer]}
            store.begin(call, began, "Dana")
            store.finish(call, "ended", record | uses | {"call": call, "started_at": began}).result()
        await stage.close()
        with closing(sqlite3.connect(tmp_path / "assist.db")) as database, database:
            later = "WITH RECURSIVE later(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM later WHERE n < 2001) "
            database.execute(
                f"""INSERT INTO records {later} SELECT 'later' || n, schema_version, '{now.isoformat()}', agent, team,
                level, outcome, contested, signal_ids, '' FROM later, records WHERE call = 'seen'"""
            )
            database.execute(
                f"""INSERT INTO digests {later} SELECT 'later' || n,
                '{{"call": "later' || n || '", "started_at": "{now.isoformat()}", "plan": []}}' FROM later"""
            )
        service, _ = open_service(tmp_path)
        used = service.history.used_by("…0142", service.playbooks.book.options, now.date())
        assert (used, service.history.accepted_here()) == ({"month-credit": 1}, {"month-credit": (1, 2)})
        await service.close()

    run(scenario)
