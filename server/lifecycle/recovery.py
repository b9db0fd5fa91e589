"""A start begins where the last one ended: everything that is not final is loaded before the first agent is let in."""

from __future__ import annotations

from dataclasses import replace

import structlog

from server.cluster import lease
from server.conductor import Conductor
from server.core.effects import Alarm
from server.core.engine import Engine
from server.core.events import HostLoaded, Now, TaskLoaded
from server.errors import ClarionError
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.settings.sections.store import Store as StoreSettings
from server.store.base import Store, StoreRefused, StoreUnavailable
from server.store.lease import Holder

log = structlog.get_logger("server.lifecycle.recovery")


async def open_store(store: Store, holder: Holder, settings: StoreSettings) -> int:
    """Connect, migrate, take the lease, and begin the next epoch, whose number is returned. Raises ClarionError."""
    try:
        await store.open()
        return await lease.take(store, holder, settings.lease_seconds, settings.lease_wait)
    except StoreUnavailable as error:
        hint = "start the database, or correct the settings under 'store', then start the server again"
        raise ClarionError("store_unavailable", str(error), field="store", hint=hint) from error
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store") from error


async def replace_bad_values(store: Store) -> list[Alarm]:
    """Replace stored numbers that no server can have written, before anything is read. Each is logged; returns the
    alarm about them, if any."""
    healed = await store.heal()
    for one in healed:
        log.error("stored numbers replaced", table=one.table, column=one.column, rows=one.rows, what=one.what)
    return [Alarm("stored_value", f"replaced at the start: {'; '.join(map(str, healed))}")] if healed else []


def unreadable_alarms(store: Store) -> list[Alarm]:
    """The alarm about what could not be read, once everything is loaded, if there is anything."""
    names = store.unreadable()
    for name in names:
        log.error("stored value passed over", what=name)
    return [Alarm("stored_value", f"not loaded, because it cannot be read: {'; '.join(names[:20])}")] if names else []


async def load_hosts(store: Store, registry: Registry, engine: Engine, now: Now) -> int:
    """All known hosts, nobody connected; returns how many."""
    hosts = await store.hosts()
    for host in hosts:
        registry.put(replace(host, status="offline"))
    engine.handle([HostLoaded(host.host_id, host.max_seq, host.max_epoch) for host in hosts], now)
    return len(hosts)


async def load_identities(store: Store) -> Identities:
    """Every host's certificates, as they were left."""
    return Identities(await store.identities())


async def load_join_requests(store: Store) -> JoinRequests:
    """Every join that waits for an operator's word."""
    return JoinRequests(await store.join_requests())


async def load_tasks(store: Store, engine: Engine, conductor: Conductor, now: Now) -> int:
    """All tasks that are not final, with what is open of them; returns how many. The writer must be running."""
    engine.load_counts(await store.count_tasks(), await store.sum_executions())
    engine.begin_grace(now)
    opened = await store.open_tasks()
    for one in opened:
        conductor.submit(TaskLoaded(one.task, one.command, one.executions))
    return len(opened)
