"""Who may go where, asked of a real server: every route and room for every role, login, sessions, others' calls."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, get_args

import httpx
import pytest
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from overlay import app as app_module
from overlay import sessions as limits
from overlay.access import ROOMS, ROUTES, WITHOUT_LOGIN, roles_of
from overlay.app import create_app
from overlay.errors import OverlayError
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import Identity, Role, ScreenSettings
from overlay.messages import Call, Line, Row
from overlay.sessions import Sessions, StoredSession, Throttle
from tests.overlay_records import Shelf
from tests.test_overlay_server import frame, play

ROLES: tuple[Role, ...] = get_args(Role)
USERS = {"Dana": "agent", "Tom": "agent", "Maria": "supervisor", "Quinn": "qa", "Root": "admin"}
PASSWORD = "correct horse"


@dataclass
class Staff:
    """Accounts without argon2: the right password is a constant."""

    people: dict[str, tuple[Identity, int]] = field(
        default_factory=lambda: {name: (Identity(name, role), 1) for name, role in USERS.items()}  # type: ignore[arg-type]
    )
    asked: int = 0

    def look_up(self, who: str) -> tuple[Identity, int] | None:
        return self.people.get(who)

    def verify(self, who: str, password: str) -> bool:
        self.asked += 1
        return who in self.people and password == PASSWORD


class Place:
    def __init__(self, **more: Any) -> None:
        self.hub = Hub()
        self.staff = Staff()
        self.done: list[Any] = []
        self.noted: list[tuple[str, str]] = []
        on_login = lambda who, what, detail: self.noted.append((who, what))  # noqa: E731
        self.settings = ScreenSettings(**({"on_login": on_login, "beat_s": 0.1} | more))
        self.url = ""

    async def do(self, who: Identity, do: Any) -> None:
        self.done.append((who, do))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = create_app(self.hub, self.do, Shelf(), self.settings, accounts=self.staff)
        async with serving(app, port=0) as self.url:
            yield

    @asynccontextmanager
    async def browser(self, who: str = "") -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.url, headers={"origin": self.url}) as client:
            if who:
                assert (await self.log_in(client, who)).status_code == 303
            yield client

    async def log_in(
        self, client: httpx.AsyncClient, who: str, password: str = PASSWORD, **form: str
    ) -> httpx.Response:
        return await client.post("/login", data={"who": who, "password": password} | form)

    @asynccontextmanager
    async def live(self, client: httpx.AsyncClient, page: str, who: str = "") -> AsyncIterator[Any]:
        ticket = (await client.post("/api/ticket", json={"page": page, "who": who})).json()["ticket"]
        async with self.socket(client) as live:
            await live.send(json.dumps({"ticket": ticket}))
            yield live

    def socket(self, client: httpx.AsyncClient) -> Any:
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        return websockets.connect(
            self.url.replace("http", "ws") + "/live", origin=self.url, additional_headers={"cookie": cookies}
        )


def path_of(place: str) -> tuple[str, str]:
    method, _, path = place.partition(" ")
    return method, path.replace("{agent}", "Dana").replace("{record}", "2026-11-24-dana-1")


HTTP = [place for place in ROUTES if not place.startswith("WS") and place != "GET /static"]


def test_every_route_lets_in_the_roles_of_the_table_and_nobody_else() -> None:
    """The matrix is made from the table: a new route is in it by itself."""

    async def scene() -> None:
        here = Place()
        wrong = []
        async with here.open():
            for who in ("", "Dana", "Maria", "Quinn", "Root"):
                async with here.browser(who) as client:
                    for place in HTTP:
                        method, path = path_of(place)
                        if path in ("/login", "/logout", "/api/gate"):  # the last: tests/test_overlay_gate.py
                            continue
                        answer = await client.request(method, path, content=b"{}" if method == "POST" else None)
                        roles = ROUTES[place]
                        if roles == WITHOUT_LOGIN or (who and USERS[who] in roles):
                            right = answer.status_code in (
                                200,
                                204,
                                400,
                            )  # 400: in, and the empty body is not understood
                            right = right or (path.endswith("/sound") and answer.json()["code"] == "sound-missing")
                        elif who:
                            right = answer.status_code == 403
                        else:
                            right = answer.status_code == (303 if not path.startswith("/api/") else 401)
                        if not right:
                            wrong.append((who, place, answer.status_code))
        assert wrong == []

    play(scene)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("role", ROLES)
def test_every_room_lets_in_the_roles_of_the_table_and_nobody_else(room: str, role: Role) -> None:
    async def scene() -> None:
        here = Place()
        who = next(name for name, each in USERS.items() if each == role)
        here.hub.show("call/c1", "call", Call(call="c1", agent="Tom", state="live"))
        async with here.open(), here.browser(who) as client:
            page = "agent" if room == "agent" else "board"
            answer = await client.post("/api/ticket", json={"page": page, "who": ""})
            assert answer.status_code == (200 if role in ROOMS[room] else 403)
            if answer.status_code == 200 and room == "call":
                async with here.live(client, "board") as live:
                    await live.send('{"do":"watch","call":"c1","on":true}')
                    assert (await frame(live, "set"))["room"] == "call/c1"

    play(scene)


def test_an_undeclared_route_a_bare_route_and_a_row_without_route_are_refused_at_start_up() -> None:
    async def scene() -> None:
        here = Place()
        with pytest.raises(OverlayError, match="GET /secret is in no row"):
            roles_of("GET /secret")
        for change in (
            lambda app: app.routes.append(Route("/secret", lambda request: PlainTextResponse("x"))),
            lambda app: app.routes.append(Route("/board", lambda request: PlainTextResponse("x"))),
            lambda app: app.routes.pop(0),
        ):
            app = create_app(here.hub, here.do, Shelf(), here.settings, accounts=here.staff)
            change(app)
            with pytest.raises(OverlayError) as refused:
                async with serving(app, port=0):
                    pass
            assert refused.value.code == "route-undeclared"

    play(scene)


def test_logging_in_sets_a_cookie_no_script_can_read_and_goes_where_one_wanted_to_go() -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser() as client:
            away = await client.get("/board")
            assert (away.status_code, away.headers["location"]) == (303, "/login?next=/board")
            for asked in ("/report?since=2026-11-01&until=2026-11-30", "/agent?agent=AC%2FDC", "/review/100%25?n=%26"):
                page = await client.get((await client.get(asked)).headers["location"])
                assert f'name="next" value="{escape(asked)}"' in page.text
                assert (await here.log_in(client, "Root", next=asked)).headers["location"] == asked
                await client.post("/logout")
            here.noted.clear()
            page = await client.get(away.headers["location"])
            assert 'name="next" value="/board"' in page.text and "script" not in page.text
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "form-action 'self'" in policy
            inside = await here.log_in(client, "Maria", next="/board")
            assert (inside.status_code, inside.headers["location"]) == (303, "/board")
            cookie = inside.headers["set-cookie"].lower()
            assert (
                "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and "secure" not in cookie
            )
            assert (await client.get("/board")).status_code == 200
            assert (await client.get("/api/me")).json() == {"who": "Maria", "role": "supervisor", "login": "here"}
            assert "Maria (supervisor)" in (await client.get("/login")).text
            assert '<a href="/login">Log out</a>' in (await client.get("/")).text
            assert (await client.post("/logout")).headers["location"] == "/login"
            assert (await client.get("/board")).status_code == 303
            assert here.noted == [("Maria", "login"), ("Maria", "logout")]
            for evil in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"):
                assert (await here.log_in(client, "Maria", next=evil)).headers["location"] == "/"
            assert "&lt;b&gt;" in (await client.get("/login?next=/<b>")).text

    play(scene)


@pytest.mark.parametrize("other", ['prefs={"a":1}', "greeting=hello world", "filter[open]=1", "bare", "=x"])
def test_who_is_logged_in_stays_so_beside_whatever_cookies_others_on_the_host_have_set(other: str) -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Maria") as maria, httpx.AsyncClient(base_url=here.url) as client:
            own = f"session={maria.cookies['session']}"
            for cookie in (f"{other}; {own}", f"{own}; {other}"):
                assert (await client.get("/board", headers={"cookie": cookie})).status_code == 200

    play(scene)


def test_logging_in_logs_out_whoever_was_logged_in_at_that_browser_before() -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Dana") as client:
            left = client.cookies["session"]
            async with here.live(client, "agent") as page:
                await frame(page, "hello")
                assert (await here.log_in(client, "Tom", "wrong")).status_code == 401
                assert (await client.get("/api/me")).json()["who"] == "Dana"
                assert (await here.log_in(client, "Tom")).status_code == 303
                assert (await client.get("/api/me")).json()["who"] == "Tom"
                with pytest.raises(websockets.ConnectionClosed):
                    while True:
                        await page.recv()
            async with httpx.AsyncClient(base_url=here.url, cookies={"session": left}) as other:
                assert (await other.get("/api/me")).status_code == 401

    play(scene)


def test_behind_tls_the_cookie_is_bound_to_the_host_and_the_origin_must_be_https() -> None:
    async def scene() -> None:
        here = Place(proxies=("127.0.0.1",), hosts=("assist.example",))
        async with here.open(), httpx.AsyncClient(base_url=here.url) as client:
            headers = {"host": "assist.example", "origin": "https://assist.example"}
            form = {"who": "Maria", "password": PASSWORD}
            inside = await client.post("/login", data=form, headers=headers)
            cookie = inside.headers["set-cookie"]
            assert cookie.startswith("__Host-session=") and "Secure" in cookie
            assert "strict-transport-security" in inside.headers
            plain = await client.post("/login", data=form, headers=headers | {"origin": "http://assist.example"})
            assert plain.status_code == 403
            named = {"cookie": cookie.split(";")[0]}
            assert (await client.get("/board", headers=headers | named)).status_code == 200

    play(scene)


def test_wrong_passwords_and_unknown_names_read_the_same_and_the_sixth_try_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        here = Place(proxies=("127.0.0.1",), hosts=("a.example",))
        async with here.open(), httpx.AsyncClient(base_url=here.url) as client:

            async def attempt(who: str, password: str, address: str) -> httpx.Response:
                headers = {"host": "a.example", "origin": "https://a.example", "x-forwarded-for": f"6.6.6.6, {address}"}
                return await client.post("/login", data={"who": who, "password": password}, headers=headers)

            told = {(await attempt(who, "wrong", "10.0.0.1")).text for who in ("Maria", "nobody")}
            assert len(told) == 1 and "Name or password is wrong" in told.pop()
            for _ in range(4):
                assert (await attempt("Maria", "wrong", "10.0.0.1")).status_code == 401
            asked = here.staff.asked
            sixth = await attempt("MARIA", PASSWORD, "10.0.0.1")
            assert sixth.status_code == 429 and 0 < int(sixth.headers["retry-after"]) <= 901
            assert "Try again in 15 min." in sixth.text
            with monkeypatch.context() as almost_over:
                almost_over.setattr("overlay.sessions.FAILURES_WITHIN_S", 20)
                assert "Try again in 1 min." in (await attempt("Maria", PASSWORD, "10.0.0.1")).text
            assert here.staff.asked == asked  # not even looked at
            assert (await attempt("Maria", PASSWORD, "10.0.0.2")).status_code == 303  # from elsewhere
            assert (await attempt("Tom", PASSWORD, "10.0.0.1")).status_code == 303  # somebody else
            assert here.noted.count(("Maria", "login-failed")) == 5

    play(scene)


def test_tries_count_together_however_the_name_is_spelt_and_whatever_address_the_browser_claims() -> None:
    async def scene() -> None:
        here = Place(proxies=("127.0.0.1",), hosts=("a.example",))
        spelt = ["Zoë José", "ZOË JOSÉ", "Zoe\u0308 José", "Zoë Jose\u0301", "Zoe\u0308 Jose\u0301"]
        async with here.open(), httpx.AsyncClient(base_url=here.url) as client:
            codes = []
            for n, who in enumerate([*spelt, *spelt]):
                headers = [("host", "a.example"), ("origin", "https://a.example")]
                headers += [("x-forwarded-for", f"6.6.6.{n}"), ("x-forwarded-for", "10.0.0.1")]  # HAProxy adds a line
                answer = await client.post("/login", data={"who": who, "password": "wrong"}, headers=headers)
                codes.append(answer.status_code)
            assert codes == [401] * 5 + [429] * 5

    play(scene)


def test_whoever_has_a_whole_network_of_addresses_has_no_more_tries_than_others() -> None:
    async def scene() -> None:
        here = Place(proxies=("127.0.0.1",), hosts=("a.example",))
        headers = {"host": "a.example", "origin": "https://a.example"}
        async with here.open(), httpx.AsyncClient(base_url=here.url, headers=headers) as client:
            form = {"who": "Maria", "password": "no"}
            answers = [
                (await client.post("/login", data=form, headers={"x-forwarded-for": address})).status_code
                for address in (*(f"2001:db8:0:1::{n}" for n in range(6)), "2001:db8:0:2::1", "::ffff:192.0.2.1")
            ]
        assert answers == [401] * 5 + [429, 401, 401]

    play(scene)


def test_a_name_that_would_command_the_terminal_of_whoever_reads_the_log_is_noted_without_its_commands() -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser() as client:
            assert (await here.log_in(client, "x\x1b[2J\n│ 1 │ all quiet\u202e", "wrong")).status_code == 401
            assert here.noted == [("x�[2J�│ 1 │ all quiet�", "login-failed")]

    play(scene)


def test_failed_logins_are_forgotten_in_time_and_from_one_address_count_together() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for n in range(limits.MAX_FAILURES):
        assert throttle.wait_s("maria", "a") == 0
        now[0] = float(n)
        throttle.failed("maria", "a")
    assert throttle.wait_s("maria", "a") == limits.FAILURES_WITHIN_S - 4
    now[0] = limits.FAILURES_WITHIN_S
    assert throttle.wait_s("maria", "a") == 0
    for n in range(limits.MAX_FAILURES_OF_ADDRESS):
        throttle.failed(f"user{n}", "b")
    assert throttle.wait_s("fresh", "b") > 0
    assert throttle.wait_s("fresh", "c") == 0
    for n in range(limits.MAX_COUNTED):
        throttle.failed("x", f"10.{n}")
    assert len(throttle._failed) <= limits.MAX_COUNTED


def test_a_session_locks_when_idle_ends_with_the_shift_and_survives_a_restart() -> None:
    now = [1000.0]
    kept: dict[str, StoredSession] = {}

    class Shelves:
        def load(self) -> list[StoredSession]:
            return list(kept.values())

        def keep(self, session: StoredSession) -> None:
            kept[session.key] = session

        def forget(self, key: str) -> None:
            kept.pop(key, None)

    staff = Staff()
    sessions = Sessions(staff, Shelves(), lambda: now[0])
    token = sessions.begin("Maria")
    assert token and sessions.begin("nobody") is None and sessions.who("guess") is None
    now[0] += limits.IDLE_S - 1
    assert sessions.who(token) == Identity("Maria", "supervisor")
    sessions.touch(sessions.key(token))
    now[0] += limits.IDLE_S - 1
    assert sessions.who(token) is not None
    again = Sessions(staff, Shelves(), lambda: now[0])
    assert again.who(token) == Identity("Maria", "supervisor")
    assert token not in str(kept)  # only its hash is kept
    now[0] += limits.IDLE_S
    assert again.who(token) is None and sessions.who(token) is None and kept == {}
    token = sessions.begin("Dana")
    assert token
    for _ in range(round(limits.LIFE_S / 600)):
        now[0] += 600
        sessions.touch(sessions.key(token))
    assert sessions.who(token) is None
    token = sessions.begin("Maria")
    assert token
    watched_s = 0.0
    while sessions.who(token):  # calls on the board, and nobody there
        now[0] += 60
        watched_s += 60
        sessions.touch(sessions.key(token), watching=True)
    assert watched_s == limits.WATCH_S + limits.IDLE_S - 60
    for change in ("role", "gone", "logout"):
        token = sessions.begin("Tom")
        assert token
        if change == "role":
            staff.people["Tom"] = (Identity("Tom", "supervisor"), 2)
        elif change == "gone":
            gone = staff.people.pop("Tom")
        else:
            sessions.end(token)
        assert sessions.who(token) is None
        if change == "gone":
            staff.people["Tom"] = gone


@pytest.mark.parametrize("how", ["removed", "role", "logout", "idle"])
def test_who_may_no_longer_stay_is_closed_within_two_heartbeats(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Maria") as client, here.live(client, "board") as live:
            await frame(live, "hello")
            await frame(live, "beat")
            if how == "removed":
                del here.staff.people["Maria"]
            elif how == "role":
                here.staff.people["Maria"] = (Identity("Maria", "qa"), 2)
            elif how == "logout":
                await client.post("/logout")
            else:
                monkeypatch.setattr(limits, "IDLE_S", 0.0)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await live.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401

    play(scene)


def test_a_call_counts_as_activity_and_a_mere_heartbeat_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setattr(limits, "IDLE_S", 1.0)
        here = Place(beat_s=0.1)
        here.hub.show("agent/Dana", "call", Call(call="c1", agent="Dana", state="live"))
        here.hub.show("agent/Tom", "call", Call(agent="Tom", state="waiting"))
        here.hub.show("board", "row/c1", Row(call="c1", agent="Dana", level="calm"))
        browsers = here.browser("Dana"), here.browser("Tom"), here.browser("Maria")
        async with here.open(), browsers[0] as dana, browsers[1] as tom, browsers[2] as maria:  # noqa: SIM117
            async with (
                here.live(tom, "agent") as idle,
                here.live(dana, "agent") as busy,
                here.live(maria, "board") as watching,
            ):
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    while True:
                        await idle.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401
                for _ in range(3):
                    await frame(busy, "beat")
                    await frame(watching, "beat")
                here.hub.drop("board", "row/c1")  # the floor is quiet
                with pytest.raises(websockets.ConnectionClosed):
                    while True:
                        await watching.recv()

    play(scene)


def test_work_on_records_counts_as_activity_and_a_page_that_comes_back_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(app_module, "Sessions", lambda accounts, store: Sessions(accounts, store, lambda: now[0]))

    async def scene() -> None:
        here = Place()
        record = "/api/records/2026-11-24-dana-1"
        async with here.open(), here.browser("Quinn") as quinn, here.browser("Maria") as maria:
            assert (await quinn.get("/review")).status_code == 200
            assert (await maria.get("/board")).status_code == 200
            for method, path in (("GET", "/api/records"), ("GET", record), ("POST", f"{record}/notes")):
                now[0] += limits.IDLE_S - 1
                body = {"kind": "comment", "text": "Read."} if method == "POST" else None
                assert (await quinn.request(method, path, json=body)).status_code in (200, 204), path
                coming = await maria.post("/api/ticket", json={"page": "board"})
                assert coming.status_code == (200 if now[0] < limits.IDLE_S else 401)

    play(scene)


def test_a_ticket_is_no_good_in_another_hand() -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Maria") as maria, here.browser("Dana") as dana, here.browser() as nobody:
            for thief in (dana, nobody):
                ticket = (await maria.post("/api/ticket", json={"page": "board"})).json()["ticket"]
                async with here.socket(thief) as live:
                    await live.send(json.dumps({"ticket": ticket}))
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        await live.recv()
                    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401

    play(scene)


def test_one_person_has_at_most_twenty_pages_open() -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Maria") as client:
            pages = [here.live(client, "board") for _ in range(21)]
            opened = [await page.__aenter__() for page in pages]
            for live in opened[:20]:
                await frame(live, "hello")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await opened[20].recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4429
            for page in pages:
                await page.__aexit__(None, None, None)

    play(scene)


@pytest.mark.parametrize("suffix", [".evil.example", ":1", "@evil.example", "/"])
def test_an_origin_that_only_looks_like_ours_is_refused(suffix: str) -> None:
    async def scene() -> None:
        here = Place()
        async with here.open(), here.browser("Maria") as client:
            answer = await client.post("/api/ticket", json={"page": "board"}, headers={"origin": here.url + suffix})
            assert answer.status_code == 403
            assert (await client.post("/logout", headers={"origin": here.url + suffix})).status_code == 403

    play(scene)


AGENTS = [f"agent-{n}" for n in range(50)]
SAID = st.lists(
    st.tuples(st.sampled_from(AGENTS), st.sampled_from(AGENTS), st.integers(0, 10_000)), min_size=1, max_size=60
)


@settings(max_examples=8)
@given(SAID)
def test_fifty_agents_get_their_own_calls_and_never_a_word_of_anothers(said: list[tuple[str, str, int]]) -> None:
    """Each asks for guessed rooms of others; words carry their owner's name; calls move from one agent to another."""

    async def scene() -> None:
        here = Place(beat_s=5.0)
        here.staff.people |= {name: (Identity(name, "agent"), 1) for name in AGENTS}
        watched = sorted({name for pair in said for name in pair[:2]})[:6]
        async with here.open(), AsyncExitStack() as stack:
            pages = []
            for n, name in enumerate(watched):
                client = await stack.enter_async_context(here.browser(name))
                guess = watched[(n + 1) % len(watched)]
                page = await stack.enter_async_context(here.live(client, "agent", guess))
                assert (await frame(page, "hello"))["room"] == f"agent/{name}"
                pages.append((name, page))
                for trick in ('"watch","on":true', '"help"', '"note","text":"mine"', '"pause","on":true'):
                    await page.send(f'{{"call":"call-of-{guess}","do":{trick}}}' if guess != name else "{}")
                    assert (await frame(page, "refused"))["text"]
            for first, second, number in said:  # a call of the first agent goes on at the second's screen
                for owner in (first, second):
                    line = Line(speaker="customer", start_ms=number, settled=f"for {owner} only")
                    here.hub.clear(f"agent/{owner}")
                    call = Call(call=f"call-of-{owner}", agent=owner, state="live")
                    here.hub.show(f"agent/{owner}", "call", call)
                    for room in (f"agent/{owner}", f"call/call-of-{owner}"):
                        here.hub.show(room, f"line/{number}", line)
            for name, page in pages:
                line = Line(speaker="agent", start_ms=0, settled=f"for {name} only. last")
                here.hub.show(f"agent/{name}", "line/last", line)
                text = ""
                while "last" not in text:
                    text = str(await page.recv())
                    assert set(re.findall(r"agent-\d+", text)) <= {name}
        assert here.done == []  # nothing done about another's call was passed on

    play(scene)
