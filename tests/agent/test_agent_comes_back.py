"""Agents that are killed, stopped, rebooted or disconnected: commands continue, ends are reported, nothing starts
twice.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from proto.link.server import bind
from proto.messages import Decision, Outcome, Stage
from tests.agent.peer import Peer, peer
from tests.agent.process import TOKEN, AgentProcess, agent

COUNTED = "echo x >> {home}/starts; while [ ! -e {home}/gate ]; do sleep 0.02; done; echo real; exit 7"


async def started(server: Peer, home: Path, session: int = 1) -> str:
    await server.welcomed(session)
    command = await server.dispatch(command=COUNTED.format(home=home))
    await server.get("started", command)
    await wait_for(home / "starts")
    return command


async def wait_for(path: Path) -> None:
    with trio.fail_after(10):
        while not path.exists():  # noqa: ASYNC110, ASYNC240
            await trio.sleep(0.01)


async def restart(server: Peer, process: AgentProcess, boot_id: str | None = None) -> None:
    await server.gone()
    await process.start(boot_id)


@pytest.mark.capability("E4")
async def test_a_killed_agent_finds_its_command_and_reports_the_real_result(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        await process.kill()
        await restart(server, process)
        hello = await server.welcomed(2)
        assert [(entry.command_id, entry.stage, entry.seq) for entry in hello.entries] == [(command, Stage.RUNNING, 1)]
        (tmp_path / "gate").touch()
        result = await server.result(command)
        assert (result.outcome, result.exit_code, result.stdout.head) == (Outcome.FAILED, 7, b"real\n")
        assert (tmp_path / "starts").read_text() == "x\n"


@pytest.mark.capability("K3")
async def test_a_command_that_ended_while_the_agent_was_dead_is_reported(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        await process.kill()
        (tmp_path / "gate").touch()
        await wait_for(process.directory(command) / "exit.json")
        await restart(server, process)
        result = await server.result(command)
        assert (result.exit_code, result.stdout.head) == (7, b"real\n")


async def test_a_cancel_reaches_a_command_of_the_previous_agent(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        await process.kill()
        server.verdict = lambda entry: Decision.STOP
        await restart(server, process)
        result = await server.result(command)
        assert (result.outcome, result.kill.tree_empty) == (Outcome.CANCELED, True)


async def test_a_killed_shim_means_lost_and_its_processes_are_ended(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        process.kill_shim(command, children=False)
        result = await server.result(command)
        assert (result.outcome, result.error_code) == (Outcome.LOST, "shim_died")
        assert (tmp_path / "starts").read_text() == "x\n"


async def test_after_a_reboot_running_commands_are_lost_and_not_started_again(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        await process.kill()
        process.kill_shim(command, children=True)
        await restart(server, process, boot_id="00000000-0000-4000-8000-000000000001")
        assert (await server.welcomed(2)).boot_id == "00000000-0000-4000-8000-000000000001"
        result = await server.result(command)
        assert (result.outcome, result.error_code) == (Outcome.LOST, "rebooted")
        await server.dispatch(command, seq=1, command=COUNTED.format(home=tmp_path))
        await server.until(lambda: len(server.all("command_result", command)) == 2)
        assert (tmp_path / "starts").read_text() == "x\n"


async def test_sigterm_leaves_commands_running_and_ends_at_once(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        began = time.monotonic()
        assert await process.terminate() == 0
        assert time.monotonic() - began < 5
        await restart(server, process)
        (tmp_path / "gate").touch()
        assert (await server.result(command)).stdout.head == b"real\n"


@pytest.mark.capability("K3")
async def test_a_result_from_an_outage_of_the_server_arrives_afterwards(tmp_path: Path) -> None:
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    async with peer(TOKEN, listening) as server:
        process = AgentProcess(tmp_path, port)
        await process.start()
        command = await started(server, tmp_path)
        await process.terminate()
    await process.start()  # nobody listens now
    try:
        (tmp_path / "gate").touch()
        await wait_for(process.directory(command) / "exit.json")
        async with peer(TOKEN, bind("127.0.0.1", port)) as late:
            assert (await late.result(command)).stdout.head == b"real\n"
            await process.terminate()
    finally:
        if process.process is not None and process.process.returncode is None:
            await process.kill()


async def test_a_result_is_sent_in_every_session_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        command = await server.dispatch(argv=["echo", "again"])
        await server.result(command)
        for session in (2, 3):
            await process.kill()
            await restart(server, process)
            await server.welcomed(session)
            await server.until(lambda n=session: len(server.all("command_result", command)) >= n)
            assert server.all("command_result", command)[-1].stdout.head == b"again\n"


async def test_a_missing_journal_gets_a_new_id_and_running_commands_are_found(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        command = await started(server, tmp_path)
        old = server.hellos[-1]
        await process.kill()
        (process.state / "journal").unlink()
        await restart(server, process)
        hello = await server.welcomed(2)
        assert hello.journal_id != old.journal_id and hello.host_id == old.host_id
        assert [entry.command_id for entry in hello.entries] == [command]
        await server.dispatch(command, seq=1, command=COUNTED.format(home=tmp_path))
        (tmp_path / "gate").touch()
        result = await server.result(command)
        assert result.stdout.head == b"real\n"
        assert (tmp_path / "starts").read_text() == "x\n"


@pytest.mark.capability("Q12", "I1", "F3")
@pytest.mark.parametrize("round", range(3))
async def test_a_kill_at_any_moment_of_a_start_never_starts_twice(tmp_path: Path, round: int) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        commands = []
        for number in range(5):
            commands.append(await server.dispatch(command=f"echo x >> {tmp_path}/starts.{number}"))
        await trio.sleep(0.004 * (1 + 3 * round))
        await process.kill()
        await restart(server, process)
        hello = await server.welcomed(2)
        held = {entry.command_id for entry in hello.entries}
        for number, command in enumerate(commands):
            if command not in held:
                await server.dispatch(command, seq=number + 1, command=f"echo x >> {tmp_path}/starts.{number}")
        for number, command in enumerate(commands):
            result = await server.result(command)
            marks = tmp_path / f"starts.{number}"
            assert (marks.read_text() if marks.exists() else "") in ("", "x\n")
            if result.outcome == Outcome.COMPLETED:
                assert marks.read_text() == "x\n"
