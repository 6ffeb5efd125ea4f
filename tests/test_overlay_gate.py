"""Pause, resume and consent over HTTP: who may, and that the answer comes when it is on disk."""

import asyncio
import os
import sqlite3
from contextlib import closing

import httpx
import pytest

from assist.errors import AssistError
from assist.live.gates import Gates
from assist.privacy.consent import Consent
from assist.privacy.gate_key import gate_key
from assist.records.filing import close_interrupted
from assist.store.store import open_store
from overlay.app import create_app
from overlay.gate import GateEndpoint
from overlay.http_server import serving
from tests.scripted_call import Source, hits, on_stage, said

KEY = "k" * 43
PAGE = "https://pay.example"


def play(scene, tmp_path, **settings):
    async def run():
        stage = await on_stage(tmp_path, **{"consent": "granted", "auto_pause": False} | settings)
        app = create_app(stage.service.hub, None, gate=GateEndpoint(Gates(stage.service).do, KEY, [PAGE]))
        async with serving(app, port=0) as base, httpx.AsyncClient(base_url=base) as client:
            await scene(stage, client)
        await stage.end()
        await stage.close()

    asyncio.run(run())


def ask(client, body, key=KEY, **headers):
    return client.post("/api/gate", json=body, headers={"Authorization": f"Bearer {key}"} | headers)


def test_a_pause_from_outside_is_on_disk_when_it_is_answered_and_holds_until_resumed(tmp_path):
    async def scene(stage, client):
        await stage.hear(said("well quicksilver", 0))
        answer = await ask(client, {"do": "pause", "agent": "Dana"})
        assert (answer.status_code, answer.json()) == (
            200,
            {"call": stage.call, "paused": True, "consent": "granted"},
        )
        assert stage.service.store.gate(stage.call).paused_by == "api"
        assert not hits(tmp_path, "quicksilver")
        await stage.hear(said("zanzibar", 1_100))
        answer = await ask(client, {"do": "resume", "call": stage.call})
        assert answer.json()["paused"] is False
        assert stage.service.store.gate(stage.call).paused_ms is None
        await stage.hear(said("tangerine", 2_600))

    play(scene, tmp_path)
    assert hits(tmp_path, "tangerine") and not hits(tmp_path, "zanzibar")


def test_what_a_refusal_cannot_erase_is_told_and_goes_at_the_next_start(tmp_path, caplog):
    stays = "CREATE TRIGGER stays BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'it stays'); END"

    async def scene(stage, client):
        await stage.hear(said("well quicksilver", 0))
        with closing(sqlite3.connect(tmp_path / "assist.db")) as damaged, damaged:
            damaged.execute(stays)
        for body in ({"do": "pause"}, {"do": "consent", "consent": "refused"}):
            answer = await ask(client, body | {"agent": "Dana"})
            assert (answer.status_code, answer.json()["code"]) == (400, "store-failed")
            assert "not on disk: it stays" in answer.json()["text"]
        await stage.written()
        assert stage.shown("notice/trouble").text.endswith("may still be on disk: it stays")
        assert hits(tmp_path, "quicksilver")

    play(scene, tmp_path)
    assert caplog.text.count("may still be on disk: it stays") == 2
    with closing(sqlite3.connect(tmp_path / "assist.db")) as damaged, damaged:
        damaged.execute("DROP TRIGGER stays")
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert close_interrupted(store) == [] and store.calls() == []
    assert not hits(tmp_path, "quicksilver")


def test_an_agents_pause_holds_for_every_call_of_theirs_and_consent_asks_which(tmp_path):
    async def scene(stage, client):
        service = stage.service
        other, over = service.start(Source(), agent="Dana", consent=Consent.GRANTED)
        both = [service.calls[stage.call].session, service.calls[other].session]
        answer = await ask(client, {"do": "pause", "agent": "Dana"})
        assert answer.json() == {"call": other, "paused": True, "consent": "granted"}
        assert all(session.paused_since is not None for session in both)
        assert all(service.store.gate(name).paused_by == "api" for name in (stage.call, other))
        await ask(client, {"do": "resume", "agent": "Dana"})
        assert all(session.paused_since is None for session in both)
        answer = await ask(client, {"do": "consent", "agent": "Dana", "consent": "refused"})
        assert answer.status_code == 404 and "on 2 calls: name the one" in answer.json()["text"]
        service.calls[other].hang_up()
        await over

    play(scene, tmp_path)


def test_a_phone_system_may_spell_the_agent_otherwise(tmp_path):
    async def scene(stage, client):
        answer = await ask(client, {"do": "pause", "agent": "DANA "})
        assert answer.json() == {"call": stage.call, "paused": True, "consent": "granted"}

    play(scene, tmp_path)


def test_consent_from_outside(tmp_path):
    async def scene(stage, client):
        await stage.hear(said("marmalade", 0))
        answer = await ask(client, {"do": "consent", "call": stage.call, "consent": "refused"})
        assert answer.json()["consent"] == "refused"
        assert not hits(tmp_path, "marmalade")

    play(scene, tmp_path)


@pytest.mark.parametrize(
    ("body", "key", "headers", "status", "says"),
    [
        ({"do": "pause", "agent": "Dana"}, "x" * 43, {}, 401, "Authorization: Bearer KEY"),
        ({"do": "pause", "agent": "Dana"}, "k", {}, 401, "Authorization: Bearer KEY"),
        ({"do": "pause", "agent": "Dana"}, KEY, {"Origin": "https://evil.example"}, 403, "payment_pages"),
        ({"do": "pause", "agent": "Dana"}, KEY, {"Host": "evil.example"}, 403, "not served here"),
        ({"do": "pause", "agent": "Nobody"}, KEY, {}, 404, "no such live call"),
        ({"do": "pause"}, KEY, {}, 400, "either the call or the agent"),
        ({"do": "consent", "agent": "Dana"}, KEY, {}, 400, "goes with do"),
        ({"do": "listen", "agent": "Dana"}, KEY, {}, 400, "do:"),
    ],
)
def test_nobody_else_may_and_bad_requests_are_one_clear_line(body, key, headers, status, says, tmp_path):
    async def scene(stage, client):
        answer = await ask(client, body, key, **headers)
        assert (answer.status_code, says in answer.text) == (status, True), answer.text
        assert stage.service.calls[stage.call].session.paused_since is None

    play(scene, tmp_path)


def test_a_named_payment_page_may_ask_from_a_browser_and_others_are_not_told_they_may(tmp_path):
    async def scene(stage, client):
        for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None)):
            answer = await client.options("/api/gate", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
        answer = await ask(client, {"do": "pause", "agent": "Dana"}, Origin=PAGE)
        assert answer.json()["paused"] and answer.headers["access-control-allow-origin"] == PAGE

    play(scene, tmp_path)


def test_the_key_is_made_once_and_is_its_owners_only(tmp_path):
    key = gate_key(tmp_path / "data")
    path = tmp_path / "data" / "gate-key"
    assert gate_key(tmp_path / "data") == key and len(key) >= 43
    assert path.stat().st_mode & 0o077 == 0
    os.chmod(path, 0o644)
    with pytest.raises(AssistError, match="chmod 600"):
        gate_key(tmp_path / "data")
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(AssistError, match="remove it"):
        gate_key(tmp_path / "data")
