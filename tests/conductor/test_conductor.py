"""The conductor never waits, carries out acts after their commit, slices fan-outs and handles deadlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio

from server.conductor import Conductor
from server.core.effects import Act, Alarm, Cancel, Dispatch, Forgotten, Progress, Save, SaveExecution
from server.core.engine import Engine
from server.core.events import (
    HostConnected,
    HostDisconnected,
    Now,
    Outcome,
    Result,
    TaskCreated,
    TaskDeleted,
    TaskStarted,
)
from server.core.limits import EngineLimits
from server.core.model import Command
from server.core.states import ExecutionStatus
from server.core.write_order import AFTER_ALL, WriteOrder
from tests.core.shadow import task


class Clock:
    def now(self) -> Now:
        return Now(trio.current_time(), int(trio.current_time() * 1000))


class Queue:
    """A writer that commits when the test says so."""

    lags = False

    def __init__(self) -> None:
        self.units: list[tuple[Sequence[Save], Callable[[], None] | None]] = []
        self.saved: list[Save] = []
        self.room = trio.Event()
        self.room.set()

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        self.units.append((saves, then))

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None:
        self.put(saves)
        self.flush()

    async def wait_room(self) -> None:
        await self.room.wait()

    async def wait_reading(self) -> None:
        await self.room.wait()

    def flush(self) -> None:
        while self.units:
            saves, then = self.units.pop(0)
            self.saved.extend(saves)
            if then is not None:
                then()


class Seen:
    """Receives what goes to the sessions and to the display."""

    def __init__(self) -> None:
        self.acts: list[object] = []
        self.saves: list[Save] = []

    def send(self, act: Act) -> None:
        self.acts.append(act)

    def committed(self, saves: Sequence[Save]) -> None:
        self.saves += saves

    def publish(self, progress: Progress) -> None:
        self.acts.append(progress)

    def forget(self, task_id: str) -> None:
        self.acts.append(Forgotten(task_id))


def make(limits: EngineLimits | None = None) -> tuple[Conductor, Queue, Seen]:
    queue, seen = Queue(), Seen()
    return Conductor(Engine(limits), queue, seen, seen, Clock()), queue, seen


@pytest.mark.capability("I3")
async def test_nothing_is_sent_or_published_before_its_commit() -> None:
    door, queue, seen = make()
    door.submit(HostConnected("a", 1, "journal-1", 4))
    door.submit(TaskCreated(task("t", ("a",)), Command("c", "t", command="true")))
    door.submit(TaskStarted("t"))
    assert seen.acts == seen.saves == [] and door.live_task("t") is not None and door.open_on("a") == 1
    await door.committed()
    assert seen.saves == queue.saved
    kinds = [type(act).__name__ for act in seen.acts]
    assert kinds == ["Welcome", "Progress", "Dispatch", "Progress"]
    assert any(isinstance(save, SaveExecution) for save in queue.saved)
    assert door.statistics().executions[ExecutionStatus.DISPATCHED] == 1


async def test_a_deleted_task_is_dropped_from_the_display() -> None:
    door, _, seen = make()
    made = task("t", ("a",))
    door.submit(TaskCreated(made, Command("c", "t", command="true")))
    door.submit(TaskDeleted(made))
    await door.committed()
    assert seen.acts[-1] == Forgotten("t") and door.live_task("t") is None


@pytest.mark.capability("C3", "M16")
async def test_a_fan_out_continues_by_itself_and_waits_for_the_writer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    door, queue, seen = make(EngineLimits(slice=10))
    hosts = [f"h{n}" for n in range(35)]
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        queue.room = trio.Event()
        door.submit(*[HostConnected(host, 1, "journal-1", 4) for host in hosts])
        door.submit(TaskCreated(task("t", tuple(hosts)), Command("c", "t", command="true")), TaskStarted("t"))
        await trio.sleep(1)
        queue.flush()
        assert len([act for act in seen.acts if isinstance(act, Dispatch)]) == 10, "a full writer holds the rest back"
        queue.room.set()
        await trio.sleep(1)
        queue.flush()
        assert len([act for act in seen.acts if isinstance(act, Dispatch)]) == 35
        nursery.cancel_scope.cancel()


@pytest.mark.capability("Q1")
async def test_due_deadlines_are_handled(autojump_clock: trio.testing.MockClock) -> None:
    door, _queue, _ = make()
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        door.submit(HostConnected("a", 1, "journal-1", 1))
        door.submit(TaskCreated(task("t1", ("a",)), Command("c1", "t1", command="true")), TaskStarted("t1"))
        door.submit(
            TaskCreated(task("t2", ("a",), timeout_ms=60_000), Command("c2", "t2", command="true")), TaskStarted("t2")
        )
        await trio.sleep(59)
        assert door.live_task("t2") is not None
        await trio.sleep(2)
        assert door.live_task("t2") is None, "its one host was busy until the task's time was over"
        nursery.cancel_scope.cancel()


async def test_an_alarm_is_raised_and_sent_to_no_agent() -> None:
    alarms: list[Alarm] = []
    queue, seen = Queue(), Seen()
    conductor = Conductor(Engine(EngineLimits(mass_hosts=1)), queue, seen, seen, Clock(), alarms.append)
    conductor.submit(HostConnected("a", 1, "journal", 4), HostDisconnected("a", 1))
    queue.flush()
    assert [alarm.code for alarm in alarms] == ["mass_silence"]
    assert [type(act).__name__ for act in seen.acts] == ["Welcome"]


async def test_a_dispatch_after_a_long_outage_has_its_full_time_to_be_accepted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    door, queue, seen = make()
    async with trio.open_nursery() as nursery:
        await nursery.start(door.run)
        door.submit(
            HostConnected("a", 1, "journal-1", 4),
            TaskCreated(task("t", ("a",)), Command("c", "t", command="true", start_within_ms=10_000)),
        )
        door.submit(TaskStarted("t"))
        await trio.sleep(600)
        queue.flush()
        assert not [act for act in seen.acts if isinstance(act, Cancel)]
        await trio.sleep(39)
        queue.flush()
        assert not [act for act in seen.acts if isinstance(act, Cancel)]
        await trio.sleep(2)
        queue.flush()
        assert [act.reason for act in seen.acts if isinstance(act, Cancel)] == ["expired"]
        nursery.cancel_scope.cancel()


async def test_nothing_is_queued_after_the_end(autojump_clock: trio.testing.MockClock) -> None:
    door, queue, _ = make(EngineLimits(slice=1))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(door.run)
            queue.room = trio.Event()
            hosts = tuple(f"h{n}" for n in range(5))
            door.submit(TaskCreated(task("t", hosts), Command("c", "t", command="true")), TaskStarted("t"))
            await trio.sleep(1)
            put = len(queue.units)
            door.end()
            queue.room.set()
    assert len(queue.units) == put


class Orders(Queue):
    """Records the order of each unit."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[WriteOrder | None] = []

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        super().put(saves, then, order)
        self.orders.append(order)

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None:
        self.put(saves, None, order)
        self.flush()


