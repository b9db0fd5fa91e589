"""Facts for the operator in addition to the outcome: counted by the shim, sent by the protocol, stored by the
server.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agent.core.model import Outcome, Report
from agent.session.wire import result
from agent.shim import records
from agent.shim.system import linux
from agent.storage.spool import translate
from proto.messages import CommandMessage, CommandResult, Observed
from proto.messages import Outcome as WireOutcome
from server.core.inputs.bounds import PROCESSES_MAX
from server.rpc.session.decode import EVENTS
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent

KEY = ("0192f0c0-0000-7000-8000-000000000001", 1)
NONE = records.StreamReport(total_bytes=0, sha256="", head_bytes=0, tail_bytes=0)


def ended(**facts: Any) -> records.Exit:
    given = {"outcome": "completed", "exit_code": 0, "signal": None, "error_code": "", "error_message": "", **facts}
    usage = records.Usage(user_us=0, system_us=0, max_rss_kb=0)
    return records.Exit(
        started_at_ms=1, finished_at_ms=2, duration_us=3, stdout=NONE, stderr=NONE, usage=usage, **given
    )


def kept(wire: CommandResult) -> dict[str, object]:
    """Return the report as the server stores it, from the bytes on the wire."""
    from _speedups.messages import decode

    data = bytes(CommandMessage(command_result=wire))
    row = decode(0, data, 0, len(data))
    event: Any = EVENTS[2]("0192f0c0-0000-7000-8000-00000000000f", row)
    return {name: value for name, value in event.report.items() if name not in ("user_us", "system_us", "max_rss_kb")}


@pytest.mark.parametrize(
    ("facts", "report"),
    [
        ({}, {}),
        ({"leftovers_killed": 3}, {"leftovers_killed": 3}),
        ({"left_running": 2}, {"left_running": 2}),
        ({"pipe_held": True}, {"pipe_held": True}),
        ({"oom_killed": True}, {"oom_killed": True}),
        ({"output_missing": True}, {"output_missing": True}),
        ({"inherited": ["nice value"]}, {"inherited_priority": True}),
        ({"outcome": "failed", "error_code": "signaled", "signal": signal.SIGXCPU}, {"limit_hit": True}),
        (
            {"outcome": "failed", "error_code": "signaled", "signal": signal.SIGXFSZ, "oom_killed": True},
            {"limit_hit": True, "oom_killed": True},
        ),
        ({"outcome": "failed", "error_code": "signaled", "signal": signal.SIGKILL}, {}),
        ({"outcome": "failed", "error_code": "exit_nonzero", "exit_code": 24}, {}),
    ],
)
def test_a_fact_reaches_the_server_under_its_name(facts: dict[str, Any], report: dict[str, object]) -> None:
    assert kept(result(KEY, translate(ended(**facts)), lambda *_: (b"", b""))) == report


def test_fact_bits_of_a_later_agent_are_ignored() -> None:
    wire = result(
        KEY,
        Report(Outcome.COMPLETED, exit_code=0, observed=(1 << 31) | Observed.OOM_KILLED, left_running=(1 << 32) - 1),
        lambda *_: (b"", b""),
    )
    assert kept(wire) == {"oom_killed": True, "left_running": PROCESSES_MAX}


async def test_a_detached_daemon_survives_its_command_and_the_next_agent(tmp_path: Path) -> None:
    leave = (
        f"setsid -f sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' </dev/null >/dev/null 2>&1; while [ ! -s "
        f"{tmp_path}/pid ]; do sleep 0.02; done; echo started"
    )
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        command = await server.dispatch(command=leave, detach=True)
        got = await server.result(command)
        pid = int((tmp_path / "pid").read_text())
        try:
            assert (got.outcome, got.left_running, got.leftovers_killed, got.stdout.head) == (
                WireOutcome.COMPLETED,
                1,
                0,
                b"started\n",
            )
            await server.ack(command)
            await process.kill()
            await server.gone()
            await process.start()
            await server.welcomed(2)
            # another command that leaves nothing is ended with all it has, and the daemon is none of it
            other = await server.result(await server.dispatch(command="sleep 1000 & echo on"))
            assert (other.left_running, other.leftovers_killed) == (0, 1)
            one = linux.process(pid)
            assert one is not None and not one.dead
        finally:
            os.kill(pid, signal.SIGKILL)


async def test_a_command_killed_by_its_cpu_limit_reports_that(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        got = await server.result(await server.dispatch(command="ulimit -St 1; while :; do :; done"))
        assert (got.error_code, got.signal, got.observed) == ("signaled", signal.SIGXCPU, Observed.LIMIT_HIT)
