"""Connections that are served before all others while more waits than one slice serves."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.speedups.http2.kit import DATA, Rig, both, frame, grpc
from tests.speedups.http2.test_poller import ACCEPTED, end, together

pytestmark = both


def waiting(rigs: list[Rig], messages: int = 1) -> None:
    for r in rigs:
        r.peer.send(frame(DATA, 0, 1, grpc(ACCEPTED)) * messages)


@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_preferred_connection_is_served_before_waiting_ones(impl: ModuleType, place: int) -> None:
    poller, rigs = together(impl, 40)
    waiting(rigs[:place] + rigs[place + 1 :])
    poller.poll(200.0, 8, budget_s=0.0)
    poller.prefer(rigs[place].conn, 201.0)
    waiting([rigs[place]])
    assert poller.poll(200.0, 8, budget_s=0.0)[0][0] == place + 1
    served = [row[0] for _ in range(60) for row in poller.poll(200.0, 8, budget_s=0.0)]
    assert len(served) == 37 and place + 1 not in served, "nothing comes of it any more, and it keeps nobody waiting"
    end(poller, rigs)


@pytest.mark.parametrize("how", ["time is up", "it has more than its share", "newer ones", "closed"])
def test_a_preferred_connection_is_served_in_its_turn_again(impl: ModuleType, how: str) -> None:
    poller, rigs = together(impl, 70)
    first, others = rigs[0], rigs[1:]
    poller.prefer(first.conn, 201.0)
    now, messages = 200.0, 1
    if how == "time is up":
        now = 201.5
    elif how == "it has more than its share":
        messages = 3_000
    elif how == "newer ones":
        for r in others[:64]:
            poller.prefer(r.conn, 201.0)
    else:
        first.conn.abort()
    waiting(others, 2)
    poller.poll(now, 8, budget_s=0.0)
    if how != "closed":
        waiting([first], messages)
    served = [row[0] for _ in range(8) for row in poller.poll(now, 8, 1_000, 0.0) if row[1] >= 0]
    if how == "it has more than its share":
        assert len(set(served)) > 4
    else:
        assert served and 1 not in served
    end(poller, rigs)
