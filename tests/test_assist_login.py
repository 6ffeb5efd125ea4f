"""Logging in at a real `assist serve`: roles, a user taken out by another command, the audit log, SIGTERM."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from assist.access.accounts import add_user, remove_user
from assist.access.audit import open_audit
from assist.commands.app import store_of
from assist.settings import Settings
from assist.store.store import open_store

MODEL = Path(__file__).parent / "models" / "test-recogniser"
PASSWORD = "four unlikely words"


async def served(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        found = re.search(rb"Board: +(http://\S+)/board", line)
        if found:
            return found.group(1).decode()
    raise AssertionError("the server did not come up")


async def closed_with(live: Any) -> int:
    with pytest.raises(websockets.ConnectionClosed) as closed:
        while True:
            await live.recv()
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


async def page(url: str, client: httpx.AsyncClient, name: str) -> Any:
    ticket = (await client.post("/api/ticket", json={"page": name})).json()["ticket"]
    cookies = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    headers = {"cookie": cookies}
    live = await websockets.connect(url.replace("http", "ws") + "/live", origin=url, additional_headers=headers)  # type: ignore[arg-type]
    await live.send(json.dumps({"ticket": ticket}))
    assert json.loads(await live.recv())[0]["type"] == "hello"
    return live


def test_a_served_site_with_users_from_login_to_revocation_and_shutdown(tmp_path: Path) -> None:
    async def scene() -> None:
        data = tmp_path / "data"
        store = open_store(f"sqlite:///{data / 'assist.db'}")
        for name, role in (("Dana", "agent"), ("Maria", "supervisor")):
            add_user(store.people, name, role, PASSWORD)
        store.close()
        config = tmp_path / "assist.toml"
        config.write_text('[login]\nby = "users"\n')
        arguments = ["serve", "--config", config, "--data", data, "--port", "0"]
        arguments += ["--recogniser", "whisper", "--model", MODEL]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "assist", *map(str, arguments), stdout=pipe, stderr=pipe
        )
        url = await served(process)
        async with (
            httpx.AsyncClient(base_url=url, headers={"origin": url}) as dana,
            httpx.AsyncClient(base_url=url, headers={"origin": url}) as maria,
        ):
            for client, name in ((dana, "dana"), (maria, "Maria")):
                inside = await client.post("/login", data={"who": name, "password": PASSWORD})
                assert inside.status_code == 303
            assert (await dana.get("/board")).status_code == 403
            assert (await maria.post("/login", data={"who": "Maria", "password": "wrong"})).status_code == 401
            await maria.get("/api/records/20260101-000000-beef")
            agent, board = await page(url, dana, "agent"), await page(url, maria, "board")
            beside = store_of(Settings(data=data))
            await asyncio.to_thread(remove_user, beside.people, "Dana")
            assert await closed_with(agent) == 4401
            assert (await dana.get("/api/me")).status_code == 401
            process.send_signal(signal.SIGTERM)
            assert await closed_with(board) == 1012
        await process.wait()
        assert process.returncode == 0
        audit = open_audit(beside.people, data)
        told = [(row.entry.who, row.entry.what) for row in beside.people.audit()]
        assert {("dana", "login"), ("Maria", "login"), ("Maria", "login-failed"), ("", "settings")} <= set(told)
        assert audit.verify().problem == ""
        beside.close()

    async def limited() -> None:
        async with asyncio.timeout(60):
            await scene()

    asyncio.run(limited())
