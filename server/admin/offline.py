"""What `clarion-server` does to the store without a server."""

from __future__ import annotations

import os
import re
import time

import trio

from proto.readable import hidden
from server.cluster import lease
from server.core.effects import CreateJoinToken, Save
from server.core.engine import Engine
from server.core.events import DatabaseRestored, Now, TaskLoaded
from server.core.model import JoinToken
from server.errors import ClarionError
from server.lifecycle import database_id as boot_database
from server.lifecycle import recovery, wiring
from server.security import approval
from server.security.lock import locked
from server.security.tokens import Kind, make
from server.settings.schema import Settings
from server.store.base import StoreRefused, StoreUnavailable
from server.store.lease import StoreFenced

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
TTL_MIN, TTL_MAX = 10, 30 * 86_400


def duration(text: str) -> int:
    """Seconds of `90`, `30m`, `12h`, `7d`. Raises ValueError."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text.strip())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not TTL_MIN <= seconds <= TTL_MAX:
        raise ValueError(f"--ttl: {text!r} must be a time from 10s to 30d, such as 30m")
    return seconds


def label_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """Raises ValueError."""
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or len(pair) > 320 or hidden(pair) is not None:
            raise ValueError(f"--label: {pair[:80]!r} must be KEY=VALUE")
        labels[key] = value
    return labels


def blocks(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError."""
    try:
        return approval.networks(networks)
    except ValueError as error:
        raise ValueError(f"--network: {error}") from None


def create_join_token(
    settings: Settings,
    ttl: int,
    uses: int,
    labels: dict[str, str],
    networks: tuple[str, ...] = (),
    approve: bool = False,
) -> str:
    """A new token's text. ttl: seconds. Raises ClarionError, SettingsError, OSError."""
    now = time.time_ns() // 1_000_000
    token = make(Kind.JOIN, os.urandom)
    kept = JoinToken(token.id, token.digest, now + ttl * 1000, uses, labels, "clarion-server", now, networks, approve)
    trio.run(_save, settings, kept)
    return token.text


def restore(settings: Settings) -> int:
    """After a backup was put back: every open execution ends as `lost`, so that none of them can start a second time.
    How many did.

    Raises InUse while a server runs on this data directory, ClarionError, SettingsError, OSError.
    """
    with locked(settings.data) as place:
        return trio.run(_restore, settings, place)


async def _restore(settings: Settings, place: str) -> int:
    boot_database.check_file(settings)
    store, engine = wiring.store(settings), Engine()
    now = Now(0.0, time.time_ns() // 1_000_000)
    try:
        await recovery.open_store(store, lease.this_server(place), settings.store)
        await boot_database.check_id(settings, store)
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
    except StoreFenced as error:
        raise ClarionError("fenced", str(error)) from error
    except StoreUnavailable as error:
        raise ClarionError("store_unavailable", str(error), field="store") from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error
    finally:
        await store.aclose()


def accept_database(settings: Settings) -> str:
    """Take the database that the settings name, or a new one if there is none, for this data directory's from now on.
    Its id.

    Raises InUse while a server runs on this data directory, ClarionError, SettingsError, OSError.
    """
    with locked(settings.data):
        return trio.run(_accept, settings)


async def _accept(settings: Settings) -> str:
    store = wiring.store(settings)
    try:
        await store.open()
        database_id = await store.database_id()
    except StoreUnavailable as error:
        raise ClarionError("store_unavailable", str(error), field="store") from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error
    finally:
        await store.aclose()
    boot_database.record(settings.data, database_id)
    return database_id


async def _save(settings: Settings, token: JoinToken) -> None:
    boot_database.check_file(settings)
    store = wiring.store(settings)
    try:
        await store.open()
        await boot_database.check_id(settings, store)
        await store.write([CreateJoinToken(token)])
    except StoreUnavailable as error:
        raise ClarionError("store_unavailable", str(error), field="store") from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error
    finally:
        await store.aclose()
