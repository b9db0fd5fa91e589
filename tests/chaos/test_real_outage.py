"""`make outage` in short: the database is locked, and killed, for some seconds under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.outage import TASKS, outage
from tests.chaos.plan import Store


@pytest.mark.parametrize("store", ["sqlite"])
async def test_what_ends_without_a_database_is_there_when_it_is_back(tmp_path: Path, store: Store) -> None:
    found = await outage(tmp_path / "site", agents=2, seconds=3, store=store)
    print(found.as_json())
    assert found.good, found.as_json()
    assert found.refused + found.unanswered and found.ended_meanwhile and found.verdict.statuses == {"completed": 2 * TASKS}
