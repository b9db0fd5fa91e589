"""grpclib on trio over real sockets: messages, statuses, limits and endings."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from grpclib.client import Channel
from grpclib.protocol import H2Protocol

from proto.link.client import ClientStream, connect
from proto.link.errors import LinkClosed, LinkRefused
from proto.link.server import bind
from proto.messages import CommandMessage, Heartbeat, MalformedMessage, Output
from tests.link_server import ServerStream, serve

Handler = Callable[[ServerStream], Awaitable[None]]


def beat(number: int) -> CommandMessage:
    return CommandMessage(heartbeat=Heartbeat(beat=number))


async def echo(stream: ServerStream) -> None:
    while (data := await stream.recv()) is not None:
        await stream.send(data)


@asynccontextmanager
async def talk(
    handler: Handler, *, max_message: int = 4 << 20, client_limit: int = 4 << 20
) -> AsyncIterator[ClientStream]:
    sock = bind("127.0.0.1", 0)
    async with (
        serve(handler, sock, max_message=max_message),
        connect(
            "127.0.0.1", sock.getsockname()[1], metadata={"authorization": "Bearer x"}, max_message=client_limit
        ) as stream,
    ):
        with trio.fail_after(20):
            yield stream


async def test_messages_go_both_ways_in_order() -> None:
    async with talk(echo) as stream:
        for number in range(20):
            await stream.send(beat(number))
        assert [(await stream.recv()).heartbeat.beat for _ in range(20)] == list(range(20))  # type: ignore[union-attr]


async def test_a_message_larger_than_any_window_arrives_whole() -> None:
    async with talk(echo) as stream:
        big = CommandMessage(output=Output(data=bytes(range(256)) * 12_000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, big)
            assert await stream.recv() == big


async def test_metadata_and_peer_are_known() -> None:
    seen: list[str] = []

    async def look(stream: ServerStream) -> None:
        seen.extend([stream.metadata["authorization"], stream.peer.partition(":")[0]])

    async with talk(look) as stream:
        assert await stream.recv() is None
    assert seen == ["Bearer x", "127.0.0.1"]


async def test_a_refusal_arrives_as_status_and_message() -> None:
    async def refuse(stream: ServerStream) -> None:
        raise LinkRefused(16, "join_refused: näin")

    async with talk(refuse) as stream:
        with pytest.raises(LinkRefused) as caught:
            await stream.recv()
        assert (caught.value.code, caught.value.message) == (16, "join_refused: näin")


async def test_a_refusal_during_a_call_arrives() -> None:
    async def refuse(stream: ServerStream) -> None:
        await stream.send(bytes(beat(1)))
        await stream.recv()
        raise LinkRefused(10, "superseded")

    async with talk(refuse) as stream:
        assert await stream.recv() == beat(1)
        await stream.send(beat(2))
        with pytest.raises(LinkRefused) as caught:
            await stream.recv()
        assert caught.value.code == 10
        with pytest.raises(LinkRefused):
            await stream.send(beat(3))


@pytest.mark.parametrize("size", [-1, 0])
async def test_a_message_up_to_the_limit_is_accepted(size: int) -> None:
    message = CommandMessage(output=Output(data=b"x" * 1_000))
    async with talk(echo, max_message=len(bytes(message)) - size) as stream:
        await stream.send(message)
        assert await stream.recv() == message


async def test_a_message_beyond_the_limit_ends_the_call() -> None:
    message = CommandMessage(output=Output(data=b"x" * 1_000))
    async with talk(echo, max_message=len(bytes(message)) - 1) as stream:
        await stream.send(message)
        with pytest.raises(LinkRefused) as caught:
            await stream.recv()
        assert caught.value.code == 8 and "bytes announced" in caught.value.message


async def test_the_end_of_the_server_closes_the_stream() -> None:
    async def leave(stream: ServerStream) -> None:
        await stream.recv()
        stream._stream._stream._transport.abort()
        await trio.sleep_forever()

    async with talk(leave) as stream:
        await stream.send(beat(1))
        with pytest.raises(LinkClosed):
            await stream.recv()


async def test_the_end_of_the_client_cancels_the_handler() -> None:
    gone = trio.Event()

    async def watch(stream: ServerStream) -> None:
        try:
            await trio.sleep_forever()
        finally:
            gone.set()

    sock = bind("127.0.0.1", 0)
    async with serve(watch, sock, max_message=1_000):
        async with connect("127.0.0.1", sock.getsockname()[1], metadata={}) as stream:
            await stream.send(beat(1))
        with trio.fail_after(10):
            await gone.wait()


async def test_a_refused_connection_is_a_closed_link() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(LinkClosed, match="cannot connect"):
        async with connect("127.0.0.1", port, metadata={}):
            pass


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_lost_at_once_is_a_closed_link(
    nursery: trio.Nursery, reset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy without a server, on a machine so busy that the end arrives before the call begins."""
    dial = Channel._create_connection

    async def dial_and_hear(channel: Channel) -> H2Protocol:
        protocol = await dial(channel)
        while not protocol.handler.connection_lost:  # noqa: ASYNC110 - grpclib has no event for it
            await asyncio.sleep(0)
        return protocol

    monkeypatch.setattr(Channel, "_create_connection", dial_and_hear)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]

    async def close_all() -> None:
        while True:
            stream = await listener.accept()
            if reset:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()

    nursery.start_soon(close_all)
    port = listener.socket.getsockname()[1]
    async with listener:
        with pytest.raises(LinkClosed, match=r"lost immediately|Connect call failed"):
            async with connect("127.0.0.1", port, metadata={}, connect_timeout=5):
                pass
        nursery.cancel_scope.cancel()


