"""The end of a connection by a drain: Drain, trailers, GOAWAY with the last stream; other callers get GOAWAY at
once."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from hpack import Decoder

from proto.messages import CommandMessage, Drain, Facts, Hello, decode, kind_of
from tests.rpc.peer import HOST, JOURNAL, Edge, until
from tests.tools.h2.wire import (
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    HOLD,
    NO_ERROR,
    PREFACE,
    data,
    frame,
    headers,
    settings,
)

Frames = list[tuple[int, int, int, bytes]]


async def everything(stream: trio.SocketStream) -> Frames:
    """All frames until the server closes or is silent for a moment."""
    held = bytearray()
    with trio.move_on_after(1.0):
        async for piece in stream:
            held += piece
            if GOAWAY in [kind for kind, *_ in split(held)]:
                break
    return split(held)


def split(held: bytes | bytearray) -> Frames:
    found, at = [], 0
    while len(held) - at >= 9:
        end = at + 9 + int.from_bytes(held[at : at + 3], "big")
        kind, flags, number = struct.unpack(">BBI", held[at + 3 : at + 9])
        found.append((kind, flags, number, bytes(held[at + 9 : end])))
        at = end
    return found


def messages(frames: Frames) -> list[object]:
    held, found = b"".join(payload for kind, _, _, payload in frames if kind == DATA), []
    while held:
        end = 5 + int.from_bytes(held[1:5], "big")
        found.append(kind_of(decode(held[5:end]))[1])
        held = held[end:]
    return found


@asynccontextmanager
async def dial(edge: Edge) -> AsyncIterator[trio.SocketStream]:
    async with await trio.open_tcp_stream(*edge.address) as stream:
        await stream.send_all(PREFACE + settings() + frame(4, 1, 0))
        yield stream


async def test_a_draining_server_sends_an_agent_drain_then_trailers_then_goaway() -> None:
    hello = bytes(
        CommandMessage(hello=Hello(host_id=HOST, journal_id=JOURNAL, boot_id="b", slots=1, facts=Facts(hostname="h")))
    )
    async with Edge().serve() as edge, dial(edge) as stream:
        assert edge.port is not None
        await stream.send_all(headers(5, payload=HOLD) + data(b"\0" + len(hello).to_bytes(4, "big") + hello, 5, 0))
        await until(lambda: edge.registry.sessions())
        edge.port.streams.drain()
        frames = await everything(stream)
        kinds = [kind for kind, *_ in frames]
        drain = max(at for at, kind in enumerate(kinds) if kind == DATA)
        assert isinstance(messages(frames)[-1], Drain)
        assert kinds[drain + 1 :] == [HEADERS, GOAWAY]
        decoder = Decoder()
        (*_, trailers) = [dict(decoder.decode(payload)) for kind, _, _, payload in frames if kind == HEADERS]
        assert trailers["grpc-status"] == "0" and frames[drain + 1][1] & END_STREAM
        assert struct.unpack(">II", frames[-1][3]) == (5, NO_ERROR)


async def test_a_draining_server_sends_other_callers_goaway_at_once() -> None:
    async with Edge().serve() as edge, dial(edge) as stream:
        assert edge.port is not None
        await until(lambda: edge.port.streams._pending)  # type: ignore[union-attr]
        edge.port.streams.drain()
        assert struct.unpack(">II", (await everything(stream))[-1][3]) == (0, NO_ERROR)
