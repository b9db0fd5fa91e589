"""The last contact of hosts is saved after a disconnect, regularly and at the end, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from server.core.effects import Save, SaveSeen
from server.core.model import Host
from server.fleet.registry import Registry
from server.fleet.seen import BATCH, SeenSaver


class Queue:
    def __init__(self) -> None:
        self.full = False
        self.puts: list[list[Save]] = []

    def put(self, saves: Sequence[Save]) -> None:
        assert saves
        self.puts.append(list(saves))

    @property
    def saved(self) -> dict[str, int]:
        return {save.host_id: save.last_seen_at for put in self.puts for save in put if isinstance(save, SaveSeen)}


def fleet(number: int) -> Registry:
    made = Registry(epoch=1)
    for index in range(number):
        made.put(Host(f"{index}", f"h{index}"))
        made.attach(f"{index}", "peer", 100 + index, lambda session: None)
    return made


@pytest.fixture
def queue() -> Queue:
    return Queue()


async def test_a_disconnected_host_is_saved_soon_and_connected_hosts_regularly(
    autojump_clock: trio.testing.MockClock, queue: Queue, nursery: trio.Nursery
) -> None:
    registry = fleet(3)
    nursery.start_soon(SeenSaver(registry, queue, 300).run)
    await trio.sleep(100)
    assert queue.puts == []
    session = registry.session("1")
    assert session is not None
    session.last_heard_at = 777
    registry.detach(session)
    await trio.sleep(6)
    assert queue.saved == {"1": 777}
    await trio.sleep(200)
    assert queue.saved == {"0": 100, "1": 777, "2": 102}
    before = len(queue.puts)
    await trio.sleep(290)
    assert len(queue.puts) == before
    nursery.cancel_scope.cancel()


async def test_a_mass_disconnect_is_saved_in_batches_and_waits_for_the_writer(
    autojump_clock: trio.testing.MockClock, queue: Queue, nursery: trio.Nursery
) -> None:
    registry = fleet(2 * BATCH + 1)
    for session in registry.sessions():
        registry.detach(session)
    queue.full = True
    nursery.start_soon(SeenSaver(registry, queue, 300).run)
    await trio.sleep(60)
    assert queue.puts == []
    queue.full = False
    await trio.sleep(10)
    assert [len(put) for put in queue.puts] == [BATCH, BATCH, 1] and len(queue.saved) == 2 * BATCH + 1
    nursery.cancel_scope.cancel()


async def test_finish_saves_all_hosts_and_nothing_later(
    autojump_clock: trio.testing.MockClock, queue: Queue, nursery: trio.Nursery
) -> None:
    registry = fleet(2)
    saver = SeenSaver(registry, queue, 10)
    nursery.start_soon(saver.run)
    left = registry.session("0")
    assert left is not None
    registry.detach(left)
    saver.finish()
    assert queue.saved == {"0": 100, "1": 101}
    before = len(queue.puts)
    await trio.sleep(100)
    assert len(queue.puts) == before
    SeenSaver(Registry(epoch=1), queue, 10).finish()
    assert len(queue.puts) == before, "an empty fleet writes nothing"
