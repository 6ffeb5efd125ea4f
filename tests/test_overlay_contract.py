"""The message contract stays true: what is shown fits its schema, what pages send is known, every key is documented."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from assist.commands.main import main as assist_main
from assist.live.page_actions import PageActions
from overlay import contract, doing, messages
from overlay.guard import STATIC
from overlay.hub import Hub
from overlay.identity import Identity
from tests import overlay_scenes as scenes
from tests.quiet_calls import QuietLine, quiet_service

KEYS: dict[str, type[BaseModel]] = {
    model.__doc__.split("`")[1].partition("/")[0]: model
    for model in get_args(messages.Message)
    if model.__doc__ and model.__doc__.startswith("`")
}
"""Kind of key -> what it holds, as the docstrings of the contract say."""


def check(hub: Hub) -> set[str]:
    """Every value of every room is of the model its key is documented with, and validates from its own JSON."""
    kinds = set()
    for room in list(hub._rooms):
        for key, body in hub.snapshot(room).items():
            kind = key.partition("/")[0]
            kinds.add(kind)
            assert type(hub.latest(room, key)) is KEYS[kind], (room, key)
            KEYS[kind].model_validate_json(body)
            TypeAdapter(messages.Message).validate_json(body)
    return kinds


def test_every_message_says_in_its_docstring_which_key_it_is() -> None:
    assert len(KEYS) == len(get_args(messages.Message))
    listed = set(re.findall(r"[a-z]+", contract.__doc__.split("Rooms and their keys:")[1].split("A key that")[0]))  # type: ignore[union-attr]
    assert set(KEYS) <= listed, set(KEYS) - listed


def test_what_a_real_call_shows_fits_the_contract(tmp_path: Path) -> None:
    async def scene() -> set[str]:
        async with quiet_service(tmp_path) as service:
            actions = PageActions(service)
            dana, maria = Identity("Dana", "agent"), Identity("Maria", "supervisor")
            actions.presence(maria, "board", True)
            call, ended = service.start(QuietLine(), agent="Dana")
            await asyncio.sleep(0)
            shown = check(service.hub)
            for who, what in (
                (dana, {"do": "help"}),
                (maria, {"do": "alert", "alert": "a1", "what": "claim"}),
                (maria, {"do": "watch", "on": True}),
                (maria, {"do": "tell", "text": "Well done."}),
                (maria, {"do": "alert", "alert": "a1", "what": "resolve", "how": "settled"}),
            ):
                await actions.do(who, doing.DO.validate_python(what | {"call": call}))
                await asyncio.sleep(0)
                shown |= check(service.hub)
            service.calls[call].hang_up()
            await ended
            return shown | check(service.hub)

    shown = asyncio.run(scene())
    assert {"call", "health", "level", "row", "alert", "duty", "notice", "ended", "quality"} <= shown


def test_the_scenes_of_the_browser_tests_fit_the_contract() -> None:
    hub = Hub()
    scenes.escalated(hub)
    scenes.alerts(hub)
    scenes.reading(hub)
    assert check(hub)


def test_what_the_pages_send_is_what_the_contract_takes() -> None:
    taken = set(contract.schema()["properties"]["do"]["discriminator"]["mapping"])
    sent = set()
    for path in STATIC.glob("*.js"):
        sent |= set(re.findall(r"\bdo: \"([a-z-]+)\"", path.read_text(encoding="utf-8")))
    assert sent == taken


def test_the_published_schema_is_whole(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.argv", ["assist", "schema", "messages"])
    try:
        assist_main()
    except SystemExit as ended:
        assert ended.code in (0, None)
    whole = json.loads(capsys.readouterr().out)
    assert whole == json.loads(json.dumps(contract.schema()))
    assert {"Prompt", "Row", "Alert", "DoPrompt", "DoAnswer"} <= set(whole["$defs"])
    parts = {"answer", "body", "do", "filters", "mark", "note", "record", "summary", "trends", "view"}
    assert set(whole["properties"]) == parts
    for name in {part.split('"')[0] for part in json.dumps(whole).split("#/$defs/")[1:]}:
        assert name in whole["$defs"]