async def test_a_silent_server_is_left_after_a_timeout() -> None:
    with bind("127.0.0.1", 0) as sock:
        async with connect("127.0.0.1", sock.getsockname()[1], metadata={}, connect_timeout=5) as stream:
            with trio.move_on_after(0.2) as waited:
                await stream.recv()
            assert waited.cancelled_caught


async def test_an_exception_of_the_body_is_raised_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        async with talk(echo):
            raise ZeroDivisionError


async def test_an_undecodable_message_from_the_server_is_malformed() -> None:
    async def nonsense(stream: ServerStream) -> None:
        await stream.send(b"\x0a\xff")

    async with talk(nonsense) as stream:
        with pytest.raises(MalformedMessage):
            await stream.recv()


async def test_messages_before_a_goaway_are_received() -> None:
    async def part(stream: ServerStream) -> None:
        await stream.send(bytes(beat(1)))
        under = stream._stream._stream
        http2 = under._h2_connection
        for number in (2, 3):
            data = bytes(beat(number))
            http2.send_data(under.id, b"\0" + len(data).to_bytes(4, "big") + data)
        http2.close_connection()
        under._transport.write(http2.data_to_send())
        await trio.sleep_forever()

    async with talk(part) as stream:
        for number in (1, 2, 3):
            assert await stream.recv() == beat(number)
        with pytest.raises(LinkClosed):
            await stream.recv()


async def test_messages_before_a_lost_connection_are_received_before_its_end() -> None:
    """The data is more than half a window: reading it sends a window update on a lost connection."""
    pieces = 7

    async def part(stream: ServerStream) -> None:
        for _ in range(pieces):
            await stream.send(bytes(CommandMessage(output=Output(data=bytes(400_000)))))
        stream._stream._stream._transport.close()
        await trio.sleep_forever()

    async with talk(part) as stream:
        while stream._stream._channel._connected:  # noqa: ASYNC110 - grpclib has no event for it
            await trio.sleep(0.01)
        heard = 0
        with pytest.raises(LinkClosed):
            while await stream.recv() is not None:
                heard += 1
        print(f"{heard} of {pieces} heard")
        assert heard >= 1
