"""Ending a command ends all its processes, whatever they do to escape. Every test runs with and without control
groups.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from agent.shim import records


def gone(final: Any, outcome: str = "timeout", code: str = "timed_out") -> None:
    assert (final.outcome, final.error_code) == (outcome, code)
    assert final.kill.tree_empty
    assert final.leftovers_killed == 0


async def test_a_command_that_obeys_term_is_not_killed(both: Any) -> None:
    ended = await both.run(
        command=f"trap 'echo bye; exit 7' TERM; {both.sleep} & wait", timeout_ms=1_000, grace_ms=10_000
    )
    gone(ended.exit)
    assert ended.stdout == b"bye\n"
    assert (ended.exit.exit_code, ended.exit.signal) == (7, None)
    assert ended.exit.kill.reason == "timeout"
    assert ended.exit.kill.term_at_ms is not None
    assert ended.exit.kill.kill_at_ms is None
    assert ended.exit.duration_us >= 1_000_000
    assert "1 s" in ended.exit.error_message
    intent = records.read_kill(ended.directory)
    assert intent is not None
    assert (intent.reason, intent.at_ms <= ended.exit.kill.term_at_ms) == ("timeout", True)


@pytest.mark.capability("H6", "E3", "I17")
async def test_a_command_that_ignores_term_is_killed_with_its_children_after_the_grace(both: Any) -> None:
    ended = await both.run(
        command=f"trap '' TERM; {both.sleep} & {both.sleep} & (({both.sleep}) & wait) & wait",
        timeout_ms=1_000,
        grace_ms=300,
    )
    gone(ended.exit)
    assert (ended.exit.exit_code, ended.exit.signal) == (None, 9)
    assert ended.exit.kill.kill_at_ms - ended.exit.kill.term_at_ms >= 299


async def test_no_grace_means_kill_at_once(both: Any) -> None:
    final = (await both.run(command=f"trap '' TERM; {both.sleep}; {both.sleep}", timeout_ms=100, grace_ms=0)).exit
    gone(final)
    assert final.duration_us < 5_000_000


async def test_children_that_outlive_the_main_process_get_the_grace(both: Any) -> None:
    child = "trap 'sleep 0.3; echo saved; exit' TERM; echo ready; while :; do sleep 0.05; done"
    ended = await both.run(command=f"({child}) & exec {both.sleep}", timeout_ms=1_000, grace_ms=10_000)
    gone(ended.exit)
    assert ended.stdout == b"ready\nsaved\n"
    assert ended.exit.kill.kill_at_ms is None


@pytest.mark.capability("T2", "I17", "F20")
async def test_a_child_with_its_own_session_is_killed(both: Any) -> None:
    gone((await both.run(command=f"setsid {both.sleep} & setsid -f {both.sleep}; wait", timeout_ms=300)).exit)


DAEMON = """
import os, signal, sys
if os.fork(): signal.pause()
os.setsid()
if os.fork(): os._exit(0)
for fd in range(3): os.close(fd)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
"""


@pytest.mark.capability("T2", "I17", "F20")
async def test_a_double_forked_daemon_without_environment_is_killed(both: Any) -> None:
    gone((await both.run(argv=["python3", "-c", DAEMON, f"77777.{both.token}"], timeout_ms=600, grace_ms=100)).exit)


async def test_a_daemon_left_behind_by_a_command_that_ended_is_killed(both: Any) -> None:
    final = (
        await both.run(command=f"setsid -f {both.sleep} >/dev/null 2>&1; {both.sleep} >/dev/null 2>&1 & echo done")
    ).exit
    assert (final.outcome, final.leftovers_killed, final.pipe_held, final.kill) == ("completed", 2, False, None)


async def test_stopped_processes_are_ended(both: Any) -> None:
    final = (
        await both.run(
            command=f"{both.sleep} & kill -STOP $!; kill -STOP $$; {both.sleep}", timeout_ms=300, grace_ms=5_000
        )
    ).exit
    gone(final)
    # SIGTERM and SIGCONT were enough: they could obey.
    assert final.kill.kill_at_ms is None


@pytest.mark.capability("F20")
async def test_stopped_processes_that_ignore_term_are_killed(both: Any) -> None:
    final = (
        await both.run(
            command=f"trap '' TERM; {both.sleep} & kill -STOP $!; kill -STOP $$; {both.sleep}",
            timeout_ms=1_000,
            grace_ms=100,
        )
    ).exit
    gone(final)
    assert final.kill.kill_at_ms is not None


BOMB = """
import os, resource, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


@pytest.mark.capability("F20")
@pytest.mark.skipif(
    os.geteuid() != 0, reason="as the tests' own user the limit would count all of that user's processes"
)
async def test_a_fork_bomb_under_a_limit_of_processes_is_ended(both: Any) -> None:
    gone((await both.run(argv=["python3", "-c", BOMB, both.token], run_as="nobody", timeout_ms=700, grace_ms=200)).exit)


async def test_a_chain_of_processes_that_replace_themselves_is_ended(both: Any) -> None:
    chain = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    if "
        "os.fork(): os._exit(0)\n    os.setsid(); time.sleep(0.0005)"
    )
    final = (
        await both.run(
            argv=["sh", "-c", 'python3 -c "$1" $2 & trap "" TERM; wait; exec $3', "sh", chain, both.token, both.sleep],
            timeout_ms=400,
            grace_ms=100,
        )
    ).exit
    gone(final)


HEADLESS = """
import ctypes, signal, sys, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threading.Thread(target=time.sleep, args=(77777,)).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


async def test_threads_that_outlive_their_main_thread_are_killed(both: Any) -> None:
    ended = await both.run(argv=["python3", "-c", HEADLESS, both.token], timeout_ms=1_000, grace_ms=100)
    gone(ended.exit)
    assert (ended.stdout, ended.exit.signal) == (b"ready\n", 9)


SLOW_END = """
import os, resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = [socket.socketpair() for _ in range(min(most, 20_000) // 2 - 20)]
print("late", flush=True)
# The kernel closes the last one first.
os.dup2(1, most - 1)
os.closerange(0, 3)
os._exit(0)
"""


async def test_a_process_that_was_already_ending_is_not_a_leftover(both: Any) -> None:
    # Its pipe is closed before its thousands of sockets are: for milliseconds it lives and holds nothing.
    for _ in range(3):
        ended = await both.run(
            argv=["sh", "-c", 'python3 -c "$1" $2 & echo early', "sh", SLOW_END, both.token], drain_ms=20_000
        )
        assert (ended.stdout, ended.exit.pipe_held, ended.exit.leftovers_killed) == (b"early\nlate\n", False, 0)


@pytest.mark.capability("T1")
async def test_the_timeout_counts_from_the_start_of_the_program(both: Any) -> None:
    started = time.monotonic()
    final = (await both.run(command=f"exec {both.sleep}", timeout_ms=500)).exit
    gone(final)
    assert final.signal == 15
    assert time.monotonic() - started >= 0.5
