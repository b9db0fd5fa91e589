"""The store on a MySQL or MariaDB server: one connection writes, a pool of others reads.

It uses nothing that a cluster refuses (TiDB, Galera, Vitess): no stored programs, no GET_LOCK, no foreign keys, no
AUTO_INCREMENT; every table has a primary key; the isolation level is READ COMMITTED.
"""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar, cast

import structlog
import trio
from trio_mysql import err

from server.core.effects import Save
from server.core.results.groups import ResultGroup
from server.core.rollback import EPOCH_SEEN
from server.store import migrate
from server.store.base import StoreRefused
from server.store.heal import Healed, healing
from server.store.lease import (
    DatabaseReplaced,
    Holder,
    Lease,
    LeaseHeld,
    StoreFenced,
    fenced,
    judge,
    lease_from,
    next_epoch,
    taking,
)
from server.store.mysql.connection import Connection
from server.store.mysql.errors import ALREADY_DONE, DEADLOCK, GONE, LOCK_WAIT, UNKNOWN_VARIABLE, lost, number, translate
from server.store.mysql.pool import Pool, PoolStatistics
from server.store.mysql.text_queries import MySQLLines
from server.store.mysql.write import MySQLWrite, NotAllTake
from server.store.plan import Phase, plan
from server.store.reads import Reads
from server.store.sql import MYSQL
from server.store.tables.columns import Row
from server.store.tables.registry import TABLES, Tables

T = TypeVar("T")

log = structlog.get_logger(__name__)

_DURABILITY = "SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"
_CONCAT_BYTES = 64 << 20
"""The executions of a task are read as texts of many lines; the limit exceeds the largest one (text_queries.PART)."""


@dataclass(frozen=True, slots=True)
class MySQLStatistics:
    """Levels of the two pools.

    Attributes:
        replays: transactions that were repeated because of a deadlock or a lock that was held too long.
    """

    reading: PoolStatistics
    writing: PoolStatistics
    replays: int


