from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.hub import MAX_VALUES_KEPT, Hub, Outbox
from overlay.messages import Call, LevelNow, Line, Next


def frames(page: Outbox) -> list[dict[str, Any]]:
    return list(json.loads(page.take()))


def values(said: list[dict[str, Any]]) -> dict[str, Any]:
    return {frame["key"]: frame["body"] for frame in said if frame["type"] == "set"}


def watchers(hub: Hub, room: str) -> int:
    """How many pages watch a room."""
    return len(hub._rooms[room].pages) if room in hub._rooms else 0


def level(score: float) -> LevelNow:
    return LevelNow(level="tense", score=score, at_ms=0)


def test_a_page_that_joins_gets_a_reset_and_the_snapshot_and_then_what_comes() -> None:
    hub = Hub()
    hub.show("agent/a", "level", level(1))
    page = hub.open("agent/a")
    first = frames(page)
    assert first[0] == {"type": "reset", "room": "agent/a"}
    assert values(first)["level"]["score"] == 1
    hub.show("agent/a", "level", level(2))
    assert [frame["type"] for frame in frames(page)] == ["set"]


def test_an_unread_page_holds_only_the_newest_of_each_key() -> None:
    hub = Hub()
    page = hub.open("board")
    for n in range(1000):
        hub.show("board", "quality", Next(titles=[str(n)]))
        hub.show("board", f"row/{n % 3}", Next(titles=[str(n)]))
    said = frames(page)
    assert [frame["type"] for frame in said] == ["reset", "set", "set", "set", "set"]
    assert values(said)["quality"] == {"titles": ["999"]}


def test_the_same_value_again_is_not_sent_again() -> None:
    hub = Hub()
    page = hub.open("board")
    hub.show("board", "k", level(1))
    page.take()
    hub.show("board", "k", level(1))
    assert not page.ready


def test_a_key_dropped_before_it_was_sent_leaves_nothing_and_afterwards_a_drop() -> None:
    hub = Hub()
    page = hub.open("board")
    page.take()
    hub.show("board", "k", level(1))
    hub.drop("board", "k")
    assert not page.ready
    hub.show("board", "k", level(1))
    page.take()
    hub.drop("board", "k")
    assert frames(page) == [{"type": "drop", "room": "board", "key": "k"}]


@pytest.mark.parametrize("kind", MAX_VALUES_KEPT)
def test_only_the_newest_lines_and_messages_of_a_room_stay_and_pages_are_told(kind: str) -> None:
    hub = Hub()
    page = hub.open("agent/a")
    hub.show("agent/a", "notice/reading", Line(speaker="agent", start_ms=0))
    for n in range(MAX_VALUES_KEPT[kind] + 5):
        hub.show("agent/a", f"{kind}/{n}", Line(speaker="agent", start_ms=n))
        page.take()
    kept = hub.snapshot("agent/a")
    assert list(kept) == ["notice/reading", *(f"{kind}/{n}" for n in range(5, MAX_VALUES_KEPT[kind] + 5))]


def test_a_page_too_far_behind_is_marked_and_grows_no_more() -> None:
    hub = Hub()
    page = hub.open("board", limit=10_000)
    for n in range(1000):
        hub.show("board", f"row/{n}", Next(titles=["x" * 100]))
    assert page.overfull
    assert [frame["type"] for frame in frames(page)] == ["reset"]


def test_a_snapshot_of_any_size_can_be_joined_and_what_comes_on_top_is_bounded() -> None:
    hub = Hub()
    for n in range(1000):
        hub.show("board", f"row/{n}", Next(titles=["x" * 100]))
    page = hub.open("board", limit=10_000)
    assert not page.overfull
    for n in range(1000):  # the same keys again take no more room
        hub.show("board", f"row/{n}", Next(titles=["y" * 100]))
    assert not page.overfull and len(frames(page)) == 1001
    for n in range(200):
        hub.show("board", f"row/{n}", Next(titles=["z" * 100]))
    assert page.overfull


def test_what_is_for_one_page_alone_waits_whole_and_is_bounded_too() -> None:
    page = Hub().open("board", limit=100)
    for n in range(3):
        page.send_direct(f'{{"type":"refused","n":{n}}}')
    assert [said["n"] for said in frames(page) if said["type"] == "refused"] == [0, 1, 2]
    for _ in range(5):
        page.send_direct("x" * 30)
    assert page.overfull


def test_ages_come_from_the_hubs_clock() -> None:
    now = [10.0]
    hub = Hub(lambda: now[0])
    hub.show("board", "k", level(1))
    now[0] = 13.5
    said = frames(hub.open("board"))
    assert said[1]["age"] == 3500


def test_rooms_of_other_agents_are_never_in_an_outbox_and_empty_rooms_go() -> None:
    hub = Hub()
    page = hub.open("agent/a")
    hub.show("agent/b", "call", Call(agent="b", state="waiting"))
    assert "agent/b" not in page.take()
    assert watchers(hub, "agent/a") == 1
    hub.close(page)
    hub.clear("agent/b")
    assert hub._rooms == {}


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.sampled_from("abc"), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("read"), st.just(""), st.just(0)),
        st.tuples(st.just("join"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(ACTS)
def test_whatever_happens_a_page_that_has_read_everything_knows_exactly_the_room(
    acts: list[tuple[str, str, int]],
) -> None:
    hub = Hub()
    page = hub.open("board")
    known: dict[str, Any] = {}

    def read() -> None:
        said = frames(page)
        keys = [frame["key"] for frame in said if "key" in frame]
        assert len(keys) == len(set(keys))
        for frame in said:
            match frame["type"]:
                case "reset":
                    known.clear()
                case "set":
                    known[frame["key"]] = frame["body"]
                case "drop":
                    known.pop(frame["key"])  # only what the page has is dropped

    for what, key, value in acts:
        match what:
            case "show":
                hub.show("board", key, level(value))
            case "drop":
                hub.drop("board", key)
            case "read":
                read()
            case _:
                hub.watch(page, "board")
    read()
    assert known == {key: json.loads(body) for key, body in hub.snapshot("board").items()}


def test_waiting_wakes_on_a_message_and_when_the_time_is_over() -> None:
    async def scene() -> None:
        hub = Hub()
        page = hub.open("board")
        page.take()
        assert not await page.wait(0.0)
        waiting = asyncio.create_task(page.wait(60))
        await asyncio.sleep(0)
        assert not waiting.done()
        hub.show("board", "k", level(1))
        assert await waiting
        assert await page.wait(60)  # still there

    asyncio.run(scene())
