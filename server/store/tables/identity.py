"""The table of host identities: what the server knows of each host's certificates."""

from __future__ import annotations

from server.core.effects import DeleteHost, SaveIdentity
from server.core.inputs import bounds
from server.core.model import HostIdentity
from server.store.tables.columns import MOMENT, Column, Range, number
from server.store.tables.table import Table, WriteRule

_GENERATION = Range(0, 4 * bounds.GENERATION_MAX, bounds.GENERATION_MAX)
"""An impossible generation is replaced by one above all certificates that were given out. The server then refuses all
of them until the host has joined again."""

HOST_IDENTITY = Table(
    "host_identity",
    HostIdentity,
    key=("host_id",),
    columns=(
        Column("host_id"),
        number("generation", _GENERATION),
        number("joined_generation", _GENERATION),
        Column("serial"),
        number("not_after", MOMENT),
        number("issued_at", MOMENT),
        Column("token_id"),
        Column("next_serial"),
        number("next_not_after", MOMENT),
        number("revoked_at", MOMENT),
        Column("revoked_by"),
        number("quarantined_at", MOMENT),
        Column("quarantine_reason"),
        number("released_at", MOMENT),
    ),
    rule=WriteRule.OVERWRITE,
    saves={SaveIdentity: "identity"},
    deletes={DeleteHost: "host_id"},
)
