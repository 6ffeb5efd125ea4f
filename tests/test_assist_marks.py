"""What people mark in finished calls comes back as labelled cases that `assist eval --marks` counts."""

import asyncio

from typer.testing import CliRunner

from assist.commands.main import app
from assist.evaluation.marks import marked_cases
from assist.records.library import Library
from assist.store.rows import Review
from overlay.identity import Identity
from overlay.records import Mark, RecordNote
from tests.scripted_call import on_stage, said

LEE = Identity("Lee", "quality")


def test_marks_made_on_the_review_page_are_counted_by_eval(tmp_path):
    async def scenario():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.hear(said("the tie your boss wears was a gift from me", 6_000), ms=4_000)
        await stage.end()
        library = Library(stage.service.store)
        signals = stage.service.store.record(stage.call)["signals"]
        [demand] = [signal for signal in signals if signal["id"] == "supervisor_demand"]
        await library.mark(LEE, stage.call, Mark(kind="signal", target=demand["key"], verdict="right"))
        await library.mark(LEE, stage.call, Mark(kind="signal", target=demand["key"], verdict="wrong"))
        await library.note(LEE, stage.call, RecordNote(kind="missed", text="influence claim", at_ms=6_500))
        await library.note(LEE, stage.call, RecordNote(kind="missed", text="something about tone", at_ms=6_500))
        store = stage.service.store
        cases, without = marked_cases(store)
        assert [(case.mark, case.text, case.labels, case.judged) for case in cases] == [
            ("wrong", "get me your manager right now", (), ("supervisor_demand",)),
            ("missed", "the tie your boss wears was a gift from me", ("influence_claim",), ("influence_claim",)),
        ]
        assert without == 1
        store.close()

    asyncio.run(scenario())
    [database] = tmp_path.rglob("assist.db")
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["eval", "--marks", "--data", str(database.parent), "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "marks in the store: 2 utterances" in result.output
    assert "1 marks have no words" in result.output
    text = page.read_text()
    assert "the tie your boss wears was a gift from me" in text and "get me your manager right now" in text


def test_a_cleared_mark_says_nothing_and_a_reviewer_overrules_the_agent(tmp_path):
    async def scenario():
        stage = await on_stage(tmp_path, consent="granted")
        await stage.hear(said("get me your manager right now", 1_000), ms=4_000)
        await stage.end()
        store = stage.service.store
        [prompt, *_] = store.record(stage.call)["prompts"]
        for n, verdict in enumerate(("wrong", "right")):
            store.review(stage.call, Review(f"2026-11-24T11:00:0{n}", "Lee", "prompt", prompt["id"], verdict)).result()
        assert {case.mark for case in marked_cases(store)[0]} == {"right"}
        for key in prompt["signals"]:
            store.review(stage.call, Review("2026-11-24T11:01:00", "Lee", "signal", key, "clear")).result()
        assert marked_cases(store) == ([], 0)
        store.close()

    asyncio.run(scenario())


def test_eval_of_nothing_says_what_it_wants():
    result = CliRunner().invoke(app, ["eval"])
    assert result.exit_code != 0 and "--marks" in result.output
