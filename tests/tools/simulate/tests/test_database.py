"""The simulated database does with the saves of whole runs what SQLite does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.store.sqlite.store import SqliteStore
from server.store.tables.columns import as_json
from tests.tools.simulate.machines.database import Tables
from tests.tools.simulate.run import play, simulated

SEEDS = (2, 19, 40, 53)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_simulated_database_equals_sqlite_after_the_same_saves(tmp_path: Path, seed: int) -> None:
    with simulated():
        world, outcome = play(seed, record=True)
    assert not outcome.failures and world.recorded
    tables = Tables()
    store = SqliteStore(tmp_path / "store")
    await store.open()
    try:
        for batch in world.recorded:
            tables.apply(batch)
            await store.write(batch)
            if len(batch) % 7 == 0:  # an outcome that was not known: the same batch once more
                tables.apply(batch)
                await store.write(batch)
        assert len(tables.rows) > 2
        for (command_id, host_id), row in tables.rows.items():
            view = await store.execution(command_id, host_id)
            assert view is not None
            late, view.execution.late_result = view.execution.late_result, None
            assert view.execution == row
            assert as_json(late) == tables.lates.get((command_id, host_id))
        for task_id, task in tables.tasks.items():
            assert await store.task(task_id) == task
            assert await store.targets(task_id) == tables.targets[task_id]
        for output_id, output in tables.outputs.items():
            assert await store.output(output_id) == output
        assert {host.host_id: host.max_seq for host in await store.hosts()} == {
            host_id: tables.seqs.get(host_id, 0) for host_id in tables.hosts
        }
        for name, value in tables.meta.items():
            assert await store.meta(name) == value
        for key, known in tables.keys.items():
            assert await store.known_key(key) == known
    finally:
        await store.aclose()
