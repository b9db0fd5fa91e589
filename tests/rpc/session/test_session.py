"""One session from its first byte to its last over a real socket, on the fast path that was built."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import (
    Accepted,
    CommandContent,
    CommandResult,
    Credit,
    Drain,
    Heartbeat,
    Outcome,
    Output,
    ResultAck,
    Started,
    Welcome,
)
from server.core.effects import SaveHost
from server.core.events import TaskCanceled, TaskCreated, TaskStarted
from server.core.model import Command
from server.core.states import ExecutionStatus
from tests.core.shadow import task
from tests.rpc.peer import COMMAND, HOST, JOURNAL, Agent, Edge, until


def start(edge: Edge) -> None:
    made = task("t", (HOST,))
    edge.door.submit(TaskCreated(made, Command(COMMAND, "t", argv=("true",))), TaskStarted("t"))


def status(edge: Edge) -> ExecutionStatus | None:
    live = edge.engine.state.tasks.get("t")
    return live.executions[HOST].row.status if live else None


def flagged(edge: Edge) -> bool:
    return edge.engine.state.tasks["t"].executions[HOST].row.unreachable


@pytest.mark.capability("C4", "P1")
async def test_a_command_is_sent_and_its_result_is_acknowledged() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        kind, welcome = await agent.hear()
        assert kind == "welcome" and isinstance(welcome, Welcome)
        assert (welcome.epoch, welcome.heartbeat_interval_ms, welcome.silence_limit_ms) == (1, 30_000, 90_000)
        start(edge)
        _, content = await agent.hear()
        assert isinstance(content, CommandContent)
        assert (content.command_id, content.argv, content.attempt, content.seq, content.session) == (
            COMMAND,
            ["true"],
            1,
            1,
            welcome.session,
        )
        await agent.say(accepted=Accepted(COMMAND, 1))
        await agent.say(started=Started(COMMAND, 1, 77, 123))
        await until(lambda: status(edge) is ExecutionStatus.RUNNING)
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0, duration_us=250_000))
        assert await agent.hear() == ("result_ack", ResultAck(COMMAND, 1)) and status(edge) is None
        assert edge.counts.seconds == [0.25]


async def test_messages_sent_together_with_the_hello_are_not_lost() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        for beat in range(1, 6):
            await agent.say(heartbeat=Heartbeat(beat=beat, running=beat))
        await until(lambda: edge.registry.presence(HOST).running == 5)  # type: ignore[union-attr]


@pytest.mark.capability("I3")
async def test_the_ack_waits_for_the_commit() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        edge.queue.held = True
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0))
        await until(lambda: edge.queue.units)
        with trio.move_on_after(0.1) as waited:
            await agent.hear()
        assert waited.cancelled_caught
        edge.queue.flush()
        assert (await agent.hear())[0] == "result_ack"


async def _send_big(agent: Agent) -> None:
    with suppress(LinkClosed, LinkRefused):
        await agent.say(output=Output(COMMAND, 1, data=b"x" * (5 << 20)))


async def test_messages_larger_than_any_window_arrive() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        for _ in range(3):
            await agent.say(drain=Drain(reason="x" * (2 << 20)))
        await agent.say(heartbeat=Heartbeat(beat=9))
        assert await agent.hear() == ("heartbeat", Heartbeat(beat=9, answer=True))


@pytest.mark.capability("K4")
async def test_heartbeats_go_both_ways_and_are_answered() -> None:
    async with Edge(heartbeat=0.1).serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.say(heartbeat=Heartbeat(beat=70, running=3))
        heard = [await agent.hear() for _ in range(3)]
        assert ("heartbeat", Heartbeat(beat=70, answer=True)) in heard and ("heartbeat", Heartbeat(beat=1)) in heard
        assert edge.registry.presence(HOST).running == 3  # type: ignore[union-attr]


async def test_welcome_is_the_first_message_however_long_its_commit_takes() -> None:
    async with Edge(heartbeat=0.05).serve() as edge, edge.agent() as agent:
        edge.queue.held = True
        await agent.hello()
        await until(lambda: edge.queue.units)
        with trio.move_on_after(0.4) as waited:
            await agent.hear()
        assert waited.cancelled_caught, "a heartbeat came before it"
        edge.queue.flush()
        assert [(await agent.hear())[0] for _ in range(2)] == ["welcome", "heartbeat"]


@pytest.mark.capability("K1")
async def test_a_silent_agent_is_disconnected_and_its_executions_are_flagged() -> None:
    async with Edge(heartbeat=0.1, silence=0.3).serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        error = await agent.end()
        assert isinstance(error, LinkRefused) and error.code == 4
        await until(lambda: flagged(edge))


async def test_an_agent_is_not_silent_while_the_server_does_not_read() -> None:
    async with Edge(heartbeat=0.05, silence=0.2).serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        edge.queue.room = trio.Event()
        await trio.sleep(0.6)
        assert edge.counts.open == 1
        edge.queue.room.set()


@pytest.mark.capability("M9", "I14")
async def test_the_newest_session_wins() -> None:
    async with Edge().serve() as edge, edge.agent() as old:
        await old.hello()
        await old.hear()
        async with edge.agent() as new:
            await new.hello()
            error = await old.end()
            assert isinstance(error, LinkRefused) and error.code == 10
            assert (await new.hear())[0] == "welcome"
            start(edge)
            assert (await new.hear())[0] == "command_content"
            assert not flagged(edge)


@pytest.mark.capability("M22")
async def test_a_full_send_queue_ends_the_session() -> None:
    async with Edge(messages=4).serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        for number in range(6):
            made = task(f"t{number}", (HOST,))
            edge.door.submit(
                TaskCreated(made, Command(COMMAND[:-1] + str(number), f"t{number}", argv=("true",))),
                TaskStarted(f"t{number}"),
            )
            edge.door.submit(TaskCanceled(f"t{number}"))
        error = await agent.end()
        assert isinstance(error, LinkRefused) and error.code == 8


async def test_a_broken_connection_flags_running_executions() -> None:
    async with Edge().serve() as edge:
        async with edge.agent() as agent:
            await agent.hello()
            await agent.hear()
            start(edge)
            await agent.hear()
        await until(lambda: flagged(edge) and edge.counts.open == 0)


async def test_an_agent_that_ends_its_call_gets_an_orderly_end() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.stream._call(agent.stream._stream.end)
        assert await agent.end() is None
        await until(lambda: edge.counts.open == 0)


async def test_a_drain_names_the_reconnect_time_and_flags_nothing() -> None:
    async with Edge().serve() as edge:
        async with edge.agent() as agent:
            await agent.hello()
            await agent.hear()
            start(edge)
            await agent.hear()
            assert edge.port is not None
            edge.port.streams.drain()
            assert await agent.hear() == ("drain", Drain(1000, 9000, "the server is shutting down"))
            assert await agent.end() is None
            assert not flagged(edge)
        async with edge.agent() as late:
            error = await late.end()
            assert isinstance(error, LinkRefused) and error.code == 14


@pytest.mark.capability("M21", "K4")
async def test_a_host_is_stored_and_written_only_on_changes() -> None:
    async with Edge().serve() as edge:

        async def visit(**more: object) -> int:
            before = len([save for save in edge.queue.saved if isinstance(save, SaveHost)])
            async with edge.agent() as agent:
                await agent.hello(**more)
                await agent.hear()
            await until(lambda: edge.counts.open == 0)
            return len([save for save in edge.queue.saved if isinstance(save, SaveHost)]) - before

        assert await visit() == 1
        host = edge.registry.host(HOST)
        assert host is not None and (host.os, host.ip, host.agent_labels, host.journal_id) == (
            "Debian",
            "127.0.0.1",
            {"role": "web"},
            JOURNAL,
        )
        assert await visit() == 0
        assert await visit(boot_id="boot-2") == 1


@pytest.mark.capability("I15")
async def test_a_full_writer_pauses_reading() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        edge.queue.room = trio.Event()
        for _ in range(2):
            await agent.say(started=Started(COMMAND, 1, 7, 7))
            await trio.sleep(0.1)
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0))
        await trio.sleep(0.1)
        assert status(edge) in (ExecutionStatus.DISPATCHED, ExecutionStatus.RUNNING), (
            "what was waited for is taken, the rest is not"
        )
        edge.queue.room.set()
        await until(lambda: status(edge) is None)


async def test_a_session_welcomed_by_a_full_writer_gets_its_credits_later() -> None:
    async with Edge().serve() as edge, edge.agent() as agent, edge.agent() as later:
        edge.queue.held = True
        await agent.hello()
        await until(lambda: edge.queue.units != [])
        edge.queue.held, edge.queue.room = False, trio.Event()
        edge.queue.flush()
        kind, welcome = await agent.hear()
        assert kind == "welcome" and isinstance(welcome, Welcome) and welcome.credits == 1
        await trio.sleep(0.1)  # several pulses, and no grant: the writer is full still
        edge.queue.room.set()
        kind, credit = await agent.hear()
        assert kind == "credit" and isinstance(credit, Credit) and (credit.results, credit.output_bytes) == (63, 0)
        await later.hello()
        kind, welcome = await later.hear()
        assert kind == "welcome" and isinstance(welcome, Welcome) and welcome.credits == 64
        await trio.sleep(0.1)
        start(edge)
        assert (await later.hear())[0] == "command_content", "no further grant came"


async def test_heartbeats_of_idle_agents_are_batched_and_reports_after_a_command_are_not() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        assert edge.port is not None
        port = edge.port.streams
        await agent.hello()
        await agent.hear()
        assert port._batcher._active_until > port._clock.now().mono
        port._batcher._active_until = 0.0
        await agent.say(heartbeat=Heartbeat(beat=1))
        assert await agent.hear() == ("heartbeat", Heartbeat(beat=1, answer=True))
        assert port._batcher._active_until == 0.0, "a heartbeat is no reason to hurry"
        start(edge)
        await agent.hear()
        assert port._batcher._active_until > port._clock.now().mono
