"""The packed states of a task's hosts, their names, a host's history, and the vocabulary."""

from __future__ import annotations

import base64
import random
import struct
import uuid
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from proto.reasons import REASONS
from server.core.states import ExecutionStatus
from server.store.base import StoreUnavailable
from server.web.http.limits import Limits
from server.web.readmodel.host_states import HEAD, MAGIC, UNREACHABLE, HostStateSnapshot
from tests.web.world import World, open_world


def unpack(data: bytes, have: bytearray | None = None) -> tuple[int, bytearray]:
    """Unpack states as the page does. Returns the kind and all states."""
    magic, kind, _, _, total, _ = HEAD.unpack_from(data)
    assert magic == MAGIC
    body = data[HEAD.size :]
    if kind == 0:
        assert len(body) == total
        return kind, bytearray(body)
    assert have is not None
    for (value,) in struct.iter_unpack("<I", body):
        have[value >> 8] = value & 255
    return kind, have


async def states(
    world: World, task: dict[str, Any], since: str | None = None, have: bytearray | None = None
) -> tuple[int, bytearray, str]:
    await world.conductor.committed()
    answer = await world.get(f"/api/v1/tasks/{task['task_id']}/states" + (f"?since={since}" if since else ""))
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/octet-stream"
    return *unpack(answer.data, have), answer.headers["ETag"].strip('"')


async def test_states_come_in_the_order_of_the_names_and_then_only_what_changed(world: World) -> None:
    await world.know(*(f"n{index}" for index in range(40)))
    task = await world.run("db-1", "web-2", "web-1", *(f"n{index}" for index in range(40)))
    cells = (await world.get(f"/api/v1/tasks/{task['task_id']}/cells")).json
    names, ids = cells["names"], base64.b64decode(cells["ids"])
    assert len(names) == cells["total"] == 43
    assert [str(uuid.UUID(bytes=ids[place * 16 : place * 16 + 16])) for place in range(43)] == [
        world.ids[name] for name in names
    ]
    one, two, db = (names.index(name) for name in ("web-1", "web-2", "db-1"))
    kind, have, etag = await states(world, task)
    assert kind == 0 and have[db] == ExecutionStatus.DISPATCH_FAILED
    assert await states(world, task, etag, have) == (1, have, etag)
    world.begin(task, "web-2")
    world.disconnect("web-1")
    world.report(task, "web-2")
    await world.conductor.committed()
    host_states = world.app.context.host_states  # type: ignore[attr-defined]
    host_states._cached[task["task_id"]].next_at = 0.0
    kind, have, newer = await states(world, task, etag, have)
    assert (kind, newer != etag) == (1, True)
    assert have[two] == ExecutionStatus.COMPLETED and have[one] == ExecutionStatus.DISPATCHED | UNREACHABLE
    for strange in ("x", "00000000.5", etag.replace(".", ".9"), "."):
        assert (await states(world, task, strange))[:2] == (0, have)


async def test_the_end_of_a_task_is_always_shown_and_read_once(world: World) -> None:
    task = await world.run("web-1")
    await states(world, task)
    world.report(task, "web-1", code=3)
    assert (await states(world, task))[1] == bytes([ExecutionStatus.FAILED])
    world.store.down = RuntimeError("it is not read again")
    assert (await states(world, task))[1] == bytes([ExecutionStatus.FAILED])


def test_ten_thousand_states_are_ten_kilobytes_and_few_changes_are_few_bytes() -> None:
    size = 10_000
    ids = tuple(str(index) for index in range(size))
    snapshot = HostStateSnapshot(
        None, "c", ids, {name: place for place, name in enumerate(ids)}, bytearray(size), array("Q", [1]) * size, "g"
    )  # type: ignore[arg-type]
    assert len(snapshot.packed(0)) == HEAD.size + size
    snapshot.load(["3 0 17", "2 1 9999", "3 0 stranger"])
    assert snapshot.version == 2 and len(snapshot.packed(1)) == HEAD.size + 8
    assert (snapshot.states[17], snapshot.states[9999]) == (3, 2 | UNREACHABLE)
    snapshot.load(["2 1 9999", "3 0 17"])
    assert snapshot.version == 2, "the same in another order is no change"
    snapshot.load([f"3 0 {name}" for name in ids])
    assert len(snapshot.packed(2)) == HEAD.size + size
    assert unpack(snapshot.packed(2))[1] == bytes([3]) * size
    assert unpack(snapshot.packed(3), bytearray(b"x"))[1] == b"x"


async def test_the_number_of_cached_tasks_is_limited(world: World) -> None:
    world.connect("web-1")
    for _ in range(world.deps.limits.answers_kept + 3):
        await states(world, await world.run("web-1"))
    assert len(world.app.context.host_states._cached) == len(world.live.commit_feed) == world.deps.limits.answers_kept  # type: ignore[attr-defined]


