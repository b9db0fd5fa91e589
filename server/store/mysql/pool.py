"""Connections kept for the next one who needs one. Each is lent to one task; on any doubt it is thrown away.

Never reconnected in place: what is in doubt about a connection stays in doubt.
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
    """waits, wait_seconds: how often, and how long in all, somebody waited because all connections were lent."""

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
    """At most `size` connections. connect: makes one, ready for use.

    max_age: seconds after which one is replaced. idle_check: seconds of rest after which one is asked whether it still
    lives before it is lent. Times are of trio's clock.
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
        """A connection that is in no transaction. Raises err.MySQLError."""
        await self._take_turn()
        try:
            lent = await self._get()
            try:
                yield lent.connection
            except (err.DatabaseError, StoreRefused, LeaseHeld, StoreFenced):
                # the stream is in step with the server; whether it still is there, and in no transaction, shows below
                self._give_back(lent)
                raise
            except BaseException:
                self._drop(lent.connection)
                raise
            self._give_back(lent)
        finally:
            self._free.release()

    def drop_idle(self) -> None:
        """After one connection has been lost the others are not worth trying."""
        while self._idle:
            self._drop(self._idle.pop().connection)

    async def aclose(self) -> None:
        """Say goodbye on the idle ones; the lent ones are dropped when they come back."""
        self._closed = True
        while self._idle:
            connection = self._idle.pop().connection
            with trio.move_on_after(1, shield=True):
                await connection.aclose()
            connection._force_close()

    def statistics(self) -> PoolStatistics:
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
