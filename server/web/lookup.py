"""Finding what an address names. Whatever is not found, or could not be an id at all, is one and the same 404."""

from __future__ import annotations

from server.core.ids import is_id
from server.core.model import Command, Task
from server.errors import ClarionError
from server.ports import Presence
from server.web.deps import Deps


async def stored_task(deps: Deps, task_id: str) -> tuple[Task, Command]:
    """The task as committed, without its targets, and its command. Raises ClarionError task_not_found."""
    task = await committed_task(deps, task_id)
    commands = await deps.store.commands(task_id)
    if not commands:
        raise ClarionError("task_not_found")
    return task, commands[0]


async def committed_task(deps: Deps, task_id: str) -> Task:
    """The newest committed state: from memory if it is shown live, else from the store. Raises ClarionError task_not_found."""
    shown = deps.live.latest(task_id) if is_id(task_id) else None
    task = shown.task if shown is not None else await deps.store.task(task_id) if is_id(task_id) else None
    if task is None:
        raise ClarionError("task_not_found")
    return task


async def command_of(deps: Deps, task_id: str) -> Command:
    """Raises ClarionError task_not_found."""
    commands = await deps.store.commands(task_id) if is_id(task_id) else []
    if not commands:
        raise ClarionError("task_not_found")
    return commands[0]


def known_host(deps: Deps, name: str) -> Presence:
    """By id, or by a name that only one host has. Raises ClarionError host_not_found."""
    presence = deps.fleet.presence(name) if is_id(name) else None
    if presence is None and name != "all":
        found = deps.fleet.resolve([name])
        if found.ambiguous:
            raise ClarionError("host_not_found", f"several hosts are called {name[:100]!r}", hint="use one of the ids", details={"ids": list(found.ambiguous[name])})
        presence = deps.fleet.presence(found.host_ids[0]) if found.host_ids else None
    if presence is None:
        raise ClarionError("host_not_found")
    return presence


def host_id_of(deps: Deps, name: str, otherwise: str) -> str:
    """The id that `name` stands for; a well-formed id is taken as it is, because deleted hosts have rows too.

    Raises ClarionError with the code `otherwise`.
    """
    if is_id(name):
        return name
    found = deps.fleet.resolve([name])
    if len(found.host_ids) != 1 or name == "all":
        raise ClarionError(otherwise)
    return found.host_ids[0]
