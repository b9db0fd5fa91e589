"""Loads unfinished tasks, known hosts and identities before agents may connect."""

from __future__ import annotations

from dataclasses import replace

import structlog

from server.cluster import lease
from server.conductor import Conductor
from server.core.effects import Alarm
from server.core.engine import Engine
from server.core.events import HostLoaded, Now, TaskLoaded
from server.core.records import Records
from server.errors import ClarionError
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.settings.sections.store import Store as StoreSettings
from server.store.base import Store, StoreRefused, StoreUnavailable
from server.store.lease import Holder
from server.store.tables.registry import TABLES, Tables

log = structlog.get_logger(__name__)
UNREADABLE_SHOWN = 20
"""Maximum number of unreadable values that an alarm names."""


async def open_store(store: Store, holder: Holder, settings: StoreSettings) -> int:
    """Connect to the database, migrate it, and take the lease.

    Returns:
        The number of the new epoch.

    Raises:
        ClarionError: The database cannot be used, or another server has the lease.
    """
    try:
        await store.open()
        return await lease.take(store, holder, settings.lease_seconds, settings.lease_wait)
    except StoreUnavailable as error:
        hint = "start the database, or correct the settings under 'store', then start the server again"
        raise ClarionError("store_unavailable", str(error), field="store", hint=hint) from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error


async def replace_bad_values(store: Store) -> list[Alarm]:
    """Replace stored numbers that no server can have written, and log each. Call it before anything is read.

    Returns:
        The alarm about them, if there are any.
    """
    healed = await store.heal()
    for one in healed:
        log.error("stored_numbers_replaced", table=one.table, column=one.column, rows=one.rows, what=one.what)
    return [Alarm("stored_value", f"replaced at the start: {'; '.join(map(str, healed))}")] if healed else []


def unreadable_alarms(store: Store) -> list[Alarm]:
    """Log every row that could not be read. Call it after everything is loaded.

    Returns:
        The alarm about them, if there are any.
    """
    names = store.unreadable()
    for name in names:
        log.error("stored_value_skipped", what=name)
    if not names:
        return []
    return [Alarm("stored_value", f"not loaded, because it cannot be read: {'; '.join(names[:UNREADABLE_SHOWN])}")]


async def load_hosts(store: Store, registry: Registry, engine: Engine, now: Now) -> int:
    """Load all known hosts as offline and return their number."""
    hosts = await store.hosts()
    for host in hosts:
        registry.put(replace(host, status="offline"))
    engine.handle([HostLoaded(host.host_id, host.max_seq, host.max_epoch) for host in hosts], now)
    return len(hosts)


async def load_records(store: Store, records: Records, tables: Tables = TABLES) -> None:
    """Load the records of every noun that is kept in memory."""
    for table in tables.all:
        if table.memory is not None:
            collection = records.of(table.memory)
            for record in await store.all_of(table.record):
                collection.put(record)


async def load_identities(store: Store) -> Identities:
    """Load the certificates of all hosts."""
    return Identities(await store.identities())


async def load_join_requests(store: Store) -> JoinRequests:
    """Load the join requests that wait for approval."""
    return JoinRequests(await store.join_requests())


async def load_tasks(store: Store, engine: Engine, conductor: Conductor, now: Now) -> int:
    """Load all unfinished tasks with their open executions and return their number. The writer must be running."""
    engine.load_counts(await store.count_tasks(), await store.sum_executions())
    engine.begin_grace(now)
    opened = await store.open_tasks()
    for one in opened:
        conductor.submit(TaskLoaded(one.task, one.command, one.executions))
    return len(opened)
