"""The table of facts about the installation."""

from __future__ import annotations

from server.core.effects import SaveMeta
from server.store.tables.columns import Column
from server.store.tables.table import Table, WriteRule

META = Table(
    "meta",
    SaveMeta,
    key=("name",),
    columns=(Column("name", attribute="key"), Column("value")),
    rule=WriteRule.OVERWRITE,
    saves={SaveMeta: ""},
)
