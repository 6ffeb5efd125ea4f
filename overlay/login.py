"""Logging in and out: a plain page, a form, a cookie. Works without scripts."""

from __future__ import annotations

import asyncio
from html import escape
from math import ceil
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from overlay.access import Access
from overlay.guard import CONTENT_SECURITY_POLICY, STATIC, body_of, peer_of
from overlay.identity import Identity, casefolded, network_of, printable
from overlay.sessions import LIFE_S, Accounts, Throttle

MAX_VERIFYING = 4
"""Passwords verified at the same time: each takes 64 MiB and a core for a tenth of a second, on purpose."""
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY.replace("form-action 'none'", "form-action 'self'"),
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send "Origin: null" with a form
    "Cache-Control": "no-store",
}


class Login:
    """The endpoints of the login; `accounts` is None where a proxy knows people, or there is no login."""

    def __init__(self, access: Access, accounts: Accounts | None) -> None:
        self._access = access
        self._accounts = accounts
        self._throttle = Throttle()
        self._verifying = asyncio.Semaphore(MAX_VERIFYING)
        self._page = (STATIC / "login.html").read_text(encoding="utf-8")

    async def page(self, request: Request) -> Response:
        """GET /login: the form, or who is logged in and a button to log out."""
        return self._login_page(request.state.who, _own_path(request.query_params.get("next", "/")))

    async def home(self, request: Request) -> Response:
        """GET /: links to the pages, and to log out where somebody is logged in here."""
        page = (STATIC / "home.html").read_text(encoding="utf-8")
        if self._access.sessions is not None and request.state.who is not None:
            out = f'<p><a href="/login">Log out</a> <span class="second">{escape(request.state.who.who)}</span></p>'
            page = page.replace("</main>", f"{out}\n</main>")
        return HTMLResponse(page)

    async def log_in(self, request: Request) -> Response:
        """POST /login."""
        given = (await body_of(request)).decode("utf-8", "replace")
        form = {name: values[0] for name, values in parse_qs(given).items()}
        who, password = printable(form.get("who", "").strip()[:120]), form.get("password", "")[:1024]
        next_path = _own_path(form.get("next", "/"))
        if self._accounts is None or self._access.sessions is None:
            return self._login_page(None, next_path, "No login is set up on this server.", 404)
        address = self._access.address(request.headers, peer_of(request))
        network = network_of(address)
        wait_s = self._throttle.wait_s(casefolded(who), network)
        if wait_s > 0:
            refusal = self._login_page(None, next_path, f"Too many tries. Try again in {ceil(wait_s / 60)} min.", 429)
            refusal.headers["Retry-After"] = str(round(wait_s) + 1)
            return refusal
        self._throttle.failed(casefolded(who), network)  # before the slow part, so that parallel tries count
        async with self._verifying:
            right = await asyncio.to_thread(self._accounts.verify, who, password)
        token = self._access.sessions.begin(who) if right else None
        if token is not None:  # the browser's earlier session ends, on all its pages
            self._access.sessions.end(self._access.token(request.headers))
        self._access.settings.on_login(who, "login" if token else "login-failed", address)
        if token is None:
            return self._login_page(None, next_path, "Name or password is wrong.", 401)
        self._throttle.passed(casefolded(who), network)
        answer = RedirectResponse(next_path, 303, headers=PAGE_HEADERS)
        self._cookie(answer, token, round(LIFE_S))
        return answer

    async def log_out(self, request: Request) -> Response:
        """POST /logout."""
        if self._access.sessions is not None:
            if request.state.who is not None:
                self._access.settings.on_login(request.state.who.who, "logout", "")
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

    def _login_page(self, who: Identity | None, next_path: str, message: str = "", status: int = 200) -> HTMLResponse:
        part = "out" if who is not None else "in"
        page = self._page
        for name in ("in", "out"):
            if name != part:
                before, _, rest = page.partition(f"<!--{name}-->")
                page = before + rest.partition(f"<!--/{name}-->")[2]
        said = {"{message}": message, "{next}": next_path, "{who}": f"{who.who} ({who.role})" if who else ""}
        for mark, text in said.items():
            page = page.replace(mark, escape(text))
        return HTMLResponse(page, status, headers=PAGE_HEADERS)


def _own_path(path: str) -> str:
    """`path` if it is a plain path of this server, otherwise "/": no open redirect."""
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if plain else "/"
