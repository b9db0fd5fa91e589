"""Sessions of the page: a cookie that scripts cannot read, and requests that only this server's page can make (A16)."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
import trio
from werkzeug.datastructures import Headers

from server.core.events import Now
from server.errors import ClarionError
from server.security.attempts import PER_S
from server.security.tokens import Kind, Token, _checksum, make
from server.settings.networks import networks
from server.web.http.auth import TokenVerifier
from server.web.http.credentials import Credentials
from server.web.http.limits import Limits
from server.web.http.proxies import TrustedProxies
from server.web.http.session import MAX_SESSIONS, Lifetime, Sessions, check_origin, cookie, cookie_name
from tests.web.http.test_server import serving
from tests.web.world import ADMIN, OTHER, World, log_in, open_world

TRIES = 5

RUN = {"targets": ["web-1"], "command": "true"}


class Clock:
    mono = 0.0

    def now(self) -> Now:
        return Now(self.mono, 0)


def credentials(clock: Clock, wrong: Callable[[], None] = lambda: None) -> Credentials:
    return Credentials(clock, TokenVerifier({"admin": ADMIN, "other": OTHER}), wrong, logins=TRIES, requests=50)


def sessions(clock: Clock) -> Sessions:
    return Sessions(clock, os.urandom, credentials(clock), Lifetime(100, 1000), Lifetime(10, 50))


async def test_a_token_is_exchanged_for_a_cookie_that_no_script_can_read(world: World) -> None:
    answer = await world.post("/api/v1/session", {"token": f" {ADMIN.text}\n"}, token=False)
    assert answer.status == 201 and answer.json["name"] == "admin"
    (morsel,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert morsel["httponly"] and morsel["samesite"] == "Strict" and morsel["path"] == "/"
    assert ADMIN.text not in str(answer.headers) and answer.json["csrf"] not in morsel.value
    assert (await world.get("/api/v1/session", token=False)).json == answer.json


@pytest.mark.parametrize(
    ("scheme", "host", "name"),
    [
        ("https", "clarion.example", "__Host-clarion"),
        ("http", "127.0.0.1:8440", "clarion-8440"),
        ("http", "[::1]:9", "clarion-9"),
        ("http", "localhost", "clarion-80"),
    ],
)
def test_over_https_the_cookie_is_bound_to_the_host(scheme: str, host: str, name: str) -> None:
    assert cookie_name(scheme, host) == name
    assert ("; Secure" in cookie(scheme, host, "x", 5)) == (scheme == "https")


async def test_a_session_reads_without_and_writes_with_its_csrf_token_only(world: World) -> None:
    csrf = await log_in(world)
    assert (await world.get("/api/v1/tasks", token=False)).status == 200
    for wrong in ({}, {"X-Clarion-CSRF": ""}, {"X-Clarion-CSRF": csrf[:-1]}, {"X-Clarion-CSRF": "\xe9"}):
        answer = await world.post("/api/v1/run", RUN, token=False, headers=wrong)
        assert (answer.status, answer.error["code"]) == (403, "csrf_mismatch")
    assert (await world.get("/api/v1/statistics")).json["tasks"]["running"] == 0
    made = await world.post("/api/v1/run", RUN, token=False, headers={"X-Clarion-CSRF": csrf})
    assert made.status == 201 and made.json["created_by"] == "admin"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
    ],
    ids=repr,
)
async def test_cross_site_requests_are_refused(world: World, headers: dict[str, str]) -> None:
    csrf = await log_in(world)
    for method, path, body in (
        ("GET", "/api/v1/tasks", None),
        ("GET", "/api/v1/events?topic=tasks", None),
        ("POST", "/api/v1/run", RUN),
    ):
        answer = await world.call(method, path, body, token=False, headers=headers | {"X-Clarion-CSRF": csrf})
        assert (answer.status, answer.error["code"]) == (403, "cross_site")
    login = await world.post("/api/v1/session", {"token": ADMIN.text}, token=False, headers=headers)
    assert login.error["code"] == "cross_site"
    # A browser does not add an Authorization header by itself.
    assert (await world.get("/api/v1/tasks", headers=headers)).status == 200


def test_own_pages_and_typed_addresses_are_not_cross_site() -> None:
    check_origin(Headers({"Sec-Fetch-Site": "none"}), "a:1")
    check_origin(Headers({"Sec-Fetch-Site": "same-origin", "Origin": "http://a:1"}), "a:1")


async def test_a_token_overrides_a_cookie_and_logout_ends_the_session(world: World) -> None:
    csrf = await log_in(world)
    other = await world.get("/api/v1/session", token=False, headers={"Authorization": f"Bearer {OTHER.text}"})
    assert other.json == {"name": "other", "csrf": None}
    assert (await world.call("DELETE", "/api/v1/session", token=False)).error["code"] == "csrf_mismatch"
    gone = await world.call("DELETE", "/api/v1/session", token=False, headers={"X-Clarion-CSRF": csrf})
    assert gone.status == 204 and "Max-Age=0" in gone.headers["Set-Cookie"]
    assert (await world.get("/api/v1/tasks", token=False)).status == 401


def test_a_session_ends_when_it_is_idle_or_too_old() -> None:
    clock = Clock()
    ours = sessions(clock)
    secret, session = ours.log_in(ADMIN.text, "a", secure=True)
    for clock.mono in (99.0, 198.0, 297.0):
        assert ours.find(secret, secure=True) is session and ours.alive(session)
    clock.mono = 397.0
    assert not ours.alive(session) and ours.find(secret, secure=True) is None
    secret, session = ours.log_in(ADMIN.text, "a", secure=True)
    for clock.mono in range(400, 1397, 90):
        assert ours.find(secret, secure=True) is session
    clock.mono = 1397.0
    assert ours.find(secret, secure=True) is None
    assert ours.find(None, secure=True) is None and ours.find("\udcff", secure=True) is None


def test_sessions_are_bounded_and_the_one_idle_longest_ends() -> None:
    ours = sessions(Clock())
    first, kept = ours.log_in(ADMIN.text, "a", secure=True), ours.log_in(ADMIN.text, "a", secure=True)
    for _ in range(MAX_SESSIONS - 2):
        ours.log_in(ADMIN.text, "a", secure=True)
    assert ours.find(kept[0], secure=True) and ours.find(first[0], secure=True)
    ours.log_in(ADMIN.text, "a", secure=True)
    assert ours.find(first[0], secure=True) and ours.find(kept[0], secure=True)
    for _ in range(MAX_SESSIONS):
        ours.log_in(ADMIN.text, "a", secure=True)
    assert ours.find(first[0], secure=True) is None and first[1].ended


def with_another_secret(token: Token) -> str:
    """A well-formed token with the same public id."""
    other = make(Kind.API, os.urandom).text.split("_")[2][:-6]
    body = f"{token.kind}_{token.id}_{other}"
    return body + _checksum(body)


def fail(ours: Sessions, text: str, peer: str, code: str = "unauthenticated") -> ClarionError:
    with pytest.raises(ClarionError) as caught:
        ours.log_in(text, peer, secure=True)
    assert caught.value.code == code
    return caught.value


def test_an_address_with_too_many_wrong_tokens_waits_and_others_do_not() -> None:
    clock = Clock()
    ours = sessions(clock)
    for clock.mono in range(TRIES):
        fail(ours, "cl_wrong" if clock.mono % 2 else make(Kind.API, os.urandom).text, "a")
    assert fail(ours, "cl_wrong", "a", "too_many_logins").retry_after == PER_S - clock.mono
    ours.log_in(ADMIN.text, "a", secure=True)
    fail(ours, "cl_wrong", "b")
    clock.mono = PER_S
    fail(ours, "cl_wrong", "a")


def test_guesses_at_one_token_are_limited_by_address_and_token() -> None:
    clock = Clock()
    ours = sessions(clock)
    for _ in range(TRIES):
        fail(ours, with_another_secret(ADMIN), "a")
    assert fail(ours, with_another_secret(ADMIN), "a", "too_many_logins").retry_after == PER_S
    fail(ours, ADMIN.text, "a", "too_many_logins")
    ours.log_in(OTHER.text, "a", secure=True)
    ours.log_in(ADMIN.text, "b", secure=True)
    fail(ours, "cl_wrong", "a")
    clock.mono = PER_S
    ours.log_in(ADMIN.text, "a", secure=True)
    for _ in range(TRIES - 1):
        fail(ours, with_another_secret(ADMIN), "a")
    ours.log_in(ADMIN.text, "a", secure=True)
    for _ in range(TRIES):
        fail(ours, with_another_secret(ADMIN), "a")


def test_over_plain_http_sessions_are_shorter_and_a_cookie_is_valid_for_one_scheme_only() -> None:
    clock = Clock()
    ours = sessions(clock)
    plain, secure = ours.log_in(ADMIN.text, "a", secure=False)[0], ours.log_in(ADMIN.text, "a", secure=True)[0]
    assert ours.find(plain, secure=True) is None and ours.find(secure, secure=False) is None
    for clock.mono in (9.0, 18.0, 27.0, 36.0, 45.0):
        assert ours.find(plain, secure=False)
    clock.mono = 50.0
    assert ours.find(plain, secure=False) is None and ours.find(secure, secure=True)
    plain = ours.log_in(ADMIN.text, "a", secure=False)[0]
    clock.mono = 60.0
    assert ours.find(plain, secure=False) is None


async def test_behind_a_trusted_proxy_that_speaks_tls_the_cookie_is_bound_to_this_host(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(tmp_path, nursery, Limits(proxies=TrustedProxies(networks("127.0.0.1"))))
    port = await serving(world, nursery)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "Host": "clarion.example"}
        plain = await client.post("/api/v1/session", json={"token": ADMIN.text})
        assert (
            plain.headers["Set-Cookie"].startswith(f"clarion-{port}=") and "Secure" not in plain.headers["Set-Cookie"]
        )
        assert "Max-Age=43200;" in plain.headers["Set-Cookie"]
        made = await client.post("/api/v1/session", json={"token": ADMIN.text}, headers=https)
        (morsel,) = SimpleCookie(made.headers["Set-Cookie"]).values()
        assert (morsel.key, morsel["secure"], morsel["path"], morsel["domain"]) == ("__Host-clarion", True, "/", "")
        client.cookies.clear()
        seen = [
            (await client.get("/api/v1/session", headers=more | {"Cookie": f"{name}={morsel.value}"})).status_code
            for more, name in ((https, "__Host-clarion"), ({}, f"clarion-{port}"))
        ]
        assert seen == [200, 401]
        for client_address, status in (*[("192.0.2.7", 401)] * TRIES, ("192.0.2.7", 429), ("192.0.2.8", 401)):
            answer = await client.post(
                "/api/v1/session", json={"token": "cl_wrong"}, headers={"X-Forwarded-For": f"6.6.6.6, {client_address}"}
            )
            assert answer.status_code == status and ("Retry-After" in answer.headers) == (status == 429)
    world.shutdown.set()
    await world.aclose()
