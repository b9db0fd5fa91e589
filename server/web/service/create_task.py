"""Creates tasks: one per idempotency key, committed before the engine receives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256

import orjson
import trio

from proto.ids import uuid7
from server.core.effects import CreateTask
from server.core.events import Event, TaskCreated, TaskStarted
from server.core.model import Command, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.errors import ClarionError
from server.web.context import PendingCreation
from server.web.readmodel.lookup import stored_task
from server.web.request import ApiRequest
from server.web.schemas.requests import TaskBody
from server.web.service.targets import ChosenHosts, choose_hosts
from server.web.service.task_request import ValidatedTaskRequest, validate

HEADER = "Idempotency-Key"
MakeTask = Callable[[], Awaitable[tuple[Task, Command]]]


async def create_task(call: ApiRequest, body: TaskBody, *, start: bool) -> tuple[Task, Command, bool]:
    """Create the task that a request describes.

    Args:
        call: The request.
        body: Its body.
        start: Start the task too.

    Returns:
        The committed task and command, and False if an earlier request with the same idempotency key created them.

    Raises:
        ClarionError: The request is refused and nothing is written. Exception: after store_unavailable the task may
            exist, as the error's message says.
    """
    validated = validate(body, call.deps.limits)

    async def make() -> tuple[Task, Command]:
        deps = call.deps
        return _task_of(call, validated, await choose_hosts(body.targets, deps, call.context.result_groups))

    return await create_once(call, make, start=start, verb="run" if start else "create")


async def create_once(call: ApiRequest, make: MakeTask, *, start: bool, verb: str) -> tuple[Task, Command, bool]:
    """Create a task unless the request's idempotency key has created one before.

    Args:
        call: The request.
        make: Makes the task and its command; called only if no earlier request has created a task.
        start: Start the task too.
        verb: What the request does with its body; part of the digest that distinguishes requests.

    Returns:
        As `create_task`.

    Raises:
        ClarionError: As `create_task`; idempotency_mismatch if the key belongs to a different request.
    """
    key = _key(call)
    if key is None:
        task_id = await call.context.run_to_completion(
            lambda: _write(call, make, start, None, None), waits_for_writer=True
        )
        return *await stored_task(call.deps, task_id), True
    digest = request_digest(call.raw, verb)
    pending = call.context.pending_creations
    with trio.move_on_after(call.deps.limits.write_timeout):
        while (other := pending.get(key)) is not None:
            if other.digest != digest:
                raise ClarionError("idempotency_mismatch", field=HEADER)
            await other.done.wait()
    if key in pending:
        raise ClarionError(
            "store_unavailable", "the first request with this Idempotency-Key has not been committed yet"
        )
    own = pending[key] = PendingCreation(digest)
    task_id, new = await call.context.run_to_completion(
        lambda: _write_once(call, make, start, key, own), waits_for_writer=True
    )
    return *await stored_task(call.deps, task_id), new


def request_digest(body: object, verb: str) -> bytes:
    """SHA-256 of a request. White space and the order of keys in its body do not matter."""
    return sha256(f"{verb} ".encode() + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()


def _key(call: ApiRequest) -> str | None:
    """The idempotency key, prefixed with the caller's name so that callers cannot use each other's keys."""
    key = call.request.headers.get(HEADER)
    if key is None:
        return None
    limit = call.deps.limits.idempotency_key_chars
    if not (1 <= len(key) <= limit and key.isascii() and key.isprintable()):
        raise ClarionError(
            "invalid_value",
            f"{HEADER} must be 1 to {limit} printable ASCII characters",
            field=HEADER,
            hint="use a UUID",
        )
    return f"{call.by}:{key}"


async def _write_once(
    call: ApiRequest, make: MakeTask, start: bool, key: str, pending: PendingCreation
) -> tuple[str, bool]:
    try:
        known = await call.deps.store.known_key(key)
        if known is None:
            return await _write(call, make, start, key, pending.digest), True
        if known.request_digest != pending.digest:
            raise ClarionError("idempotency_mismatch", field=HEADER)
        if start:
            await _start_if_pending(call, known.task_id)
        return known.task_id, False
    finally:
        del call.context.pending_creations[key]
        pending.done.set()


async def _start_if_pending(call: ApiRequest, task_id: str) -> None:
    """Start a task whose `run` request created it just before the server ended."""
    task = call.deps.engine.live_task(task_id)
    if task is not None and task.status is TaskStatus.PENDING and task.cancel_reason is None:
        call.deps.engine.submit(TaskStarted(task_id))
        await call.deps.engine.committed(task_id)


async def _write(call: ApiRequest, make: MakeTask, start: bool, key: str | None, digest: bytes | None) -> str:
    deps = call.deps
    task, command = await make()
    await call.context.wait_for_writer()
    await deps.commits.commit([CreateTask(task, command, key, digest)])
    events: list[Event] = [TaskCreated(task, command)]
    if start:
        events.append(TaskStarted(task.task_id))
    deps.engine.submit(*events)
    await deps.engine.committed(task.task_id)
    return task.task_id


def _task_of(call: ApiRequest, request: ValidatedTaskRequest, chosen: ChosenHosts) -> tuple[Task, Command]:
    """A pending task and its command, with new ids."""
    now, entropy = call.deps.clock.now().wall_ms, call.deps.entropy
    body, command = request.body, request.command
    command.task_id, command.command_id = uuid7(now, entropy(10)), uuid7(now, entropy(10))
    counts = [0] * len(ExecutionStatus)
    counts[ExecutionStatus.PENDING] = len(chosen.host_ids)
    task = Task(
        task_id=command.task_id,
        name=request.name,
        description=body.description,
        type=body.type,
        status=TaskStatus.PENDING,
        created_by=call.by,
        created_at=now,
        updated_at=now,
        target_text=chosen.text,
        targets=chosen.host_ids,
        sets=chosen.sets,
        parameters=body.parameters,
        timeout_ms=request.task_timeout_ms,
        concurrency=body.concurrency,
        counts=tuple(counts),
        wait_ms=request.wait_ms,
        retry=request.retry,
    )
    return task, command
