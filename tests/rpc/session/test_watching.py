"""Live output on its way from an agent to viewers: requests, credits, and continuation after an interruption."""

from __future__ import annotations

import pytest
import trio

from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE
from proto.link.errors import LinkRefused
from proto.messages import CommandResult, Credit, Outcome, Output, OutputDigest, Stream, Watch
from server.core.results.live_output import STDERR, STDOUT, Gap, Piece, ViewerPosition
from server.errors import ClarionError
from server.fleet.watching import WatchLimits
from tests.rpc.peer import COMMAND, HOST, Agent, Edge, until

KEY = (HOST, COMMAND, 1)


async def hear(agent: Agent, kind: str) -> object:
    """The next message of this kind; heartbeats are passed over."""
    while True:
        name, value = await agent.hear()
        if name == kind:
            return value
        assert name in ("heartbeat", "credit"), name


async def welcomed(agent: Agent) -> None:
    await agent.hello()
    await hear(agent, "welcome")


def piece(offset: int, data: bytes, stream: Stream = Stream.STDOUT, order: int = 1) -> Output:
    return Output(COMMAND, 1, stream, offset, data, order, 5)


async def test_an_agent_gets_watch_and_credit_and_its_output_reaches_every_viewer() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await welcomed(agent)
        watching = edge.registry.watching
        first, second = watching.open(KEY, ViewerPosition()), watching.open(KEY, ViewerPosition())
        assert await hear(agent, "watch") == Watch(COMMAND, 1)
        watching.grant()
        credit = await hear(agent, "credit")
        assert isinstance(credit, Credit) and credit.output_bytes > 2 * (OUTPUT_PIECE + OUTPUT_OVERHEAD)
        await agent.say(output=piece(0, b"abc"))
        await agent.say(output=piece(0, b"err", Stream.STDERR, 2))
        await agent.say(output=piece(5, b"fg", order=3))
        await until(lambda: len(watching._watched[KEY].ring) == 8 + 3 * OUTPUT_OVERHEAD)
        expected = [
            Piece(STDOUT, 0, b"abc", 1, 5),
            Piece(STDERR, 0, b"err", 2, 5),
            Gap(STDOUT, 3, 5),
            Piece(STDOUT, 5, b"fg", 3, 5),
        ]
        assert first.news() == second.news() == expected
        first.close()
        first.close()
        second.close()
        stop = await hear(agent, "watch")
        assert isinstance(stop, Watch) and stop.stop
        await agent.say(output=piece(7, b"late, and within its credit"))
        await agent.say(command_result=CommandResult(COMMAND, 1, Outcome.COMPLETED, 0))
        await hear(agent, "result_ack")


async def test_a_new_session_continues_live_output_where_the_old_one_ended() -> None:
    async with Edge().serve() as edge:
        watching = edge.registry.watching
        viewer = watching.open(KEY, ViewerPosition({STDOUT: 10, STDERR: 20}))
        async with edge.agent() as agent:
            await welcomed(agent)
            assert await hear(agent, "watch") == Watch(COMMAND, 1, stdout_offset=10, stderr_offset=20)
            watching.grant()
            await agent.say(output=piece(10, b"abcde"))
            await until(lambda: viewer.news())
        await until(lambda: not edge.registry.sessions())
        async with edge.agent() as agent:
            await welcomed(agent)
            assert await hear(agent, "watch") == Watch(COMMAND, 1, stdout_offset=15, stderr_offset=20)
            watching.grant()
            await agent.say(output=piece(12, b"cdefg"))
            await until(lambda: watching._watched[KEY].ring.ends[STDOUT] == 17)
            assert viewer.news() == [Piece(STDOUT, 15, b"fg", 1, 5)]
        viewer.close()


async def test_a_late_viewer_restarts_the_stream_and_no_viewer_gets_bytes_twice() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await welcomed(agent)
        watching = edge.registry.watching
        early = watching.open(KEY, ViewerPosition({STDOUT: 100, STDERR: 0}))
        await hear(agent, "watch")
        watching.grant()
        await agent.say(output=piece(100, b"x" * 10))
        await until(lambda: early.news())
        late = watching.open(KEY, ViewerPosition())
        again = await hear(agent, "watch")
        assert again == Watch(COMMAND, 1)
        await agent.say(output=piece(0, b"o" * 100))
        await agent.say(output=piece(100, b"x" * 20))
        await until(lambda: watching._watched[KEY].ring.ends[STDOUT] == 120)
        assert [(one.offset, one.end) for one in early.news()] == [(110, 120)]
        assert [(one.offset, one.end) for one in late.news()] == [(0, 100), (100, 120)]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (piece(0, b"never asked for"), "credit"),
        (Output("nonsense", 1, Stream.STDOUT, 0, b"x"), "command_id"),
        (Output(COMMAND, 1, Stream(0), 0, b"x"), "output.stream"),
        (piece(0, b""), "output.data"),
        (piece(0, bytes(OUTPUT_PIECE + 1)), "output.data"),
        (piece(1 << 53, b"x"), "output.offset"),
    ],
)
async def test_output_that_breaks_the_rules_ends_the_session(output: Output, words: str) -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await welcomed(agent)
        await agent.say(output=output)
        error = await agent.end()
        assert isinstance(error, LinkRefused) and words in error.message


async def test_the_end_of_an_execution_or_of_the_server_wakes_the_viewers() -> None:
    async with Edge().serve() as edge, edge.agent() as agent, trio.open_nursery() as nursery:
        await welcomed(agent)
        watching, shutdown = edge.registry.watching, trio.Event()
        nursery.start_soon(watching.run, shutdown)
        viewer = watching.open(KEY, ViewerPosition())
        other = watching.open((HOST, COMMAND, 2), ViewerPosition())
        silent = OutputDigest()
        await agent.say(
            command_result=CommandResult(
                COMMAND, 1, Outcome.FAILED, 1, error_code="exit_nonzero", stdout=silent, stderr=silent
            )
        )
        await viewer.wait(60)
        assert viewer.ended and not other.ended
        shutdown.set()
        await other.wait(60)
        assert watching.closed
        nursery.cancel_scope.cancel()


async def test_the_number_of_watched_executions_is_limited() -> None:
    edge = Edge()
    watching = edge.registry.watching
    watching._limits = WatchLimits(executions=2)
    viewers = [watching.open((HOST, COMMAND, attempt), ViewerPosition()) for attempt in (1, 2)]
    watching.open((HOST, COMMAND, 2), ViewerPosition())
    with pytest.raises(ClarionError, match="followed"):
        watching.open((HOST, COMMAND, 3), ViewerPosition())
    viewers[0].close()
    watching.open((HOST, COMMAND, 3), ViewerPosition())
    edge.sock.close()
