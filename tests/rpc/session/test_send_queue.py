"""Messages for tasks with few hosts are sent first."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from server.app import SystemClock
from server.core.effects import Ack, Cancel, Dispatch
from server.fleet.registry import Registry
from server.fleet.session import OutboxLimits, Session
from server.rpc.session.send_queue import SendQueue
from server.rpc.session.streams import SENDS_IN_A_ROW, AgentStreams
from server.rpc.settings import AgentPortSettings, SessionTerms

ACK = Ack("h", 1, "c", 1)
CANCEL = Cancel("h", 1, "c", 1, 1, "j", "canceled")


def dispatch(small: bool) -> Dispatch:
    command: Any = None
    return Dispatch("h", 1, command, 1, 1, small)


def sessions(unsent: SendQueue, number: int) -> list[Session]:
    return [Session(f"h{n}", n, "127.0.0.1:1", 0, OutboxLimits(), unsent.add) for n in range(number)]


@pytest.mark.parametrize(
    ("pushed", "quick"),
    [
        ([dispatch(True)], True),
        ([ACK, dispatch(True)], True),
        ([dispatch(True), ACK], True),
        ([dispatch(False)], False),
        ([ACK], False),
        ([CANCEL, ACK], False),
        ([], False),
    ],
    ids=range(7),
)
async def test_a_session_is_preferred_while_a_command_of_few_hosts_waits(pushed: list[Any], quick: bool) -> None:
    unsent = SendQueue()
    (session,) = sessions(unsent, 1)
    for act in pushed:
        session.push(act)
    assert (session in unsent) == bool(pushed) == unsent.added.is_set()
    assert session.quick == quick
    unsent.reset()
    assert unsent.take() is (session if pushed else None) and session.take() == pushed and not session.quick
    assert session not in unsent and not unsent.added.is_set() and unsent.take() is None


async def test_sessions_added_during_sending_are_served() -> None:
    unsent = SendQueue()
    first, second, third = sessions(unsent, 3)
    for session in (second, first):
        session.push(dispatch(False))
    unsent.reset()
    assert unsent.take() is second
    third.push(dispatch(True))
    second.push(ACK)
    assert unsent.added.is_set()
    assert [unsent.take() for _ in range(4)] == [third, first, second, None]


class Turns:
    """Counts the turns that the sender leaves to others."""

    def __init__(self) -> None:
        self.left = 0

    async def __call__(self) -> None:
        self.left += 1
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(("quick", "others"), [(1_000, 0), (0, 1_000), (500, 500)])
async def test_sending_to_many_sessions_yields_to_the_loop(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, quick: int, others: int
) -> None:
    turns, unread = Turns(), Any
    monkeypatch.setattr("server.rpc.session.streams.let_other_tasks_run", turns)
    known, poller = Registry(1), unread
    one = AgentStreams(poller, known, unread, unread, SystemClock(), AgentPortSettings(SessionTerms(1)), unread)  # type: ignore[arg-type]
    waiting = sessions(one._unsent, quick + others)
    for number, session in enumerate(waiting):
        session.push(dispatch(number < quick))
    nursery.start_soon(one._write)
    with trio.fail_after(5):
        while any(session in one._unsent for session in waiting):
            await trio.lowlevel.checkpoint()
    assert turns.left >= 1_000 // SENDS_IN_A_ROW
    nursery.cancel_scope.cancel()
