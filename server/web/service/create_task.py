"""Creation of tasks: once per idempotency key, committed before anybody is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256

import orjson
import trio

from server.core.effects import CreateTask
from server.core.events import Event, TaskCreated, TaskStarted
from server.core.model import Command, Task
from server.core.states import TaskStatus
from server.errors import ClarionError
from server.web.context import Flight
from server.web.readmodel.lookup import stored_task
from server.web.request import ApiRequest
from server.web.schemas.requests import TaskBody
from server.web.service.targets import choose_hosts
from server.web.service.task_request import build, check

HEADER = "Idempotency-Key"
Make = Callable[[], Awaitable[tuple[Task, Command]]]


def _key(call: ApiRequest) -> str | None:
    """The key with its owner's name before it: one operator cannot meet another's tasks by guessing keys."""
    key = call.request.headers.get(HEADER)
    if key is None:
        return None
    limit = call.deps.limits.idempotency_key_chars
    if not (1 <= len(key) <= limit and key.isascii() and key.isprintable()):
        raise ClarionError(
            "invalid_value",
            f"{HEADER} must be 1 to {limit} printable ASCII characters",
            field=HEADER,
            hint="a UUID does well",
        )
    return f"{call.by}:{key}"


def digest_of(call: ApiRequest, verb: str) -> bytes:
    """32 bytes that stand for what is asked: the body without regard to spaces and the order of keys, and what is to be
    done with it."""
    return sha256(f"{verb} ".encode() + orjson.dumps(call.raw, option=orjson.OPT_SORT_KEYS)).digest()


async def create(call: ApiRequest, *, start: bool) -> tuple[Task, Command, bool]:
    """The task of a TaskBody; otherwise as `created`."""
    assert isinstance(call.body, TaskBody)
    wish = check(call.body, call.deps.limits)

    async def make() -> tuple[Task, Command]:
        deps, targets = call.deps, wish.body.targets
        host_ids, text = await choose_hosts(targets, deps, call.desk.answers, deps.limits)
        return build(wish, host_ids, text, call.by, deps.clock, deps.entropy)

    return await created(call, make, start=start, verb="run" if start else "create")


async def created(call: ApiRequest, make: Make, *, start: bool, verb: str) -> tuple[Task, Command, bool]:
    """The committed task and command, and whether they are new. make: called once it is known that there is none yet.

    Raises ClarionError; then nothing was written, except with store_unavailable, which says so.
    """
    key = _key(call)
    if key is None:
        task_id = await call.desk.run_to_completion(lambda: _write(call, make, start, None, None), after_room=True)
        return *await stored_task(call.deps, task_id), True
    digest = digest_of(call, verb)
    with trio.move_on_after(call.deps.limits.write_timeout):
        while (flight := call.desk.creating.get(key)) is not None:
            if flight.digest != digest:
                raise ClarionError("idempotency_mismatch", field=HEADER)
            await flight.done.wait()
    if key in call.desk.creating:
        raise ClarionError(
            "store_unavailable", "the first request with this Idempotency-Key has not been committed yet"
        )
    flight = call.desk.creating[key] = Flight(digest)
    task_id, new = await call.desk.run_to_completion(lambda: _once(call, make, start, key, flight), after_room=True)
    return *await stored_task(call.deps, task_id), new


async def _once(call: ApiRequest, make: Make, start: bool, key: str, flight: Flight) -> tuple[str, bool]:
    try:
        known = await call.deps.store.known_key(key)
        if known is None:
            return await _write(call, make, start, key, flight.digest), True
        if known.request_digest != flight.digest:
            raise ClarionError("idempotency_mismatch", field=HEADER)
        if start:
            await _finish_run(call, known.task_id)
        return known.task_id, False
    finally:
        del call.desk.creating[key]
        flight.done.set()


async def _finish_run(call: ApiRequest, task_id: str) -> None:
    """The server died between creation and start of a `run`: the repeated request starts it."""
    live = call.deps.door.live_task(task_id)
    if live is not None and live.status is TaskStatus.PENDING and live.cancel_reason is None:
        call.deps.door.submit(TaskStarted(task_id))
        await call.deps.door.committed(task_id)


async def _write(call: ApiRequest, make: Make, start: bool, key: str | None, digest: bytes | None) -> str:
    deps = call.deps
    task, command = await make()
    await call.desk.room()
    await deps.commits.commit([CreateTask(task, command, key, digest)])
    events: list[Event] = [TaskCreated(task, command)]
    if start:
        events.append(TaskStarted(task.task_id))
    deps.door.submit(*events)
    await deps.door.committed(task.task_id)
    return command.task_id
