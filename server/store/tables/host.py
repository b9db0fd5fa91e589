"""The tables of a host: its facts, its dispatch numbers, and the time of its last message.

The last two are apart from the first because they change often. The dispatch numbers also outlive the host: its agent
may join again under the same id, and the server gives no number twice.
"""

from __future__ import annotations

from server.core.effects import DeleteHost, SaveHost, SaveSeen, SaveSeq
from server.core.inputs import bounds
from server.core.model import Host
from server.store.tables.columns import EMPTY_LIST, JSON, MOMENT, Column, Range, Row, number
from server.store.tables.table import Table, WriteRule

HOST_COLUMNS = (
    Column("host_id"),
    Column("hostname"),
    Column("ip"),
    Column("os"),
    Column("arch"),
    Column("version"),
    Column("labels", JSON),
    Column("agent_labels", JSON),
    Column("status"),
    Column("journal_id"),
    Column("boot_id"),
    number("first_seen_at", MOMENT),
    number("last_seen_at", MOMENT),
    number("last_heartbeat_at", MOMENT),
    number("created_at", MOMENT),
    number("updated_at", MOMENT),
    Column("claimed"),
    Column("given"),
    Column("former", EMPTY_LIST),
    Column("replaced_by"),
    number("replaced_at", MOMENT),
)
HOST = Table(
    "host",
    Host,
    key=("host_id",),
    columns=HOST_COLUMNS,
    rule=WriteRule.OVERWRITE,
    saves={SaveHost: "host"},
    deletes={DeleteHost: "host_id"},
)
HOST_SEQ = Table(
    "host_seq",
    SaveSeq,
    key=("host_id",),
    columns=(
        Column("host_id"),
        number("max_seq", Range(0, bounds.SEQ_MAX, 0)),
        number("max_epoch", Range(0, bounds.EPOCH_MAX, 0)),
    ),
    rule=WriteRule.MAX,
    saves={SaveSeq: "", SaveHost: "host"},
)
HOST_SEEN = Table(
    "host_seen",
    SaveSeen,
    key=("host_id",),
    columns=(Column("host_id"), number("last_seen_at", MOMENT)),
    rule=WriteRule.MAX,
    saves={SaveSeen: ""},
    deletes={DeleteHost: "host_id"},
)


def host_from(row: Row) -> Host:
    """The host of a row of the query `hosts`.

    Behind the host's columns the row has its highest dispatch number, the time of its last message since the host's row
    was written, and the highest epoch that the host has claimed.
    """
    host = HOST.decode(row)
    host.max_seq, seen_at, host.max_epoch = row[len(HOST_COLUMNS) :]
    host.last_seen_at = max((at for at in (host.last_seen_at, seen_at) if at is not None), default=None)
    return host
