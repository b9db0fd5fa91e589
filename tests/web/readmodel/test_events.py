"""Server-sent events: coalesced updates, the latest state, and no effect of slow viewers on others."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from struct import iter_unpack
from typing import Any

import orjson
import pytest
import trio

from server.core.states import ExecutionStatus
from server.web.readmodel.viewers import ROWS
from tests.web.world import AUTH, World, log_in

PATH = "/api/v1/events"


class Stream:
    """What a viewer has received, on a connection without buffers."""

    def __init__(self, received: trio.MemoryReceiveChannel[bytes]) -> None:
        self.received = received
        self.buffer = b""
        self.id = ""
        self.comments = 0

    async def next(self) -> tuple[str, Any]:
        """The next event: its name and its data."""
        while True:
            block, found, rest = self.buffer.partition(b"\n\n")
            if not found:
                with trio.fail_after(5):
                    self.buffer += await self.received.receive()
                continue
            self.buffer = rest
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if line)
            self.id = fields.get(b"id", self.id.encode()).decode()
            self.comments += b"" in fields
            if b"event" in fields:
                return fields[b"event"].decode(), orjson.loads(fields[b"data"])

    async def until(self, name: str) -> Any:
        while True:
            got, data = await self.next()
            if got == name:
                return data


@asynccontextmanager
async def watching(world: World, query: str, path: str = PATH, **headers: str) -> AsyncIterator[Stream]:
    send, receive = trio.open_memory_channel[bytes](0)
    sent = [
        (name.lower().encode(), value.encode())
        for name, value in ({"Host": "localhost"} | (headers if "Cookie" in headers else AUTH | headers)).items()
    ]
    scope = {
        **{
            "type": "http",
            "http_version": "1.1",
            "asgi": {},
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
        },
        **{
            "query_string": query.encode(),
            "root_path": "",
            "headers": sent,
            "client": ("127.0.0.1", 1),
            "server": None,
            "extensions": {},
        },
    }

    async def hear() -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    async def say(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message["body"]:
            await send.send(message["body"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.app, scope, hear, say)
        yield Stream(receive)
        nursery.cancel_scope.cancel()


async def test_a_viewer_receives_the_state_and_then_the_changes(world: World) -> None:
    task = await world.run("web-1", "web-2")
    async with watching(world, f"topic=statistics,hosts,tasks&task={task['task_id']}") as stream:
        assert (await stream.until("statistics"))["tasks"]["running"] == 1
        assert (await stream.until("hosts"))["connected"] == 2
        assert (await stream.until("task"))["version"] == (await world.get(f"/api/v1/tasks/{task['task_id']}")).json[
            "version"
        ]
        world.report(task, "web-1")
        while (shown := await stream.until("task"))["completed"] < 1:
            pass
        world.disconnect("web-1")
        assert (await stream.until("hosts"))["connected"] == 1
        world.report(task, "web-2", code=1)
        while (shown := await stream.until("task"))["status"] == "running":
            pass
        assert shown["status"] == "failed" and shown["percent"] == 100
        while (rows := (await stream.until("tasks"))["rows"])[0]["status"] == "running":
            pass
        assert rows[0]["task_id"] == task["task_id"]


async def test_a_thousand_changes_are_few_updates_of_which_the_last_one_is_right(world: World) -> None:
    async with watching(world, "topic=tasks") as stream:
        made = [await world.run("web-1", command=f"echo {index}") for index in range(60)]
        for task in made:
            world.report(task, "web-1")
        await world.conductor.committed()
        updates, last = 0, {}
        with trio.move_on_after(0.8):
            while True:
                data = await stream.until("tasks")
                updates += 1
                last |= {row["task_id"]: row["status"] for row in data["rows"]}
                assert len(data["rows"]) <= ROWS
        assert updates <= 20
        # Omitted changes are announced, so that the page reads its list again.
        assert last[made[-1]["task_id"]] == "completed"


async def test_updates_keep_their_distance(world: World) -> None:
    times: list[float] = []
    async with watching(world, "topic=tasks") as stream, trio.open_nursery() as nursery:

        async def change() -> None:
            while True:
                await world.run("db-1")

        nursery.start_soon(change)
        for _ in range(6):
            await stream.until("tasks")
            times.append(trio.current_time())
        nursery.cancel_scope.cancel()
    assert (times[-1] - times[0]) / 5 >= 0.9 * world.deps.limits.event_spacing


async def test_a_viewer_that_reconnects_receives_the_missed_changes(world: World) -> None:
    first = await world.run("web-1")
    async with watching(world, "topic=tasks,statistics") as stream:
        await stream.until("statistics")
        cursor = stream.id
    second = await world.run("web-2")
    world.report(first, "web-1")
    await world.conductor.committed()
    gone = await world.run("db-1")
    await world.call("DELETE", f"/api/v1/tasks/{gone['task_id']}")
    for how in ({"Last-Event-ID": cursor}, {}):
        async with watching(world, "topic=tasks" if how else f"topic=tasks&after={cursor}", **how) as stream:
            data = await stream.until("tasks")
            rows = {row["task_id"]: row["status"] for row in data["rows"]}
            assert data["complete"] and rows[first["task_id"]] == "completed" and rows[second["task_id"]] == "running"
            assert data["gone"] == [gone["task_id"]]
    async with watching(world, "topic=tasks", **{"Last-Event-ID": "000000000000.7"}) as stream:
        assert (await stream.until("tasks"))["complete"] is False


@pytest.mark.capability("C1")
async def test_a_viewer_that_does_not_read_delays_no_other_and_then_gets_the_latest_state(world: World) -> None:
    task = await world.run("web-1", "web-2")
    async with watching(world, f"task={task['task_id']}") as slow, watching(world, f"task={task['task_id']}") as quick:
        await quick.until("task")
        world.report(task, "web-1")
        world.report(task, "web-2")
        while (await quick.until("task"))["status"] == "running":
            pass
        while (seen := await slow.until("task"))["status"] == "running":
            pass
        assert seen["status"] == "completed"


async def test_beats_are_sent_when_there_is_nothing_else_and_announce_the_next_one(world: World) -> None:
    object.__setattr__(world.deps.limits, "event_beat", 0.3)
    async with watching(world, "topic=statistics") as stream:
        assert await stream.next() == ("beat", 0.3), "the first one is there before anything else"
        await stream.until("statistics")
        for _ in range(3):
            assert await stream.next() == ("beat", 0.3)


async def test_viewers_are_bounded_and_leave_nothing_behind(world: World) -> None:
    object.__setattr__(world.deps.limits, "max_event_streams", 2)
    viewers = world.app.context.viewers  # type: ignore[attr-defined]
    async with watching(world, "topic=hosts") as one, watching(world, "topic=hosts") as two:
        await one.until("hosts")
        await two.until("hosts")
        answer = await world.get(f"{PATH}?topic=hosts")
        assert (answer.status, answer.error["code"]) == (503, "too_many_viewers")
    with trio.fail_after(5):
        while viewers.count:
            await trio.lowlevel.checkpoint()
    assert not viewers._frames


async def test_a_stream_ends_with_its_session_its_task_and_its_server(world: World) -> None:
    csrf = await log_in(world)
    task = await world.run("db-1")
    (cookie,) = world.client.cookie_jar
    async with (
        watching(world, "topic=hosts", Cookie=f"{cookie.name}={cookie.value}") as of_session,
        watching(world, f"task={task['task_id']}") as of_task,
        watching(world, "topic=hosts") as of_server,
    ):
        await of_session.until("hosts")
        await of_task.until("task")
        await world.call("DELETE", "/api/v1/session", token=False, headers={"X-Clarion-CSRF": csrf})
        assert await of_session.until("bye") == "session_over"
        await world.call("DELETE", f"/api/v1/tasks/{task['task_id']}")
        assert await of_task.until("bye") == "task_not_found"
        await of_server.until("hosts")
        world.live.close()
        assert await of_server.until("bye") == "closing"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "missing_field"),
        ("topic=weather", "invalid_value"),
        ("task=x", "task_not_found"),
        ("task=01900000-0000-7000-8000-00000000beef", "task_not_found"),
    ],
)
async def test_invalid_subscriptions_are_refused_before_anything_is_sent(world: World, query: str, code: str) -> None:
    answer = await world.get(f"{PATH}?{query}")
    assert answer.error["code"] == code
    many = "&".join(f"task=01900000-0000-7000-8000-{index:012d}" for index in range(9))
    assert (await world.get(f"{PATH}?{many}")).error["field"] == "task"


@pytest.mark.capability("G2")
async def test_states_and_groups_of_a_task_are_sent_as_they_change_and_end_with_the_latest(world: World) -> None:
    task = await world.run("web-1", "web-2")
    async with watching(world, f"topic=states,groups&task={task['task_id']}") as stream:
        first = await stream.until("states")
        whole = b64decode(first["data"])
        assert (whole[:5], whole[20:]) == (b"CLST\0", bytes([ExecutionStatus.DISPATCHED] * 2))
        assert (await stream.until("groups"))["groups"] == 0
        world.report(task, "web-1", stdout=b"fine\n")
        world.report(task, "web-2", code=1)
        states, etag, groups = bytearray(whole[20:]), first["etag"], {}
        while groups.get("hosts") != 2 or set(states) != {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED}:
            name, data = await stream.next()
            if name == "groups":
                groups = data
            elif name == "states":
                packed = b64decode(data["data"])
                assert data["etag"] != etag
                etag = data["etag"]
                if packed[4]:
                    for (change,) in iter_unpack("<I", packed[20:]):
                        states[change >> 8] = change & 255
                else:
                    states[:] = packed[20:]
        assert groups == (await world.get(f"/api/v1/tasks/{task['task_id']}/groups?limit=10")).json
        answer = await world.get(f"/api/v1/tasks/{task['task_id']}/states")
        assert answer.data[20:] == bytes(states) and answer.headers["ETag"] == f'"{etag}"'


async def test_data_for_many_viewers_is_read_and_encoded_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await world.run("web-1", "web-2")
    made: list[str] = []
    real_states, real_answers = world.store.states, world.store.answers

    async def states(command_id: str) -> Any:
        made.append("states")
        return await real_states(command_id)

    async def answers(command_id: str) -> Any:
        made.append("answers")
        return await real_answers(command_id)

    monkeypatch.setattr(world.store, "states", states)
    monkeypatch.setattr(world.store, "answers", answers)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(watching(world, f"topic=states,groups&task={task['task_id']}"))
            for _ in range(10)
        ]
        for stream in streams:
            await stream.until("groups")
        assert made.count("states") == made.count("answers") == 1
        world.report(task, "web-1")
        world.report(task, "web-2")
        for stream in streams:
            while (await stream.until("groups"))["hosts"] < 2:
                pass
        assert made.count("states") <= 3 and made.count("answers") <= 3


async def test_states_and_groups_need_a_task(world: World) -> None:
    answer = await world.get(f"{PATH}?topic=states,groups")
    assert (answer.status, answer.error["code"]) == (422, "missing_field")


@pytest.mark.capability("I15")
async def test_the_more_viewers_there_are_the_rarer_are_their_updates(world: World) -> None:
    viewers, limits = world.app.context.viewers, world.deps.limits  # type: ignore[attr-defined]
    assert viewers.spacing == limits.event_spacing
    for _ in range(limits.viewer_updates):
        viewers.enter()
    assert viewers.spacing == 1.0
    for _ in range(limits.viewer_updates):
        viewers.leave()
    assert viewers.spacing == limits.event_spacing


@pytest.mark.capability("C3")
async def test_a_change_for_all_viewers_is_sent_to_one_after_the_other(world: World) -> None:
    """Fifty updates at the same moment would block everything else."""
    number = 40
    task = (await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true"})).json
    told: list[float] = []

    async def view(stream: Stream) -> None:
        await stream.until("task")
        told.append(trio.current_time())

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(watching(world, f"task={task['task_id']}")) for _ in range(number)]
        for stream in streams:
            await stream.until("task")
        round_s = world.app.context.viewers.round_s  # type: ignore[attr-defined]
        assert round_s == number / world.deps.limits.viewer_updates == 0.4
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(view, stream)
            await trio.sleep(0.6)
            assert not told
            await world.post(f"/api/v1/tasks/{task['task_id']}/start")
    told.sort()
    assert told[-1] - told[0] > 0.6 * round_s
    quarters = [
        sum(1 for at in told if part <= (at - told[0]) / (told[-1] - told[0]) * 4 < part + 1) for part in range(4)
    ]
    assert max(quarters) <= number / 2, quarters


async def test_a_viewer_that_waits_for_a_newer_frame_does_not_poll_in_a_busy_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await world.run("web-1", "web-2")
    viewers, asked = world.app.context.viewers, 0  # type: ignore[attr-defined]
    next_events = viewers.next_events

    async def counted(watch: Any) -> bytes:
        nonlocal asked
        asked += 1
        return await next_events(watch)

    monkeypatch.setattr(viewers, "next_events", counted)
    monkeypatch.setattr(type(viewers), "spacing", 0.01)
    async with watching(world, f"task={task['task_id']}") as stream:
        await stream.until("task")
        world.begin(task, "web-1")
        while (await stream.until("task"))["counts"]["running"] != 1:
            pass
        world.begin(task, "web-2")
        while (await stream.until("task"))["counts"]["running"] != 2:
            pass
    assert asked <= 20
