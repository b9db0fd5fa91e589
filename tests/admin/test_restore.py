"""`clarion-server restore`: after a backup was restored, no execution starts a second time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from server.admin import offline
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus as T
from server.security.lock import InUse, locked
from server.settings.schema import Settings
from server.store.sqlite.store import SqliteStore
from tests.store.make import create, hosts, moved


@pytest.mark.capability("I1", "F14")
def test_restore_ends_open_executions_as_lost_and_keeps_ended_ones(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    running, pending, ended = create(hosts(4)), create(hosts(2)), create(hosts(1))

    async def fill() -> None:
        store = SqliteStore(settings.database_file)
        await store.open()
        await store.write([running, pending, ended])
        await store.write(moved(running, [E.PENDING, E.DISPATCHED, E.RUNNING, E.COMPLETED], version=1))
        await store.write(moved(ended, [E.COMPLETED], version=1, status=T.COMPLETED))
        await store.aclose()

    async def look() -> None:
        store = SqliteStore(settings.database_file)
        await store.open()
        assert await store.open_tasks() == []
        rows = [
            view.execution
            for made in (running, pending)
            for view in await store.executions(made.command.command_id, after=None, limit=10)
        ]
        assert [(row.status, row.error_code) for row in rows if row.status is not E.COMPLETED] == [
            (E.LOST, "restored")
        ] * 5
        for made, status, lost in ((running, T.FAILED, 3), (pending, T.FAILED, 2), (ended, T.COMPLETED, 0)):
            task = await store.task(made.task.task_id)
            assert task is not None and (task.status, task.counts[E.LOST]) == (status, lost)
        await store.aclose()

    trio.run(fill)
    with locked(tmp_path), pytest.raises(InUse):
        offline.restore(settings)
    assert offline.restore(settings) == 5
    trio.run(look)
    assert offline.restore(settings) == 0