class Reading:
    """Counts the store's reads of states. A read returns when `gate` is open, and raises `error` if it is set."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times, self.gate, self.read = 0, trio.Event(), world.store.states
        self.error: Exception | None = None
        self.gate.set()
        monkeypatch.setattr(world.store, "states", self._states)

    async def _states(self, command_id: str) -> Sequence[str]:
        self.times += 1
        lines = await self.read(command_id)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return lines


def kept(world: World, task: dict[str, Any]) -> Any:
    return world.app.context.host_states._cached[task["task_id"]]  # type: ignore[attr-defined]


def packed(lines: Sequence[str], snapshot: HostStateSnapshot) -> bytes:
    """The states in the store, in the order of the page."""
    found = {line[4:]: int(line[0]) | (UNREACHABLE if line[2] == "1" else 0) for line in lines}
    return bytes(found[host_id] for host_id in snapshot.host_ids)


async def test_states_are_read_at_first_and_at_the_end_and_follow_the_commits_between(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{index:02}" for index in range(30)]
    await world.know(*names)
    world.connect(*names)
    task = await world.run(*names)
    reading, rng, left = Reading(world, monkeypatch), random.Random(1), names.copy()
    _, have, etag = await states(world, task)
    while left:
        name = rng.choice(left)
        what = rng.choice(("begin", "leave", "report"))
        if what == "begin":
            world.begin(task, name)
        elif what == "leave" and name in world.sessions:
            world.disconnect(name)
        elif what == "report":
            world.report(task, name, code=rng.choice((0, 1)))
            left.remove(name)
        kept(world, task).next_at = 0.0
        _, have, etag = await states(world, task, etag, have)
        assert have == packed(await reading.read(task["command"]["command_id"]), kept(world, task).snapshot)
    assert reading.times == 2 and len(world.live.commit_feed) == 0


async def test_commits_during_the_first_read_of_states_are_shown(
    world: World, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("web-1", "web-2")
    task = await world.run("web-1", "web-2")
    await world.conductor.committed()
    reading = Reading(world, monkeypatch)
    reading.gate = trio.Event()
    nursery.start_soon(world.get, f"/api/v1/tasks/{task['task_id']}/states")
    await trio.testing.wait_all_tasks_blocked(0.01)
    world.report(task, "web-1")
    await world.conductor.committed()
    reading.gate.set()
    assert (
        sorted((await states(world, task))[1]) == [ExecutionStatus.DISPATCHED, ExecutionStatus.COMPLETED]
        and reading.times == 1
    )


async def test_a_failed_read_leaves_nothing_behind_and_the_next_is_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("web-1", "web-2")
    task = await world.run("web-1", "web-2")
    reading = Reading(world, monkeypatch)
    reading.error = StoreUnavailable("gone")
    await world.conductor.committed()
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}/states")).status == 503
    assert len(world.live.commit_feed) == 0
    reading.error = None
    assert (await states(world, task))[1] == bytes([ExecutionStatus.DISPATCHED] * 2)
    reading.error = StoreUnavailable("gone")
    world.report(task, "web-1")
    world.report(task, "web-2")
    await world.conductor.committed()
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}/states")).status == 503
    reading.error = None
    assert (await states(world, task))[1] == bytes([ExecutionStatus.COMPLETED] * 2)
    assert len(world.live.commit_feed) == 0


async def test_a_host_has_a_history_newest_first(world: World) -> None:
    made = [await world.run("web-1", name=f"task {index}") for index in range(3)]
    world.report(made[1], "web-1", code=9)
    await world.conductor.committed()
    page = (await world.get("/api/v1/hosts/web-1/tasks?limit=2")).json
    assert [item["name"] for item in page["items"]] == ["task 2", "task 1"]
    assert (page["items"][1]["status"], page["items"][1]["word"], page["items"][1]["exit_code"]) == (
        "failed",
        "failed",
        9,
    )
    rest = (await world.get(f"/api/v1/hosts/web-1/tasks?limit=2&after={page['next']}")).json
    assert [item["task_id"] for item in rest["items"]] == [made[0]["task_id"]] and rest["next"] is None
    assert (await world.get("/api/v1/hosts/db-1/tasks")).json == {"items": [], "next": None}
    assert (await world.get("/api/v1/hosts/db-1/tasks?after=x")).error["field"] == "after"
    assert (await world.get("/api/v1/hosts/nobody/tasks")).error["code"] == "host_not_found"


async def test_the_words_cover_every_state_and_every_reason(world: World) -> None:
    words = (await world.get("/api/v1/words")).json
    assert set(words["states"]) == {status.label for status in ExecutionStatus} | {"unreachable"}
    assert set(words["reasons"]) == set(REASONS)
    assert {"before": "pending", "step": "refuse", "after": "dispatch_failed"} in words["execution_steps"]
    chinese = (await world.get("/api/v1/words?language=zh-CN")).json
    assert {kind: set(words[kind]) for kind in ("states", "tasks", "hosts", "reasons", "notes")} == {
        kind: set(chinese[kind]) for kind in ("states", "tasks", "hosts", "reasons", "notes")
    }
    assert (
        words["states"]["timeout"]["word"],
        chinese["states"]["timeout"]["word"],
        chinese["hosts"]["offline"]["word"],
    ) == ("timed out", "已超时", "离线")
    assert "leave_children" in chinese["notes"]["leftovers_killed"]["hint"]
    assert (await world.get("/api/v1/words?language=zh")).error["field"] == "language"


async def test_the_hosts_of_many_tasks_are_listed_at_once_when_few_are_kept(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(tmp_path, nursery, Limits(answers_kept=1))
    await world.know("web-1")
    tasks = [await world.run("web-1") for _ in range(4)]
    await world.conductor.committed()
    answered: list[int] = []

    async def look(task: dict[str, Any]) -> None:
        answered.append((await world.get(f"/api/v1/tasks/{task['task_id']}/cells")).status)

    async with trio.open_nursery() as looking:
        for task in tasks:
            looking.start_soon(look, task)
    assert answered == [200] * 4
    await world.aclose()
