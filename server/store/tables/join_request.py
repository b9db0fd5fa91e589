"""The table of joins that wait for an operator's approval."""

from __future__ import annotations

from server.core.effects import DeleteJoinRequest, SaveJoinRequest
from server.core.model import JoinRequest
from server.store.tables.columns import BIT, BLOB, FLAG, MOMENT, Column, number
from server.store.tables.table import Table, WriteRule

JOIN_REQUEST = Table(
    "join_request",
    JoinRequest,
    key=("request_id",),
    columns=(
        Column("request_id"),
        Column("token_id"),
        Column("csr", BLOB),
        Column("hostname"),
        Column("previous_host_id"),
        Column("address"),
        number("created_at", MOMENT),
        number("expires_at", MOMENT),
        number("decided_at", MOMENT),
        Column("decided_by"),
        Column("approved", FLAG, range=BIT),
    ),
    rule=WriteRule.OVERWRITE,
    saves={SaveJoinRequest: "request"},
    deletes={DeleteJoinRequest: "request_id"},
)
