"""The agent as a process: it streams the output of a running command within the credit, also after a restart of the
agent.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE
from proto.messages import CommandMessage, Credit, Outcome, Stream, Watch
from tests.agent.peer import Peer, peer
from tests.agent.process import TOKEN, agent

MIB = 1 << 20


def assembled(pieces: list[Any], stream: Stream = Stream.STDOUT) -> bytes:
    """Return a whole stream, which must have no gap."""
    data = b""
    for piece in pieces:
        if piece.stream == stream:
            assert piece.offset == len(data)
            data += piece.data
    return data


async def watch(server: Peer, command: str, *, credit: int = MIB, **more: Any) -> None:
    await server.send(CommandMessage(watch=Watch(command, 1, **more)))
    if credit:
        await server.send(CommandMessage(credit=Credit(output_bytes=credit)))


@pytest.mark.capability("G2")
async def test_live_output_is_sent_only_while_watched_and_completely_before_the_result(
    tmp_path: Path,
) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        gate = tmp_path / "gate"
        unwatched = await server.dispatch(command="echo quiet")
        await server.result(unwatched)
        text = (
            f"echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three; while [ ! -e {gate} ]; do sleep 0.02; "
            f"done; echo four"
        )
        command = await server.dispatch(command=text)
        await server.get("started", command)
        await watch(server, command)
        pieces = await server.until(lambda: len(found := server.all("output", command)) == 3 and found)
        assert [(piece.stream, piece.offset, piece.data) for piece in pieces] == [
            (1, 0, b"one\n"),
            (2, 0, b"two\n"),
            (1, 4, b"three"),
        ]
        assert [piece.order for piece in pieces] == [1, 2, 3] and all(piece.at_ms > 0 for piece in pieces)
        gate.touch()
        result = await server.result(command)
        assert result.stdout.head == assembled(server.all("output", command)) == b"one\nthreefour\n"
        assert (
            server.kinds(command).index("output") < len(server.kinds(command)) - 1
            and server.kinds(command)[-1] == "command_result"
        )
        assert server.all("output", unwatched) == []


@pytest.mark.capability("O10")
async def test_no_live_output_is_sent_beyond_the_credit_or_after_the_watch(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        command = await server.dispatch(command="head -c 100000 /dev/zero; sleep 100")
        await server.get("started", command)
        await watch(server, command, credit=2 * (1_000 + OUTPUT_OVERHEAD) - 500)
        sent = await server.until(
            lambda: sum(len(piece.data) + OUTPUT_OVERHEAD for piece in server.all("output", command))
        )
        assert sent == 2 * (1_000 + OUTPUT_OVERHEAD) - 500
        await watch(server, command, credit=MIB, stdout_offset=90_000)
        await server.until(
            lambda: sum(len(piece.data) for piece in server.all("output", command) if piece.offset >= 90_000) == 10_000
        )
        await server.send(CommandMessage(watch=Watch(command, 1, stop=True)))
        count = len(server.all("output", command))
        await server.cancel(command, seq=server.seq)
        await server.result(command)
        assert len(server.all("output", command)) == count


async def test_a_watch_repeated_after_an_agent_crash_gets_only_the_rest(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        gate = tmp_path / "gate"
        command = await server.dispatch(
            command=f"seq 1 5000; while [ ! -e {gate} ]; do sleep 0.02; done; seq 5001 9000"
        )
        truth = b"".join(b"%d\n" % number for number in range(1, 9001))
        await watch(server, command, credit=10_000)
        await server.until(lambda: server.all("output", command))
        await process.kill()
        await server.gone()
        known = assembled(server.all("output", command))
        await process.start()
        await server.welcomed(2)
        await watch(server, command, stdout_offset=len(known))
        await server.until(lambda: len(assembled(server.all("output", command))) > len(known))
        gate.touch()
        result = await server.result(command)
        whole = assembled(server.all("output", command))
        assert whole == truth[: len(whole)] and len(whole) > len(known)
        assert result.stdout.head == truth


async def test_a_command_with_much_output_delays_neither_others_nor_results(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port):
        await server.welcomed(1)
        loud = await server.dispatch(command="yes")
        soft = await server.dispatch(command="while :; do echo here; sleep 0.1; done")
        await server.get("started", soft)
        await watch(server, loud, credit=0)
        await watch(server, soft, credit=0)
        heard = 0
        for _ in range(5):
            before = len(server.all("output", soft))
            await server.send(CommandMessage(credit=Credit(output_bytes=4 * (OUTPUT_PIECE + OUTPUT_OVERHEAD))))
            await server.until(lambda before=before: len(server.all("output", soft)) > before)
            quick = await server.dispatch(command="echo quick")
            with trio.fail_after(10):
                assert (await server.result(quick)).outcome == Outcome.COMPLETED
            heard += 1
        assert heard == 5
        pieces = server.all("output", loud)
        assert sum(len(piece.data) for piece in pieces) <= 5 * 4 * OUTPUT_PIECE
        assert all(len(piece.data) <= OUTPUT_PIECE and piece.data.strip(b"y\n") == b"" for piece in pieces)
        assert any(later.offset > earlier.offset + len(earlier.data) for earlier, later in pairwise(pieces)), (
            "the rest was skipped, and it shows"
        )
        for seq, command in enumerate((loud, soft), 1):
            await server.cancel(command, seq=seq)
            await server.result(command)
