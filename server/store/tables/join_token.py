"""The tables of join tokens and of their uses. A use outlives its token and its host."""

from __future__ import annotations

from server.core.effects import CreateJoinToken, DeleteJoinToken, UseJoinToken
from server.core.model import JoinToken
from server.store.tables.columns import BIT, BLOB, FLAG, JSON, JSON_LIST, MOMENT, Column, Range, number
from server.store.tables.table import Table, WriteRule

JOIN_TOKEN = Table(
    "join_token",
    JoinToken,
    key=("token_id",),
    columns=(
        Column("token_id"),
        Column("digest", BLOB),
        number("expires_at", MOMENT),
        number("uses_left", Range(0, 1 << 32, 0)),
        Column("labels", JSON),
        Column("created_by"),
        number("created_at", MOMENT),
        Column("networks", JSON_LIST),
        Column("approve", FLAG),
        Column("replaces", FLAG, attribute="replace", range=BIT),
    ),
    rule=WriteRule.INSERT_ONCE,
    saves={CreateJoinToken: "token"},
    deletes={DeleteJoinToken: "token_id"},
)
JOIN_USE = Table(
    "join_use",
    UseJoinToken,
    key=("serial",),
    columns=(Column("serial"), Column("token_id"), Column("host_id"), Column("used_at")),
    rule=WriteRule.BY_HAND,
)
