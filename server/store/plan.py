"""Sorts the saves of one transaction into few, large statements without changing what they mean.

Applying the phases in order, and in each phase the kinds in the order of its fields, has the effect of applying the
saves one after another. A phase holds at most one version of a row: the last. Where merging could change the outcome
(a save after a delete, a row that is saved again after its end) a new phase begins; that is rare.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from server.core.effects import (
    CreateJoinToken,
    CreateTask,
    DeleteHost,
    DeleteJoinRequest,
    DeleteJoinToken,
    DeleteOrphans,
    DeleteTask,
    Save,
    SaveExecution,
    SaveHost,
    SaveIdentity,
    SaveJoinRequest,
    SaveKinds,
    SaveLate,
    SaveMeta,
    SaveOrphan,
    SaveOutput,
    SaveSeen,
    SaveSeq,
    SaveTask,
    UseJoinToken,
)
from server.core.model import Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task

_DELETES = (DeleteTask, DeleteHost, DeleteJoinToken, DeleteJoinRequest, DeleteOrphans)


@dataclass(slots=True)
class Phase:
    created: dict[str, CreateTask] = field(default_factory=dict)
    outputs: dict[bytes, Output] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    executions: dict[tuple[str, str], Execution] = field(default_factory=dict)
    lates: list[SaveLate] = field(default_factory=list)
    orphans: list[SaveOrphan] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, JoinToken] = field(default_factory=dict)
    joins: list[UseJoinToken] = field(default_factory=list)
    requests: dict[str, JoinRequest] = field(default_factory=dict)
    identities: dict[str, HostIdentity] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, bytes] = field(default_factory=dict)
    deleted_tasks: dict[str, None] = field(default_factory=dict)
    deleted_hosts: dict[str, None] = field(default_factory=dict)
    deleted_tokens: dict[str, None] = field(default_factory=dict)
    deleted_requests: dict[str, None] = field(default_factory=dict)
    deleted_orphans: dict[str, None] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    """Commands whose rows this phase touches."""
    late_rows: set[tuple[str, str]] = field(default_factory=set)
    plain: bool = True
    """Nothing in it that a row's next version could have to stay behind of."""

    def takes(self, row: Execution) -> bool:
        """Add it if that is the plain case, which nearly every save is."""
        if not self.plain:
            return False
        key = (row.command_id, row.host_id)
        known = self.executions.get(key)
        if known is None:
            self.executions[key] = row
            self.commands.add(row.command_id)
        elif row.version > known.version:
            if known.status.final:
                return False
            self.executions[key] = row
        return True

    def accepts(self, save: Save) -> bool:
        """False if adding it here would change what the saves mean."""
        if isinstance(save, _DELETES):
            return True
        if (
            self.deleted_tasks
            or self.deleted_hosts
            or self.deleted_tokens
            or self.deleted_requests
            or self.deleted_orphans
        ):
            return False
        if isinstance(save, SaveExecution):
            row = save.execution
            key = (row.command_id, row.host_id)
            if key in self.late_rows:
                return False
            known = self.executions.get(key)
            return known is None or not known.status.final or row.version <= known.version
        if isinstance(save, CreateTask):
            return save.task.task_id not in self.tasks and save.command.command_id not in self.commands
        return True

    def add(self, save: Save) -> None:
        if isinstance(save, SaveExecution):
            row = save.execution
            key = (row.command_id, row.host_id)
            known = self.executions.get(key)
            if known is None or row.version > known.version:
                self.executions[key] = row
                self.commands.add(row.command_id)
        elif isinstance(save, SaveOutput):
            self.outputs.setdefault(save.output.output_id, save.output)
        elif isinstance(save, SaveTask):
            task = save.task
            older = self.tasks.get(task.task_id)
            if older is None or task.version > older.version:
                self.tasks[task.task_id] = task
        elif isinstance(save, SaveSeq):
            self._raise_seq(save.host_id, save.max_seq)
            if save.max_epoch > self.epochs.get(save.host_id, 0):
                self.epochs[save.host_id] = save.max_epoch
        elif isinstance(save, SaveSeen):
            self.seen[save.host_id] = max(self.seen.get(save.host_id, 0), save.last_seen_at)
        elif isinstance(save, CreateTask):
            self.created.setdefault(save.task.task_id, save)
        elif isinstance(save, SaveLate):
            self.plain = False
            self.lates.append(save)
            self.commands.add(save.command_id)
            self.late_rows.add((save.command_id, save.host_id))
        elif isinstance(save, SaveOrphan):
            self.orphans.append(save)
        elif isinstance(save, SaveHost):
            self.hosts[save.host.host_id] = save.host
            self._raise_seq(save.host.host_id, save.host.max_seq)
        elif isinstance(save, SaveKinds):
            self.kinds[save.command_id] = max(self.kinds.get(save.command_id, b""), save.kinds, key=len)
            self.commands.add(save.command_id)
        elif isinstance(save, SaveMeta):
            self.meta[save.key] = save.value
        elif isinstance(save, SaveIdentity):
            self.identities[save.identity.host_id] = save.identity
        elif isinstance(save, UseJoinToken):
            self.joins.append(save)
        elif isinstance(save, SaveJoinRequest):
            self.requests[save.request.request_id] = save.request
        elif isinstance(save, DeleteJoinRequest):
            self.plain = False
            self.deleted_requests[save.request_id] = None
        elif isinstance(save, DeleteOrphans):
            self.plain = False
            self.deleted_orphans[save.host_id] = None
        elif isinstance(save, CreateJoinToken):
            self.tokens.setdefault(save.token.token_id, save.token)
        elif isinstance(save, DeleteJoinToken):
            self.plain = False
            self.deleted_tokens[save.token_id] = None
        elif isinstance(save, DeleteTask):
            self.plain = False
            self.deleted_tasks[save.task_id] = None
        else:
            self.plain = False
            self.deleted_hosts[save.host_id] = None

    def _raise_seq(self, host_id: str, seq: int) -> None:
        if seq > self.seqs.get(host_id, -1):
            self.seqs[host_id] = seq


def plan(saves: Iterable[Save]) -> list[Phase]:
    """The phases, in order. Empty for no saves."""
    phases: list[Phase] = []
    phase: Phase | None = None
    for save in saves:
        if phase is not None and type(save) is SaveExecution and phase.takes(save.execution):
            continue
        if phase is None or not phase.accepts(save):
            phase = Phase()
            phases.append(phase)
        phase.add(save)
    return phases
