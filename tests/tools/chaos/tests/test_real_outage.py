"""Short version of `make outage`: the database is locked, then killed, for some seconds under load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.tools.chaos.plan import Store
from tests.tools.chaos.runs.outage import TASKS, outage
from tests.tools.chaos.work import Work


@pytest.mark.capability("D9", "F11")
@pytest.mark.parametrize("store", ["sqlite", "mysql"])
async def test_results_from_an_outage_of_the_database_are_stored_afterwards(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requesting the work takes longer than the outage, as on a busy machine; all commands must run when the outage
    begins.
    """
    plain = Work.ask

    async def slow(self: Work, *args: Any, **how: Any) -> str:
        await trio.sleep(0.5)
        return await plain(self, *args, **how)

    monkeypatch.setattr(Work, "ask", slow)
    found = await outage(tmp_path / "site", agents=2, seconds=3, store=store)
    print(found.as_json())
    assert found.good, found.as_json()
    assert (
        found.refused + found.unanswered
        and found.ended_meanwhile
        and found.verdict.statuses == {"completed": 2 * TASKS}
    )
