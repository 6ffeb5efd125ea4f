from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from overlay.access import ROUTES
from overlay.app import STATIC, create_app
from overlay.doing import Do, DoWatch
from overlay.errors import OverlayError
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import TICKET_LIFE_S, Grant, Identity, ScreenSettings, Tickets
from overlay.messages import Call, Ended, Next
from overlay.records import Recording
from tests.overlay_records import Shelf
from tests.test_overlay_hub import watchers

LIVE = Call(call="c1", agent="dana", state="live")


class House:
    """A real server that keeps what is done on its pages."""

    def __init__(self, settings: ScreenSettings | None = None) -> None:
        self.hub = Hub()
        self.done: list[tuple[Identity, Do]] = []
        self.shelf = Shelf()
        self.settings = settings or ScreenSettings()
        self.fails: Exception | None = None
        self.url = ""
        self.reading_ended = asyncio.Event()

    async def do(self, who: Identity, do: Do) -> None:
        if self.fails is not None:
            raise self.fails
        self.done.append((who, do))
        if isinstance(do, DoWatch) and not do.on:
            self.reading_ended.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.hub, self.do, self.shelf, self.settings)
        async with serving(app, port=0) as self.url, httpx.AsyncClient(base_url=self.url) as client:
            yield client

    async def ticket(
        self, client: httpx.AsyncClient, page: str = "agent", who: str = "dana", **headers: str
    ) -> httpx.Response:
        return await client.post("/api/ticket", json={"page": page, "who": who}, headers={"origin": self.url} | headers)

    @asynccontextmanager
    async def page(
        self, client: httpx.AsyncClient, page: str = "agent", who: str = "dana", **headers: str
    ) -> AsyncIterator[ClientConnection]:
        ticket = (await self.ticket(client, page, who, **headers)).json()["ticket"]
        async with self.socket(additional_headers=headers) as live:
            await live.send(json.dumps({"ticket": ticket}))
            yield live

    def socket(self, **more: Any) -> Any:
        return websockets.connect(self.url.replace("http", "ws") + "/live", **({"origin": self.url} | more))


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await scene()

    asyncio.run(limited())


async def frame(live: ClientConnection, kind: str) -> dict[str, Any]:
    async for text in live:
        for each in json.loads(text):
            if each["type"] == kind:
                return dict(each)
    raise AssertionError(f"the server closed without {kind}")


def test_a_page_is_told_who_it_is_then_the_room_then_what_changes() -> None:
    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client, house.page(client) as live:
            assert (await frame(live, "hello"))["who"] == "dana"
            assert (await frame(live, "set"))["body"]["call"] == "c1"
            house.hub.show("agent/dana", "next", Next(titles=["x"]))
            assert (await frame(live, "set"))["key"] == "next"
            house.hub.drop("agent/dana", "next")
            assert (await frame(live, "drop"))["key"] == "next"

    play(scene)


def test_a_heartbeat_comes_when_nothing_else_does() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(beat_s=0.05))
        async with house.open() as client, house.page(client) as live:
            assert await frame(live, "beat")

    play(scene)


def test_what_is_done_reaches_the_action_handler_and_bad_messages_are_refused_in_one_line() -> None:
    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client, house.page(client) as live:
            for bad in (
                "no json",
                "[]",
                '{"do":"fly","call":"c1"}',
                '{"do":"help","call":"c1","more":1}',
                '{"do":"note","call":"c1","text":""}',
                '{"do":"wrap-up","call":"c1","follow_ups":[{"id":"f1","done":false,"day":"2026-02-30"}]}',
            ):
                await live.send(bad)
                assert (await frame(live, "refused"))["text"].startswith("Not understood")
            await live.send('{"do":"help","call":"other"}')
            assert "no longer" in (await frame(live, "refused"))["text"]
            claim = '{"do":"alert","call":"c1","alert":"a1","what":"claim","n":7}'
            for sent, n, why in ((claim, 7, "That is done on the"), ('{"do":"fly","n":8}', 8, "Not understood")):
                await live.send(sent)
                refused = await frame(live, "refused")
                assert refused["n"] == n and refused["text"].startswith(why)
            await live.send('{"do":"prompt","call":"c1","prompt":"p1","what":"used"}')
            house.fails = None
            await live.send("bad again")
            await frame(live, "refused")
        assert [do.do for _, do in house.done] == ["prompt"]
        assert house.done[0][0] == Identity("dana", "agent")

    play(scene)


def test_an_action_handler_that_refuses_is_quoted_and_one_that_breaks_is_not_and_the_page_stays() -> None:
    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client, house.page(client) as live:
            house.fails = OverlayError("refused", "That option is used up.")
            await live.send('{"do":"help","call":"c1"}')
            assert (await frame(live, "refused"))["text"] == "That option is used up."
            house.fails = RuntimeError("a caller's words")
            await live.send('{"do":"help","call":"c1"}')
            assert "words" not in (await frame(live, "refused"))["text"]

    play(scene)