def tls_context(mode: str, ca: str | None = None) -> ssl.SSLContext | None:
    """The TLS context of a mode.

    Args:
        mode: `off`; `require` (encrypt, without checking the server); or `verify` (check its name and its chain).
        ca: a PEM file for `verify`; by default the authorities of the system.

    Raises:
        StoreRefused: the file of `ca` cannot be read.
        ValueError: the mode is unknown.
    """
    if mode == "off":
        return None
    if mode not in ("require", "verify"):
        raise ValueError(f"off, require or verify, not {mode!r}")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise StoreRefused(f"store.tls_ca: {ca} cannot be read: {error}") from error
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class MySQLStore(Reads):
    """A `base.Store` on a database that exists; either host and port, or socket.

    Args:
        user: the login.
        password: its password.
        database: the name of the database.
        host: the server's address.
        port: its port.
        socket: its Unix socket, instead of host and port.
        tls: from `tls_context`.
        connect_timeout: seconds for connecting and logging in.
        pool_size: reading connections; one more connection writes, so that no reader delays a commit.
        max_age: seconds after which a connection is replaced.
        idle_check: seconds of rest after which a connection is tested before use.
        statement_timeout: seconds that the database gives one statement.
        lock_timeout: seconds that it waits for a row that another session holds.
        replays: how often a transaction is repeated at once after a deadlock or such a wait.
        stopped_after: seconds after which the database gives up a silent writing connection, and rolls back.
        tables: its tables.
    """

    def __init__(
        self,
        *,
        user: str,
        password: str,
        database: str,
        host: str | None = None,
        port: int = 3306,
        socket: str | None = None,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
        pool_size: int = 4,
        max_age: float = 3600.0,
        idle_check: float = 30.0,
        statement_timeout: float = 60.0,
        lock_timeout: int = 5,
        replays: int = 5,
        stopped_after: float = 15.0,
        tables: Tables = TABLES,
    ) -> None:
        """Prepare the pools; nothing is connected yet."""
        super().__init__(MYSQL, tables)
        self._make: Callable[[], Connection] = lambda: Connection(
            user=user,
            password=password,
            database=database,
            host=host,
            port=port,
            socket=socket,
            tls=tls,
            connect_timeout=connect_timeout,
        )
        self._statement_timeout = statement_timeout
        self._lock_timeout = lock_timeout
        self._replays = replays
        self._write = MySQLWrite(tables)
        self._lease = MYSQL.load("lease_mysql")
        self._lines = MySQLLines(MYSQL, self.fetch)
        self._epoch: int | None = None
        self._id: str | None = None
        self._replaced: DatabaseReplaced | None = None
        self._reading = Pool(self._connect, size=pool_size, max_age=max_age, idle_check=idle_check)
        # a process that was stopped within a transaction holds the lease's row: without this, until the system's
        # wait_timeout
        self._stopped_after = max(1, math.ceil(stopped_after))
        self._writing = Pool(
            self._connect_writer, size=1, max_age=max_age, idle_check=min(idle_check, self._stopped_after / 2)
        )
        self._replayed = 0

    async def open(self) -> None:
        try:
            async with self._writing.lend() as connection:
                await self._check_durability(connection)
                await self._migrate(connection)
                await connection.select(
                    "INSERT IGNORE INTO meta (name, value) VALUES (:name, :value)",
                    {"name": migrate.DATABASE_ID, "value": os.urandom(16).hex()},
                )
                self._id = await self._read_id(connection)
        except Exception as error:
            _raise(error)

    async def aclose(self) -> None:
        await self._reading.aclose()
        await self._writing.aclose()

    def statistics(self) -> MySQLStatistics:
        """The current levels."""
        return MySQLStatistics(self._reading.statistics(), self._writing.statistics(), self._replayed)

    async def write(self, saves: Sequence[Save]) -> None:
        phases = plan(saves, self.tables)
        careful = False

        async def attempt(connection: Connection) -> None:
            nonlocal careful
            try:
                await self._transaction(connection, partial(self._apply, phases=phases, careful=careful))
            except NotAllTake:
                careful = True
                await self._transaction(connection, partial(self._apply, phases=phases, careful=True))

        await self._repeated(attempt)

    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        async def take(connection: Connection) -> int:
            await connection.run(self._lease["heal_lease"])
            lease = await self._read_lease(connection)
            judge(lease, dead)
            known = await connection.select(
                "SELECT value FROM meta WHERE name IN ('epoch', :seen)", {"seen": EPOCH_SEEN}
            )
            epoch = next_epoch(lease, *(value for (value,) in known))
            await connection.select(self._lease["take_lease"], taking(holder, seconds, epoch, lease))
            if not connection.affected:
                raise LeaseHeld(lease)
            await connection.select(self._lease["save_epoch"], {"epoch": str(epoch)})
            return epoch

        self._epoch = await self._repeated(partial(self._transaction, work=take))
        return self._epoch

    async def heal(self) -> list[Healed]:
        async def heal(connection: Connection) -> list[Healed]:
            await self._check_epoch(connection)
            questions, answer = healing(MYSQL.name, self.tables), None
            while True:
                try:
                    sql, parameters = questions.send(answer) if answer is not None else next(questions)
                except StopIteration as done:
                    return cast(list[Healed], done.value)
                rows = await connection.select(sql, parameters)
                answer = (rows, connection.affected)

        return await self._repeated(partial(self._transaction, work=heal))

    async def renew_lease(self) -> None:
        await self._repeated(partial(self._transaction, work=self._check_epoch))

    async def check_database(self) -> None:
        async def check(connection: Connection) -> None:
            if await self._read_id(connection) != self._id:
                self._replaced = DatabaseReplaced("the database was created again or replaced while the server used it")
                raise self._replaced

        await self._repeated(check)

    async def _read_id(self, connection: Connection) -> str | None:
        rows = await connection.select("SELECT value FROM meta WHERE name = :name", {"name": migrate.DATABASE_ID})
        return str(rows[0][0]) if rows else None

    async def give_back_lease(self) -> None:
        async def give_back(connection: Connection) -> None:
            await connection.select(self._lease["give_back_lease"], {"epoch": self._epoch})

        await self._repeated(partial(self._transaction, work=give_back))

    async def _repeated(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work`, again at once if it met a deadlock or a lock that was held too long."""
        left = self._replays
        while True:
            try:
                async with self._writing.lend() as connection:
                    return await work(connection)
            except Exception as error:
                if number(error) in GONE and self._id is not None:
                    self._replaced = DatabaseReplaced(
                        f"the database or its tables were dropped while the server used it ({error})"
                    )
                    raise self._replaced from error
                if number(error) not in (DEADLOCK, LOCK_WAIT) or not left:
                    _raise(error)
                left -= 1
                self._replayed += 1

    async def _apply(self, connection: Connection, *, phases: Sequence[Phase], careful: bool) -> None:
        await self._check_epoch(connection)
        for phase in phases:
            await self._write.apply(connection, phase, careful=careful)

    async def _check_epoch(self, connection: Connection) -> None:
        """Check and renew the lease, in a transaction: no other server can take it before the transaction ends."""
        if self._replaced is not None:
            raise self._replaced
        if self._epoch is not None:
            await connection.select(self._lease["renew_lease"], {"epoch": self._epoch})
            if not connection.affected:
                raise fenced(self._epoch, await self._read_lease(connection))

    async def _read_lease(self, connection: Connection) -> Lease:
        return lease_from((await connection.run(self._lease["read_lease"]))[0])

    async def fetch(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        try:
            try:
                async with self._reading.lend() as connection:
                    return await connection.select(sql, parameters)
            except err.MySQLError as error:
                if not lost(error):
                    raise
            # the server has been restarted, or has closed what rested: that is no reason to fail a read
            self._reading.drop_idle()
            async with self._reading.lend() as connection:
                return await connection.select(sql, parameters)
        except Exception as error:
            _raise(error)

    async def answers(self, command_id: str) -> list[ResultGroup]:
        return await self._lines.answers(command_id)

    async def states(self, command_id: str) -> Sequence[str]:
        return await self._lines.states(command_id)

    async def _transaction(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in a transaction.

        It always rolls back after an error: 1213 has rolled back already, 1205 has rolled back its statement only.
        """
        await connection.run("BEGIN")
        try:
            done = await work(connection)
            await connection.run("COMMIT")
        except (err.DatabaseError, StoreRefused, NotAllTake, LeaseHeld, StoreFenced):
            if connection.open:
                with trio.move_on_after(self._lock_timeout, shield=True), suppress(err.MySQLError):
                    await connection.run("ROLLBACK")
            raise
        return done

    async def _connect_writer(self) -> Connection:
        connection = await self._connect()
        try:
            await connection.run(f"SET SESSION wait_timeout = {self._stopped_after}")
        except BaseException:
            connection._force_close()
            raise
        return connection

    async def _connect(self) -> Connection:
        connection = self._make()
        await connection.connect()
        try:
            mariadb = "MariaDB" in connection.server_version
            limit = (
                f"max_statement_time = {self._statement_timeout:g}"
                if mariadb
                else f"max_execution_time = {round(self._statement_timeout * 1000)}"
            )
            await connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            await connection.run(
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
                f"innodb_lock_wait_timeout = {self._lock_timeout}, group_concat_max_len = {_CONCAT_BYTES}, {limit}"
            )
            ((connection.max_packet,),) = await connection.run("SELECT @@max_allowed_packet")
        except BaseException:
            connection._force_close()
            raise
        return connection

    async def _check_durability(self, connection: Connection) -> None:
        try:
            ((flush, binlog, sync),) = await connection.run(_DURABILITY)
        except err.MySQLError as error:
            if number(error) != UNKNOWN_VARIABLE:
                raise
            return  # another storage engine; it has no such settings
        if flush != 1:
            log.warning("database_may_lose_commits", variable="innodb_flush_log_at_trx_commit", value=flush, needed=1)
        if binlog and sync != 1:
            log.warning("database_may_lose_commits", variable="sync_binlog", value=sync, needed=1)

    async def _migrate(self, connection: Connection) -> None:
        await connection.run(migrate.VERSION_TABLE)
        done = {version: steps for version, steps in await connection.run(migrate.VERSIONS)}
        for step in migrate.outstanding(MYSQL.name, done, self.tables.migrations):
            await self._step(connection, step.statement)
            record = migrate.RECORD_FIRST if step.first else migrate.RECORD_NEXT
            await connection.select(record, {"version": step.version, "steps": step.steps})

    async def _step(self, connection: Connection, statement: str) -> None:
        try:
            await connection.run(statement)
        except err.MySQLError as error:
            if number(error) not in ALREADY_DONE:
                raise


def _raise(error: Exception) -> NoReturn:
    meaning = translate(error)
    if meaning is None:
        raise error
    raise meaning from error
