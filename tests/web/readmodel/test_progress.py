"""Live progress in memory: rate, limits, watchers."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from server.core.effects import Progress
from server.core.events import Now
from server.core.model import Task
from server.core.states import ExecutionStatus, TaskStatus
from server.web.readmodel.progress import LiveProgress


class Clock:
    mono = 0.0

    def now(self) -> Now:
        return Now(self.mono, int(self.mono * 1000))


def progress(
    task_id: str = "t", done: int = 0, total: int = 100, version: int = 0, status: TaskStatus = TaskStatus.RUNNING
) -> Progress:
    counts = [0] * len(ExecutionStatus)
    counts[ExecutionStatus.RUNNING], counts[ExecutionStatus.COMPLETED] = total - done, done
    return Progress(
        Task(task_id, "n", "", "command", status, "me", 0, 0, "all", (), counts=tuple(counts), version=version)
    )


def test_the_rate_is_that_of_the_last_seconds_and_falls_while_nothing_ends() -> None:
    clock = Clock()
    live = LiveProgress(clock)
    for second in range(31):
        clock.mono = float(second)
        live.publish(progress(done=second * 2, version=second))
    assert live.rate("t") == 2.0
    clock.mono = 40.0
    fallen = live.rate("t")
    assert fallen is not None and 0 < fallen < 2.0
    clock.mono = 100.0
    assert live.rate("t") == 0.0
    assert live.rate("other") is None


@pytest.mark.parametrize("quick", [ExecutionStatus.CANCELED, ExecutionStatus.DISPATCH_FAILED, ExecutionStatus.LOST])
def test_executions_that_did_not_run_to_their_end_do_not_count_in_the_rate(quick: ExecutionStatus) -> None:
    clock = Clock()
    live = LiveProgress(clock)
    for second in range(11):
        clock.mono = float(second)
        counts = [0] * len(ExecutionStatus)
        counts[ExecutionStatus.COMPLETED], counts[ExecutionStatus.FAILED], counts[ExecutionStatus.TIMEOUT] = (
            second,
            second,
            second,
        )
        counts[quick] = 1_000 * second
        counts[ExecutionStatus.RUNNING] = 100_000 - sum(counts)
        live.publish(
            Progress(
                Task(
                    "t",
                    "n",
                    "",
                    "command",
                    TaskStatus.RUNNING,
                    "me",
                    0,
                    0,
                    "all",
                    (),
                    counts=tuple(counts),
                    version=second,
                )
            )
        )
    assert live.rate("t") == 3.0


def test_finished_tasks_leave_after_their_time_and_running_ones_stay() -> None:
    clock = Clock()
    live = LiveProgress(clock, keep_final=60)
    live.publish(progress("old", 100, version=1, status=TaskStatus.COMPLETED))
    live.publish(progress("open"))
    clock.mono = 60.0
    assert live.latest("old") is not None
    clock.mono = 60.1
    assert live.latest("old") is None and live.latest("open") is not None


def test_memory_is_bounded() -> None:
    live = LiveProgress(Clock(), max_tasks=10)
    for index in range(100):
        live.publish(progress(f"final {index}", 100, status=TaskStatus.COMPLETED))
    for index in range(100):
        live.publish(progress(f"open {index}"))
    kept = [index for index in range(100) if live.latest(f"open {index}") is not None]
    assert kept == list(range(90, 100))
    assert all(live.latest(f"final {index}") is None for index in range(100))


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    live = LiveProgress(Clock())
    live.publish(progress(done=5, version=7))
    live.publish(progress(done=3, version=6))
    shown = live.latest("t")
    assert shown is not None and shown.task.version == 7


def test_ended_executions_are_counted_once() -> None:
    live = LiveProgress(Clock())
    for done in (0, 3, 3, 10):
        live.publish(
            progress(
                done=done, total=10, version=done, status=TaskStatus.COMPLETED if done == 10 else TaskStatus.RUNNING
            )
        )
    live.publish(progress(done=10, total=10, version=10, status=TaskStatus.COMPLETED))
    assert live.ended[ExecutionStatus.COMPLETED] == 10 and sum(live.ended) == 10


async def test_five_thousand_watchers_are_woken_by_one_change_and_leave_nothing_behind() -> None:
    live = LiveProgress(Clock())
    live.publish(progress(version=1))
    woken = 0

    async def watch() -> None:
        nonlocal woken
        await live.wait_change("t", 1)
        woken += 1

    async with trio.open_nursery() as nursery:
        for _ in range(5000):
            nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        live.publish(progress("another", version=9))
        live.publish(progress(version=1))
        await trio.testing.wait_all_tasks_blocked()
        assert woken == 0
        live.publish(progress(done=1, version=2))
    assert woken == 5000 and live._changed == {}


async def test_a_watcher_that_gives_up_leaves_nothing_behind_and_close_ends_all_waiting() -> None:
    live = LiveProgress(Clock())
    with trio.move_on_after(0.01):
        await live.wait_change("unheard of", 0)
    assert live._changed == {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live.wait_change, "t", 0)
        await trio.testing.wait_all_tasks_blocked()
        live.close()
    await live.wait_change("t", 0)
    assert live._changed == {}
