"""Short version of `make soak`: the tool samples, injects faults, and sees every row end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.chaos.runs.soak import slope, soak


def test_the_slope_is_that_of_least_squares() -> None:
    assert slope([(0, 10), (1, 12), (2, 14)]) == pytest.approx(2)
    assert slope([(0, 10), (1, 12), (2, 10)]) == pytest.approx(0)


@pytest.mark.capability("Q10", "F23")
async def test_a_short_soak_run_is_sampled_and_ends_without_findings(tmp_path: Path) -> None:
    found = await soak(tmp_path / "site", agents=2, seconds=6, seed=1, every=0.5, pace=0.5)
    assert set(found["rows"]) == {"completed"} and found["rows"]["completed"] == 2 * found["tasks"] > 0
    for name in ("server", "agents"):
        assert len(found[name]["course_mib"]) == 10 and min(found[name]["course_mib"]) > 5
        assert found[name]["samples"] >= 3 and found[name]["rss_mib"][0] > 5 and found[name]["descriptors"][0] > 3