def test_a_note_after_the_call_goes_to_its_record_under_the_agents_name() -> None:
    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE.model_copy(update={"state": "ended"}))
        house.hub.show("agent/dana", "ended", Ended(record="2026-11-24-dana-1"))
        async with house.open() as client, house.page(client) as live:
            await live.send('{"do":"note","call":"c1","text":"Third visit."}')
            await live.send("barrier")
            await frame(live, "refused")
        assert [(who.who, record, note.text) for who, record, note in house.shelf.notes] == [
            ("dana", "2026-11-24-dana-1", "Third visit.")
        ]
        assert house.done == []

    play(scene)


def test_reading_along_is_one_call_at_a_time_and_ends_with_the_page() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            async with house.page(client, "board", "Maria") as live:
                for call, on in (("c1", True), ("c1", True), ("c2", True), ("c1", False)):
                    await live.send(json.dumps({"do": "watch", "call": call, "on": on}))
                await live.send("barrier")
                await frame(live, "refused")
                assert (watchers(house.hub, "call/c1"), watchers(house.hub, "call/c2")) == (0, 1)
                house.reading_ended.clear()
            await house.reading_ended.wait()
        told = [("c1", True), ("c1", False), ("c2", True), ("c2", False)]
        assert [do for _, do in house.done] == [DoWatch(do="watch", call=call, on=on) for call, on in told]
        assert watchers(house.hub, "call/c2") == 0

    play(scene)


def test_tickets_are_good_once_and_for_thirty_seconds() -> None:
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    grant = Grant(Identity("dana", "agent"), "agent/dana")
    first, second = tickets.issue(grant), tickets.issue(grant)
    assert tickets.redeem(first) == grant
    assert tickets.redeem(first) is None
    now[0] = TICKET_LIFE_S
    assert tickets.redeem(second) is None


@pytest.mark.parametrize("sent", ['{"ticket":"made-up"}', "x", "[]", '{"ticket":"a","more":1}'])
def test_no_ticket_no_entry(sent: str) -> None:
    async def scene() -> None:
        house = House()
        async with house.open(), house.socket() as live:
            await live.send(sent)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await live.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401

    play(scene)


@pytest.mark.parametrize("place", [place for place in ROUTES if place.startswith("GET ")])
def test_what_a_foreign_page_has_loaded_is_refused_and_where_it_leads_is_shown_in_no_frame(place: str) -> None:
    path = {"GET /static": "/static/base.css"}.get(place, place.removeprefix("GET ")).format(
        agent="dana", record="2026-11-24-dana-1"
    )

    def asked(site: str, mode: str, dest: str) -> dict[str, str]:
        return {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}

    async def scene() -> None:
        house = House()
        house.shelf.kept["2026-11-24-dana-1"] = (Recording(duration_ms=1, kept_until="2026-11-25", peaks={}), b"sound")
        async with house.open() as client:
            for site in ("cross-site", "same-site"):
                for how in (("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe")):
                    assert (await client.get(path, headers=asked(site, *how))).status_code == 403, how
            assert not house.shelf.asked
            for own in (
                asked("cross-site", "navigate", "document"),
                asked("none", "navigate", "document"),
                asked("same-origin", "cors", "empty"),
                {},
            ):
                shown = await client.get(path, headers=own)
                assert shown.status_code < 400, own
                assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]

    play(scene)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_foreign_origins_get_neither_tickets_nor_sockets(origin: str | None) -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            headers = {"origin": origin} if origin else {}
            answer = await client.post("/api/ticket", json={"page": "board"}, headers=headers)
            assert answer.status_code == 403
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with house.socket(origin=origin):
                    pass
            assert refused.value.response.status_code == 403

    play(scene)


def test_a_foreign_name_for_this_machine_is_not_served() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            assert (await client.get("/api/records", headers={"host": "evil.example"})).status_code == 403
            assert (await client.get("/api/records", headers={"host": "localhost:1"})).status_code == 200

    play(scene)


def test_every_answer_carries_the_strict_policy() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            for path in (
                "/",
                "/agent",
                "/agent/dana",
                "/board",
                "/review",
                "/review/x",
                "/static/agent.js",
                "/api/records",
                "/nowhere",
            ):
                answer = await client.get(path)
                assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), (
                    path
                )
                assert answer.headers["x-content-type-options"] == "nosniff"
            html = await client.get("/api/records/2026-11-24-dana-1/html")
            assert "script-src" not in html.headers["content-security-policy"]
            assert "sandbox" in html.headers["content-security-policy"]
            for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py"):
                assert (await client.get(path)).status_code == 404

    play(scene)


