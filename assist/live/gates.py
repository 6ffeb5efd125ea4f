"""Pause, resume and consent asked from outside (overlay/gate.py), carried out on the live call."""

from __future__ import annotations

import asyncio

from assist.events import Action
from assist.live.service import Service
from overlay.errors import OverlayError
from overlay.gate import GateAsk, GateState

API = "api"
"""Who did it, in the log."""


class Gates:
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
