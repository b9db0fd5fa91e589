"""Short version of `make lines`: connections that swallow, reset or lose data, and a stopped agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.chaos.runs.network_faults import STOPPED, run_network_faults

KINDS = ("half-open", "RST storm", "loss of 20 %", STOPPED)
SILENCE = 1.5


@pytest.mark.capability("Q11", "I8", "F6")
async def test_network_faults_are_detected_and_lose_nothing(tmp_path: Path) -> None:
    found = await run_network_faults(
        tmp_path / "site",
        agents=3,
        seconds=1,
        kinds=KINDS,
        settings=(f"liveness.heartbeat_timeout={SILENCE}", "liveness.heartbeat=0.4"),
    )
    print(found.as_json())
    assert found.good, found.as_json()
    assert list(found.trials) == ["none", *KINDS]
    for kind, trial in found.trials.items():
        assert trial.executions and trial.others_ms and (trial.noticed is not None) == (kind in ("half-open", STOPPED))
