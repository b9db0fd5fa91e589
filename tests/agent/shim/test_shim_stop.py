"""Stop requests before, during and after the command: the first durable record decides."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import pytest
import trio

from agent.shim import durable, records
from agent.shim.client import request_stop
from agent.shim.system import linux


@pytest.mark.capability("H7")
async def test_a_command_canceled_while_it_runs_is_ended(both: Any, wait_until: Any) -> None:
    directory, ref = await both.start(command=f"echo on; {both.sleep} & {both.sleep}")
    await wait_until(
        lambda: (directory / "stdout.head").exists() and (directory / "stdout.head").read_bytes() == b"on\n", "it runs"
    )
    assert request_stop(ref, directory, "canceled")
    ended = await both.end(directory, ref)
    assert (ended.exit.outcome, ended.exit.error_code, ended.exit.kill.reason) == ("canceled", "canceled", "canceled")
    assert ended.exit.kill.tree_empty
    assert records.read_kill(directory).reason == "canceled"
    assert ended.stdout == b"on\n"


@pytest.mark.parametrize(
    ("reason", "outcome"), [("timeout", "timeout"), ("expired", "timeout"), ("canceled", "canceled")]
)
async def test_the_reason_of_the_request_decides_the_outcome(
    shims: Any, wait_until: Any, reason: str, outcome: str
) -> None:
    directory, ref = await shims.start(command=f"exec {shims.sleep}")
    await wait_until(lambda: records.read_started(directory), "it runs")
    request_stop(ref, directory, reason)
    final = (await shims.end(directory, ref)).exit
    assert (final.outcome, final.kill.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("reason", "outcome", "code"),
    [
        ("canceled", "canceled", "canceled_before_start"),
        ("expired", "canceled", "canceled_before_start"),
        ("timeout", "canceled", "canceled_before_start"),
    ],
)
async def test_a_command_stopped_before_its_start_is_never_started(
    shims: Any, reason: Any, outcome: str, code: str
) -> None:
    proof = shims.root / "proof"
    directory = shims.directory(command=f"touch {proof}")
    durable.publish(directory, records.STOP, records.Stop(reason=reason, at_ms=linux.wall_ms()))
    ended = await shims.end(directory, await shims.forks.spawn(directory))
    assert (ended.exit.outcome, ended.exit.error_code) == (outcome, code)
    assert (ended.exit.kill.reason, ended.exit.kill.term_at_ms, ended.exit.kill.tree_empty) == (reason, None, True)
    assert records.read_started(directory) is None
    assert not proof.exists()


async def test_a_request_after_the_end_changes_nothing(shims: Any) -> None:
    directory, ref = await shims.start(command="exit 4")
    before = (await shims.end(directory, ref)).exit
    assert request_stop(ref, directory, "canceled") is False
    assert shims.read(directory).exit == before
    assert records.read_kill(directory) is None


async def test_the_first_stop_reason_is_kept(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(command=f"trap '' TERM; echo on; {shims.sleep}; {shims.sleep}", grace_ms=500)
    await wait_until(
        lambda: (directory / "stdout.head").exists() and (directory / "stdout.head").read_bytes(), "it runs"
    )
    request_stop(ref, directory, "canceled")
    request_stop(ref, directory, "timeout")
    assert (await shims.end(directory, ref)).exit.outcome == "canceled"


async def test_a_signal_without_a_request_ends_nothing(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(command="read line; echo $line", stdin=b"", timeout_ms=20_000)
    await shims.end(directory, ref)
    directory, ref = await shims.start(command="echo on; sleep 0.5; echo off")
    await wait_until(
        lambda: (directory / "stdout.head").exists() and (directory / "stdout.head").read_bytes(), "it runs"
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(ref.pid, number)
    ended = await shims.end(directory, ref)
    assert (ended.exit.outcome, ended.stdout) == ("completed", b"on\noff\n")


async def test_a_stop_request_during_the_drain_ends_only_the_drain(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(command=f"{shims.sleep} & echo done", drain_ms=60_000)
    started = linux.boottime_ns()
    await wait_until(
        lambda: (directory / "stdout.head").exists() and (directory / "stdout.head").read_bytes(),
        "it has said its word",
    )
    child = records.read_started(directory).child_pid
    await wait_until(lambda: linux.process(child) is None, "the main process is reaped")
    request_stop(ref, directory, "canceled")
    final = (await shims.end(directory, ref)).exit
    assert (final.outcome, final.exit_code, final.kill, final.pipe_held, final.leftovers_killed) == (
        "completed",
        0,
        None,
        True,
        1,
    )
    assert linux.boottime_ns() - started < 30_000_000_000


@pytest.mark.capability("F21")
async def test_exit_and_cancel_at_the_same_time_give_one_consistent_result(shims: Any) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    seen = set()
    for _ in range(60):
        directory, ref = await shims.start(command="sleep 0.02")
        await trio.sleep(chance.uniform(0, 0.04))
        asked = request_stop(ref, directory, "canceled")
        final = (await shims.end(directory, ref)).exit
        intent = records.read_kill(directory)
        seen.add(final.error_code)
        assert (final.kill is None) == (intent is None) == (final.outcome == "completed")
        if intent is None:
            assert (final.exit_code, final.error_code) == (0, "")
        elif final.error_code == "canceled_before_start":
            assert records.read_started(directory) is None
        else:
            assert asked
            assert final.error_code == "canceled"
            assert (final.exit_code, final.signal) in {(0, None), (None, 15), (143, None)}
    print(sorted(seen))


async def test_a_detached_child_survives_and_another_does_not(shims: Any) -> None:
    final = (
        await shims.run(
            command=f"setsid -f {shims.sleep} >/dev/null 2>&1; {shims.sleep} >/dev/null 2>&1 & echo on", detach=True
        )
    ).exit
    assert (final.outcome, final.leftovers_killed, final.left_running, final.pipe_held) == ("completed", 0, 2, False)
    left = shims.alive()
    assert len(left) == 2
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert (await shims.run(command=f"setsid -f {shims.sleep} >/dev/null 2>&1")).exit.leftovers_killed == 1


async def test_detach_does_not_prevent_the_timeout(both: Any) -> None:
    final = (await both.run(command=f"setsid -f {both.sleep}; {both.sleep}", detach=True, timeout_ms=300)).exit
    assert (final.outcome, final.kill.tree_empty) == ("timeout", True)


async def test_a_detached_child_that_holds_the_output_pipe_is_cut_off_from_it(shims: Any, wait_until: Any) -> None:
    ended = await shims.run(
        command=f"(while echo x; do sleep 0.02; done; {shims.sleep}) & sleep 0.1", detach=True, drain_ms=200
    )
    assert (ended.exit.outcome, ended.exit.pipe_held) == ("completed", True)
    assert set(ended.stdout.split()) == {b"x"}
    await wait_until(lambda: not shims.alive(), "SIGPIPE has ended the writer, whose shell does not trap it")


async def test_an_unreadable_stop_request_is_read_again_and_kills_nothing(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(command=f"echo on; {shims.sleep}", timeout_ms=30_000)
    await wait_until(lambda: records.read_started(directory), "it runs")
    stop, other = directory / records.STOP, directory / "other"
    os.symlink(records.STOP, stop)  # ELOOP, for root too
    os.kill(ref.pid, signal.SIGTERM)
    await wait_until(
        lambda: (directory / records.LOG).exists() and "cannot be read yet" in (directory / records.LOG).read_text(),
        "it has looked",
    )
    assert records.read_exit(directory) is None and linux.alive(ref.pid, ref.starttime)
    other.write_text('{"reason": "canceled", "at_ms": 1}')
    os.replace(other, stop)
    ended = await shims.end(directory, ref)
    assert (ended.exit.outcome, ended.exit.kill.reason) == ("canceled", "canceled")
