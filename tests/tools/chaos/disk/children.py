"""Processes that write like server and agent, and record what was confirmed: `python -m
tests.tools.chaos.disk.children`.

Arguments: WHAT DIR BROKEN. BROKEN disables one mechanism that keeps a promise, so that a test can show that it would
notice the loss.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import sys
from pathlib import Path

import trio

from agent.core.effects import Append, Rewrite
from agent.core.events import JournalDurable
from agent.core.journal import Intent
from agent.storage import disk as agent_disk
from agent.storage.journal import Sizes, open_journal
from server.core.effects import SaveOutput
from server.store.sqlite.store import SqliteStore
from server.store.water import WriterLimits
from server.store.writer import Writer
from tests.store.fakes import TrioClock, half
from tests.store.make import create, hosts, output
from tests.tools.chaos.disk.power import CLAIMS

UNITS, INTENTS = 60, 200


def claim(folder: Path, text: str) -> None:
    with open(folder / CLAIMS, "ab", buffering=0) as file:
        file.write(text.encode() + b"\n")


async def store(folder: Path, broken: str) -> None:
    """Write tasks of three executions with an output of 8,000 bytes each; SQLite checkpoints its log every 40 pages."""
    made = SqliteStore(folder / "c.db")
    connect = made._connect

    def sooner() -> sqlite3.Connection:
        connection = connect()
        connection.execute("PRAGMA wal_autocheckpoint = 40")
        if broken:
            connection.execute(f"PRAGMA synchronous = {broken}")
        return connection

    made._connect = sooner  # type: ignore[method-assign]
    await made.open()
    claim(folder, "open")
    writer = Writer(made, clock=TrioClock(), entropy=half, limits=WriterLimits(max_rows=20))
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        for number in range(UNITS):
            one = create(hosts(3))
            text = f"{one.task.task_id} {one.command.command_id}"
            writer.put([one, SaveOutput(output(os.urandom(8_000)))], lambda text=text: claim(folder, text))  # type: ignore[misc]
            if number % 3 == 0:
                await trio.sleep(0.002)
        await writer.aclose()
    await made.aclose()


def journal(folder: Path, broken: str) -> None:
    """Write intents, one or several per sync, and compact the journal every hundred."""
    disk = agent_disk.Disk()
    if broken == "no sync":
        disk.sync = lambda fd: None  # type: ignore[method-assign]
    elif broken == "no sync of the directory":
        disk.sync_directory = lambda path: None  # type: ignore[method-assign]
    made, state = open_journal(folder / "journal", new_id="j1", now_ms=1, warn=print, sizes=Sizes(16_384, 0), disk=disk)
    claim(folder, "open")
    told: queue.Queue[object] = queue.Queue()
    made.start(told.put)
    position = 0
    for number in range(1, INTENTS + 1):
        record = Intent(f"c{number}", 1, number, "boot", b"d" * 32, 10, number)
        state.apply(record)
        position += 1
        made.put(Append(position, (record,)))
        if number % 100 == 0:
            position += 1
            made.put(Rewrite(position, state.records()))
        if number % 3 == 0 or number % 100 == 0:
            while told.get(timeout=10) != JournalDurable(position):
                pass
            claim(folder, f"up to {number}")
    made.close()


if __name__ == "__main__":
    what, place, without = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if what == "store":
        trio.run(store, place, without)
    else:
        journal(place, without)
