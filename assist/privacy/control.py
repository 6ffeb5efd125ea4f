"""Pause, resume and consent asked from outside (overlay/gate.py), carried out on the live call; and the key for it."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from assist.errors import AssistError
from assist.events import Action
from assist.live.service import Service
from overlay.errors import OverlayError
from overlay.gate import GateAsk, GateState

KEY_FILE = "gate-key"
API = "api"
"""Who did it, in the log."""


class Control:
    """The gates of a running service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def do(self, ask: GateAsk) -> GateState:
        """Carry it out; returns when it is on disk.

        Raises:
            OverlayError: code call-unknown.
        """
        call = ask.call or next(
            (name for name, live in self._service.calls.items() if live.session.started.agent == ask.agent), None
        )
        live = self._service.calls.get(call or "")
        if call is None or live is None:
            raise OverlayError("call-unknown", "There is no such live call; name a live call's id, or its agent.")
        live.act(Action(live.session.now_ms, API, "system-api", ask.do, detail=ask.consent or ""))
        receipt = self._service.keepers[call].latched
        if receipt is not None:
            await asyncio.wrap_future(receipt)
        gate = live.session.gate
        return GateState(call=call, paused=live.session.paused_since is not None, consent=gate.consent.value)


def gate_key(data: Path) -> str:
    """The key of this installation, made at first use; readable by its owner only.

    Raises:
        AssistError: code data-folder, or gate-key where others may read it.
    """
    path = data / KEY_FILE
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if os.name != "nt" and path.stat().st_mode & 0o077:
                raise AssistError("gate-key", f"{path} can be read by others: chmod 600 it, or remove it") from None
            return path.read_text(encoding="ascii").strip()
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise AssistError("data-folder", f"cannot keep {path}: {error.strerror or error}") from None