async def test_a_forget_waits_for_everything_and_delays_nothing() -> None:
    queue, seen = Orders(), Seen()
    door = Conductor(Engine(EngineLimits(forget_every=1)), queue, seen, seen, Clock())
    door.submit(HostConnected("a", 1, "journal-1", 4))
    door.submit(TaskCreated(task("t", ("a",)), Command("c", "t", command="true")), TaskStarted("t"))
    queue.orders.clear()
    door.submit(Result("a", "c", 1, Outcome.COMPLETED, exit_code=0))
    result, forget = queue.orders
    assert result is not None and result.behind == {"t", "c", "a"}
    assert forget == AFTER_ALL
    queue.flush()
    assert [type(act).__name__ for act in seen.acts][-3:] == ["Ack", "Progress", "Forget"]


async def test_a_wait_for_a_task_waits_for_the_units_of_the_task_and_its_command_only() -> None:
    queue, seen = Orders(), Seen()
    door = Conductor(Engine(), queue, seen, seen, Clock())
    door.submit(TaskCreated(task("t", ("a",)), Command("c", "t", command="true")))
    await door.committed("t")
    await door.committed("of no task")
    await door.committed()
    assert [order and order.behind for order in queue.orders[-3:]] == [{"t", "c"}, {"of no task"}, None]
