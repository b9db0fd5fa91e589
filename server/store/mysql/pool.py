"""A pool of connections. Each is lent to one task; on any doubt it is closed.

A connection is never reconnected in place, because a doubt about it would remain.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
from trio_mysql import err

from server.store.base import StoreRefused
from server.store.lease import LeaseHeld, StoreFenced
from server.store.mysql.connection import Connection


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Levels of a pool.

    Attributes:
        waits: how often a task waited because all connections were lent.
        wait_seconds: how long they waited in all.
    """

    size: int
    idle: int
    lent: int
    waits: int
    wait_seconds: float
    opened: int
    dropped: int


@dataclass(slots=True)
class _Idle:
    connection: Connection
    born: float
    used: float


class Pool:
    """At most `size` connections. Times are of trio's clock.

    Args:
        connect: makes a connection that is ready for use.
        size: connections, at most.
        max_age: seconds after which a connection is replaced.
        idle_check: seconds of rest after which a connection is tested before it is lent.
        check_timeout: seconds for that test.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        size: int = 4,
        max_age: float = 3600.0,
        idle_check: float = 30.0,
        check_timeout: float = 5.0,
    ) -> None:
        """Connect nothing yet."""
        self._connect = connect
        self._size = size
        self._max_age = max_age
        self._idle_check = idle_check
        self._check_timeout = check_timeout
        self._free = trio.Semaphore(size, max_value=size)
        self._idle: list[_Idle] = []
        self._closed = False
        self._waits = 0
        self._wait_seconds = 0.0
        self._opened = 0
        self._dropped = 0

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection that is in no transaction.

        Raises:
            err.MySQLError: no connection can be made.
        """
        await self._take_turn()
        try:
            lent = await self._get()
            try:
                yield lent.connection
            except (err.DatabaseError, StoreRefused, LeaseHeld, StoreFenced):
                # the stream is intact; _give_back checks whether it is open and in no transaction
                self._give_back(lent)
                raise
            except BaseException:
                self._drop(lent.connection)
                raise
            self._give_back(lent)
        finally:
            self._free.release()

    def drop_idle(self) -> None:
        """Close the idle connections; after one was lost, the others are not worth a test."""
        while self._idle:
            self._drop(self._idle.pop().connection)

    async def aclose(self) -> None:
        """Close the idle connections in order; the lent ones are closed when they are returned."""
        self._closed = True
        while self._idle:
            connection = self._idle.pop().connection
            with trio.move_on_after(1, shield=True):
                await connection.aclose()
            connection._force_close()

    def statistics(self) -> PoolStatistics:
        """The current levels."""
        lent = self._size - self._free.value
        return PoolStatistics(
            self._size, len(self._idle), lent, self._waits, self._wait_seconds, self._opened, self._dropped
        )

    async def _take_turn(self) -> None:
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            begun = trio.current_time()
            self._waits += 1
            try:
                await self._free.acquire()
            finally:
                self._wait_seconds += trio.current_time() - begun

    async def _get(self) -> _Idle:
        while self._idle:
            known = self._idle.pop()
            now = trio.current_time()
            if now - known.born < self._max_age and (
                now - known.used < self._idle_check or await self._lives(known.connection)
            ):
                return known
            self._drop(known.connection)
        connection = await self._connect()
        self._opened += 1
        now = trio.current_time()
        return _Idle(connection, now, now)

    async def _lives(self, connection: Connection) -> bool:
        try:
            with trio.fail_after(self._check_timeout):
                await connection.ping(reconnect=False)
        except (err.MySQLError, trio.TooSlowError):
            return False
        except BaseException:
            self._drop(connection)
            raise
        return True

    def _give_back(self, lent: _Idle) -> None:
        if self._closed or not lent.connection.open or lent.connection.in_transaction:
            self._drop(lent.connection)
        else:
            lent.used = trio.current_time()
            self._idle.append(lent)

    def _drop(self, connection: Connection) -> None:
        connection._force_close()
        self._dropped += 1
