"""Time to group 10,000 answers in each database. `python -m tests.tools.bench.parts.bench_answers`"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio

from server.core.effects import SaveExecution
from server.core.model import Execution
from server.core.results.groups import KindOrder
from server.core.selectors.fold import fold
from server.core.states import ExecutionStatus as E
from server.store.base import Store
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from tests.mariadb import PASSWORD, USER, running
from tests.store.make import create, hosts

HOSTS = 10_000
TASKS = 5
REPEATS = 7
KINDS = (3, 100, HOSTS)
"""Numbers of different answers."""


async def measure(name: str, store: Store) -> None:
    """Print the time of the statement and its result.

    Raises:
        RuntimeError: The groups differ from those written.
    """
    await store.open()
    machines = hosts(HOSTS)
    for kinds in KINDS:
        for _ in range(TASKS):
            made = create(machines)
            command_id = made.command.command_id
            rows = [
                Execution(
                    command_id, host, status=E.COMPLETED, version=3, seq=1, journal_id=made.task.task_id, dispatched_at=1, accepted_at=2, started_at=3,  # noqa: E501
                    finished_at=1_790_000_000_000 + index, exit_code=0, stdout_id=(index % kinds).to_bytes(32, "big"), report={"usage": {"cpu_ms": 3, "max_rss": 123456}},  # noqa: E501
                )
                for index, host in enumerate(machines)
            ]  # fmt: skip
            await store.write([made, *map(SaveExecution, rows)])
        read, cpu = [], []
        for _ in range(REPEATS):
            begun, spent = time.perf_counter(), time.process_time()
            answers = KindOrder(await store.answer_kinds(command_id)).numbered(await store.answers(command_id))
            read.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - spent)
        if len(answers) != kinds or sum(one.count for one in answers) != HOSTS:
            raise RuntimeError(
                f"{len(answers)} groups of {sum(one.count for one in answers)} hosts instead of {kinds} of {HOSTS}"
            )
        print(
            f"{name:8} {HOSTS:,} hosts, {kinds:6,} different answers   {min(read) * 1e3:6.0f} ms, of it "
            f"{min(cpu) * 1e3:.0f} ms of this process"
        )
    names = [f"web{number:05}.example" for number in range(HOSTS)]
    begun = time.process_time()
    fold(names)
    print(
        f"{'':8} {HOSTS:,} names folded                      {(time.process_time() - begun) * 1e3:6.0f} ms, "
        f"once per group"
    )
    await store.aclose()


def _sqlite() -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(measure, "SQLite", SqliteStore(Path(directory) / "clarion.db"))


def _mariadb() -> None:
    with running() as server:
        store = MySQLStore(user=USER, password=PASSWORD, database=server.new_database(), socket=str(server.socket))
        trio.run(measure, "MariaDB", store)


def main() -> None:
    makers: list[Callable[[], None]] = [_sqlite, _mariadb]
    for make in makers:
        make()


if __name__ == "__main__":
    sys.exit(main())
