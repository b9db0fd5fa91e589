"""Short version of `make partition`: half of the agents behind a network that swallows everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.chaos.runs.partition import partition
from tests.tools.chaos.site import SILENCE


@pytest.mark.capability("K5", "Q11", "F7")
async def test_a_partition_of_half_of_the_agents_loses_nothing(tmp_path: Path) -> None:
    found = await partition(tmp_path / "site", agents=4, seconds=1.5 * SILENCE, seed=1, short=True)
    assert found.good, found.as_json()
    assert found.noticed is not None and found.settled is not None and len(found.reached) == 10
    assert found.verdict.executions >= 13 * 4 and found.verdict.statuses["completed"] and not found.verdict.lost
