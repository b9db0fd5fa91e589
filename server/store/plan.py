"""Sorts the saves of one transaction into few, large statements without changing what they mean.

Applying the phases in order, and in each phase the kinds of saves in a fixed order, has the effect of applying the
saves one after another. A phase holds at most one version of a row: the last one. Where merging could change the
outcome (a save after a delete, a row that is saved again after its end) a new phase begins; that is rare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.core.effects import (
    CreateTask,
    DeleteRecord,
    DeleteTask,
    Save,
    SaveExecution,
    SaveLate,
    SaveOrphan,
    SaveRecord,
    UseJoinToken,
)
from server.core.model import Execution
from server.store.tables.command import COMMAND_KINDS
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Key, Table
from server.store.tables.task import TASK

_EMPTY: Mapping[Key, Any] = {}


@dataclass(slots=True)
class Phase:
    """Saves that one pass over the tables can apply.

    Attributes:
        records: the records that the tables' write rules apply to, by table and key.
        deleted: for each table and column that saves delete by, the values of that column.
        created: tasks to insert, by task id.
        executions: by command id and host id.
        lates: late reports, in order.
        orphans: executions that the database has lost, in order.
        joins: uses of join tokens, in order.
        deleted_tasks: ids of tasks whose executions go; their other rows are in `deleted`.
        commands: ids of the commands whose executions this phase touches.
        late_rows: command id and host id of each late report.
        plain: the phase has nothing that the next version of an execution could have to stay behind.
        tables: the tables of the store.
    """

    records: dict[Table[Any], dict[Key, Any]] = field(default_factory=dict)
    deleted: dict[tuple[Table[Any], str], dict[str, None]] = field(default_factory=dict)
    created: dict[str, CreateTask] = field(default_factory=dict)
    executions: dict[tuple[str, str], Execution] = field(default_factory=dict)
    lates: list[SaveLate] = field(default_factory=list)
    orphans: list[SaveOrphan] = field(default_factory=list)
    joins: list[UseJoinToken] = field(default_factory=list)
    deleted_tasks: dict[str, None] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    late_rows: set[tuple[str, str]] = field(default_factory=set)
    plain: bool = True
    tables: Tables = TABLES

    def takes(self, row: Execution) -> bool:
        """Add an execution if that is the plain case, which it nearly always is."""
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
        """False if adding the save to this phase would change what the saves mean."""
        kind = type(save)
        if kind in self.tables.deletes or kind is DeleteRecord:
            return True
        if self.deleted:
            return False
        if isinstance(save, SaveExecution):
            row = save.execution
            key = (row.command_id, row.host_id)
            if key in self.late_rows:
                return False
            known = self.executions.get(key)
            return known is None or not known.status.final or row.version <= known.version
        if isinstance(save, CreateTask):
            command_id = save.command.command_id
            return (
                save.task.task_id not in self.records.get(TASK, _EMPTY)
                and command_id not in self.records.get(COMMAND_KINDS, _EMPTY)
                and command_id not in self.commands
            )
        return True

    def add(self, save: Save) -> None:
        """Add a save that the phase accepts. Of two saves of one row, the one with their joint effect is kept."""
        kind, tables = type(save), self.tables
        if kind in tables.writes:
            for table, attribute in tables.writes[kind]:
                self._put(table, getattr(save, attribute) if attribute else save)
        elif kind in tables.deletes:
            self.plain = False
            for table, column in tables.deletes[kind]:
                self.deleted.setdefault((table, column), {})[getattr(save, column)] = None
            if isinstance(save, DeleteTask):
                self.deleted_tasks[save.task_id] = None
        elif isinstance(save, SaveRecord):
            self._put(tables.by_record[type(save.record)], save.record)
        elif isinstance(save, DeleteRecord):
            self.plain = False
            table = tables.by_record[save.kind]
            self.deleted.setdefault((table, table.only_key), {})[save.key] = None
        else:
            self._add_by_hand(save)

    def _put(self, table: Table[Any], record: Any) -> None:
        rows = self.records.get(table)
        if rows is None:
            rows = self.records[table] = {}
        key = table.key_of(record)
        rows[key] = table.merge(rows.get(key), record)

    def _add_by_hand(self, save: Save) -> None:
        if isinstance(save, SaveExecution):
            row = save.execution
            key = (row.command_id, row.host_id)
            known = self.executions.get(key)
            if known is None or row.version > known.version:
                self.executions[key] = row
                self.commands.add(row.command_id)
        elif isinstance(save, CreateTask):
            self.created.setdefault(save.task.task_id, save)
        elif isinstance(save, SaveLate):
            self.plain = False
            self.lates.append(save)
            self.commands.add(save.command_id)
            self.late_rows.add((save.command_id, save.host_id))
        elif isinstance(save, SaveOrphan):
            self.orphans.append(save)
        elif isinstance(save, UseJoinToken):
            self.joins.append(save)
        else:
            raise TypeError(f"no table takes a {type(save).__name__}")


def plan(saves: Iterable[Save], tables: Tables = TABLES) -> list[Phase]:
    """The phases, in order; empty for no saves."""
    phases: list[Phase] = []
    phase: Phase | None = None
    for save in saves:
        if phase is not None and type(save) is SaveExecution and phase.takes(save.execution):
            continue
        if phase is None or not phase.accepts(save):
            phase = Phase(tables=tables)
            phases.append(phase)
        phase.add(save)
    return phases
