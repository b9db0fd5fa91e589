"""Real sockets: bodies that are too long or too slow, clients that do not read, and shutdown during requests."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from server.web.app import serve
from server.web.http.limits import Limits
from tests.web.world import ADMIN, AUTH, World, open_world, whole

HEAD = (
    f"POST /api/v1/run HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN.text}\r\nContent-Type: application/json\r\n"
)


async def serving(world: World, nursery: trio.Nursery, **more: float) -> int:
    start: Callable[..., object] = partial(
        serve, world.app, "127.0.0.1", 0, shutdown=world.shutdown, live=world.live, limits=world.deps.limits, **more
    )  # type: ignore[arg-type]
    host, port = await nursery.start(start)
    assert host == "127.0.0.1"
    return port


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    try:
        async for piece in stream:
            data += piece
    except trio.BrokenResourceError:
        pass  # the connection was cut; the data received before counts
    return bytes(data)


async def ask_alive(stream: trio.SocketStream) -> bytes:
    """The whole response of /health/live."""
    await stream.send_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    with trio.fail_after(5):
        while not answer.endswith(b"}"):
            piece = await stream.receive_some()
            assert piece, answer
            answer += piece
    return answer


async def test_an_ordinary_client_over_loopback(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=AUTH) as client:
        made = await client.post("/api/v1/run", json={"targets": ["web-1"], "command": "true"})
        assert made.status_code == 201 and "server" not in made.headers
        polls: list[httpx.Response] = []

        async def poll() -> None:
            polls.append(
                await client.get(made.headers["Location"], params={"wait": 30, "since": made.json()["version"]})
            )

        async with trio.open_nursery() as waiting:
            waiting.start_soon(poll)
            with trio.fail_after(5):
                while not world.metrics.http_waiting._value.get():  # noqa: ASYNC110 - a condition inside another connection
                    await trio.sleep(0.005)
            world.report(made.json(), "web-1")
        assert polls[0].json()["status"] == "completed"
    world.shutdown.set()


async def test_a_gigabyte_in_chunks_is_refused_after_its_first_megabyte(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    async with dialled(port) as stream:
        await stream.send_all(HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        sent = 0
        answer = bytearray()

        async def pour() -> None:
            nonlocal sent
            try:
                for _ in range(16_384):
                    await stream.send_all(chunk)
                    sent += 65536
            except trio.BrokenResourceError:
                pass  # the server has closed the connection, which is what this test checks

        with trio.fail_after(20):
            async with trio.open_nursery() as both:
                both.start_soon(pour)
                answer += await read_all(stream)
                both.cancel_scope.cancel()
        assert answer.startswith(b"HTTP/1.1 413"), answer[:100]
        assert b"body_too_large" in answer
        assert sent < 64 << 20
        world.shutdown.set()


async def test_a_declared_gigabyte_is_refused_before_it_is_sent(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    async with dialled(port) as stream:
        await stream.send_all(HEAD.encode() + b"Content-Length: 1073741824\r\n\r\n")
        with trio.fail_after(5):
            assert (await read_all(stream)).startswith(b"HTTP/1.1 413")
        world.shutdown.set()


async def test_a_slow_body_is_cut_off_and_others_are_served_meanwhile(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = await open_world(tmp_path, nursery, Limits(body_timeout=0.3))
    port = await serving(world, nursery)
    async with dialled(port) as stream:
        await stream.send_all(HEAD.encode() + b"Content-Length: 10\r\n\r\n{")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health/live")).status_code == 200
        with trio.fail_after(5):
            answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer
        world.shutdown.set()
        await world.aclose()


@pytest.mark.parametrize(
    "opening", [b"", b"GET / HT", HEAD.encode()[:60]], ids=["silent", "half a line", "half a head"]
)
async def test_a_client_that_never_finishes_its_head_is_closed(
    tmp_path: Path, nursery: trio.Nursery, opening: bytes
) -> None:
    world = await open_world(tmp_path, nursery, Limits(keep_alive=0.2))
    port = await serving(world, nursery)
    async with dialled(port) as stream:
        await stream.send_all(opening)
        with trio.fail_after(5):
            await read_all(stream)
        world.shutdown.set()
        await world.aclose()


async def test_beyond_the_limit_the_connection_that_waits_longest_is_dropped(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(tmp_path, nursery, Limits(max_connections=2))
    port = await serving(world, nursery)
    async with dialled(port) as one, dialled(port) as two:
        for stream in (one, two):
            assert (await ask_alive(stream)).startswith(b"HTTP/1.1 200")
        async with dialled(port) as three:
            assert (await ask_alive(three)).startswith(b"HTTP/1.1 200")
            assert await read_all(one) == b""
            assert (await ask_alive(two)).startswith(b"HTTP/1.1 200")
    world.shutdown.set()
    await world.aclose()


async def test_long_polls_end_at_shutdown_and_the_port_is_free_again(world: World) -> None:
    task = (await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true"})).json
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await serving(world, nursery)
            async with dialled(port) as stream:
                await stream.send_all(
                    (
                        f"GET /api/v1/tasks/{task['task_id']}?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                        f"{ADMIN.text}\r\n\r\n"
                    ).encode()
                )
                while not world.metrics.http_waiting._value.get():  # noqa: ASYNC110 - a condition inside another connection
                    await trio.sleep(0.005)
                world.shutdown.set()
                answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 200") and task["task_id"].encode() in answer
    with pytest.raises(OSError) as refused:
        await trio.open_tcp_stream("127.0.0.1", port)
    assert refused.value


async def test_a_client_that_does_not_read_does_not_hold_up_the_stop(world: World) -> None:
    task = await world.run("web-1")
    world.report(task, "web-1", stdout=whole(b"x" * 262_144) or b"")
    await world.conductor.committed()
    ask = (
        f"GET /api/v1/tasks/{task['task_id']}/hosts/web-1/output HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        f"{ADMIN.text}\r\n\r\n"
    ).encode()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            port = await serving(world, nursery, grace=0.2)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            # Pipelined requests, with more response data than both socket buffers hold, and a client that does not
            # read.
            with trio.move_on_after(1):
                for _ in range(200):
                    await stream.send_all(ask)
                await trio.sleep_forever()
            world.shutdown.set()
    await trio.aclose_forcefully(stream)


async def test_a_port_in_use_is_an_oserror(world: World, nursery: trio.Nursery) -> None:
    port = await serving(world, nursery)
    with pytest.raises(OSError) as refused:
        await serve(world.app, "127.0.0.1", port, shutdown=world.shutdown, live=world.live, limits=world.deps.limits)
    assert refused.value.errno == errno.EADDRINUSE
    world.shutdown.set()
