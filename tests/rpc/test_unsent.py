"""What goes to the hosts of a task with few hosts leaves first."""

from __future__ import annotations

from typing import Any

import pytest

from server.core.effects import Ack, Cancel, Dispatch
from server.fleet.session import OutboxLimits, Session
from server.rpc.unsent import Unsent

ACK = Ack("h", 1, "c", 1)
CANCEL = Cancel("h", 1, "c", 1, 1, "j", "canceled")


def dispatch(small: bool) -> Dispatch:
    command: Any = None
    return Dispatch("h", 1, command, 1, 1, small)


def sessions(unsent: Unsent, number: int) -> list[Session]:
    return [Session(f"h{n}", n, "127.0.0.1:1", 0, OutboxLimits(), unsent.add) for n in range(number)]


@pytest.mark.parametrize(
    ("pushed", "quick"),
    [([dispatch(True)], True), ([ACK, dispatch(True)], True), ([dispatch(True), ACK], True), ([dispatch(False)], False), ([ACK], False), ([CANCEL, ACK], False), ([], False)],
    ids=range(7),
)
async def test_a_session_is_quick_while_a_command_of_few_hosts_waits(pushed: list[Any], quick: bool) -> None:
    unsent = Unsent()
    (session,) = sessions(unsent, 1)
    for act in pushed:
        session.push(act)
    assert (session in unsent) == bool(pushed) == unsent.stirred.is_set()
    assert unsent.take_quick() == [session] * quick and session.take() == pushed and not session.quick
    unsent.take_others()
    assert session not in unsent and not unsent.stirred.is_set()


async def test_those_that_are_added_while_others_are_sent_are_not_forgotten() -> None:
    unsent = Unsent()
    first, second, third = sessions(unsent, 3)
    for session in (second, first):
        session.push(dispatch(False))
    assert unsent.take_others() == [second, first]
    third.push(dispatch(True))
    first.push(ACK)
    assert unsent.stirred.is_set()
    assert (unsent.take_quick(), unsent.take_others(), unsent.take_quick()) == ([third], [first], [])
