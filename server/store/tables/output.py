"""The table of outputs. Equal outputs are stored once."""

from __future__ import annotations

from server.core.effects import SaveOutput
from server.core.model import Output
from server.store.tables.columns import FLAG, Column
from server.store.tables.table import Table, WriteRule

OUTPUT = Table(
    "output",
    Output,
    key=("output_id",),
    columns=(
        Column("output_id"),
        Column("head"),
        Column("tail"),
        Column("total_bytes"),
        Column("sha256"),
        Column("truncated", FLAG, derived=True),
    ),
    rule=WriteRule.INSERT_ONCE,
    saves={SaveOutput: "output"},
)
