"""A real service whose calls are silent lines: for what people do around a call, without any recogniser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from assist.coach.reloading import ReloadingPlaybook
from assist.live.hearing import Hearing
from assist.live.service import Service
from assist.settings import Settings
from audio.events import Speaker
from detectors.rulebook import load_rules
from overlay.hub import Hub

RULES = load_rules()


class QuietLine:
    """A call source on which nobody speaks and nobody hangs up."""

    name = "quiet line"
    speakers = (Speaker.AGENT, Speaker.CUSTOMER)

    async def __aiter__(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None


class QuietEars:
    """A listener to which nothing is said."""

    def push(self, chunk: Any) -> list[Any]:
        return []

    def poll(self) -> list[Any]:
        return []

    def finish(self) -> list[Any]:
        return []


@asynccontextmanager
async def quiet_service(data: Path, **settings: Any) -> AsyncIterator[Service]:
    hearing = Hearing("nobody", "nobody", "0", False, lambda *_, **__: QuietEars(), lambda: None)
    service = Service(
        Settings(data=data, **({"consent": "granted"} | settings)), RULES, ReloadingPlaybook("default"), Hub(), hearing
    )
    service.open()
    try:
        yield service
    finally:
        await service.close()
