"""Pause, resume and consent asked from outside (overlay/gate.py), carried out on the live call."""

from __future__ import annotations

import asyncio

from assist.errors import AssistError
from assist.events import Action
from assist.live.service import Service
from overlay.errors import OverlayError
from overlay.gate import GateAsk, GateState
from overlay.identity import folded

API = "api"
"""Who did it, in the log."""


class Gates:
    """The gates of a running service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def do(self, ask: GateAsk) -> GateState:
        """Carry it out; returns when it is on disk, with how the newest call meant stands.

        An agent's pause holds for every live call of theirs: in which one the card number is about to be said, nobody
        knows here. However a phone system spells the agent: a pause must not fail for a capital letter.

        Raises:
            OverlayError: code call-unknown, also for consent of an agent with several calls; store-failed where this is
                not on disk, or what it takes out still is.
        """
        live = self._service.calls
        agent = folded(ask.agent) if ask.agent else None
        meant = [name for name, each in live.items() if name == ask.call or agent == folded(each.session.started.agent)]
        if not meant:
            raise OverlayError("call-unknown", "There is no such live call; name a live call's id, or its agent.")
        if ask.do == "consent" and len(meant) > 1:
            raise OverlayError("call-unknown", f"{ask.agent} is on {len(meant)} calls: name the one meant by its id.")
        calls = [live[name] for name in meant]
        for call in calls:
            call.act(Action(call.session.now_ms, API, "system-api", ask.do, detail=ask.consent or ""))
        receipts = [self._service.keepers[name].latched for name in meant]
        try:
            await asyncio.gather(*(asyncio.wrap_future(each) for each in receipts if each is not None))
        except AssistError as error:
            raise OverlayError(error.code, f"It holds, but not on disk: {error}") from None
        newest = calls[-1].session
        paused, consent = newest.paused_since is not None, newest.gate.consent.value
        return GateState(call=meant[-1], paused=paused, consent=consent)
