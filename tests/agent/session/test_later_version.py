"""A server of a later version: the agent ignores unknown fields and messages, and everything else works."""

from __future__ import annotations

from pathlib import Path

import pytest

from proto.messages import CommandContent, Outcome, ResultAck
from tests.agent.peer import Peer, new_id, peer
from tests.agent.process import TOKEN, agent

LATER = bytes((0xA2, 0x38, 5)) + b"later"
"""Field 900, five bytes: a tag is the number shifted by three, with the wire type, as a varint (protobuf.dev,
"Encoding")."""
KINDS = {"command_content": 1, "result_ack": 9}


def with_more(kind: str, message: CommandContent | ResultAck) -> bytes:
    """Return the message with an unknown field in it and another one after it."""
    inner = bytes(message) + LATER
    size = bytes((len(inner) & 0x7F | 0x80, len(inner) >> 7)) if len(inner) > 127 else bytes((len(inner),))
    return bytes((KINDS[kind] << 3 | 2,)) + size + inner + LATER


async def say(server: Peer, data: bytes) -> None:
    assert server._stream is not None
    await server._stream.send(data)


@pytest.mark.capability("F22")
async def test_fields_and_messages_of_a_later_server_are_ignored(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        command = new_id()
        content = CommandContent(
            command_id=command,
            task_id=new_id(),
            attempt=1,
            seq=1,
            session=server.session,
            argv=["echo", "as ever"],
            grace_ms=1000,
        )
        await say(server, LATER)  # a message of which nothing is known
        await say(server, with_more("command_content", content))
        result = await server.result(command)
        assert (result.outcome, result.stdout.head) == (Outcome.COMPLETED, b"as ever\n")
        await say(server, LATER)
        await say(server, with_more("result_ack", ResultAck(command, 1)))
        other = await server.dispatch(command="exit 3", seq=2)
        assert (await server.result(other)).exit_code == 3
        assert server.session == 1, "the session went on"
        assert not process.directory(command).exists(), "the acknowledgement was understood"
