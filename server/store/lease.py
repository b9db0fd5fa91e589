"""The lease: at most one server, the one with the newest epoch, commits (I13).

A server takes the lease when it starts, and only if it is free, has run out on the database's own clock, or its holder
is known to have ended. Taking it begins the next epoch. Every transaction of a server checks that the epoch is still
its own. So the lease's time decides only how soon another server may try, never which one may commit: no clock can make
two servers write.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from server.core.inputs.bounds import EPOCH_HEALED, EPOCH_LEAP, EPOCH_MAX, EPOCH_SAFE, TIME_MAX_MS, within
from server.store.tables.columns import Row

log = structlog.get_logger(__name__)

LENGTH_MAX_MS = 3_600_000
"""The longest lease that store.lease_seconds allows. A longer stored one would keep every server out."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A server.

    Attributes:
        place: unique among live servers; the next server on the same data directory has the same one. Empty: unknown.
        host: its machine, for people.
        pid: its process id, for people.
    """

    place: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The stored row. Times are milliseconds of the database's clock.

    Attributes:
        beat: grows with each renewal.
        now_ms: the time at which the row was read.
    """

    epoch: int
    beat: int
    holder: Holder
    length_ms: int
    until_ms: int
    now_ms: int

    @property
    def left(self) -> float:
        """Seconds until it runs out; 0 if it has or was given back.

        Never more than its length: a longer time means that the clock was set back.
        """
        return max(0, min(self.until_ms - self.now_ms, self.length_ms, LENGTH_MAX_MS)) / 1000

    def __str__(self) -> str:
        """The holder and the end of the lease, for people."""
        holder = self.holder
        until = datetime.fromtimestamp(within(self.until_ms, TIME_MAX_MS) / 1000, UTC).isoformat(" ", "seconds")
        return f"host {holder.host}, process {holder.pid}, epoch {self.epoch}, until {until}"


class LeaseHeld(Exception):
    """Another server has the lease."""

    def __init__(self, lease: Lease) -> None:
        """Keep the lease of the other server."""
        self.lease = lease
        super().__init__(str(lease))


class StoreFenced(Exception):
    """Another server has taken the lease since. Nothing was written, and nothing more will be."""


class DatabaseReplaced(StoreFenced):
    """The open database is no longer the one that the settings name. Nothing more will be written."""


def lease_from(row: Row) -> Lease:
    """The lease of a row of `read_lease`."""
    epoch, beat, place, host, pid, length_ms, until_ms, now_ms = row
    length_ms, until_ms = (number if isinstance(number, int) else 0 for number in (length_ms, until_ms))
    return Lease(epoch, beat, Holder(place, host, pid), length_ms, until_ms, now_ms)


def judge(lease: Lease, dead: Lease | None) -> None:
    """Check that the lease may be taken.

    Args:
        lease: the stored one.
        dead: a lease whose holder has ended; it may be taken if it has not changed since.

    Raises:
        LeaseHeld: another server has it.
    """
    if lease.left > 0 and (dead is None or (dead.epoch, dead.beat) != (lease.epoch, lease.beat)):
        raise LeaseHeld(lease)


def next_epoch(lease: Lease, *known: str) -> int:
    """An epoch above all that there can have been.

    A lease with an epoch that no server can have reached is not believed. Epochs then continue above all possible ones,
    at a number that depends on the lease's beat, so that no earlier server has the same one.

    Args:
        lease: the stored lease.
        known: epochs that are kept among the facts of the installation. They are believed for a database from before
            leases, otherwise only within EPOCH_LEAP.
    """
    if not (isinstance(lease.epoch, int) and 0 <= lease.epoch <= EPOCH_SAFE):
        healed = EPOCH_HEALED + (lease.beat if isinstance(lease.beat, int) else 0) % (1 << 20)
        log.error("stored_epoch_replaced", value=lease.epoch, instead=healed)
        return healed
    most = lease.epoch + EPOCH_LEAP if lease.epoch else EPOCH_SAFE
    facts = [int(text) for text in known if text.isdecimal() and len(text) <= len(str(EPOCH_MAX))]
    return 1 + max([lease.epoch, *(epoch for epoch in facts if epoch <= most)])


def taking(holder: Holder, seconds: float, epoch: int, lease: Lease) -> dict[str, object]:
    """The parameters of `take_lease`; seconds: the length of the lease."""
    return {
        "epoch": epoch,
        "place": holder.place[:255],
        "host": holder.host[:255],
        "pid": holder.pid,
        "length_ms": round(seconds * 1000),
        "old": lease.epoch,
        "beat": lease.beat,
    }


def fenced(epoch: int, lease: Lease) -> StoreFenced:
    """The error of a server whose lease was taken."""
    return StoreFenced(f"another server now uses the database ({lease}); this one was epoch {epoch}")
