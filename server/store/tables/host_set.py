"""The table of host sets."""

from __future__ import annotations

from server.core.effects import DeleteHostSet, SaveHostSet
from server.core.inputs import bounds
from server.core.model import HostSet
from server.store.tables.columns import JSON_LIST, MOMENT, Column, Range, number
from server.store.tables.table import Table, WriteRule

HOST_SET = Table(
    "host_set",
    HostSet,
    key=("name",),
    columns=(
        Column("name"),
        Column("selector"),
        Column("hosts", JSON_LIST),
        Column("description"),
        number("version", Range(1, bounds.NUMBER_MAX, 1)),
        Column("changed_by"),
        number("changed_at", MOMENT),
    ),
    rule=WriteRule.OVERWRITE,
    saves={SaveHostSet: "host_set"},
    deletes={DeleteHostSet: "name"},
)
