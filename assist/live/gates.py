"""Carries out pause, resume and consent requests of other systems (overlay/gate.py) on live calls."""

from __future__ import annotations

import asyncio

from assist.errors import AssistError
from assist.events import Action
from assist.live.service import Service
from assist.privacy.pauses import API
from overlay.errors import OverlayError
from overlay.gate import GateRequest, GateState
from overlay.identity import casefolded


class Gates:
    """Answers the gate requests to a running service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def do(self, ask: GateRequest) -> GateState:
        """Carry out a request; returns the state of the newest matching call once it is on disk.

        A pause for an agent applies to all their live calls: in which one the card number will be said is not known
        here. Agents match case-insensitively: a pause must not fail for a capital letter.

        Raises:
            OverlayError: code call-unknown, also for consent of an agent with several calls; store-failed where the
                change is not on disk, or what it deletes still is.
        """
        live = self._service.calls
        agent = casefolded(ask.agent) if ask.agent else None
        matching = [
            name for name, each in live.items() if name == ask.call or agent == casefolded(each.session.started.agent)
        ]
        if not matching:
            raise OverlayError("call-unknown", "There is no such live call; name a live call's id, or its agent.")
        if ask.do == "consent" and len(matching) > 1:
            raise OverlayError(
                "call-unknown", f"{ask.agent} is on {len(matching)} calls: name the one meant by its id."
            )
        calls = [live[name] for name in matching]
        for call in calls:
            call.act(Action(call.session.now_ms, API, "system-api", ask.do, detail=ask.consent or ""))
        receipts = [self._service.call_logs[name].receipt for name in matching]
        try:
            await asyncio.gather(*(asyncio.wrap_future(each) for each in receipts if each is not None))
        except AssistError as error:
            raise OverlayError(error.code, f"It holds, but not on disk: {error}") from None
        newest = calls[-1].session
        paused, consent = newest.paused_since is not None, newest.gate.consent.value
        return GateState(call=matching[-1], paused=paused, consent=consent)
