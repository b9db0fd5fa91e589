"""The tables of badges and stamps."""

from __future__ import annotations

from server.core.inputs import bounds
from server.store.tables.columns import BLOB, FLAG, JSON_LIST, MOMENT, Column, Range, number
from server.store.tables.table import Table, WriteRule
from tests.noun.badge.core.badge import Badge, Badges, Stamp

BADGE = Table(
    "badge",
    Badge,
    key=("code",),
    columns=(
        Column("code"),
        Column("color"),
        Column("tags", JSON_LIST),
        Column("shiny", FLAG),
        number("version", Range(1, bounds.NUMBER_MAX, 1)),
    ),
    rule=WriteRule.OVERWRITE,
    memory=Badges,
)
STAMP = Table(
    "stamp",
    Stamp,
    key=("stamp_id",),
    columns=(Column("stamp_id"), Column("image", BLOB), number("at", MOMENT)),
    rule=WriteRule.INSERT_ONCE,
)
