"""One session from its first byte to its last."""

from __future__ import annotations

import pytest
import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import (
    Accepted,
    CommandContent,
    CommandResult,
    Drain,
    Entry,
    Heartbeat,
    Outcome,
    OutputDigest,
    Rejected,
    ResultAck,
    Stage,
    Started,
    Welcome,
)
from server.core.effects import SaveHost
from server.core.events import TaskCanceled, TaskCreated, TaskStarted
from server.core.model import Command
from server.core.states import ExecutionStatus
from tests.core.shadow import task
from tests.rpc.peer import COMMAND, GOOD, HOST, JOURNAL, Edge

Clock = trio.testing.MockClock


def start(edge: Edge) -> None:
    made = task("t", (HOST,))
    edge.door.submit(TaskCreated(made, Command(COMMAND, "t", argv=("true",))), TaskStarted("t"))


def status(edge: Edge) -> ExecutionStatus | None:
    live = edge.engine.world.tasks.get("t")
    return live.executions[HOST].row.status if live else None


async def test_a_command_goes_down_and_its_result_is_acknowledged(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        kind, welcome = await agent.hear()
        assert kind == "welcome" and isinstance(welcome, Welcome)
        assert (welcome.epoch, welcome.heartbeat_interval_ms, welcome.silence_limit_ms) == (1, 15_000, 45_000)
        start(edge)
        kind, content = await agent.hear()
        assert isinstance(content, CommandContent)
        assert (content.command_id, content.argv, content.attempt, content.seq, content.session) == (COMMAND, ["true"], 1, 1, welcome.session)
        await agent.say(accepted=Accepted(COMMAND, 1))
        await agent.say(started=Started(COMMAND, 1, 77, 123))
        await trio.testing.wait_all_tasks_blocked()
        assert status(edge) is ExecutionStatus.RUNNING
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0, duration_us=250_000))
        kind, ack = await agent.hear()
        assert kind == "result_ack" and ack == ResultAck(COMMAND, 1) and status(edge) is None
        assert edge.counts.seconds == [0.25]


async def test_the_ack_waits_for_the_commit(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        edge.queue.held = True
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0))
        with trio.move_on_after(10) as waited:
            await agent.hear()
        assert waited.cancelled_caught
        edge.queue.flush()
        assert (await agent.hear())[0] == "result_ack"


async def test_a_wrong_token_gets_not_a_byte(autojump_clock: Clock) -> None:
    for metadata in ({}, {"authorization": "Bearer bad"}, {"authorization": "good"}, {"authorization": "Basic good"}):
        edge = Edge()
        async with edge.agent(metadata) as agent:
            await agent.ended.wait()
            assert isinstance(agent.error, LinkRefused) and agent.error.code == 16
            assert agent.error.message.startswith("join_refused:") and edge.counts.refused == 1
            assert agent.stream.from_server.statistics().current_buffer_used == 0


