"""The wrap-up from the agent's page to the store, and laid over the record wherever that is shown."""

import asyncio
import json
from pathlib import Path

import pytest

from assist.access.proxy import Spellings
from assist.live.page_actions import PageActions
from assist.records.folding import fold
from assist.records.followups import mark_follow_ups, open_followups
from assist.records.library import Library
from assist.records.wrapup import new_reviews, with_reviews, wrap_up_form
from assist.settings import Settings
from assist.store.rows import Review
from assist.store.store import open_store
from overlay.doing import DoHelp, DoNote, DoWrapUp
from overlay.errors import OverlayError
from overlay.hub import Hub
from overlay.identity import Identity
from overlay.messages import Call
from overlay.records import Filters, RecordNote
from tests.fault_rig import service
from tests.quiet_calls import QuietLine
from tests.scripted_call import hits
from tests.test_assist_record import CALL

RECORD = fold(CALL)
SETTINGS = Settings(data=Path("unused"))
DANA = Identity("Dana", "agent")
QA = Identity("Quinn", "qa")


def wrap_up(**said):
    return DoWrapUp.model_validate({"do": "wrap-up", "call": "k1", **said})


SAID = wrap_up(
    outcome="remedy given",
    root_cause="missed appointment",
    note="Third visit was missed",
    contested="I did not interrupt",
    follow_ups=[{"id": "f1", "done": False, "day": "2026-12-01"}],
)


class Shown:
    """The screens of a service: which wrap-up went to whom."""

    def __init__(self):
        self.forms = []

    def wrapped_up(self, agent, wrapup):
        self.forms.append((agent, wrapup))


class House:
    """What the page actions need of a service, around a real store."""

    def __init__(self, store):
        self.store = store
        self.calls = {}
        self.settings = SETTINGS
        self.screens = Shown()


