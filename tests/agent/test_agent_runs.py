"""The whole agent as a process against a real link: commands run, are refused or stopped, and each one is answered."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import trio

from proto.messages import Decision, Outcome, Stage
from tests.agent.peer import new_id, peer
from tests.agent.process import TOKEN, agent

BLOCKED = "while [ ! -e {gate} ]; do sleep 0.02; done; echo opened"


async def test_a_command_is_accepted_started_and_reported_with_its_exact_output(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, labels="rack=r1,site=x"):
        hello = await server.welcomed(1)
        assert hello.slots == 16 and hello.facts.labels == {"rack": "r1", "site": "x"} and hello.entries == []
        command = await server.dispatch(command=r"printf 'a\0b\377'; echo oops >&2; exit 3")
        result = await server.result(command)
        assert (result.outcome, result.exit_code, result.error_code) == (Outcome.FAILED, 3, "exit_nonzero")
        assert result.stdout.head == b"a\0b\xff" and result.stdout.sha256 == sha256(b"a\0b\xff").digest()
        assert (result.stderr.head, result.stderr.total_bytes) == (b"oops\n", 5)
        assert server.kinds(command) == ["accepted", "started", "command_result"]
        assert server.all("started", command)[0].pid > 1

        fine = await server.dispatch(
            argv=["sh", "-c", "cat; echo $P_NAME $1", "x", "two"], stdin=b"in,", parameters={"NAME": "n; echo $(id)"}
        )
        result = await server.result(fine)
        assert (result.outcome, result.exit_code, result.error_code) == (Outcome.COMPLETED, 0, "")
        assert result.stdout.head == b"in,n; echo $(id) two\n"


async def test_a_command_that_cannot_be_started_fails_with_its_reason(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        missing = await server.dispatch(argv=["/no/such/program"])
        result = await server.result(missing)
        assert (result.outcome, result.error_code, result.exit_code) == (Outcome.FAILED, "spawn_failed", None)
        nothing = await server.dispatch()
        rejected = await server.get("rejected", nothing)
        assert rejected.reason == "invalid_spec" and "argv" in rejected.message


async def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        command = await server.dispatch(command="sleep 100", timeout_ms=200)
        result = await server.result(command)
        assert (result.outcome, result.error_code) == (Outcome.TIMEOUT, "timed_out")
        assert result.kill.reason == "timeout" and result.kill.tree_empty


@pytest.mark.capability("C5")
async def test_a_cancel_gets_through_while_all_slots_are_busy(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, slots=2):
        assert (await server.welcomed(1)).slots == 2
        gate = tmp_path / "gate"
        first = await server.dispatch(command=BLOCKED.format(gate=gate))
        second = await server.dispatch(command=BLOCKED.format(gate=gate))
        await server.get("started", first)
        await server.get("started", second)
        third = await server.dispatch(argv=["true"])
        assert (await server.get("rejected", third)).reason == "busy"
        await server.cancel(first, seq=1)
        result = await server.result(first)
        assert (result.outcome, result.error_code) == (Outcome.CANCELED, "canceled")
        assert result.kill.reason == "canceled" and result.kill.tree_empty
        fourth = await server.dispatch(argv=["true"])
        assert (await server.result(fourth)).outcome == Outcome.COMPLETED
        gate.touch()
        assert (await server.result(second)).stdout.head == b"opened\n"


async def test_the_same_dispatch_twice_starts_it_once(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        command = await server.dispatch(command=f"echo x >> {marks}")
        await server.dispatch(command, seq=1, command=f"echo x >> {marks}")
        await server.result(command)
        await server.dispatch(command, seq=1, command=f"echo x >> {marks}")
        await server.until(lambda: len(server.all("command_result", command)) >= 2)
        await server.ack(command)
        await server.dispatch(command, seq=1, command=f"echo x >> {marks}")
        await server.until(lambda: len(server.all("command_result", command)) >= 3)
        newest = server.all("command_result", command)[-1]
        assert newest.outcome == Outcome.COMPLETED
        assert marks.read_text() == "x\n"


async def test_a_command_canceled_before_its_dispatch_never_starts(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        command, expired, foreign = new_id(), new_id(), new_id()
        await server.cancel(command, seq=1)
        assert (await server.get("rejected", command)).reason == "canceled_before_start"
        await server.cancel(expired, seq=2, reason="expired")
        assert (await server.get("rejected", expired)).reason == "expired"
        await server.cancel(foreign, seq=3, journal_id="another-journal")
        result = await server.result(foreign)
        assert (result.outcome, result.error_code) == (Outcome.LOST, "journal_lost")
        await process.kill()
        await server.gone()
        await process.start()
        await server.welcomed(2)
        await server.dispatch(command, seq=1, command=f"touch {tmp_path / 'started'}")
        await server.until(lambda: len(server.all("rejected", command)) == 2)
        assert not (tmp_path / "started").exists()


async def test_messages_of_another_session_are_dropped(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        server.session += 7
        foreign = await server.dispatch(argv=["true"])
        server.session -= 7
        own = await server.dispatch(argv=["true"])
        await server.result(own)
        assert server.kinds(foreign) == []


@pytest.mark.capability("X1")
async def test_the_policy_of_the_host_overrides_the_server(tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text("shell = false\n")
    async with peer(TOKEN) as server, agent(tmp_path, server.port, policy_file=rules):
        await server.welcomed(1)
        refused = await server.dispatch(command=f"touch {tmp_path / 'started'}")
        assert (await server.get("rejected", refused)).reason == "refused"
        allowed = await server.dispatch(argv=["echo", "yes"])
        assert (await server.result(allowed)).stdout.head == b"yes\n"
        assert not (tmp_path / "started").exists()


async def test_an_acknowledged_result_leaves_no_files_and_is_not_sent_again(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        command = await server.dispatch(argv=["echo", "kept until acknowledged"])
        await server.result(command)
        assert process.directory(command).is_dir()
        await server.ack(command)
        with trio.fail_after(10):
            while process.directory(command).exists():  # noqa: ASYNC110
                await trio.sleep(0.01)
        await process.kill()
        await server.gone()
        await process.start()
        hello = await server.welcomed(2)
        assert [(entry.command_id, entry.stage) for entry in hello.entries] == [(command, Stage.ACKED)]
        last = await server.dispatch(argv=["true"])
        await server.result(last)
        assert len(server.all("command_result", command)) == 2, (
            "a KEEP verdict asks for the report of an acknowledged one again"
        )
        server.verdict = lambda entry: Decision.ACK


async def test_results_wait_for_credit(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        server.credits = 1
        await server.welcomed(1)
        commands = [await server.dispatch(argv=["echo", str(number)]) for number in range(3)]
        for command in commands:
            await server.get("started", command)
        done: list[str] = []
        for _ in range(3):
            await server.until(lambda: len([m for m in server.messages if m[1] == "command_result"]) == len(done) + 1)
            done.append([m for m in server.messages if m[1] == "command_result"][-1][2].command_id)
            await server.ack(done[-1])
        assert sorted(done) == sorted(commands)
