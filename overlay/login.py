"""The way in and out: a plain page, a form, a cookie. Works without scripts."""

from __future__ import annotations

import asyncio
from html import escape
from math import ceil
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from overlay.access import Access
from overlay.guard import POLICY, STATIC, body_of, peer_of
from overlay.identity import Identity, folded, network, printable
from overlay.sessions import LIFE_S, Accounts, Throttle

AT_ONCE = 4
"""Passwords verified at the same time: each takes 64 MiB and a core for a moment, on purpose."""
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY.replace("form-action 'none'", "form-action 'self'"),
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send "Origin: null" with a form
    "Cache-Control": "no-store",
}


class Login:
    """The endpoints of logging in; `accounts` None: people are known by a proxy, or not at all."""

    def __init__(self, access: Access, accounts: Accounts | None) -> None:
        self._access = access
        self._accounts = accounts
        self._throttle = Throttle()
        self._verifying = asyncio.Semaphore(AT_ONCE)
        self._page = (STATIC / "login.html").read_text(encoding="utf-8")

    async def page(self, request: Request) -> Response:
        """GET /login: the form, or who is logged in and the way out."""
        return self._draw(request.state.who, _inside(request.query_params.get("next", "/")))

    async def home(self, request: Request) -> Response:
        """GET /: where to go, and the way out for whoever is logged in here."""
        page = (STATIC / "home.html").read_text(encoding="utf-8")
        if self._access.sessions is not None and request.state.who is not None:
            out = f'<p><a href="/login">Log out</a> <span class="second">{escape(request.state.who.who)}</span></p>'
            page = page.replace("</main>", f"{out}\n</main>")
        return HTMLResponse(page)

    async def enter(self, request: Request) -> Response:
        """POST /login."""
        given = (await body_of(request)).decode("utf-8", "replace")
        form = {name: values[0] for name, values in parse_qs(given).items()}
        who, password = printable(form.get("who", "").strip()[:120]), form.get("password", "")[:1024]
        goal = _inside(form.get("next", "/"))
        if self._accounts is None or self._access.sessions is None:
            return self._draw(None, goal, "No login is set up on this server.", 404)
        address = self._access.address(request.headers, peer_of(request))
        place = network(address)
        wait_s = self._throttle.wait_s(folded(who), place)
        if wait_s > 0:
            answer = self._draw(None, goal, f"Too many tries. Try again in {ceil(wait_s / 60)} min.", 429)
            answer.headers["Retry-After"] = str(round(wait_s) + 1)
            return answer
        self._throttle.failed(folded(who), place)  # before the slow part, so that tries in parallel count
        async with self._verifying:
            right = await asyncio.to_thread(self._accounts.verify, who, password)
        token = self._access.sessions.begin(who) if right else None
        if token is not None:  # whoever was logged in at this browser before is so no longer, on any page of it
            self._access.sessions.end(self._access.token(request.headers))
        self._access.settings.noted(who, "login" if token else "login-failed", address)
        if token is None:
            return self._draw(None, goal, "Name or password is wrong.", 401)
        self._throttle.passed(folded(who), place)
        inside = RedirectResponse(goal, 303, headers=PAGE_HEADERS)
        self._cookie(inside, token, round(LIFE_S))
        return inside

    async def leave(self, request: Request) -> Response:
        """POST /logout."""
        if self._access.sessions is not None:
            if request.state.who is not None:
                self._access.settings.noted(request.state.who.who, "logout", "")
            self._access.sessions.end(self._access.token(request.headers))
        answer = RedirectResponse("/login", 303)
        self._cookie(answer, "", 0)
        return answer

    async def me(self, request: Request) -> Response:
        """GET /api/me: who this is to the server; role empty where no login is set up."""
        who: Identity | None = request.state.who
        login = "none" if self._access.open else "here" if self._access.sessions is not None else "proxy"
        return JSONResponse({"who": who.who if who else "", "role": who.role if who else "", "login": login})

    def _cookie(self, answer: Response, token: str, max_age: int) -> None:
        answer.set_cookie(
            self._access.cookie,
            token,
            max_age=max_age,
            path="/",
            httponly=True,
            samesite="strict",
            secure=self._access.settings.secure,
        )

    def _draw(self, who: Identity | None, goal: str, message: str = "", status: int = 200) -> HTMLResponse:
        part = "out" if who is not None else "in"
        page = self._page
        for name in ("in", "out"):
            if name != part:
                before, _, rest = page.partition(f"<!--{name}-->")
                page = before + rest.partition(f"<!--/{name}-->")[2]
        said = {"{message}": message, "{next}": goal, "{who}": f"{who.who} ({who.role})" if who else ""}
        for mark, text in said.items():
            page = page.replace(mark, escape(text))
        return HTMLResponse(page, status, headers=PAGE_HEADERS)


def _inside(goal: str) -> str:
    """A path of this server and nothing else."""
    plain = goal.startswith("/") and not goal.startswith("//") and "\\" not in goal and goal.isprintable()
    return goal if plain else "/"