@pytest.fixture
def store(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    store.begin("k1", RECORD.started_at, "Dana")
    store.finish("k1", "ended", RECORD.model_dump(mode="json")).result(10)
    yield store
    store.close()


def test_a_kept_wrap_up_is_in_the_record_the_list_and_the_follow_ups(store):
    house = House(store)
    asyncio.run(PageActions(house).do(DANA, SAID))
    [(agent, kept)] = house.screens.forms
    assert agent == "Dana" and kept.kept and kept.root_cause == "missed appointment"

    async def read():
        library = Library(store)
        return (await library.search(QA, Filters())).records, await library.get(QA, "k1"), await library.html(QA, "k1")

    [line], view, html = asyncio.run(read())
    assert (line.outcome, line.title, line.contested) == ("remedy given", "missed appointment", True)
    assert view.record["contested"] == "I did not interrupt"
    assert ("Dana", "note", "Third visit was missed", None) in view.notes
    assert view.record["follow_ups"][0]["day"] == "2026-12-01"
    assert "Third visit was missed" in html and "I did not interrupt" in html
    [promise] = open_followups(store)
    assert str(promise.day) == "2026-12-01"


def test_a_call_that_bears_the_agents_name_in_another_spelling_is_theirs(store):
    known = Spellings(["dana"]).known
    dana, other, house = Identity("dana", "agent"), Identity("Maria", "agent"), House(store)

    async def scene():
        actions, library = PageActions(house, None, known), Library(store, login_name=known)
        with pytest.raises(OverlayError, match="record"):
            await actions.do(other, SAID)
        await actions.do(dana, SAID)
        await actions.do(dana, DoNote(do="note", call="k1", text="Rang again"))
        await library.note(dana, "k1", RecordNote(kind="contest", text="Not so"))
        for who, agent, calls in ((dana, "dana", ["k1"]), (QA, "Dana", ["k1"]), (QA, "Dan", [])):
            assert [each.id for each in (await library.search(who, Filters(agent=agent))).records] == calls
        return await library.agent_of("k1"), (await library.search(QA, Filters())).records

    whose, [line] = asyncio.run(scene())
    [(agent, kept)] = house.screens.forms
    assert (whose, agent, kept.kept, line.reviewed) == ("dana", "Dana", True, False)
    assert {review.who for review in store.reviews("k1")} == {"Dana"}


def test_a_call_its_agent_has_wrapped_up_still_waits_for_review(store):
    async def scene():
        await PageActions(House(store)).do(DANA, SAID)
        library = Library(store)
        mark_follow_ups(store, "admin", done=["k1/f1"])

        async def listed(marks):
            return [(line.id, line.reviewed) for line in (await library.search(QA, Filters(marks=marks))).records]

        assert (await listed("unreviewed"), await listed("reviewed")) == ([("k1", False)], [])
        await library.note(QA, "k1", RecordNote(kind="comment", text="Handled well"))
        assert (await listed("unreviewed"), await listed("reviewed")) == ([], [("k1", True)])

    asyncio.run(scene())


def test_keeping_it_twice_writes_nothing_twice_and_the_last_word_counts(store):
    house = House(store)
    actions = PageActions(house)
    asyncio.run(actions.do(DANA, SAID))
    before = store.reviews("k1")
    asyncio.run(actions.do(DANA, SAID))
    assert store.reviews("k1") == before
    asyncio.run(actions.do(DANA, wrap_up(contested="", follow_ups=[{"id": "f1", "done": True}])))
    record = with_reviews(RECORD, store.reviews("k1"))
    assert record.contested == "" and record.follow_ups[0].done and open_followups(store) == []


def test_a_card_number_that_somebody_types_is_nowhere_in_the_store(store, tmp_path):
    async def scene():
        actions, library = PageActions(House(store)), Library(store)
        noted = wrap_up(note="paid with 4539 1488 0343 6467, 12/27", contested="4539148803436467 was read out")
        await actions.do(DANA, noted)
        await actions.do(DANA, noted)
        await actions.do(
            QA, DoNote.model_validate({"do": "note", "call": "k1", "text": "the card 4539-1488-0343-6467"})
        )
        await library.note(QA, "k1", RecordNote(kind="missed", text="4539 1488 0343 6467 was not masked"))

    asyncio.run(scene())
    assert [review.text for review in store.reviews("k1")] == [
        "paid with [card number], 12/27",
        "[card number] was read out",
        "the card [card number]",
        "[card number] was not masked",
    ]
    assert not hits(tmp_path, "4539 1488", "45391488", "4539-1488")


def test_an_emptied_note_is_out_of_the_record_and_off_every_page(store):
    async def scene():
        house = House(store)
        await PageActions(house).do(DANA, SAID)
        await PageActions(house).do(DANA, SAID.model_copy(update={"note": ""}))
        assert house.screens.forms[-1][1].note == ""
        library = Library(store)
        shown = await library.get(QA, "k1")
        texts = shown.model_dump_json(), json.dumps(await library.export(QA, "k1")), await library.html(QA, "k1")
        assert not any("Third visit was missed" in text for text in texts)
        await PageActions(house).do(DANA, SAID.model_copy(update={"note": "Fee waived"}))
        shown = await library.get(QA, "k1")
        assert [note for note in shown.notes if note[1] == "note"] == [("Dana", "note", "Fee waived", None)]

    asyncio.run(scene())


def test_what_was_left_alone_stays_as_somebody_else_has_said_it_meanwhile(store):
    async def scene():
        actions = PageActions(House(store))
        await actions.do(DANA, SAID)
        mark_follow_ups(store, "Maria", done=["k1/f1"])
        await actions.do(DANA, wrap_up(follow_ups=[{"id": "f1", "day": "2026-12-02"}]))
        await actions.do(DANA, wrap_up(outcome="solved in the call"))

    asyncio.run(scene())
    record = with_reviews(RECORD, store.reviews("k1"))
    assert (record.follow_ups[0].done, record.follow_ups[0].day) == (True, "2026-12-02")
    assert (record.outcome, record.root_cause) == ("solved in the call", "missed appointment")
    assert record.contested == "I did not interrupt" and record.notes[-1].text == "Third visit was missed"


def test_an_outcome_and_a_cause_that_are_taken_back_are_again_what_was_heard(store):
    async def scene():
        actions, library = PageActions(House(store)), Library(store)
        await actions.do(DANA, SAID)
        await actions.do(DANA, wrap_up(outcome="", root_cause=""))
        taken_back = store.reviews("k1")
        await actions.do(DANA, wrap_up(outcome="", root_cause=""))
        assert store.reviews("k1") == taken_back
        record = with_reviews(RECORD, store.reviews("k1"))
        assert (record.outcome, record.root_cause) == (RECORD.outcome, RECORD.root_cause)
        for asked in (Filters(outcome=RECORD.outcome), Filters(root_cause=RECORD.root_cause)):
            [line] = (await library.search(QA, asked)).records
            assert line.outcome == RECORD.outcome

    asyncio.run(scene())


def test_what_a_wrap_up_said_and_took_back_is_shown_to_nobody(store):
    async def scene():
        actions, library = PageActions(House(store)), Library(store)
        await actions.do(DANA, SAID.model_copy(update={"follow_ups": []}))
        await actions.do(DANA, wrap_up(outcome="", root_cause="", note="", contested=""))
        shown = await library.get(QA, "k1")
        assert shown.notes == [] and shown.record["contested"] == ""
        [line] = (await library.search(QA, Filters())).records
        assert "not yet" in await library.html(QA, "k1") and (await library.export(QA, "k1"))["wrap_up"] is None
        assert not line.contested and (await library.search(QA, Filters(marks="contested"))).records == []
        await library.note(QA, "k1", RecordNote(kind="root-cause", text="The rota"))
        shown = await library.get(QA, "k1")
        assert [note[:3] for note in shown.notes] == [("Quinn", "root-cause", "The rota")]

    asyncio.run(scene())


def test_an_empty_wrap_up_takes_nothing_away():
    before = wrap_up_form(RECORD, [], SETTINGS)
    assert new_reviews(wrap_up(), before, [], "Dana", "now") == []
    assert before.follow_ups[0].day == "2026-11-27"  # "by Friday", said on a Tuesday


def test_an_agent_who_only_contests_a_record_has_not_wrapped_the_call_up():
    contest = Review("t1", "Dana", "contest", "", "I was not rude")
    now = with_reviews(RECORD, [contest])
    assert now.wrap_up is None and now.contested == "I was not rude"
    assert wrap_up_form(RECORD, [contest], SETTINGS).kept
    kept = with_reviews(RECORD, [Review("t0", "Dana", "note", "", "third visit"), contest]).wrap_up
    assert kept is not None and kept.at == "t0"


def test_quiet_is_offered_after_an_escalated_call_only():
    assert wrap_up_form(RECORD, [], SETTINGS).reset_s == 60
    assert wrap_up_form(RECORD.model_copy(update={"level_reached": "tense"}), [], SETTINGS).reset_s == 0


def test_another_agents_call_cannot_be_wrapped_up_and_is_told_from_none_neither_when_over_nor_while_it_goes_on(
    store, tmp_path
):
    tom, told = Identity("Tom", "agent"), set()

    async def scene():
        one = service(tmp_path / "live")
        one.open()
        live, _ = one.start(QuietLine(), agent="Dana")
        for house, call in ((House(store), "k1"), (House(store), "k9"), (one, live), (one, "k9")):
            with pytest.raises(OverlayError) as refused:
                await PageActions(house).do(tom, SAID.model_copy(update={"call": call}))
            told.add(str(refused.value))
        for call in (live, "k9"):
            with pytest.raises(OverlayError, match="That call is over"):
                await PageActions(one).do(tom, DoHelp(do="help", call=call))
        await one.close()

    asyncio.run(scene())
    assert len(told) == 1 and store.reviews("k1") == []


def test_the_form_goes_to_the_page_unless_the_next_call_is_on(store):
    from assist.screens.screens import Screens

    hub = Hub()
    screens = Screens(hub, "Maria", recogniser=None, method="", steps=())
    kept = wrap_up_form(RECORD, [Review("t", "Dana", "outcome", "", "solved")], SETTINGS)
    hub.show("agent/Dana", "call", Call(call="k1", agent="Dana", state="ended"))
    screens.wrapped_up("Dana", kept)
    assert hub.latest("agent/Dana", "wrapup") == kept
    hub.clear("agent/Dana")
    hub.show("agent/Dana", "call", Call(call="k2", agent="Dana", state="live"))
    screens.wrapped_up("Dana", kept)
    assert hub.latest("agent/Dana", "wrapup") is None
