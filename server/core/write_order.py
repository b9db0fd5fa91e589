"""Which units of the writer may change places.

A unit is written before one that came earlier only if the two have nothing to do with each other: no task, no command
and no host about
which the earlier one says something that must be durable, or must have been said to the host, before the later one is.

What a host is told of different commands may come in either order: an agent takes each command for itself. Three things
are not like that,
and hold up whatever follows for their host: a Welcome, with which its session begins; the reservation of dispatch
numbers, without which a
number could be given twice after a crash; and the host's own row. A Forget speaks of every number up to one: it waits
for everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.effects import (
    Ack,
    Act,
    Cancel,
    CreateTask,
    DeleteHost,
    DeleteOrphans,
    DeleteTask,
    Dispatch,
    Progress,
    Save,
    SaveExecution,
    SaveHost,
    SaveIdentity,
    SaveKinds,
    SaveLate,
    SaveOrphan,
    SaveOutput,
    SaveSeq,
    SaveTask,
    Welcome,
)

_PASSING = frozenset({CreateTask, SaveTask, SaveExecution, SaveOutput, SaveSeq, SaveLate})
_SAID = frozenset({Dispatch, Cancel, Ack})


@dataclass(frozen=True, slots=True)
class WriteOrder:
    """holds: ids about which a later unit has to wait for this one. behind: ids about which this one waits for earlier
    units; None: it waits
    for all of them. barrier: every later unit waits for this one."""

    holds: frozenset[str] = frozenset()
    behind: frozenset[str] | None = None
    barrier: bool = False


AFTER_ALL = WriteOrder()
"""Of a unit that waits for every earlier one and that no later one waits for."""


def after_ids(*ids: str) -> WriteOrder:
    """Of a unit without saves that waits for all that earlier ones say about these tasks, commands or hosts."""
    return WriteOrder(behind=frozenset(ids))


def order_of(saves: Sequence[Save], acts: Sequence[Act] = ()) -> WriteOrder:
    """Of a unit with these saves, whose callback carries out these acts."""
    holds: set[str] = set()
    hosts: set[str] = set()
    passes = bool(saves or acts)
    for save in saves:
        passes = passes and type(save) in _PASSING
        if isinstance(save, SaveExecution):
            holds.add(save.execution.command_id)
            hosts.add(save.execution.host_id)
        elif isinstance(save, SaveTask):
            holds.add(save.task.task_id)
        elif isinstance(save, SaveSeq | DeleteHost | DeleteOrphans):
            holds.add(save.host_id)
        elif isinstance(save, SaveHost):
            holds.add(save.host.host_id)
        elif isinstance(save, CreateTask):
            holds.update((save.task.task_id, save.command.command_id))
        elif isinstance(save, SaveLate):
            holds.add(save.command_id)
            hosts.add(save.host_id)
        elif isinstance(save, SaveOrphan):
            holds.update((save.command_id, save.host_id))
        elif isinstance(save, SaveKinds):
            holds.add(save.command_id)
        elif isinstance(save, SaveIdentity):
            holds.add(save.identity.host_id)
        elif isinstance(save, DeleteTask):
            return WriteOrder(barrier=True)
    for act in acts:
        if type(act) in _SAID:
            hosts.add(act.host_id)  # type: ignore[union-attr]
        elif isinstance(act, Progress):
            holds.add(act.task.task_id)
        elif isinstance(act, Welcome):
            holds.add(act.host_id)
            passes = False
        else:
            passes = False
    return WriteOrder(frozenset(holds), frozenset(holds | hosts) if passes else None)
