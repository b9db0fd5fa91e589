"""Decides which units of the writer may be written before earlier ones.

A unit may overtake an earlier one only if the two are unrelated: the earlier one says nothing about a task, command or
host of the later one that must be durable, or sent to the host, first.

Messages about different commands may reach a host in any order, because an agent handles each command for itself. Three
units block everything that follows for their host: a Welcome, which begins the session; a reservation of dispatch
numbers, without which a crash could reuse a number; and the host's own row. A Forget concerns every number up to one,
so it waits for everything.
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
    """How a unit is ordered against others.

    Attributes:
        holds: Ids that this unit is about. Later units about them wait for it.
        behind: Ids about which this unit waits for earlier units; None to wait for all earlier units.
        barrier: Every later unit waits for this one.
    """

    holds: frozenset[str] = frozenset()
    behind: frozenset[str] | None = None
    barrier: bool = False


AFTER_ALL = WriteOrder()
"""For a unit that waits for all earlier ones and that no later one waits for."""


def after_ids(*ids: str) -> WriteOrder:
    """Return the order of a unit without saves that waits for earlier units about these ids.

    The ids are those of tasks, commands or hosts.
    """
    return WriteOrder(behind=frozenset(ids))


def order_of(saves: Sequence[Save], acts: Sequence[Act] = ()) -> WriteOrder:
    """Return the order of a unit.

    Args:
        saves: The unit's saves.
        acts: The acts that are carried out after its commit.
    """
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
