"""The table of orphans: executions that hosts hold and of which the database has lost the row."""

from __future__ import annotations

from server.core.effects import DeleteOrphans, SaveOrphan
from server.store.tables.columns import Column
from server.store.tables.table import Table, WriteRule

ORPHAN = Table(
    "orphan_result",
    SaveOrphan,
    key=("host_id", "command_id", "attempt"),
    columns=(
        Column("host_id"),
        Column("command_id"),
        Column("attempt"),
        Column("received_at"),
        Column("agent_finished_at"),
        Column("report"),
        Column("seq"),
        Column("stage"),
        Column("kept_bytes"),
    ),
    rule=WriteRule.BY_HAND,
    deletes={DeleteOrphans: "host_id"},
    fixed=frozenset({"seq", "stage"}),
)
