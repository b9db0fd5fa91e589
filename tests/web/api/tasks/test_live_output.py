"""Live output of one host: every byte once, gaps reported, the result at the end, resuming after an interruption."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from server.core.results.live_output import STDERR, STDOUT, Piece, SessionCredit
from server.core.results.outputs import build_output
from server.fleet.watching import WatchLimits
from tests.web.readmodel.test_events import Stream, watching
from tests.web.world import World


class Viewed:
    """A running task on web-1, and the output that its agent sends."""

    def __init__(self, world: World, task: dict[str, Any]) -> None:
        self.world, self.task = world, task
        self.path = f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output/live"

    def say(self, stream: int, offset: int, data: bytes, attempt: int = 1, order: int = 0) -> None:
        session = self.world.sessions["web-1"]
        session.output_credit = session.output_credit or SessionCredit()
        session.output_credit.grant(1 << 30)
        self.world.fleet.watching.take(
            session, self.task["command"]["command_id"], attempt, Piece(stream, offset, data, order, 7)
        )

    def end(self, code: int = 0, stdout: Any = b"", stderr: bytes = b"") -> None:
        self.world.report(self.task, "web-1", code, stdout, stderr)
        self.world.fleet.watching.ended(self.world.ids["web-1"], self.task["command"]["command_id"], 1)

    def open(self, query: str = "", **headers: str) -> Any:
        return watching(self.world, query, path=self.path, **headers)


@asynccontextmanager
async def running(world: World, **more: object) -> AsyncIterator[Viewed]:
    task = await world.run("web-1", **more)
    world.begin(task, "web-1")
    await world.conductor.committed()
    yield Viewed(world, task)


async def whole(stream: Stream) -> tuple[dict[str, bytes], list[tuple[str, Any]], Any]:
    """The bytes per stream, all events, and the last one. A gap becomes zero bytes."""
    got: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    events: list[tuple[str, Any]] = []
    while True:
        name, data = await stream.next()
        events.append((name, data))
        if name in ("end", "bye"):
            return {key: bytes(value) for key, value in got.items()}, events, data
        if name == "attempt":
            got = {"stdout": bytearray(), "stderr": bytearray()}
        elif name == "gap":
            assert len(got[data["stream"]]) == data["offset"]
            got[data["stream"]] += bytes(data["end"] - data["offset"])
        else:
            assert len(got[data["stream"]]) == data["offset"]
            got[data["stream"]] += base64.b64decode(data["base64"])


@pytest.mark.capability("G2")
async def test_live_output_arrives_as_sent_and_the_result_completes_it(world: World) -> None:
    async with running(world) as viewed, viewed.open() as stream:
        assert await stream.next() == ("attempt", {"attempt": 1})
        viewed.say(STDOUT, 0, b"one\xff", order=1)
        viewed.say(STDERR, 0, b"two", order=2)
        assert await stream.next() == (
            "output",
            {"stream": "stdout", "offset": 0, "base64": base64.b64encode(b"one\xff").decode(), "order": 1, "at": 7},
        )
        assert (await stream.next())[1]["stream"] == "stderr"
        assert stream.id == "1.4.3"
        viewed.end(3, b"one\xff and more", b"two!")
        name, data = await stream.next()
        assert (name, data["offset"], base64.b64decode(data["base64"])) == ("output", 4, b" and more")
        assert base64.b64decode((await stream.next())[1]["base64"]) == b"!"
        name, end = await stream.next()
        assert (name, end["status"], end["exit_code"], end["stdout"]["total_bytes"]) == ("end", "failed", 3, 13)
    assert world.fleet.watching._watched == {} and world.app is not None


async def test_a_viewer_that_reconnects_continues_after_its_position(world: World) -> None:
    async with running(world) as viewed:
        async with viewed.open() as stream:
            await stream.next()
            viewed.say(STDOUT, 0, b"0123456789")
            await stream.next()
            last = stream.id
        await trio.testing.wait_all_tasks_blocked()
        assert last == "1.10.0" and not world.fleet.watching._watched
        async with viewed.open("", **{"Last-Event-ID": last}) as stream:
            await stream.next()
            viewed.say(STDOUT, 8, b"89ab")
            _, data = await stream.next()
            assert (data["offset"], base64.b64decode(data["base64"])) == (10, b"ab")
            viewed.end(0, b"0123456789abc")
            assert base64.b64decode((await stream.next())[1]["base64"]) == b"c"
        async with viewed.open(f"after={stream.id}") as stream:
            assert [(await stream.next())[0] for _ in range(2)] == ["attempt", "end"], "it has everything"


async def test_a_finished_execution_streams_its_result_and_its_dropped_middle_is_a_gap(world: World) -> None:
    async with running(world) as viewed:
        kept = build_output(b"H" * 100_000, b"T" * 50, 1_000_000, bytes(32))
        viewed.end(0, kept)
        async with viewed.open() as stream:
            got, events, end = await whole(stream)
            assert got["stdout"] == b"H" * 100_000 + bytes(899_950) + b"T" * 50
            assert [data for name, data in events if name == "gap"] == [
                {"stream": "stdout", "offset": 100_000, "end": 999_950}
            ]
            assert end["stdout"]["truncated"] is True


async def test_a_slow_viewer_gets_a_gap_for_output_that_the_buffer_dropped(world: World) -> None:
    world.fleet.watching._limits = WatchLimits(ring=1_000)
    async with running(world) as viewed, viewed.open() as stream:
        await stream.next()
        for number in range(100):
            viewed.say(STDOUT, 100 * number, b"%100d" % number)
        name, gap = await stream.next()
        assert (name, gap["offset"]) == ("gap", 0) and gap["end"] > 9_000
        name, data = await stream.next()
        assert base64.b64decode(data["base64"]) == b"%100d" % (gap["end"] // 100)
        truth = b"".join(b"%100d" % number for number in range(100))
        viewed.end(0, truth)
        while name != "end":
            name, data = await stream.next()
        answer = await world.get(
            viewed.path.removesuffix("/live"),
            headers={"Accept": "application/octet-stream", "Range": f"bytes=0-{gap['end'] - 1}"},
        )
        assert answer.data == truth[: gap["end"]], "what was skipped can be had from the result"


async def test_another_attempt_starts_the_output_again(world: World) -> None:
    retry = {"attempts": 2, "idempotent": True, "backoff": 0.1}
    async with running(world, retry=retry) as viewed, viewed.open() as stream:
        await stream.next()
        viewed.say(STDOUT, 0, b"first")
        await stream.next()
        viewed.end(1, b"first")
        assert await stream.next() == ("attempt", {"attempt": 2})
        assert stream.id == "2.0.0"
        viewed.say(STDOUT, 0, b"second", attempt=2)
        assert base64.b64decode((await stream.next())[1]["base64"]) == b"second"


async def test_an_execution_that_never_ran_ends_without_output(world: World) -> None:
    task = await world.run("db-1")
    await world.conductor.committed()
    async with watching(world, "", path=f"/api/v1/tasks/{task['task_id']}/hosts/db-1/output/live") as stream:
        got, _, end = await whole(stream)
        assert (got, end["status"]) == ({"stdout": b"", "stderr": b""}, "dispatch_failed")


async def test_the_stream_ends_when_the_server_stops(world: World) -> None:
    async with running(world) as viewed, viewed.open() as stream:
        await stream.next()
        world.live.close()
        async with trio.open_nursery() as nursery:
            world.shutdown.set()
            nursery.start_soon(world.fleet.watching.run, world.shutdown)
            assert await stream.next() == ("bye", "closing")
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("ident", ["x", "1.2", "1.-2.3", "1.2.3.4", "9" * 30 + ".1.1"])
async def test_a_malformed_event_id_is_refused(world: World, ident: str) -> None:
    async with running(world) as viewed:
        answer = await world.get(viewed.path, headers={"Last-Event-ID": ident})
        assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid_value", "after")
