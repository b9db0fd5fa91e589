"""The page's sessions: a cookie that scripts cannot read, and requests that only our own page can make (A16)."""

from __future__ import annotations

import os
from http.cookies import SimpleCookie

import pytest
from werkzeug.datastructures import Headers

from server.core.events import Now
from server.errors import ClarionError
from server.web.auth import TokenVerifier
from server.web.session import MOST, PER_S, TRIES, Sessions, check_origin, cookie, cookie_name
from tests.web.world import ADMIN, OTHER, World, log_in

RUN = {"targets": ["web-1"], "command": "true"}


class Clock:
    mono = 0.0

    def now(self) -> Now:
        return Now(self.mono, 0)


def sessions(clock: Clock) -> Sessions:
    return Sessions(clock, os.urandom, TokenVerifier({"admin": ADMIN}), idle=100, longest=1000)


async def test_a_token_is_exchanged_for_a_cookie_that_no_script_can_read(world: World) -> None:
    answer = await world.post("/api/v1/session", {"token": f" {ADMIN.text}\n"}, token=False)
    assert answer.status == 201 and answer.json["name"] == "admin"
    (morsel,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert morsel["httponly"] and morsel["samesite"] == "Strict" and morsel["path"] == "/"
    assert ADMIN.text not in str(answer.headers) and answer.json["csrf"] not in morsel.value
    assert (await world.get("/api/v1/session", token=False)).json == answer.json


@pytest.mark.parametrize(
    ("scheme", "host", "name"),
    [("https", "clarion.example", "__Host-clarion"), ("http", "127.0.0.1:8440", "clarion-8440"), ("http", "[::1]:9", "clarion-9"), ("http", "localhost", "clarion-80")],
)
def test_over_https_the_cookie_belongs_to_this_very_host(scheme: str, host: str, name: str) -> None:
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
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:1"}],
    ids=repr,
)
async def test_what_another_origin_makes_a_browser_send_is_refused(world: World, headers: dict[str, str]) -> None:
    csrf = await log_in(world)
    for method, path, body in (("GET", "/api/v1/tasks", None), ("GET", "/api/v1/events?topic=tasks", None), ("POST", "/api/v1/run", RUN)):
        answer = await world.call(method, path, body, token=False, headers=headers | {"X-Clarion-CSRF": csrf})
        assert (answer.status, answer.error["code"]) == (403, "cross_site")
    login = await world.post("/api/v1/session", {"token": ADMIN.text}, token=False, headers=headers)
    assert login.error["code"] == "cross_site"
    # A token in a header is no cookie: nothing sends it by itself.
    assert (await world.get("/api/v1/tasks", headers=headers)).status == 200


def test_our_own_page_and_an_address_typed_in_are_no_other_site() -> None:
    check_origin(Headers({"Sec-Fetch-Site": "none"}), "a:1")
    check_origin(Headers({"Sec-Fetch-Site": "same-origin", "Origin": "http://a:1"}), "a:1")


async def test_a_header_goes_before_a_cookie_and_logging_out_ends_the_session(world: World) -> None:
    csrf = await log_in(world)
    other = await world.get("/api/v1/session", token=False, headers={"Authorization": f"Bearer {OTHER.text}"})
    assert other.json == {"name": "other", "csrf": None}
    assert (await world.call("DELETE", "/api/v1/session", token=False)).error["code"] == "csrf_mismatch"
    gone = await world.call("DELETE", "/api/v1/session", token=False, headers={"X-Clarion-CSRF": csrf})
    assert gone.status == 204 and "Max-Age=0" in gone.headers["Set-Cookie"]
    assert (await world.get("/api/v1/tasks", token=False)).status == 401


def test_a_session_is_over_when_it_was_idle_or_has_lasted_too_long() -> None:
    clock = Clock()
    ours = sessions(clock)
    secret, session = ours.log_in(ADMIN.text, "a")
    for clock.mono in (99.0, 198.0, 297.0):
        assert ours.find(secret) is session and ours.alive(session)
    clock.mono = 397.0
    assert not ours.alive(session) and ours.find(secret) is None
    secret, session = ours.log_in(ADMIN.text, "a")
    for clock.mono in range(400, 1397, 90):
        assert ours.find(secret) is session
    clock.mono = 1397.0
    assert ours.find(secret) is None
    assert ours.find(None) is None and ours.find("\udcff") is None


def test_sessions_are_bounded_and_the_idlest_makes_room() -> None:
    ours = sessions(Clock())
    first, kept = ours.log_in(ADMIN.text, "a"), ours.log_in(ADMIN.text, "a")
    for _ in range(MOST - 2):
        ours.log_in(ADMIN.text, "a")
    assert ours.find(kept[0]) and ours.find(first[0])
    ours.log_in(ADMIN.text, "a")
    assert ours.find(first[0]) and ours.find(kept[0])
    for _ in range(MOST):
        ours.log_in(ADMIN.text, "a")
    assert ours.find(first[0]) is None and first[1].ended


def test_an_address_that_fails_too_often_waits_and_others_do_not() -> None:
    clock = Clock()
    ours = sessions(clock)
    for clock.mono in range(TRIES):
        with pytest.raises(ClarionError, match="unauthenticated"):
            ours.log_in("cl_wrong", "a")
    with pytest.raises(ClarionError, match="too_many_logins"):
        ours.log_in(ADMIN.text, "a")
    ours.log_in(ADMIN.text, "b")
    clock.mono = PER_S
    ours.log_in(ADMIN.text, "a")
    for _ in range(TRIES):
        with pytest.raises(ClarionError, match="unauthenticated"):
            ours.log_in("cl_wrong", "a")
