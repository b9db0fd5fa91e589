"""Binds a data directory to its database: DATA/database.id holds the id of the database.

The first start creates the database and then this file. Later, a data directory without its database has the CA and the
tokens, but not the records about them. The server does not start with another or a missing database until an operator
has decided.
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


def id_file(data: Path) -> Path:
    """Return the file that holds the id of the database."""
    return data / "database.id"


def expected(data: Path) -> str | None:
    """Return the id of this data directory's database; None before the first start.

    Raises:
        ClarionError: The file is damaged (database_foreign).
    """
    try:
        text = id_file(data).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(text):
        raise ClarionError(
            "database_foreign",
            f"{id_file(data)} does not hold the id of a database",
            hint=f"if the database is the right one, run '{ACCEPT}'",
        )
    return text


def check_file(settings: Settings) -> None:
    """Check that the database file exists. Call it before the store is opened, because that creates a missing file.

    Raises:
        ClarionError: The file is missing, although the server has been started before (database_missing).
    """
    if settings.store.kind != "sqlite":
        return
    file, data = settings.database_file, settings.data
    if file.exists() and file.stat().st_size:
        return
    # Only a server that has opened its database creates server.pem.
    if expected(data) is None and not (data / "ca" / "server.pem").exists():
        return
    raise ClarionError(
        "database_missing",
        f"{file} is missing or empty, although this data directory has used its database before",
        field="store.path",
    )


async def check_id(settings: Settings, store: Store) -> None:
    """Compare the id of the open database; record it at the first start.

    Raises:
        ClarionError: The database has another id (database_foreign).
        StoreUnavailable: The database does not answer.
    """
    ours, theirs = expected(settings.data), await store.database_id()
    if ours is None:
        record(settings.data, theirs)
    elif ours != theirs:
        raise ClarionError(
            "database_foreign",
            f"the database has the id {theirs}, but {id_file(settings.data)} names {ours}",
            field="store",
        )


def record(data: Path, database_id: str) -> None:
    """Bind the data directory to this database. Raises OSError."""
    write_file(id_file(data), f"{database_id}\n".encode())
