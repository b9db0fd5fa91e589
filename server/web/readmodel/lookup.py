"""Resolves ids and names from URLs. An unknown or malformed id gives the same 404."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import trio

from proto.ids import is_id
from server.core.model import Command, Task
from server.errors import ClarionError
from server.ports import Fleet, HostPresence
from server.web.readmodel.deps import Deps
from server.web.readmodel.unknown_names import DETAILED, SHOWN, ambiguous, label, listed, no_host

SLICE = 1_000
"""Names looked up before the event loop runs other tasks."""


async def stored_task(deps: Deps, task_id: str) -> tuple[Task, Command]:
    """The committed task, without its targets, and its command. Raises ClarionError task_not_found."""
    task = await committed_task(deps, task_id)
    commands = await deps.store.commands(task_id)
    if not commands:
        raise ClarionError("task_not_found")
    return task, commands[0]


async def committed_task(deps: Deps, task_id: str) -> Task:
    """The committed task: from memory if its progress is live, otherwise from the store. Raises ClarionError
    task_not_found."""
    shown = deps.live.latest(task_id) if is_id(task_id) else None
    task = shown.task if shown is not None else await deps.store.task(task_id) if is_id(task_id) else None
    if task is None:
        raise ClarionError("task_not_found")
    return task


async def command_of(deps: Deps, task_id: str) -> Command:
    """The command of a task. Raises ClarionError task_not_found."""
    commands = await deps.store.commands(task_id) if is_id(task_id) else []
    if not commands:
        raise ClarionError("task_not_found")
    return commands[0]


def known_host(deps: Deps, name: str) -> HostPresence:
    """The host with this id, or with this name if only one host has it. Raises ClarionError host_not_found,
    host_ambiguous."""
    presence = deps.fleet.presence(_known(deps, name)) if not is_id(name) else deps.fleet.presence(name)
    if presence is None:
        raise ClarionError("host_not_found", f"There is no host with the id {name}.")
    return presence


def host_id_of(deps: Deps, name: str) -> str:
    """The id of a host in the past. Raises ClarionError host_not_found, host_ambiguous.

    A well-formed id is accepted as it is, because a deleted host has a history too. A name that no host has now stands
    for the only host that had it before.
    """
    directory = deps.fleet.directory
    if is_id(name):
        return name
    if not directory.named(name) and len(former := directory.formerly_named(name)) == 1:
        return next(iter(former))
    return _known(deps, name)


def _known(deps: Deps, name: str) -> str:
    ids = sorted(deps.fleet.directory.named(name))
    if len(ids) > 1:
        raise ambiguous(deps.fleet, name, ids)
    if not ids:
        raise ClarionError("host_not_found", no_host(deps.fleet, name))
    return ids[0]


@dataclass(slots=True)
class TaskHosts:
    """Resolves names within a task: the current and former names of its hosts."""

    fleet: Fleet
    targets: Set[str]

    def id_of(self, name: str) -> str:
        """The id of the task's host with this name or id. Raises ClarionError execution_not_found, host_ambiguous."""
        if name in self.targets:
            return name
        directory = self.fleet.directory
        ids = sorted((directory.all_named(name) | directory.formerly_named(name)) & self.targets)
        if len(ids) > 1:
            raise ambiguous(self.fleet, name, ids, " of the task")
        if ids:
            return ids[0]
        raise ClarionError(
            "execution_not_found", f"The task has no host named {label(name)}.", details={"unknown": [name[:255]]}
        )

    async def ids_of(self, names: Sequence[str]) -> list[str]:
        """The ids of the task's hosts with these names or ids, without duplicates.

        Raises:
            ClarionError: execution_not_found, with all names that match no host of the task; host_ambiguous.
        """
        found: dict[str, None] = {}
        unknown = []
        for index, name in enumerate(dict.fromkeys(names)):
            if index % SLICE == SLICE - 1:
                await trio.lowlevel.checkpoint()
            try:
                found[self.id_of(name)] = None
            except ClarionError as error:
                if error.code != "execution_not_found":
                    error.field = "hosts"
                    raise
                unknown.append(name[:255])
        if unknown:
            names_are = "1 name does" if len(unknown) == 1 else f"{len(unknown):,} names do"
            shown = listed([label(name) for name in unknown[:SHOWN]], len(unknown))
            raise ClarionError(
                "execution_not_found",
                f"{names_are} not belong to a host of the task: {shown}.",
                field="hosts",
                details={"unknown": unknown[:DETAILED], "total": len(unknown)},
            )
        return list(found)


async def task_hosts(deps: Deps, task_id: str) -> TaskHosts:
    """The hosts of an existing task."""
    return TaskHosts(deps.fleet, frozenset(await deps.store.targets(task_id)))
