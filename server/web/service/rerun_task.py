"""Creates a task that repeats a finished task on some of its hosts.

The hosts come from the list that was frozen when the finished task was created (R1, Z6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from proto.ids import uuid7
from proto.reasons import reason
from proto.words import plain
from server.core.model import Command, Execution, Task
from server.core.selectors.fold import fold
from server.core.states import ExecutionStatus, TaskStatus, execution_status
from server.errors import ClarionError
from server.web.http.json_body import suggest
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import stored_task, task_hosts
from server.web.request import ApiRequest
from server.web.schemas.requests import RerunBody
from server.web.service import editor_characters
from server.web.service.checks import check_name, refuse
from server.web.service.create_task import create_once
from server.web.service.targets import ChosenHosts
from server.web.service.tasks import unfinished_task

PAGE = 2_000
"""Executions read from the store at once."""
Condition = Callable[[Execution], bool]


def _not_started(row: Execution) -> bool:
    return (
        row.status in (ExecutionStatus.DISPATCH_FAILED, ExecutionStatus.CANCELED)
        and row.error_code is not None
        and not reason(row.error_code).started
    )


def _offline(row: Execution) -> bool:
    return row.status is ExecutionStatus.LOST or row.error_code in ("offline", "never_seen", "expired", "queue_full")


CONDITIONS: dict[str, Condition] = {
    "all": lambda row: True,
    "unsuccessful": lambda row: row.status is not ExecutionStatus.COMPLETED,
    "not_started": _not_started,
    "offline": _offline,
    "unreachable": _offline,
}
"""Word in `only` → the executions that it selects. `unreachable` is the earlier name of `offline`."""
WORDS = (*CONDITIONS, *(status.label for status in ExecutionStatus if status.final))
"""All words that `only` accepts."""


async def rerun_task(call: ApiRequest, task_id: str, body: RerunBody) -> tuple[Task, Command, bool]:
    """Create a task with the command of a finished task, on some of its hosts.

    Args:
        call: The request.
        task_id: The finished task.
        body: Which hosts, and whether to start the new task.

    Returns:
        As `create_task`.

    Raises:
        ClarionError: As `create_task`; also task_not_found, task_running, execution_not_found, host_ambiguous.
    """
    wanted = _condition(body)
    name = None if body.name is None else check_name("name", body.name, call.deps.limits.name_chars)
    if await unfinished_task(call, task_id) is not None:
        raise ClarionError("task_running", "the task has not ended", hint="wait for its end, or cancel it first")

    async def make() -> tuple[Task, Command]:
        old, command = await stored_task(call.deps, task_id)
        editor_characters.check_stored_command(command)
        named = None if body.hosts is None else set(await (await task_hosts(call.deps, task_id)).ids_of(body.hosts))
        total, host_ids = 0, list[str]()
        async for row in _rows(call.deps, command):
            total += 1
            if wanted(row) and (named is None or row.host_id in named):
                host_ids.append(row.host_id)
        if not host_ids:
            raise ClarionError(
                "no_hosts", _no_match(body), field="only", hint="the task's counts show how its hosts ended"
            )
        if len(host_ids) == total:
            chosen = ChosenHosts(tuple(host_ids), old.target_text, dict(old.sets))
        else:
            chosen = ChosenHosts(tuple(host_ids), _selector(call.deps, host_ids), {})
        return _copy(call, old, command, chosen, name)

    return await create_once(call, make, start=body.start, verb=f"rerun {task_id}")


def _words(body: RerunBody) -> list[str]:
    if body.only is not None:
        return body.only
    return ["unsuccessful" if body.hosts is None else "all"]


def _condition(body: RerunBody) -> Condition:
    """The condition that the words in `only` describe. Raises ClarionError invalid_value."""
    if body.hosts is not None and not body.hosts:
        raise refuse("hosts", "is empty", "name hosts of the task, or leave hosts out")
    words = _words(body)
    if not words:
        raise refuse("only", "is empty", "leave only out for every host that did not complete")
    conditions: list[Condition] = []
    statuses: set[ExecutionStatus] = set()
    for index, word in enumerate(words):
        if (name := plain(word).replace(" ", "_")) in CONDITIONS:
            conditions.append(CONDITIONS[name])
            continue
        try:
            statuses.add(execution_status(word))
        except KeyError:
            near = suggest(name, WORDS)
            hint = f"did you mean {near}?" if near else "one of: " + ", ".join(WORDS)
            raise refuse(f"only[{index}]", f"is not a status or a group of hosts: {word[:60]!r}", hint) from None
    return lambda row: row.status in statuses or any(condition(row) for condition in conditions)


def _no_match(body: RerunBody) -> str:
    asked = " or ".join(plain(word)[:60] for word in _words(body)[:5])
    if asked == "all":
        return "No host of the task was named."
    return f"No host of the task {'that was named ' if body.hosts is not None else ''}is {asked}."


async def _rows(deps: Deps, command: Command) -> AsyncIterator[Execution]:
    after = None
    while True:
        page = await deps.store.executions(command.command_id, after=after, limit=PAGE)
        for view in page:
            yield view.execution
        if len(page) < PAGE:
            return
        after = page[-1].execution.host_id


def _selector(deps: Deps, host_ids: Sequence[str]) -> str:
    """A selector for these hosts. A deleted host is selected by its id."""
    directory = deps.fleet.directory
    return fold(directory.unique_name(host_id) if host_id in directory.hosts else host_id for host_id in host_ids).text


def _copy(call: ApiRequest, old: Task, command: Command, chosen: ChosenHosts, name: str | None) -> tuple[Task, Command]:
    """A pending task with the old task's options, and a copy of its command, with new ids."""
    now, entropy = call.deps.clock.now().wall_ms, call.deps.entropy
    task_id = uuid7(now, entropy(10))
    task = Task(
        task_id=task_id,
        name=name or old.name,
        description=old.description,
        type=old.type,
        status=TaskStatus.PENDING,
        created_by=call.by,
        created_at=now,
        updated_at=now,
        target_text=chosen.text,
        targets=chosen.host_ids,
        sets=chosen.sets,
        parameters=old.parameters,
        timeout_ms=old.timeout_ms,
        concurrency=old.concurrency,
        counts=(len(chosen.host_ids), *[0] * (len(ExecutionStatus) - 1)),
        wait_ms=old.wait_ms,
        retry=old.retry,
        rerun_of=old.task_id,
    )
    return task, replace(command, command_id=uuid7(now, entropy(10)), task_id=task_id)
