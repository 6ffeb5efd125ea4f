"""One client that asks for too much is told to wait, is cut, and is no burden to the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from assist.bench.figures import resident_mib
from overlay import rates
from overlay.messages import Call, Next
from overlay.rates import REQUESTS_A_SECOND, Rates
from tests.test_overlay_access import Place
from tests.test_overlay_hub import watchers
from tests.test_overlay_server import frame, play


def test_requests_are_counted_by_client_and_second_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    counted = Rates(lambda: now[0])
    assert [counted.wait_s("a") for _ in range(REQUESTS_A_SECOND)] == [0.0] * REQUESTS_A_SECOND
    assert counted.wait_s("a") == 1.0 and counted.wait_s("b") == 0.0
    now[0] = 10.75
    assert counted.wait_s("a") == 0.25
    now[0] = 11.0
    assert counted.wait_s("a") == 0.0
    monkeypatch.setattr(rates, "MAX_COUNTED", 100)
    for n in range(1_000):
        counted.wait_s(f"made up {n}")
    assert len(counted._counted) <= 102


async def ask_much(client: httpx.AsyncClient, paths: list[str]) -> list[httpx.Response]:
    return list(await asyncio.gather(*(client.get(path) for path in paths)))


def test_a_person_who_asks_for_too_much_waits_and_another_at_the_same_address_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "REQUESTS_A_SECOND", 5)  # fewer than the slowest machine answers

    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Dana") as dana, here.browser("Maria") as maria:
            answers = await ask_much(dana, ["/api/me", "/static/base.css", "/nowhere"] * 100)
            late = [answer for answer in answers if answer.status_code == 429]
            assert late and all(answer.headers["retry-after"] == "1" for answer in late)
            assert late[0].json()["code"] == "too-many"
            assert (await maria.get("/api/me")).json()["who"] == "Maria"
            big = await maria.post("/api/views", content=b" " * 70_000)
            assert (big.status_code, big.json()["code"]) == (413, "too-large")

    play(scene)


@pytest.mark.slow
def test_a_flood_of_everything_at_once_reaches_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 s of requests, messages, big messages and wrong passwords, while 20 agents' pages get a line each 50 ms."""
    monkeypatch.setattr(rates, "REQUESTS_A_SECOND", 50)  # clients and server share two cores: 200 are not reached

    async def scene() -> None:
        here = Place(beat_s=2.0)
        names = [f"agent{n}" for n in range(20)]
        from overlay.identity import Identity

        here.staff.people |= {name: (Identity(name, "agent"), 1) for name in names}
        over = asyncio.Event()
        told: dict[str, int] = {}

        def note(what: object) -> None:
            told[str(what)] = told.get(str(what), 0) + 1

        async def requests(client: httpx.AsyncClient) -> None:
            while not over.is_set():
                for answer in await ask_much(client, ["/api/records?words=x", "/static/base.css"] * 25):
                    note(f"http {answer.status_code}")

        async def passwords() -> None:
            async with here.browser() as client:
                while not over.is_set():
                    note(f"login {(await here.log_in(client, 'Root', 'wrong')).status_code}")

        async def messages(client: httpx.AsyncClient, text: str) -> None:
            while not over.is_set():
                with contextlib.suppress(websockets.ConnectionClosed, KeyError, websockets.InvalidStatus):
                    async with here.live(client, "agent") as live:
                        try:
                            for _ in range(500):
                                await live.send(text)
                            while True:
                                await live.recv()
                        except websockets.ConnectionClosed as closed:
                            note(f"socket {closed.rcvd.code if closed.rcvd else 'cut'}")
                await asyncio.sleep(0)

        async def quiet(client: httpx.AsyncClient, name: str, delays: list[float]) -> None:
            async with here.live(client, "agent") as live:
                await frame(live, "hello")
                n = 0
                while True:
                    for each in json.loads(await live.recv()):
                        if each.get("key") == "next":
                            said, at = each["body"]["titles"][0].split("@")
                            assert int(said) > n, "in order"
                            n = int(said)
                            delays.append(time.perf_counter() - float(at))

        async with here.open(), contextlib.AsyncExitStack() as stack:
            browsers = [await stack.enter_async_context(here.browser(name)) for name in names]
            flooding = await stack.enter_async_context(here.browser("Tom"))
            for name in [*names, "Tom"]:
                call = Call(agent=name, state="live", call=f"c-{name}", recogniser="r")
                here.hub.show(f"agent/{name}", "call", call)
            delays: dict[str, list[float]] = {name: [] for name in names}
            pages = [asyncio.create_task(quiet(b, name, delays[name])) for name, b in zip(names, browsers, strict=True)]
            while any(not watchers(here.hub, f"agent/{name}") for name in names):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

            async def talk(seconds: float) -> list[float]:
                for each in delays.values():
                    each.clear()
                for _ in range(round(seconds * 20)):
                    talk.n += 1  # type: ignore[attr-defined]
                    for name in names:
                        here.hub.show(f"agent/{name}", "next", Next(titles=[f"{talk.n}@{time.perf_counter()}"]))  # type: ignore[attr-defined]
                    await asyncio.sleep(0.05)
                assert all(task.done() is False for task in pages), "no quiet page was closed"
                assert all(len(each) > 0.5 * seconds * 20 for each in delays.values())
                return sorted(delay for each in delays.values() for delay in each)

            talk.n = 0  # type: ignore[attr-defined]
            calm, before = await talk(5), resident_mib()
            floods: list[Any] = [
                *(asyncio.create_task(requests(flooding)) for _ in range(4)),
                asyncio.create_task(passwords()),
                asyncio.create_task(messages(flooding, '{"do":"help","call":"c-Tom"}')),
                asyncio.create_task(messages(flooding, "x" * 70_000)),
            ]
            busy = await talk(20)
            grown = resident_mib() - before
            quiet_me = (await browsers[0].get("/api/me")).json()["who"]
            over.set()
            await asyncio.gather(*floods)
            for task in pages:
                task.cancel()
            await asyncio.gather(*pages, return_exceptions=True)
        assert quiet_me == names[0]
        print(f"\n{told}")
        assert told["http 429"] and told["login 429"] and told["login 401"] == 5
        assert told["socket 4429"] and told["socket 1009"]
        assert {key for key in told if key.startswith("http 5") or key.endswith("1011")} == set()
        p = lambda times, share: 1000 * np.quantile(times, share)  # noqa: E731
        print(f"quiet pages: median/99 % {p(calm, 0.5):.1f}/{p(calm, 0.99):.1f} ms before, "
              f"{p(busy, 0.5):.1f}/{p(busy, 0.99):.1f} ms in the flood (clients and server on the same cores); "
              f"{grown:+.0f} MiB")  # fmt: skip
        assert grown < 50

    asyncio.run(scene())
