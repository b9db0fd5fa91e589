"""How eagerly the reader reads."""

from __future__ import annotations

import pytest

from server.rpc.session.read_batching import AWAKE, REST, SMALL, ReadBatcher


def slices(
    pace: ReadBatcher, number: int, apart: float, rows: int = 2, heartbeats: bool = False, begin: float = 100.0
) -> list[float]:
    """The rests before each of so many slices."""
    rests, now = [], begin
    for _ in range(number):
        rests.append(pace.rest(now))
        now += rests[-1]
        pace.read(rows, heartbeats, now)
        now += apart
    return rests


def test_small_slices_one_upon_the_other_are_soon_read_together_and_stay_so() -> None:
    rests = slices(ReadBatcher(), 1_000, 0.0007)
    assert rests[:15] == [0.0] * 15 and set(rests[20:]) == {REST}


@pytest.mark.parametrize("apart", [0.02, 0.1, 1.0])
def test_a_few_commands_are_read_at_once(apart: float) -> None:
    assert set(slices(ReadBatcher(), 500, apart)) == {0.0}


def test_a_burst_is_read_at_once() -> None:
    pace = ReadBatcher()
    assert set(slices(pace, 100, 0.0, rows=SMALL)) == {0.0}
    slices(pace, 100, 0.0)
    assert pace.rest(100.0)
    pace.read(SMALL, False, 100.5)
    assert not pace.rest(100.5)


def test_heartbeats_make_no_crowd() -> None:
    assert set(slices(ReadBatcher(), 1_000, 0.001, rows=1, heartbeats=True)) == {0.0}


def test_what_comes_after_a_pause_is_read_at_once() -> None:
    pace = ReadBatcher()
    slices(pace, 100, 0.0)
    assert pace.rest(101.0) == 0.0


def test_idle_is_when_only_heartbeats_came_for_a_while() -> None:
    pace = ReadBatcher()
    assert pace.idle(100.0)
    pace.read(1, False, 100.0)
    pace.read(1, True, 100.5)
    assert not pace.idle(100.0 + AWAKE - 0.01) and pace.idle(100.0 + AWAKE)
    pace.sent(200.0)
    assert not pace.idle(200.5) and pace.idle(200.0 + AWAKE)
