"""The database that belongs to a data directory: its id is kept in DATA/database.id, so that another one, or none, is
noticed at the start.

A first start makes the database and then the file. From then on a data directory without its database holds what was
given out (the CA, tokens,
hosts that have joined) without what was recorded about it, so the server does not start until an operator has decided.
"""

from __future__ import annotations

import re
from pathlib import Path

from server.errors import ClarionError
from server.security.durable import write_file
from server.settings.schema import Settings
from server.store.base import Store

_ID = re.compile(r"[0-9a-f]{32}")
ACCEPT = "clarion-server init --accept-database"


def mark_of(data: Path) -> Path:
    return data / "database.id"


def expected(data: Path) -> str | None:
    """The id of this data directory's database; None before the first start. Raises ClarionError database_foreign for a
    damaged file."""
    try:
        text = mark_of(data).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(text):
        raise ClarionError(
            "database_foreign",
            f"{mark_of(data)} holds no id of a database",
            hint=f"if the database is the right one, run '{ACCEPT}'",
        )
    return text


def check_file(settings: Settings) -> None:
    """Before the store is opened, which would make a file that is missing. Raises ClarionError database_missing."""
    if settings.store.kind != "sqlite":
        return
    file, data = settings.database_file, settings.data
    if file.exists() and file.stat().st_size:
        return
    # Only a server that has opened its database makes server.pem.
    if expected(data) is None and not (data / "ca" / "server.pem").exists():
        return
    raise ClarionError(
        "database_missing",
        f"{file} is missing or empty, although this data directory has had its database",
        field="store.path",
    )


async def check_id(settings: Settings, store: Store) -> None:
    """After the store was opened. Raises ClarionError database_foreign, StoreUnavailable."""
    ours, theirs = expected(settings.data), await store.database_id()
    if ours is None:
        record(settings.data, theirs)
    elif ours != theirs:
        raise ClarionError(
            "database_foreign",
            f"the database has the id {theirs}, and {mark_of(settings.data)} names {ours}",
            field="store",
        )


def record(data: Path, database_id: str) -> None:
    """From now on it is this one. Raises OSError."""
    write_file(mark_of(data), f"{database_id}\n".encode())
