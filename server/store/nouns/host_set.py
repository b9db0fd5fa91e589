"""The table of host sets."""

from __future__ import annotations

from server.core.inputs import bounds
from server.core.nouns.host_set import HostSet
from server.core.selectors.host_sets import HostSets
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
    memory=HostSets,
)
