"""Pause, resume and consent from outside: a payment page, a desktop script, an IVR. One route, opened by a key alone.

The key is sent as `Authorization: Bearer ...`; a browser sends none by itself, so that no page can do this without
knowing it. Pages of other origins may only where the settings name their origin. The answer comes when what was asked
is on disk.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from overlay.doing import Name
from overlay.errors import OverlayError
from overlay.guard import body_of


class GateAsk(BaseModel):
    """What is asked, about a call by its id or about the call an agent is on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["pause", "resume", "consent"]
    call: Name | None = None
    agent: Name | None = None
    consent: Literal["granted", "refused"] | None = Field(None, description="only with do: consent")

    @model_validator(mode="after")
    def _whole(self) -> GateAsk:
        if (self.call is None) == (self.agent is None):
            raise ValueError("name either the call or the agent")
        if (self.do == "consent") != (self.consent is not None):
            raise ValueError('consent ("granted" or "refused") goes with do: "consent", and with nothing else')
        return self


class GateState(BaseModel):
    """How the call stands now, on disk."""

    model_config = ConfigDict(frozen=True)

    call: str
    paused: bool
    consent: Literal["unknown", "granted", "refused"]


Gates = Callable[[GateAsk], Awaitable[GateState]]
"""Carries out what is asked; an OverlayError with code call-unknown where there is no such live call."""


class Gateway:
    """The endpoint."""

    def __init__(self, gates: Gates | None, key: str, origins: Sequence[str] = ()) -> None:
        self._gates = gates
        self._key = key
        self._origins = tuple(origins)

    async def ask(self, request: Request) -> Response:
        """Carry out one request and say how the call stands then."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        known = (
            scheme.casefold() == "bearer" and bool(self._key) and hmac.compare_digest(key.encode(), self._key.encode())
        )
        if self._gates is None or not known:
            raise OverlayError("key-needed", "Send the key of this installation: Authorization: Bearer KEY.")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise OverlayError("forbidden", "Pages of this origin may not: name it in payment_pages of the settings.")
        state = await self._gates(GateAsk.model_validate_json(await body_of(request)))
        return JSONResponse(state.model_dump(), headers=self._allowed(request))

    async def may(self, request: Request) -> Response:
        """What a browser asks before a page of another origin may send its request."""
        return Response(status_code=204, headers=self._allowed(request))

    def _allowed(self, request: Request) -> dict[str, str]:
        origin = request.headers.get("origin")
        if origin is None or origin not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Vary": "Origin",
        }
