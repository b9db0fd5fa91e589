"""The same sessions on both twins, in the same and in other pieces: the same rows, and the same bytes on the wire."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.speedups.http2.kit import MODULES, load
from tests.tools.fuzz import lane_fuzz
from tests.tools.fuzz.lane_sessions import play, session

TWINS = [load(name) for name in MODULES.values()]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), first=st.integers(0, 1 << 32), second=st.integers(0, 1 << 32))
def test_both_twins_give_the_same_rows_and_bytes_for_any_chunking(seed: int, first: int, second: int) -> None:
    steps = session(Random(seed))
    outcomes = [play(impl, steps, cuts) for impl in TWINS for cuts in (None, Random(first), Random(second))]
    for outcome in outcomes[1:]:
        assert outcome == outcomes[0]


def test_the_recorded_sessions_cover_all_kinds() -> None:
    outcomes = [play(TWINS[0], session(Random(seed))) for seed in range(60)]
    kinds = {row[1] for outcome in outcomes for row in outcome.rows}
    assert {2, 5, 6, 7, 12, -1} <= kinds
    assert any(outcome.windows[2] for outcome in outcomes), "no session had messages waiting for a window"


def test_a_damaged_session_has_the_same_effect_on_both_twins() -> None:
    counts = lane_fuzz.run(3_000, 1, list(MODULES))
    assert set(counts) == {"message", "frames", "session"}


def test_a_difference_between_twins_is_found_and_its_case_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(range(1_000))
    monkeypatch.setattr(lane_fuzz, "decoded", lambda impl, data: next(answers))
    with pytest.raises(RuntimeError, match=r"case \d+ of the lane's fuzzing differs"):
        lane_fuzz.run(50, 1, ["py", "py"])