def by_header(headers: Mapping[str, str], peer: str) -> Identity | None:
    assert peer == "127.0.0.1"
    who, _, role = headers.get("x-user", "").partition(":")
    return Identity(who, role) if who else None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("user", "page", "who", "status", "room"),
    [
        ("", "agent", "", 401, ""),
        ("dana:agent", "agent", "", 200, "agent/dana"),
        ("dana:agent", "agent", "tom", 200, "agent/dana"),
        ("dana:agent", "board", "", 403, ""),
        ("maria:supervisor", "board", "tom", 200, "board"),
        ("maria:supervisor", "agent", "dana", 403, ""),
        ("quinn:qa", "board", "", 403, ""),
        ("root:admin", "agent", "tom", 200, "agent/tom"),
    ],
)
def test_with_a_login_identity_decides_and_not_the_address(
    user: str, page: str, who: str, status: int, room: str
) -> None:
    async def scene() -> None:
        house = House(ScreenSettings(identify=by_header))
        headers = {"x-user": user} if user else {}
        async with house.open() as client:
            answer = await house.ticket(client, page, who, **headers)
            assert answer.status_code == status
            if status == 200:
                async with house.page(client, page, who, **headers) as live:
                    assert (await frame(live, "hello"))["room"] == room

    play(scene)


def test_an_agent_sees_the_records_of_own_calls_only() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(identify=by_header))
        async with house.open() as client:
            dana = {"x-user": "Dana:agent", "origin": house.url}
            assert {
                each["agent"] for each in (await client.get("/api/records?agent=Tom", headers=dana)).json()["records"]
            } == {"Dana"}
            assert (await client.get("/api/records/2026-11-24-dana-1", headers=dana)).status_code == 200
            for path in ("", "/html", "/export"):
                assert (await client.get(f"/api/records/2026-11-24-tom-1{path}", headers=dana)).status_code == 404
            body = {"kind": "signal", "target": "x", "verdict": "right"}
            assert (
                await client.post("/api/records/2026-11-24-dana-1/marks", json=body, headers=dana)
            ).status_code == 403
            note = {"kind": "contest", "text": "I had said it."}
            assert (
                await client.post("/api/records/2026-11-24-tom-1/notes", json=note, headers=dana)
            ).status_code == 404
            assert (
                await client.post("/api/records/2026-11-24-dana-1/notes", json=note, headers=dana)
            ).status_code == 204
            assert (await client.get("/api/records")).status_code == 401

    play(scene)


def test_the_form_is_the_reviewers_and_a_contest_the_agents() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(identify=by_header))
        path = "/api/records/2026-11-24-dana-1"
        async with house.open() as client:
            dana, tom, quinn = ({"x-user": who, "origin": house.url} for who in ("Dana:agent", "Tom:admin", "Quinn:qa"))
            answer = {"question": "owned", "answer": "no"}
            assert (await client.post(f"{path}/answers", json=answer, headers=quinn)).status_code == 204
            own, theirs = [(await client.get(path, headers=who)).json() for who in (dana, quinn)]
            assert theirs["answers"][0]["who"] == "Quinn" and theirs["questions"]
            assert own["answers"] == own["questions"] == []
            note = {"kind": "contest", "text": "I had said it."}
            for who, status in ((quinn, 403), (tom, 403), (dana, 204)):
                assert (await client.post(f"{path}/notes", json=note, headers=who)).status_code == status
            assert (
                await client.post(f"{path}/notes", json=note | {"kind": "comment"}, headers=quinn)
            ).status_code == 204

    play(scene)


def test_bad_requests_for_records_get_one_clear_line() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            for asked in ("limit=0", "level=angry", "unknown=1", "words=fee%00x", "words=%00", f"offset={1 << 63}"):
                answer = await client.get(f"/api/records?{asked}")
                assert answer.status_code == 400
                assert answer.json()["text"].startswith("Not understood")
            assert (await client.get("/api/records/none")).status_code == 404
            origin = {"origin": house.url}
            assert (await client.post("/api/records/x/marks", content=b"{", headers=origin)).status_code == 400
            beyond = {"kind": "missed", "text": "there", "at_ms": 1 << 63}  # no number that a row could hold
            assert (await client.post("/api/records/x/notes", json=beyond, headers=origin)).status_code == 400
            big = await client.post("/api/records/x/notes", content=b" " * 70_000, headers=origin)
            assert big.json()["code"] == "too-large"

    play(scene)


def test_oversized_and_too_many_messages_close_the_page() -> None:
    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client:
            for flood, code in ((["x" * 70_000], 1009), (['{"do":"help","call":"c1"}'] * 200, 4429)):
                async with house.page(client) as live:
                    await frame(live, "hello")
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        for text in flood:
                            await live.send(text)
                        while True:
                            await live.recv()
                    assert closed.value.rcvd is not None and closed.value.rcvd.code == code

    play(scene)


