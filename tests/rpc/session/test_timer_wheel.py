"""The timer wheel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.rpc.session.timer_wheel import TimerWheel


def test_keys_expire_in_the_first_tick_after_their_time() -> None:
    wheel: TimerWheel[str] = TimerWheel(1.0, 100.0)
    wheel.set("late", 103.2)
    wheel.set("soon", 101.0)
    wheel.set("past", 5.0)
    assert wheel.due(100.9) == []
    assert wheel.due(101.0) == ["past"]
    assert wheel.due(102.0) == ["soon"]
    assert wheel.due(103.9) == []
    assert wheel.due(104.0) == ["late"]
    assert wheel.due(1000.0) == []


@given(st.lists(st.floats(0, 50)), st.lists(st.floats(0, 5), min_size=1))
def test_no_key_expires_early_or_more_than_a_tick_late(times: list[float], leaps: list[float]) -> None:
    wheel: TimerWheel[int] = TimerWheel(0.5, 0.0)
    for number, when in enumerate(times):
        wheel.set(number, when)
    now, seen = 0.0, set()
    for leap in [*leaps, 60.0]:
        now += leap
        for number in wheel.due(now):
            assert times[number] <= now and number not in seen
            seen.add(number)
        assert all(number in seen for number, when in enumerate(times) if when + 1.0 <= now)
    assert len(seen) == len(times)
