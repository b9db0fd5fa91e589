"""Takes, renews and releases the lease on the database. server/store/lease.py explains its purpose."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import structlog
import trio

from server.errors import ClarionError
from server.store.base import Store, StoreUnavailable
from server.store.lease import LENGTH_MAX_MS, Holder, Lease, LeaseHeld

log = structlog.get_logger(__name__)

LOOKS_EVERY = 1.0
"""Maximum seconds between two checks of another server's lease."""
GIVEN_BACK_WITHIN = 2.0
"""Time limit in seconds for the release of the lease, in case the database does not answer."""


def this_server(place: str) -> Holder:
    """Return this process as a lease holder. `place` is the place of security.lock, or empty."""
    return Holder(place, socket.gethostname(), os.getpid())


async def take(store: Store, holder: Holder, seconds: float, wait: float) -> int:
    """Take the lease.

    Args:
        store: The open database.
        holder: This process.
        seconds: Length of the lease.
        wait: Maximum seconds to wait for another server's lease, or for a row that it has locked.

    Returns:
        The number of the new epoch.

    Raises:
        ClarionError: Another server has the lease (lease_held).
        StoreUnavailable: The database does not answer.
        StoreRefused: The database cannot be used.
    """
    give_up = trio.current_time() + wait
    watched = _ForeignLease(trio.current_time)
    dead: Lease | None = None
    while True:
        try:
            return await store.take_lease(holder, seconds, dead=dead)
        except LeaseHeld as held:
            lease = held.lease
            if watched.expired(lease, holder):
                dead = lease
                continue
            if trio.current_time() >= give_up:
                raise ClarionError("lease_held", f"another server uses this database: {lease}") from None
            pause = min(max(lease.left, 0.05), LOOKS_EVERY)
        except StoreUnavailable as error:
            if trio.current_time() >= give_up:
                raise
            log.warning("lease_row_locked", error=str(error))
            pause = LOOKS_EVERY
        await trio.sleep(max(0.01, min(pause, give_up - trio.current_time())))


class _ForeignLease:
    """Observes another server's lease. `now` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def expired(self, lease: Lease, ours: Holder) -> bool:
        """Return whether the other server cannot have the lease any more, whatever the database's clock says.

        Either this server holds the file lock that the other one held, or the other one has not renewed the lease for
        its whole length.
        """
        if ours.place and lease.holder.place == ours.place:
            log.info("lease_taken_from_stopped_server", lease=str(lease))
            return True
        seen = (lease.epoch, lease.beat)
        if seen != self._seen:
            if self._seen is None or self._seen[0] != lease.epoch:
                log.warning(
                    "waiting_for_lease",
                    lease=str(lease),
                    left_s=round(lease.left, 1),
                )
            self._seen, self._since = seen, self._now()
        return self._now() - self._since > min(lease.length_ms, LENGTH_MAX_MS) / 1000


async def keep(store: Store, seconds: float) -> None:
    """Renew the lease every `seconds / 3` until cancelled, and check that the database is still the same one.

    Raises:
        StoreFenced: Another server has taken the lease.
        DatabaseReplaced: The database was replaced.
    """
    failing = False
    while True:
        await trio.sleep(seconds / 3)
        try:
            await store.check_database()
            await store.renew_lease()
        except StoreUnavailable as error:
            if not failing:
                log.warning("lease_renewal_failed", error=str(error))
            failing = True
        else:
            failing = False


async def give_back(store: Store) -> None:
    """Release the lease, even while the caller is being cancelled. Call it only after the last write."""
    with trio.move_on_after(GIVEN_BACK_WITHIN, shield=True) as scope:
        try:
            await store.give_back_lease()
        except StoreUnavailable as error:
            log.warning("lease_release_failed", error=str(error))
    if scope.cancelled_caught:
        log.warning("lease_release_failed", error=f"no answer within {GIVEN_BACK_WITHIN:g} s")
