"""The tables of the product and those of the noun in `badge`, found by the folder."""

from __future__ import annotations

from pathlib import Path

from proto.common.modules import declared_in
from server.store.tables.registry import MIGRATIONS, TABLES, Tables
from server.store.tables.table import Table

BADGE_TABLES = Tables.of(
    (*TABLES.all, *declared_in("tests.noun.badge.store", Table)),
    (MIGRATIONS, Path(__file__).parent / "badge/migrations"),
)
