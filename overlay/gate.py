"""Pause, resume and consent by other systems: a payment page, a desktop script, an IVR. One route, authorised by a key.

The key is sent as `Authorization: Bearer ...`. A browser sends none by itself, so that only a page that knows the key
can do this. Pages of other origins may if the settings name their origin. The answer comes once the change is on disk.
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


class GateRequest(BaseModel):
    """A request about one call, by its id, or about the calls an agent is on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["pause", "resume", "consent"]
    call: Name | None = None
    agent: Name | None = None
    consent: Literal["granted", "refused"] | None = Field(None, description="only with do: consent")

    @model_validator(mode="after")
    def _check_fields(self) -> GateRequest:
        if (self.call is None) == (self.agent is None):
            raise ValueError("name either the call or the agent")
        if (self.do == "consent") != (self.consent is not None):
            raise ValueError('consent ("granted" or "refused") goes with do: "consent", and with nothing else')
        return self


class GateState(BaseModel):
    """The state of the call, as it is on disk."""

    model_config = ConfigDict(frozen=True)

    call: str
    paused: bool
    consent: Literal["unknown", "granted", "refused"]


GateHandler = Callable[[GateRequest], Awaitable[GateState]]
"""Carries out a request; raises OverlayError (call-unknown) where there is no such live call."""


class GateEndpoint:
    """The endpoint; without a handler or a key nobody is let in."""

    def __init__(self, handler: GateHandler | None, key: str, origins: Sequence[str] = ()) -> None:
        self._handler = handler
        self._key = key
        self._origins = tuple(origins)

    async def post(self, request: Request) -> Response:
        """POST: carry out one request; answers with the GateState."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        authorised = (
            scheme.casefold() == "bearer" and bool(self._key) and hmac.compare_digest(key.encode(), self._key.encode())
        )
        if self._handler is None or not authorised:
            raise OverlayError("key-needed", "Send the key of this installation: Authorization: Bearer KEY.")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise OverlayError("forbidden", "Pages of this origin may not: name it in payment_pages of the settings.")
        state = await self._handler(GateRequest.model_validate_json(await body_of(request)))
        return JSONResponse(state.model_dump(), headers=self._cors_headers(request))

    async def preflight(self, request: Request) -> Response:
        """OPTIONS: the CORS preflight of a browser, for a page of another origin."""
        return Response(status_code=204, headers=self._cors_headers(request))

    def _cors_headers(self, request: Request) -> dict[str, str]:
        origin = request.headers.get("origin")
        if origin is None or origin not in self._origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Vary": "Origin",
        }
