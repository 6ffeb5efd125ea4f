"""The screens over HTTP and websockets on one port: every route, and who may go there (overlay/access.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from overlay.access import GATE_PATH, Access
from overlay.contract import schema
from overlay.errors import OverlayError
from overlay.gate import GateEndpoint
from overlay.guard import STATIC, Guard, check_declared, failure_handler, invalid_request, refused, route, static_page
from overlay.hub import Hub
from overlay.identity import ScreenSettings
from overlay.live import ActionHandler, Live, Presence
from overlay.login import Login
from overlay.records import Records
from overlay.reviewing import Reviewing
from overlay.sessions import Accounts, Sessions, SessionStore


def create_app(
    hub: Hub,
    on_action: ActionHandler,
    records: Records | None = None,
    settings: ScreenSettings | None = None,
    presence: Presence = lambda who, room, here: None,
    accounts: Accounts | None = None,
    session_store: SessionStore | None = None,
    gate: GateEndpoint | None = None,
    failures: Mapping[type[Exception], Callable[[Exception], str]] | None = None,
) -> Starlette:
    """The application; serve it with overlay.http_server.serving.

    Args:
        hub: What the pages show.
        on_action: Carries out what people do on the pages.
        records: Finished calls; None: the review page says that there are none.
        settings: Names, login, heartbeat.
        presence: Told which pages open and close.
        accounts: Who may log in with a password here; None: nobody does.
        session_store: Where sessions are stored to outlive a restart.
        gate: Pause, resume and consent from outside; None: nobody may.
        failures: Errors of what stands behind the pages, with what tells them in one line; any other is a fault of the
            program, and its traceback in the log.
    """
    chosen = settings or ScreenSettings()
    access = Access(chosen, Sessions(accounts, session_store) if accounts is not None else None)
    live = Live(hub, on_action, records, access, presence)
    review = Reviewing(records, chosen.reviewer)
    login = Login(access, accounts)
    gate_endpoint = gate or GateEndpoint(None, "")
    pages = {
        "GET /agent": "agent.html",
        "GET /agent/{agent}": "agent.html",
        "GET /board": "board.html",
        "GET /review": "review.html",
        "GET /review/{record}": "review.html",
        "GET /trends": "trends.html",
    }
    endpoints = {
        "GET /": login.home,
        "GET /login": login.page,
        "POST /login": login.log_in,
        "POST /logout": login.log_out,
        "GET /api/me": login.me,
        f"POST {GATE_PATH}": gate_endpoint.post,
        f"OPTIONS {GATE_PATH}": gate_endpoint.preflight,
        "POST /api/ticket": live.ticket,
        "GET /api/schema": _schema,
        "GET /api/trends": review.trends,
        "GET /report": review.report,
        "GET /api/views": review.views,
        "POST /api/views": review.save_view,
        "POST /api/views/delete": review.delete_view,
        "GET /api/records": review.search,
        "GET /api/records/{record}": review.record,
        "GET /api/records/{record}/html": review.html,
        "GET /api/records/{record}/export": review.export,
        "GET /api/records/{record}/sound": review.sound,
        "POST /api/records/{record}/marks": review.mark,
        "POST /api/records/{record}/answers": review.answer,
        "POST /api/records/{record}/notes": review.note,
    }
    routes = [
        *(route(access, route_name, static_page(name), page=True) for route_name, name in pages.items()),
        *(
            route(access, route_name, endpoint, page=route_name in ("GET /", "GET /report"))
            for route_name, endpoint in endpoints.items()
        ),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: Any = {OverlayError: refused, ValidationError: invalid_request}
    handlers |= {kind: failure_handler(tell) for kind, tell in (failures or {}).items()}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.settings = chosen
    app.state.open = access.open
    app.state.check = lambda: check_declared(app.routes)
    app.add_middleware(Guard, access=access, live=live.socket)
    return app


async def _schema(request: Request) -> Response:
    return JSONResponse(schema())
