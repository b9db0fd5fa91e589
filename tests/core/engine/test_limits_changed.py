"""Limits that an operator changes while the server runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.engine import Engine
from server.core.events import LimitsChanged, Now, Tick
from server.core.limits import EngineLimits


def test_the_engine_uses_new_limits_from_the_next_call() -> None:
    engine = Engine(EngineLimits(in_flight=5))
    assert not engine.handle([LimitsChanged(EngineLimits(in_flight=9))], Now(0.0, 0)).saves
    assert engine.state.limits.in_flight == 9


@pytest.mark.parametrize(
    ("name", "value"), [("in_flight", 1), ("waiting", 7), ("lost_after", 1.5), ("mass_share", 0.9), ("slice", 3)]
)
def test_every_limit_is_replaced(name: str, value: float) -> None:
    engine, wanted = Engine(), replace(EngineLimits(), **{name: value})
    engine.handle([Tick(), LimitsChanged(wanted)], Now(1.0, 1))
    assert engine.state.limits == wanted
