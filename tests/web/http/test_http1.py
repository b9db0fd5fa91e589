"""Requests of peers without a token to the REST port cause no traceback, no other protocol, and no loss of other
clients' connections."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import h2.connection
import httpx
import orjson
import pytest
import trio
from structlog.testing import capture_logs

from server.settings.networks import networks
from server.web.http.limits import Limits
from server.web.http.proxies import TrustedProxies
from tests.web.http.test_server import ask_alive, dialled, read_all, serving
from tests.web.world import AUTH, World, open_world

OK = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"

AMBIGUOUS = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
    "a list of lengths": POST + b"Content-Length: 5, 6\r\n\r\n{}   ",
    "a length that is none": POST + b"Content-Length: +5\r\n\r\n{}   ",
    "chunked in HTTP/1.0": b"POST /api/v1/run HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": OK + b"X-A: 1\r\n  2\r\n\r\n",
    "a folded line first": b"GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n",
    "line feeds alone": b"GET /health/live HTTP/1.1\nHost: x\n\n",
    "one line feed alone": b"GET /health/live HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n",
    "a carriage return alone": OK + b"X-A: 1\rX-B: 2\r\n\r\n",
    "a space before the colon": OK + b"X-A : 1\r\n\r\n",
    "no colon": OK + b"X-A\r\n\r\n",
    "NUL in a header": OK + b"X-A: a\0b\r\n\r\n",
    "two hosts": OK + b"Host: y\r\n\r\n",
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "a host that is none": b"GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a host with a slash": b"GET /health/live HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "a target without a slash": b"GET health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target of another scheme": b"GET ftp://a/b HTTP/1.1\r\nHost: x\r\n\r\n",
    "* without OPTIONS": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "bytes that are no text": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "an empty line": b"\r\n\r\n",
    "a method with a bracket": b"G(ET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a chunk of no size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk with a negative size": POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n\r\n",
    "a chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
}


def statuses(answers: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3}) [^\r\n]*\r\n", answers)]


@asynccontextmanager
async def reading(port: int, data: bytes) -> AsyncIterator[bytes]:
    async with dialled(port) as stream:
        await stream.send_all(data)
        with trio.fail_after(5):
            yield await read_all(stream)


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_ambiguous_requests_are_refused_and_the_connection_ends(
    world: World, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    port = await serving(world, nursery)
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with reading(port, AMBIGUOUS[name] + REQUEST) as answer:
            assert len(statuses(answer)) == 1, answer
            # The body is cut off after the response, because the request had no token.
            assert answer.startswith(
                (b"HTTP/1.1 400 ", b"HTTP/1.1 401 ") if name.startswith("a chunk") else b"HTTP/1.1 400 "
            ), answer
            if answer.startswith(b"HTTP/1.1 400"):
                assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_request"
    assert not [record for record in caplog.records if record.exc_info], caplog.text
    assert not [line for line in logs if "exc_info" in line], logs
    world.shutdown.set()


TOO_MUCH = {
    "a header of 40 KB": (OK + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    "101 header lines": (OK + b"".join(b"X-%d: 1\r\n" % index for index in range(100)) + b"\r\n", 431),
    "a path of 40 KB": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "a transfer coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "a transfer coding that only looks chunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "two transfer codings": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_too_large_requests_and_other_protocols_get_their_own_status(
    world: World, nursery: trio.Nursery, name: str
) -> None:
    port = await serving(world, nursery)
    data, status = TOO_MUCH[name]
    async with reading(port, data) as answer:
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:100]
    world.shutdown.set()


async def test_http_2_is_not_offered(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    client = h2.connection.H2Connection()
    client.initiate_connection()
    async with reading(port, client.data_to_send() + b"\0\0\0\x04\0\0\0\0\0" * 1_000) as answer:
        assert answer.startswith(b"HTTP/1.1 505 ") and b"http_version" in answer
    upgrade = OK + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    async with reading(port, upgrade + OK + b"Connection: close\r\n\r\n") as answer:
        assert statuses(answer) == [200, 200]
    world.shutdown.set()


QUIET = {
    "a WebSocket": (
        (
            b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
            b"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        401,
    ),
    "a WebSocket to nowhere": (b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 404),
    "a WebSocket by POST": (
        (
            b"POST /health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: "
            b"websocket\r\nContent-Length: 0\r\n\r\n"
        ),
        405,
    ),
    "a method of its own": (b"BREW /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "a method in lower case": (b"get /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "TRACE": (b"TRACE /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "an absolute target": (b"GET http://a.example/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "an absolute target without a path": (b"GET http://a.example HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "escapes that are no UTF-8": (b"GET /api/v1/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "an escaped NUL": (b"GET /health/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "half an escape": (b"GET /health/%2 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "a query that is no UTF-8": (b"GET /api/v1/tasks?%ff=%fe HTTP/1.1\r\nHost: x\r\n\r\n", 401),
    "two slashes": (b"GET //a.example/x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "an empty host": (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 200),
    "a host with half a bracket": (b"GET /health/live HTTP/1.1\r\nHost: [::1\r\n\r\n", 200),
    "HTTP/1.0 without a host": (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
    "a header that is no ASCII": (OK + b"X-A: \xff\xfe\r\n\r\n", 200),
    "a cookie that is none": (b'GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nCookie: clarion-80=\xff; ;=;"\r\n\r\n', 401),
    "an authorization that is none": (
        b"GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n",
        401,
    ),
    "Basic": (b"GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n", 401),
    "an unknown expectation": (OK + b"Expect: 200-ok\r\n\r\n", 200),
    "a content type that is none": (
        b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: ;;=\r\nContent-Length: 2\r\n\r\n{}",
        415,
    ),
    "a charset that is none": (
        (
            b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; "
            b"charset=no\r\nContent-Length: 2\r\n\r\n{}"
        ),
        422,
    ),
    "trailers": (
        (
            b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX-A: 1\r\n\r\n"
        ),
        422,
    ),
    "a length of twenty digits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 401),
}


@pytest.mark.parametrize("name", QUIET)
async def test_an_unusual_request_without_a_token_causes_no_traceback(
    world: World, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    port = await serving(world, nursery)
    data, status = QUIET[name]
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with dialled(port) as stream:
            await stream.send_all(data)
            with trio.fail_after(5):
                answer = await stream.receive_some()
        assert bytes(answer).startswith(f"HTTP/1.1 {status} ".encode()), bytes(answer)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=AUTH) as client:
            assert (await client.get("/api/v1/statistics")).status_code == 200
    assert not [record for record in caplog.records if record.exc_info or "Traceback" in record.getMessage()], (
        caplog.text
    )
    assert not [line for line in logs if "exc_info" in line], logs
    world.shutdown.set()


async def test_a_head_and_a_body_byte_by_byte_are_read(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    body = b'{"token": "x"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    async with dialled(port) as stream:
        for byte in (
            b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n"
        ) + chunks:
            await stream.send_all(bytes((byte,)))
        with trio.fail_after(5):
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 401 ")
    world.shutdown.set()


async def test_pipelined_requests_are_answered_in_order(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    asks = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 20
    async with reading(port, asks + OK + b"Connection: close\r\n\r\n") as answer:
        assert statuses(answer) == [200, 404] * 20 + [200]
    world.shutdown.set()


async def test_waiting_connections_are_dropped_at_the_limit_and_busy_ones_are_not(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(tmp_path, nursery, Limits(connections_per_address=3))
    await world.know("web-1")
    task = (await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true"})).json
    refusals: list[str] = []
    port = await serving(world, nursery, refused=refusals.append)
    poll = f"GET /api/v1/tasks/{task['task_id']}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH['Authorization']}\r\n\r\n".encode()  # noqa: E501
    with trio.fail_after(10):
        async with dialled(port) as working, dialled(port) as oldest, dialled(port) as newer:
            await working.send_all(poll)
            for waiting in (oldest, newer):  # one after the other, so that it is known which one waits longest
                assert (await ask_alive(waiting)).startswith(b"HTTP/1.1 200 ")
            while not world.metrics.http_waiting._value.get():  # noqa: ASYNC110 - a condition inside another connection
                await trio.sleep(0.005)
            async with AsyncExitStack() as opened:
                for expected in (oldest, newer):
                    more = await opened.enter_async_context(dialled(port))
                    assert (await ask_alive(more)).startswith(b"HTTP/1.1 200 ")
                    assert await read_all(expected) == b""
            assert refusals == ["crowded_out"] * 2
            assert world.metrics.http_waiting._value.get() == 1
    world.shutdown.set()
    await world.aclose()


async def test_another_address_and_a_trusted_proxy_have_slots_of_their_own(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(
        tmp_path, nursery, Limits(connections_per_address=1, proxies=TrustedProxies(networks("127.0.0.3")))
    )
    port = await serving(world, nursery)
    with trio.fail_after(10):
        async with (
            from_address("127.0.0.1", port) as one,
            from_address("127.0.0.2", port) as two,
            from_address("127.0.0.3", port) as three,
            from_address("127.0.0.3", port) as four,
        ):
            for stream in (one, two, three, four):
                assert (await ask_alive(stream)).startswith(b"HTTP/1.1 200 ")
    world.shutdown.set()
    await world.aclose()


@asynccontextmanager
async def from_address(address: str, port: int) -> AsyncIterator[trio.SocketStream]:
    sock = trio.socket.socket()
    await sock.bind((address, 0))
    await sock.connect(("127.0.0.1", port))
    stream = trio.SocketStream(sock)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)