async def test_silence_before_the_hello_is_cut_off(autojump_clock: Clock) -> None:
    async with Edge().agent() as agent:
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and agent.error.code == 4 and trio.current_time() == 10


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host_id": "web01"}, "hello.host_id"),
        ({"host_id": HOST.upper()}, "hello.host_id"),
        ({"journal_id": "x"}, "hello.journal_id"),
        ({"journal_id": "journal\n-1"}, "hello.journal_id"),
        ({"boot_id": ""}, "hello.boot_id"),
        ({"max_seq": (1 << 53) + 1}, "hello.max_seq"),
        ({"entries": [Entry("c", 1)] * 20_001}, "hello.entries"),
        ({"entries": [Entry("c", 1, 1, Stage.DONE)]}, "command_id"),
    ],
)
async def test_a_hello_must_be_well_formed(wrong: dict[str, object], words: str, autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello(**wrong)
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and agent.error.code == 3 and words in agent.error.message
        assert edge.registry.sessions() == []


async def test_the_first_message_must_be_a_hello(autojump_clock: Clock) -> None:
    async with Edge().agent() as agent:
        await agent.say(heartbeat=Heartbeat(beat=1))
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and "must be hello, not heartbeat" in agent.error.message
    async with Edge().agent() as agent:
        await agent.stream.to_server.send(None)
        await agent.ended.wait()
        assert isinstance(agent.error, LinkClosed)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"accepted": Accepted("nonsense", 1)}, "command_id"),
        ({"accepted": Accepted(COMMAND, 0)}, "attempt"),
        ({"command_result": CommandResult(COMMAND, 1)}, "outcome"),
        ({"command_result": CommandResult(COMMAND, 1, Outcome.FAILED, stdout=OutputDigest(b"abc", b"", 1, b""))}, "stdout"),
        ({"command_result": CommandResult(COMMAND, 1, Outcome.FAILED, stdout=OutputDigest(b"a", b"", 1 << 63, b"x" * 32))}, "stdout"),
        ({"command_result": CommandResult(COMMAND, 1, Outcome.FAILED, stderr=OutputDigest(b"a" * 524_289, b"", 524_289, b"x" * 32))}, "stderr"),
    ],
)
async def test_nonsense_ends_that_one_session_with_a_reason(member: dict[str, object], words: str, autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.say(**member)
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and agent.error.code == 3 and words in agent.error.message
        assert edge.registry.sessions() == [] and edge.counts.open == 0


async def test_bytes_that_are_no_message_end_the_session(autojump_clock: Clock) -> None:
    async with Edge().agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.stream.to_server.send(b"\x0a\xff")
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and agent.error.message.startswith("malformed_message:")


async def test_heartbeats_go_both_ways_and_are_answered(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.say(heartbeat=Heartbeat(beat=7, running=3))
        assert await agent.hear() == ("heartbeat", Heartbeat(beat=7, answer=True))
        assert edge.registry.presence(HOST).running == 3  # type: ignore[union-attr]
        _, beat = await agent.hear()
        assert beat == Heartbeat(beat=1) and trio.current_time() == 15
        await agent.say(heartbeat=Heartbeat(beat=1, answer=True))


async def test_an_agent_that_says_nothing_is_cut_off_and_its_rows_flagged(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.ended.wait()
        assert trio.current_time() == 45 and isinstance(agent.error, LinkRefused) and agent.error.code == 4
        assert edge.engine.world.tasks["t"].executions[HOST].row.unreachable


async def test_the_newest_session_wins(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as old:
        await old.hello()
        await old.hear()
        async with edge.agent() as new:
            await new.hello()
            await old.ended.wait()
            assert isinstance(old.error, LinkRefused) and old.error.code == 10
            assert (await new.hear())[0] == "welcome"
            start(edge)
            assert (await new.hear())[0] == "command_content"
            assert not edge.engine.world.tasks["t"].executions[HOST].row.unreachable


async def test_an_agent_that_does_not_read_is_cut_off(autojump_clock: Clock) -> None:
    edge = Edge(messages=4)
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        for number in range(6):
            made = task(f"t{number}", (HOST,))
            edge.door.submit(TaskCreated(made, Command(COMMAND[:-1] + str(number), f"t{number}", argv=("true",))), TaskStarted(f"t{number}"))
            edge.door.submit(TaskCanceled(f"t{number}"))
        await agent.ended.wait()
        assert isinstance(agent.error, LinkRefused) and agent.error.code == 8


async def test_a_drain_tells_when_to_come_back_and_flags_nothing(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        edge.service.drain()
        assert await agent.hear() == ("drain", Drain(1000, 9000, "the server is shutting down"))
        await agent.ended.wait()
        assert agent.error is None
        assert not edge.engine.world.tasks["t"].executions[HOST].row.unreachable
    async with edge.agent() as late:
        await late.ended.wait()
        assert isinstance(late.error, LinkRefused) and late.error.code == 14


async def test_a_host_is_remembered_and_written_only_when_something_is_new(autojump_clock: Clock) -> None:
    edge = Edge()

    async def visit(**more: object) -> int:
        before = len([save for save in edge.queue.saved if isinstance(save, SaveHost)])
        async with edge.agent() as agent:
            await agent.hello(**more)
            await agent.hear()
        return len([save for save in edge.queue.saved if isinstance(save, SaveHost)]) - before

    assert await visit() == 1
    host = edge.registry.host(HOST)
    assert host is not None and (host.os, host.ip, host.agent_labels, host.journal_id) == ("Debian", "127.0.0.1", {"role": "web"}, JOURNAL)
    assert await visit() == 0
    assert await visit(boot_id="boot-2") == 1
    await trio.sleep(601)
    assert await visit(boot_id="boot-2") == 1


async def test_a_full_writer_holds_reading_back(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        await trio.testing.wait_all_tasks_blocked()
        edge.queue.room = trio.Event()
        await agent.say(accepted=Accepted(COMMAND, 1))
        await agent.say(started=Started(COMMAND, 1, 7, 7))
        await trio.testing.wait_all_tasks_blocked()
        assert status(edge) is ExecutionStatus.DISPATCHED, "the message being waited for is taken, the next one is not"
        edge.queue.room.set()
        await trio.testing.wait_all_tasks_blocked()
        assert status(edge) is ExecutionStatus.RUNNING


async def test_a_refusal_and_a_text_that_would_spoil_a_terminal(autojump_clock: Clock) -> None:
    edge = Edge()
    async with edge.agent(GOOD) as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        await agent.say(rejected=Rejected(COMMAND, 1, "made_up", "no\x1b[31m"))
        await trio.testing.wait_all_tasks_blocked()
        row = next(save.execution for save in reversed(edge.queue.saved) if type(save).__name__ == "SaveExecution")
        assert (row.status, row.error_code, row.error_message) == (ExecutionStatus.DISPATCH_FAILED, "unknown", "no\N{REPLACEMENT CHARACTER}[31m")
