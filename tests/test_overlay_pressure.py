"""Pages that are slow, silent, dead or many: bounded, cut, and no burden to the others."""

# ruff: noqa: ASYNC110 (what is waited for happens in the server, which tells nobody)
from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from assist.bench.figures import resident_mib
from assist.bench.screens import _crowd, _server
from audio.events import Chunk, Speaker
from overlay.app import create_app
from overlay.http_server import _Http, serving
from overlay.hub import OUTBOX_BYTES, Hub
from overlay.identity import Identity, ScreenSettings
from overlay.messages import Line as Words
from overlay.messages import Next
from overlay.records import Filters, PlayableSound, RecordSummary
from tests.fault_rig import SILENCE, service
from tests.fault_rig import Sound as Talk
from tests.test_assist_doctor import certified
from tests.test_overlay_hub import watchers
from tests.test_overlay_server import LIVE, House, frame, play

HELD_S = 1.0
"""Sound devices hold a second and more for a program that is late."""


def sockets() -> int:
    return sum(
        "socket:" in os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
    )


async def deaf_page(house: House, client: Any) -> Any:
    """A page with a small receive buffer that never reads a byte after its ticket."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    host, port = house.url.removeprefix("http://").split(":")
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    ticket = (await house.ticket(client)).json()["ticket"]
    page = await house.socket(sock=sock, max_queue=1, ping_interval=None)
    await page.send(json.dumps({"ticket": ticket}))
    page.transport.pause_reading()
    return page


def test_a_line_by_which_no_whole_request_comes_is_closed_and_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("overlay.http_server.REQUEST_TIMEOUT_S", 0.2)
    head = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"

    async def scene() -> None:
        house = House()
        house.hub.show("agent/dana", "call", LIVE)
        go, search = asyncio.Event(), house.shelf.search

        async def slow(who: Identity, filters: Filters) -> list[RecordSummary]:
            await go.wait()
            return await search(who, filters)

        house.shelf.search = slow  # type: ignore[method-assign]
        async with house.open() as client, house.page(client) as live:
            assert (await frame(live, "set"))["key"] == "call"
            host, port = house.url.removeprefix("http://").split(":")
            asking = asyncio.create_task(client.get("/api/records"))
            lines = ("POST /api/views HTTP/1.1", f"Host: {host}:{port}", f"Origin: {house.url}", "Content-Length: 9")
            half = "\r\n".join((*lines, "", "half"))
            for sent, answers in (("", 0), (head, 0), (half, 0), (f"{head}\r\n{head}", 1)):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(sent.encode())
                assert (await reader.read()).count(b"HTTP/1.1 ") == answers, sent
                writer.close()
            go.set()
            assert (await asking).status_code == 200
            house.hub.show("agent/dana", "next", Next(titles=["x"]))
            assert (await frame(live, "set"))["key"] == "next"
        assert not caplog.records

    play(scene)


def test_a_line_by_which_nothing_of_an_answer_is_taken_is_cut_and_a_player_goes_on_by_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("overlay.http_server.ANSWER_TIMEOUT_S", 0.5)
    size = 32 << 20  # more than the system holds for a line

    async def scene() -> None:
        house = House()

        async def sound(who: Identity, record: str) -> PlayableSound:
            return PlayableSound("audio/wav", size, lambda start, end: b"x" * (end - start))

        house.shelf.sound = sound  # type: ignore[method-assign]
        async with house.open() as client, client.stream("GET", "/api/records/r/sound") as paused:
            parts = paused.aiter_raw()
            heard, held = len(await anext(parts)), sockets()
            while sockets() == held:
                await asyncio.sleep(0.01)
            with pytest.raises(httpx.TransportError):
                async for part in parts:
                    heard += len(part)
            rest = await client.get("/api/records/r/sound", headers={"Range": f"bytes={heard}-"})
            assert heard + len(rest.content) == size
        assert not caplog.records

    play(scene)


def test_a_player_that_is_paused_when_the_program_stops_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("overlay.http_server.ANSWER_TIMEOUT_S", 0.1)

    async def scene() -> None:
        house, untaken = House(), asyncio.Event()
        monkeypatch.setattr(_Http, "_check_send_progress", lambda line, left: untaken.set())  # instead of cutting it

        async def sound(who: Identity, record: str) -> PlayableSound:
            return PlayableSound("audio/wav", 32 << 20, lambda start, end: b"x" * (end - start))

        house.shelf.sound = sound  # type: ignore[method-assign]
        async with house.open():
            host, port = house.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /api/records/r/sound HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert b"200" in await reader.readline()
            await untaken.wait()
        writer.close()
        assert not caplog.records

    play(scene)


def test_a_big_answer_is_taken_in_its_own_time_by_a_slow_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.http_server.ANSWER_TIMEOUT_S", 0.1)
    size, looks, look = 64 << 20, asyncio.Queue[None](), _Http._check_send_progress

    def looked(line: _Http, left: int) -> None:
        look(line, left)
        looks.put_nowait(None)

    monkeypatch.setattr(_Http, "_check_send_progress", looked)

    async def scene() -> None:
        house = House()

        async def html(who: Identity, record: str) -> str:
            return "x" * size

        house.shelf.html = html  # type: ignore[method-assign]
        async with house.open() as client, client.stream("GET", "/api/records/r/html") as slow:
            heard = 0
            async for part in slow.aiter_raw(16 << 20):
                heard += len(part)
                if heard < size // 2:
                    await looks.get()
            assert heard == size

    play(scene)


def test_with_tls_a_line_without_a_handshake_is_closed_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    files = certified(tmp_path)
    monkeypatch.setattr("overlay.http_server.REQUEST_TIMEOUT_S", 0.5)
    settings = ScreenSettings(certificate=(str(files["certificate"]), str(files["certificate_key"])))

    async def scene() -> None:
        app = create_app(Hub(), House().do, None, settings)
        async with serving(app, port=0) as base, httpx.AsyncClient(verify=False) as client:  # noqa: S501
            reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
            assert (await client.get(f"{base}/agent")).status_code == 200
            assert await reader.read() == b""
            writer.close()
        assert not caplog.records

    play(scene)


def test_with_tls_a_line_whose_other_side_never_says_goodbye_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    files = certified(tmp_path)
    monkeypatch.setattr("overlay.http_server.TLS_SHUTDOWN_TIMEOUT_S", 0.2)
    settings = ScreenSettings(certificate=(str(files["certificate"]), str(files["certificate_key"])))
    trusting = ssl.create_default_context(cafile=files["certificate"])
    trusting.check_hostname = False

    async def scene() -> None:
        async with serving(create_app(Hub(), House().do, None, settings), port=0) as base:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
            coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = trusting.wrap_bio(coming, going)

            async def through(act: Callable[[], object]) -> object:
                while True:
                    try:
                        return act()
                    except ssl.SSLWantReadError:
                        writer.write(going.read())
                        coming.write(await reader.read(65_536))

            await through(client.do_handshake)
            client.write(b"GET /agent HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert str(await through(client.read)).startswith("b'HTTP/1.1 200 OK")
        while await reader.read(65_536):
            pass
        writer.close()
        assert not caplog.records, "that lines had to be waited for"

    play(scene)


def test_fifty_pages_that_never_read_are_cut_cost_little_and_slow_nobody() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(send_timeout_s=1.0))
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client:
            deaf = [await deaf_page(house, client) for _ in range(50)]
            async with house.page(client) as live:
                await frame(live, "set")
                before, held, n = resident_mib(), sockets(), 0
                while watchers(house.hub, "agent/dana") > 1:  # until all that do not read are gone
                    n += 1
                    line = Words(speaker="customer", start_ms=n, settled=f"{n} " + "x" * 20_000)
                    house.hub.show("agent/dana", f"line/{n}", line)
                    assert (await frame(live, "set"))["key"] == f"line/{n}"  # every one, in order, as ever
                assert resident_mib() - before < 50 * 2 * OUTBOX_BYTES / 2**20
                while sockets() > held - 50:  # cut on the server's side too, although they never took the rest
                    await asyncio.sleep(0.02)
            for page in deaf:
                page.transport.abort()

    play(scene)


def test_what_a_slow_page_missed_is_in_its_next_snapshot() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(send_timeout_s=0.3))
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client:
            deaf = await deaf_page(house, client)
            n = 0
            while watchers(house.hub, "agent/dana") == 0:
                await asyncio.sleep(0)
            while watchers(house.hub, "agent/dana"):
                n += 1
                house.hub.show("agent/dana", "next", Next(titles=[f"{n} " + "x" * 100_000]))
                await asyncio.sleep(0)
            deaf.transport.abort()
            async with house.page(client) as live:
                values: dict[str, Any] = {}
                async for text in live:
                    values |= {each["key"]: each["body"] for each in json.loads(text) if each["type"] == "set"}
                    if "next" in values:
                        break
                assert values["next"]["titles"][0].startswith(f"{n} ")

    play(scene)


@pytest.mark.slow
def test_a_page_that_is_gone_without_a_word_is_found_within_twelve_seconds() -> None:
    async def scene() -> None:
        house = House()
        async with house.open() as client:
            page = await deaf_page(house, client)
            while watchers(house.hub, "agent/dana") == 0:
                await asyncio.sleep(0.01)
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with asyncio.timeout(12):
                while watchers(house.hub, "agent/dana"):
                    await asyncio.sleep(0.05)
            assert loop.time() - began > 4  # it was the unanswered ping
            page.transport.abort()

    play(scene)


class Line(Talk):
    """A line in real time, as a device gives it: a chunk every 100 ms, kept for HELD_S where nobody takes it."""

    def __init__(self, over: asyncio.Event) -> None:
        super().__init__()
        self.over, self.taken, self.lost, self.latest_s = over, 0, 0, 0.0

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.over.is_set():
            due = began + (self.taken + 1) / 10
            await asyncio.sleep(max(0.0, due - loop.time()))
            late_s = loop.time() - due
            self.latest_s = max(self.latest_s, late_s)
            self.lost += late_s > HELD_S
            yield Chunk(self.taken * 100, {Speaker.AGENT: SILENCE, Speaker.CUSTOMER: SILENCE})
            self.taken += 1


@pytest.mark.slow
def test_a_thousand_pages_come_back_after_a_restart_within_thirty_seconds_and_twenty_calls_lose_nothing(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        one = service(tmp_path, every=20)
        one.open()
        hub, over = one.hub, asyncio.Event()
        for n in range(1000):
            hub.show(f"agent/crowd-{n}", "call", LIVE.model_copy(update={"agent": f"crowd-{n}"}))
        lines = [Line(over) for _ in range(20)]
        calls = [one.start(line, agent=f"Dana {n}") for n, line in enumerate(lines)]
        lags: list[float] = []

        async def watch() -> None:
            loop = asyncio.get_running_loop()
            while not over.is_set():
                began = loop.time()
                await asyncio.sleep(0.01)
                lags.append(1000 * (loop.time() - began - 0.01))

        watching = asyncio.create_task(watch())
        first = _server(hub)
        url = await first.__aenter__()
        async with _crowd(url, "agent", 1000) as crowd:
            await crowd.all_open()
            lags.clear()
            for line in lines:  # what follows is about the restart, not about twenty calls that begin at once
                line.lost, line.latest_s = 0, 0.0
            began = time.monotonic()
            await first.__aexit__(None, None, None)
            async with asyncio.timeout(30), _server(hub, int(url.rsplit(":", 1)[1])):
                await crowd.all_open()
                back_s = time.monotonic() - began
                storm = sorted(lags)
                for n in range(1000):  # and every one of them hears what is said now
                    hub.show(f"agent/crowd-{n}", "next", Next(titles=["sent@1.0"]))
                assert len(await crowd.delays(1000)) == 1000
                resident = resident_mib()
        over.set()
        await asyncio.gather(watching, *(task for _, task in calls))
        records = [one.store.record(call) for call, _ in calls]
        await one.close()
        lost, taken = sum(line.lost for line in lines), sum(line.taken for line in lines)
        print(
            f"\n1,000 pages back after {back_s:.1f} s; event loop lag 99 % {storm[int(0.99 * len(storm))]:.0f} ms, "
            f"most {storm[-1]:.0f} ms; {resident:.0f} MiB; {lost} of {taken} chunks of 20 calls lost, latest "
            f"{1000 * max(line.latest_s for line in lines):.0f} ms late"
        )
        assert lost == 0 and resident < 300
        for record, line in zip(records, lines, strict=True):
            spent = record["accounted_ms"]
            assert sum(ms for key, ms in spent.items() if key.startswith("customer.")) == line.taken * 100
            assert not any(ms for key, ms in spent.items() if key.endswith((".lost", ".failed")))

    asyncio.run(scene())


def test_the_ping_interval_and_time_out_find_a_dead_peer_in_time() -> None:
    from overlay.http_server import PING_S

    assert 2 * PING_S + 2 <= 12


def test_pages_hear_the_end_of_the_server_as_a_restart_also_while_they_do_not_read() -> None:
    async def scene() -> None:
        house = House(ScreenSettings(send_timeout_s=60))
        house.hub.show("agent/dana", "call", LIVE)
        async with house.open() as client:
            deaf = await deaf_page(house, client)
            live = await house.socket()
            await live.send(json.dumps({"ticket": (await house.ticket(client)).json()["ticket"]}))
            await frame(live, "set")
            for n in range(40):
                house.hub.show("agent/dana", f"line/{n}", Words(speaker="agent", start_ms=n, settled="x" * 20_000))
                await frame(live, "set")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await live.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        deaf.transport.abort()

    play(scene)
