"""Rows per second of each store, in batches of 1, 100 and 1,000. `python -m tests.tools.bench.parts.bench_store`

Every row is a SaveExecution of one 10,000-host task, moved through dispatched, running and completed; a batch is one
durable transaction. Figures are printed with the machine; no test depends on them.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio

from server.core.effects import CreateTask, DeleteTask, Save, SaveExecution
from server.core.model import Execution
from server.core.states import ExecutionStatus as E
from server.store.base import Store
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from server.store.water import WriterLimits
from server.store.writer import Writer
from tests.mariadb import PASSWORD, USER, running
from tests.store.fakes import TrioClock, half
from tests.store.make import create, hosts

ROWS = {1: 1_000, 100: 10_000, 1_000: 10_000}


def moves(made: CreateTask, status: E, count: int) -> list[Save]:
    report: dict[str, object] | None = {"usage": {"cpu_ms": 3}} if status.final else None
    return [
        SaveExecution(
            Execution(
                made.command.command_id, host, status=status, version=int(status), seq=1, journal_id=made.task.task_id, dispatched_at=1,  # noqa: E501
                accepted_at=2, started_at=3, exit_code=0 if status.final else None, stdout_id=bytes(32) if status.final else None, report=report,  # noqa: E501
            )
        )
        for host in made.task.targets[:count]
    ]  # fmt: skip


async def measure(name: str, store: Store) -> None:
    await store.open()
    machines = hosts(10_000)
    begun = time.perf_counter()
    made = create(machines)
    await store.write([made])
    print(f"{name:8} create a task with 10,000 targets   {(time.perf_counter() - begun) * 1000:9.0f} ms")
    begun = time.perf_counter()
    await store.write([DeleteTask(made.task.task_id)])
    print(f"{name:8} delete it                           {(time.perf_counter() - begun) * 1000:9.0f} ms")
    for batch, count in ROWS.items():
        made = create(machines)
        await store.write([made])
        seconds = 0.0
        for status in (E.DISPATCHED, E.RUNNING, E.COMPLETED):
            saves = moves(made, status, count)
            begun = time.perf_counter()
            for start in range(0, count, batch):
                await store.write(saves[start : start + batch])
            seconds += time.perf_counter() - begun
        print(f"{name:8} batches of {batch:5}                    {3 * count / seconds:9.0f} rows/s")
    for linger in (0, 5):
        await trickle(name, store, linger)
    await store.aclose()


async def trickle(name: str, store: Store, linger: float) -> None:
    """Write through the writer, ten rows per unit, as fast as it accepts them."""
    made = create(hosts(10_000))
    await store.write([made])
    writer = Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(linger_ms=linger))
    saves = [save for status in (E.DISPATCHED, E.RUNNING, E.COMPLETED) for save in moves(made, status, 10_000)]
    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        for start in range(0, len(saves), 10):
            writer.put(saves[start : start + 10])
            await trio.lowlevel.checkpoint()
            await writer.wait_room()
        await writer.aclose()
    seconds = time.perf_counter() - begun
    batches = writer.statistics().batches
    print(
        f"{name:8} writer, linger {linger} ms                  {len(saves) / seconds:9.0f} rows/s in {batches} commits"
    )


def main() -> None:
    print(
        f"{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
    makers: list[Callable[[], None]] = [_sqlite, _mariadb]
    for make in makers:
        make()


def _sqlite() -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(measure, "SQLite", SqliteStore(Path(directory) / "clarion.db"))


def _mariadb() -> None:
    with running() as server:
        store = MySQLStore(user=USER, password=PASSWORD, database=server.new_database(), socket=str(server.socket))
        trio.run(measure, "MariaDB", store)


if __name__ == "__main__":
    sys.exit(main())