def test_a_page_that_never_reads_is_bounded_and_others_are_served() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(send_timeout_s=0.3))
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client:
            ticket = (await house.ticket(client)).json()["ticket"]
            slow = await house.socket(max_queue=1)
            await slow.send(json.dumps({"ticket": ticket}))
            slow.transport.pause_reading()
            async with house.page(client) as live:
                await frame(live, "set")
                n = 0
                while watchers(house.hub, "agent/dana") > 1:  # until the slow page has been closed
                    n += 1
                    house.hub.show("agent/dana", "next", Next(titles=[f"{n} " + "x" * 200_000]))
                    await frame(live, "set")
                assert n > 1
            slow.transport.abort()

    play(scene)


def test_a_port_in_use_an_unknown_address_and_an_open_door_are_one_clear_error() -> None:
    async def scene() -> None:
        app = create_app(Hub(), House().do)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            for host, port, code in (
                ("127.0.0.1", taken.getsockname()[1], "port-in-use"),
                ("0.0.0.0", 0, "login-needed"),
                ("::", 0, "login-needed"),
            ):
                with pytest.raises(OverlayError) as refused:
                    async with serving(app, host, port):
                        pass
                assert refused.value.code == code
                assert "\n" not in str(refused.value)
            told: list[str] = []
            port = taken.getsockname()[1]
            async with serving(app, port=port, elsewhere=told.append) as base:
                assert told == [f"Port {port} is in use: the pages are on {base.rpartition(':')[2]}."]
        for host, settings, code in (
            ("192.0.2.1", ScreenSettings(identify=by_header), "tls-needed"),
            ("192.0.2.1", ScreenSettings(identify=by_header, proxies=("192.0.2.7",)), "address-unknown"),
            ("0" * 64, ScreenSettings(identify=by_header, proxies=("192.0.2.7",)), "address-unknown"),
            ("127.0.0.1", ScreenSettings(proxies=("127.0.0.1",)), "login-needed"),
            ("127.0.0.1", ScreenSettings(hosts=("localhost:80", "assist.example:8765")), "login-needed"),
        ):
            with pytest.raises(OverlayError) as refused:
                async with serving(create_app(Hub(), House().do, settings=settings), host, 0):
                    pass
            assert refused.value.code == code
        async with serving(create_app(Hub(), House().do, settings=ScreenSettings(hosts=("localhost:80",))), port=0):
            pass

    play(scene)


def test_pages_see_the_server_go_and_nothing_is_left_running() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            ticket = (await house.ticket(client)).json()["ticket"]
            live = await house.socket()
            await live.send(json.dumps({"ticket": ticket}))
            await frame(live, "hello")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await live.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        assert len(asyncio.all_tasks()) <= 2

    play(scene)


def test_no_script_makes_a_page_of_text_and_nothing_is_loaded_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        for never in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
            assert never not in text.replace("http://www.w3.org/2000/svg", ""), (path.name, never)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("", 200, slice(0, 100)),
        ("bytes=0-", 206, slice(0, 100)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=90-200", 206, slice(90, 100)),
        ("bytes=-5", 206, slice(95, 100)),
        ("bytes=100-", 416, slice(0, 0)),
        ("bytes=-", 200, slice(0, 100)),
    ],
)
def test_kept_sound_is_given_in_the_parts_a_player_asks_for(asked: str, status: int, part: slice) -> None:
    async def scene() -> None:
        house = House()
        sound = bytes(range(100))
        house.shelf.kept["2026-11-24-dana-1"] = (Recording(duration_ms=1), sound)
        async with house.open() as client:
            answer = await client.get("/api/records/2026-11-24-dana-1/sound", headers={"range": asked} if asked else {})
            assert (answer.status_code, answer.content) == (status, sound[part])
            assert (await client.get("/api/records/2026-11-24-tom-1/sound")).status_code == 404

    play(scene)


def test_answers_and_trends_are_for_reviewers() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(identify=by_header))
        async with house.open() as client:
            agent = {"x-user": "Dana:agent", "origin": house.url}
            quinn = {"x-user": "Quinn:qa", "origin": house.url}
            path = "/api/records/2026-11-24-dana-1/answers"
            answer = {"question": "owned", "answer": "yes", "who": "somebody else"}
            assert (await client.post(path, json=answer, headers=agent)).status_code == 403
            assert (await client.post(path, json=answer, headers=quinn)).status_code == 204
            assert house.shelf.answers[0][1].who == "Quinn"
            assert (await client.get("/api/trends", headers=agent)).status_code == 403
            assert len((await client.get("/api/trends?weeks=4", headers=quinn)).json()["weeks"]) == 4
            assert (await client.get("/api/trends?weeks=0", headers=quinn)).status_code == 400

    play(scene)
