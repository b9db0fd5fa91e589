"""Commands that open the database directly, without a running server.

All functions raise ClarionError, SettingsError and OSError for causes that an operator can correct.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from server.backup import mysql_restore, swap
from server.backup import restore as backup_restore
from server.backup.migration import save_before_migration
from server.backup.restore import Restored
from server.cluster import lease
from server.core.effects import CreateJoinToken, Save
from server.core.engine import Engine
from server.core.events import DatabaseRestored, Now, TaskLoaded
from server.core.model import JoinToken
from server.errors import ClarionError
from server.lifecycle import database_id, recovery, wiring
from server.security.lock import locked
from server.security.tokens import Kind, make
from server.settings.schema import Settings
from server.store.base import Store, StoreRefused, StoreUnavailable
from server.store.lease import StoreFenced


def create_join_token(
    settings: Settings,
    ttl: int,
    uses: int,
    labels: dict[str, str],
    networks: tuple[str, ...] = (),
    approve: bool = False,
) -> str:
    """Create a join token in the database.

    Args:
        settings: Name the database.
        ttl: Seconds for which the token is valid.
        uses: Number of hosts that may join with it.
        labels: Labels of these hosts.
        networks: CIDR blocks from which they may join; none means any.
        approve: Whether each join waits for an operator's approval.

    Returns:
        The token's text. Only its hash is stored.
    """
    now = time.time_ns() // 1_000_000
    token = make(Kind.JOIN, os.urandom)
    kept = JoinToken(token.id, token.digest, now + ttl * 1000, uses, labels, "clarion-server", now, networks, approve)
    trio.run(_save, settings, kept)
    return token.text


def restore(settings: Settings) -> int:
    """End every open execution as `lost`, so that none can start again after a backup was restored.

    Returns:
        The number of executions that were open.

    Raises:
        InUse: A server runs on this data directory.
    """
    with locked(settings.data) as place:
        swap.finish(settings.data)
        return trio.run(_restore, settings, place)


def restore_from(settings: Settings, source: Path, config: Path | None = None) -> Restored:
    """Restore a backup, all or nothing, and end every execution that is open in it as `lost`.

    Args:
        settings: Name the data directory and the database.
        source: The folder of the backup.
        config: The file that the settings come from, if any. Unless it is in the backup, it stays in use.

    Raises:
        InUse: A server runs on this data directory.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ClarionError("restore_failed", f"{settings.data}: {error.strerror}") from error
    with locked(settings.data) as place:
        swap.finish(settings.data)
        work = backup_restore.restore if settings.store.kind == "sqlite" else mysql_restore.restore
        keep_config = config is not None and config.absolute().parent != source.absolute()
        return work(settings, source, place, lambda staged: trio.run(_restore, staged, place), keep_config=keep_config)


def accept_database(settings: Settings) -> str:
    """Bind the data directory to the database that the settings name; a missing database is created.

    Returns:
        The id of the database.

    Raises:
        InUse: A server runs on this data directory.
    """
    with locked(settings.data):
        return trio.run(_accept, settings)


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """Yield the store, not yet open; close it afterwards and translate its errors to ClarionError."""
    swap.check_finished(settings.data)
    await trio.to_thread.run_sync(save_before_migration, settings)
    store = wiring.store(settings)
    try:
        yield store
    except StoreFenced as error:
        raise ClarionError("fenced", str(error)) from error
    except StoreUnavailable as error:
        raise ClarionError("store_unavailable", str(error), field="store") from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error
    finally:
        await store.aclose()


async def _save(settings: Settings, token: JoinToken) -> None:
    database_id.check_file(settings)
    async with _store(settings) as store:
        await store.open()
        await database_id.check_id(settings, store)
        await store.write([CreateJoinToken(token)])


async def _restore(settings: Settings, place: str) -> int:
    database_id.check_file(settings)
    engine, now = Engine(), Now(0.0, time.time_ns() // 1_000_000)
    async with _store(settings) as store:
        await recovery.open_store(store, lease.this_server(place), settings.store)
        await database_id.check_id(settings, store)
        engine.load_counts(await store.count_tasks(), await store.sum_executions())
        engine.begin_grace(now)
        saves: list[Save] = []
        for one in await store.open_tasks():
            saves += engine.handle([TaskLoaded(one.task, one.command, one.executions)], now).saves
        open_before = sum(engine.statistics().executions[:3])
        saves += engine.handle([DatabaseRestored()], now).saves
        await store.write(saves)
        await lease.give_back(store)
        return open_before


async def _accept(settings: Settings) -> str:
    async with _store(settings) as store:
        await store.open()
        found = await store.database_id()
    database_id.record(settings.data, found)
    return found
