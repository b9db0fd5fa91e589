"""The server's side of the lease: waiting for it, keeping it, giving it back. What it is for stands in
store/lease.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import structlog
import trio

from server.errors import ClarionError
from server.store.base import Store, StoreUnavailable
from server.store.lease import LENGTH_MAX_MS, Holder, Lease, LeaseHeld

log = structlog.get_logger("server.cluster.lease")

LOOKS_EVERY = 1.0
"""Seconds between two looks at a lease that another server has, at most."""
GIVEN_BACK_WITHIN = 2.0
"""Seconds. If the database is away there is nothing to be given back."""


def this_server(place: str) -> Holder:
    """place: of security.lock, empty for none."""
    return Holder(place, socket.gethostname(), os.getpid())


async def take(store: Store, holder: Holder, seconds: float, wait: float) -> int:
    """The epoch that begins. seconds: the lease's length. wait: how long for another server's at most, and for a row
    that it has locked.

    Raises ClarionError (lease_held), StoreUnavailable, StoreRefused.
    """
    give_up = trio.current_time() + wait
    watched = _Watched(trio.current_time)
    dead: Lease | None = None
    while True:
        try:
            return await store.take_lease(holder, seconds, dead=dead)
        except LeaseHeld as held:
            lease = held.lease
            if watched.gone(lease, holder):
                dead = lease
                continue
            if trio.current_time() >= give_up:
                raise ClarionError("lease_held", f"another server uses this database: {lease}") from None
            pause = min(max(lease.left, 0.05), LOOKS_EVERY)
        except StoreUnavailable as error:
            if trio.current_time() >= give_up:
                raise
            log.warning("waiting for the lease's row", error=str(error))
            pause = LOOKS_EVERY
        await trio.sleep(max(0.01, min(pause, give_up - trio.current_time())))


class _Watched:
    """Another server's lease, looked at again and again. now: seconds, monotonic."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def gone(self, lease: Lease, ours: Holder) -> bool:
        """Its holder cannot have it any more, whatever the database's clock says: we hold the lock that it held, or it
        has not renewed
        it for as long as it lasts."""
        if ours.place and lease.holder.place == ours.place:
            log.info("the last server on this data directory is gone; its lease is taken over", lease=str(lease))
            return True
        seen = (lease.epoch, lease.beat)
        if seen != self._seen:
            if self._seen is None or self._seen[0] != lease.epoch:
                log.warning(
                    "another server uses this database; waiting for its lease to end",
                    lease=str(lease),
                    left_s=round(lease.left, 1),
                )
            self._seen, self._since = seen, self._now()
        return self._now() - self._since > min(lease.length_ms, LENGTH_MAX_MS) / 1000


async def keep(store: Store, seconds: float) -> None:
    """Renew it for ever, three times in its length, and see that the database is still the one that was opened. Raises
    StoreFenced,
    DatabaseReplaced."""
    away = False
    while True:
        await trio.sleep(seconds / 3)
        try:
            await store.check_database()
            await store.renew_lease()
        except StoreUnavailable as error:
            if not away:
                log.warning("the lease cannot be renewed", error=str(error))
            away = True
        else:
            away = False


async def give_back(store: Store) -> None:
    """Whatever else is being cancelled. Only after the last write."""
    with trio.move_on_after(GIVEN_BACK_WITHIN, shield=True) as scope:
        try:
            await store.give_back_lease()
        except StoreUnavailable as error:
            log.warning("the lease could not be given back", error=str(error))
    if scope.cancelled_caught:
        log.warning("the lease could not be given back", error=f"no answer within {GIVEN_BACK_WITHIN:g} s")
