"""The same once more: a new task for some hosts of one that has ended, on the list that was frozen then (R1, Z6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from proto.ids import uuid7
from proto.words import plain
from server.core.model import Command, Execution, Task
from server.core.selectors.fold import fold
from server.core.states import ExecutionStatus, TaskStatus, execution_status
from server.errors import ClarionError
from server.web.api.tasks.cancel import chosen
from server.web.api.tasks.tasks import living
from server.web.http.json_body import suggest
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import stored_task
from server.web.readmodel.serialize import task_view
from server.web.request import API, ApiRequest, ApiResponse
from server.web.schemas.requests import RerunBody
from server.web.service import editor_characters
from server.web.service.checks import refuse
from server.web.service.create_task import created
from server.web.service.rerun_groups import GROUPS, WORDS, Wanted
from server.web.service.task_request import check_line

PAGE = 2_000


async def rerun_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Run a task again on some of its hosts.

    A new task, linked to the old one by `rerun_of`, with the same command, on those hosts of the old one's frozen list
    that are asked
    for. The old one must have ended. Nothing of the old one changes.
    """
    assert isinstance(call.body, RerunBody)
    body = call.body
    wanted = _wanted(body)
    name = None if body.name is None else check_line("name", body.name, call.deps.limits.name_chars)
    if name is not None and not name.strip():
        raise refuse("name", "is empty", "give it a name, or leave name out")
    if await living(call, task_id) is not None:
        raise ClarionError("task_running", "the task has not ended", hint="wait for its end, or cancel it first")

    async def make() -> tuple[Task, Command]:
        old, command = await stored_task(call.deps, task_id)
        editor_characters.check_again(command)
        named = None if body.hosts is None else set(await chosen(call, task_id, body.hosts))
        total, hosts = 0, list[str]()
        async for row in _rows(call, command):
            total += 1
            if wanted(row) and (named is None or row.host_id in named):
                hosts.append(row.host_id)
        if not hosts:
            raise ClarionError(
                "no_hosts", _nothing(body), field="only", hint="the task's counts show how its hosts ended"
            )
        text = old.target_text if len(hosts) == total else _text(call.deps, hosts)
        return _again(call, old, command, tuple(hosts), name, text)

    task, command, new = await created(call, make, start=body.start, verb=f"rerun {task_id}")
    return ApiResponse(task_view(task, command), 201 if new else 200, {"Location": f"{API}/tasks/{task.task_id}"})


def _wanted(body: RerunBody) -> Wanted:
    if body.hosts is not None and not body.hosts:
        raise refuse("hosts", "is empty", "name hosts of the task, or leave hosts out")
    words = body.only if body.only is not None else ["unsuccessful" if body.hosts is None else "all"]
    if not words:
        raise refuse("only", "is empty", "leave only out for every host that did not complete")
    groups: list[Wanted] = []
    statuses: set[ExecutionStatus] = set()
    for index, word in enumerate(words):
        if (name := plain(word).replace(" ", "_")) in GROUPS:
            groups.append(GROUPS[name])
            continue
        try:
            statuses.add(execution_status(word))
        except KeyError:
            near = suggest(plain(word).replace(" ", "_"), WORDS)
            hint = f"did you mean {near}?" if near else "one of: " + ", ".join(WORDS)
            raise refuse(f"only[{index}]", f"is no state and no group of hosts: {word[:60]!r}", hint) from None
    return lambda row: row.status in statuses or any(group(row) for group in groups)


def _nothing(body: RerunBody) -> str:
    asked = " or ".join(
        plain(word)[:60] for word in (body.only or ["unsuccessful" if body.hosts is None else "all"])[:5]
    )
    return (
        f"No host of the task {'that was named ' if body.hosts is not None else ''}is {asked}."
        if asked != "all"
        else "No host of the task was named."
    )


async def _rows(call: ApiRequest, command: Command) -> AsyncIterator[Execution]:
    after = None
    while True:
        page = await call.deps.store.executions(command.command_id, after=after, limit=PAGE)
        for view in page:
            yield view.execution
        if len(page) < PAGE:
            return
        after = page[-1].execution.host_id


def _text(deps: Deps, hosts: Sequence[str]) -> str:
    """A selector that means these hosts; one that has been deleted goes by its id."""
    known = deps.fleet.directory.hosts
    return fold(deps.fleet.directory.unique_name(host_id) if host_id in known else host_id for host_id in hosts).text


def _again(
    call: ApiRequest, old: Task, command: Command, hosts: tuple[str, ...], name: str | None, text: str
) -> tuple[Task, Command]:
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
        target_text=text,
        targets=hosts,
        parameters=old.parameters,
        timeout_ms=old.timeout_ms,
        concurrency=old.concurrency,
        counts=(len(hosts), *[0] * (len(ExecutionStatus) - 1)),
        wait_ms=old.wait_ms,
        retry=old.retry,
        rerun_of=old.task_id,
    )
    return task, replace(command, command_id=uuid7(now, entropy(10)), task_id=task_id)
