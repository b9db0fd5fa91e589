"""The server refuses peers without a valid token, Hello or message, and names the reason."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import (
    Accepted,
    CommandResult,
    Entry,
    Heartbeat,
    Outcome,
    Output,
    OutputDigest,
    Rejected,
    Stage,
)
from server.core.events import TaskCreated, TaskStarted
from server.core.model import Command
from server.core.states import ExecutionStatus
from tests.core.shadow import task
from tests.rpc.peer import COMMAND, HOST, Agent, Edge, until


def start(edge: Edge) -> None:
    made = task("t", (HOST,))
    edge.door.submit(TaskCreated(made, Command(COMMAND, "t", argv=("true",))), TaskStarted("t"))


def status(edge: Edge) -> ExecutionStatus | None:
    live = edge.engine.state.tasks.get("t")
    return live.executions[HOST].row.status if live else None


async def _send_big(agent: Agent) -> None:
    with suppress(LinkClosed, LinkRefused):
        await agent.say(output=Output(COMMAND, 1, data=b"x" * (5 << 20)))


@pytest.mark.parametrize(
    "metadata", [{}, {"authorization": "Bearer bad"}, {"authorization": "good"}, {"authorization": "Basic good"}]
)
async def test_a_wrong_token_is_refused_without_data(metadata: dict[str, str]) -> None:
    async with Edge().serve() as edge, edge.agent(metadata) as agent:
        with pytest.raises(LinkRefused) as caught:
            await agent.hear()
        assert (
            caught.value.code == 16
            and caught.value.message.startswith("join_refused:")
            and edge.counts.joins_refused == 1
        )


async def test_a_silent_call_is_cut_off_before_its_hello() -> None:
    async with Edge(hello_timeout=0.1).serve() as edge, edge.agent() as agent:
        error = await agent.end()
        assert isinstance(error, LinkRefused | LinkClosed) and edge.counts.open == 0


async def test_a_connection_without_a_call_is_cut_off() -> None:
    async with Edge(hello_timeout=0.1).serve() as edge:
        stream = await trio.open_tcp_stream(*edge.address)
        async with stream:
            while await stream.receive_some():
                pass
        assert edge.counts.reasons == ["no_hello"]


async def test_peers_that_connect_and_disconnect_at_once_affect_no_other() -> None:
    async with Edge().serve() as edge:
        for _ in range(20):
            client = socket.create_connection(edge.address)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.close()
        async with edge.agent() as agent:
            await agent.hello()
            assert (await agent.hear())[0] == "welcome"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host_id": "web01"}, "hello.host_id"),
        ({"host_id": HOST.upper()}, "hello.host_id"),
        ({"journal_id": "x"}, "hello.journal_id"),
        ({"journal_id": "journal\n-1"}, "hello.journal_id"),
        ({"boot_id": ""}, "hello.boot_id"),
        ({"max_seq": (1 << 53) + 1}, "hello.max_seq"),
        ({"entries": [Entry("c", 1, 1, Stage.DONE)]}, "command_id"),
    ],
)
async def test_a_hello_must_be_well_formed(wrong: dict[str, object], words: str) -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello(**wrong)
        error = await agent.end()
        assert isinstance(error, LinkRefused) and error.code == 3 and words in error.message
        assert edge.registry.sessions() == []


async def test_the_first_message_must_be_a_hello() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.say(heartbeat=Heartbeat(beat=1))
        error = await agent.end()
        assert isinstance(error, LinkRefused) and "must be hello, not heartbeat" in error.message


@pytest.mark.capability("Q2")
@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"accepted": Accepted("nonsense", 1)}, "command_id"),
        ({"accepted": Accepted(COMMAND, 0)}, "attempt"),
        ({"rejected": Rejected("nonsense", 1, "busy")}, "command_id"),
        ({"command_result": CommandResult(COMMAND, 1)}, "outcome"),
        (
            {"command_result": CommandResult(COMMAND, 1, Outcome.FAILED, stdout=OutputDigest(b"abc", b"", 1, b""))},
            "stdout",
        ),
        (
            {
                "command_result": CommandResult(
                    COMMAND, 1, Outcome.FAILED, stdout=OutputDigest(b"a", b"", 1 << 63, b"x" * 32)
                )
            },
            "stdout",
        ),
        (
            {
                "command_result": CommandResult(
                    COMMAND, 1, Outcome.FAILED, stderr=OutputDigest(b"a" * 524_289, b"", 524_289, b"x" * 32)
                )
            },
            "stderr",
        ),
    ],
)
async def test_an_invalid_message_ends_only_its_session_with_a_reason(member: dict[str, object], words: str) -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.say(**member)
        error = await agent.end()
        assert isinstance(error, LinkRefused) and error.code == 3 and words in error.message
        await until(lambda: edge.registry.sessions() == [] and edge.counts.open == 0)


@pytest.mark.capability("Q2")
async def test_undecodable_bytes_end_the_session() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        await agent.stream._call(agent.stream._stream.send_message, b"\x12\xff")
        error = await agent.end()
        assert isinstance(error, LinkRefused) and error.message.startswith("malformed_message:")


async def test_a_message_beyond_the_limit_ends_the_session() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_big, agent)
            assert isinstance(await agent.end(), LinkRefused | LinkClosed)
            nursery.cancel_scope.cancel()
        await until(lambda: edge.counts.open == 0)


async def test_control_characters_of_a_rejection_are_replaced() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        start(edge)
        await agent.hear()
        await agent.say(rejected=Rejected(COMMAND, 1, "made_up", "no\x1b[31m"))
        await until(lambda: status(edge) is None)
        row = next(save.execution for save in reversed(edge.queue.saved) if type(save).__name__ == "SaveExecution")
        assert (row.status, row.error_code, row.error_message) == (
            ExecutionStatus.DISPATCH_FAILED,
            "unknown",
            "no\N{REPLACEMENT CHARACTER}[31m",
        )
