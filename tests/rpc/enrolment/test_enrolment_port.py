"""Limits of the enrolment port for peers without a certificate, while hosts join."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from _speedups.http2.limits import ConnectionLimits
from server.rpc.enrolment.connections import PREFACE, EnrolmentPortLimits
from tests.rpc.border import Border, border

SETTINGS, PING, HEADERS, CONTINUATION, DATA, RST, PRIORITY, WINDOW = 4, 6, 1, 9, 0, 3, 2, 8
END_HEADERS = 4
POST = bytes.fromhex("838687") + b"\x04\x0a/clarion/x" + b"\x5f\x10application/grpc" + b"\x01\x01a"
"""HPACK: POST, https, a path, content-type, :authority."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


BEGIN = PREFACE + frame(SETTINGS, 0, 0)
FLOODS: dict[str, tuple[bytes, str]] = {
    "settings": (frame(SETTINGS, 0, 0) * 100, "flood_of_settings"),
    "pings": (frame(PING, 0, 0, bytes(8)) * 100, "flood_of_pings"),
    "priorities": (frame(PRIORITY, 0, 1, b"\0\0\0\0\1") * 100, "flood_of_priorities"),
    "window updates": (frame(WINDOW, 0, 0, b"\0\0\0\1") * 2_000, "flood_of_window_updates"),
    "frames of an unknown type": (frame(0x42, 0, 0) * 5_000, "flood_of_frames"),
    "continuations": (frame(HEADERS, 0, 1, POST) + frame(CONTINUATION, 0, 1) * 100, "flood_of_continuations"),
    "a long header block": (frame(HEADERS, 0, 1, POST) + frame(CONTINUATION, 0, 1, b"x" * 16_000) * 2, "header_block"),
    "a block that is interrupted": (frame(HEADERS, 0, 1, POST) + frame(PING, 0, 0, bytes(8)), "protocol_error"),
    "streams": (
        b"".join(frame(HEADERS, END_HEADERS, 2 * number + 1, POST) for number in range(50)),
        "too_many_streams",
    ),
    "streams and resets": (
        b"".join(
            frame(HEADERS, END_HEADERS, 2 * number + 1, POST) + frame(RST, 0, 2 * number + 1, bytes(4))
            for number in range(100)
        ),
        "flood_of_resets",
    ),
    "a message of 4 GiB": (
        frame(HEADERS, END_HEADERS, 1, POST) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"),
        "message_too_large",
    ),
    "a long frame": (frame(DATA, 0, 1, bytes(17_000)), "frame_too_large"),
    "a first frame that is no SETTINGS": (b"", "protocol_error"),
    "no HTTP/2": (b"", "not_http2"),
}


@asynccontextmanager
async def dialled(site: Border) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", site.ports[1]), context)
    try:
        await stream.do_handshake()
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def ended(stream: trio.SSLStream[trio.SocketStream]) -> bytes:
    """Everything until the server closes."""
    data = b""
    with trio.fail_after(10):
        try:
            while piece := await stream.receive_some(65_536):
                data += piece
        except trio.BrokenResourceError:
            pass  # closed without a goodbye
    return data


@pytest.mark.parametrize("name", FLOODS)
async def test_a_client_that_exceeds_a_limit_is_cut_off_while_hosts_join(tmp_path: Path, name: str) -> None:
    data, reason = FLOODS[name]
    opening = {
        "a first frame that is no SETTINGS": PREFACE + frame(PING, 0, 0, bytes(8)),
        "no HTTP/2": b"GET / HTTP/1.1\r\n\r\n",
    }.get(name, BEGIN)
    async with border(tmp_path) as site:
        async with dialled(site) as stream:
            with (
                trio.move_on_after(5),
                suppress(trio.BrokenResourceError),
            ):  # it may be cut off while it is still sending
                await stream.send_all(opening + data)
            goodbye = await ended(stream)
        assert frame(7, 0, 0)[3:5] in goodbye or not goodbye
        await site.refused(reason)
        await site.join("honest")


async def nothing(stream: trio.SSLStream[trio.SocketStream]) -> None: ...


async def preface(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await stream.send_all(BEGIN)


async def pings(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Frames without a call keep no connection open."""
    await stream.send_all(BEGIN + frame(PING, 0, 0, bytes(8)) * 3)


@pytest.mark.parametrize("say", [nothing, preface, pings], ids=lambda say: say.__name__)
async def test_a_connection_without_a_call_is_closed(
    tmp_path: Path, say: Callable[[trio.SSLStream[trio.SocketStream]], object]
) -> None:
    async with border(tmp_path, port_limits=EnrolmentPortLimits(idle=0.3)) as site, dialled(site) as stream:
        await say(stream)  # type: ignore[misc]
        await ended(stream)
        await site.refused()


@pytest.mark.parametrize(
    ("limits", "said", "reason"),
    [
        (ConnectionLimits(frame_timeout=0.3), BEGIN + frame(PING, 0, 0, bytes(8))[:12], "slow_frame"),
        (ConnectionLimits(header_timeout=0.3), BEGIN + frame(HEADERS, 0, 1, POST), "slow_headers"),
    ],
)
async def test_a_request_that_never_ends_is_cut_off(
    tmp_path: Path, limits: ConnectionLimits, said: bytes, reason: str
) -> None:
    async with border(tmp_path, port_limits=EnrolmentPortLimits(guard=limits)) as site, dialled(site) as stream:
        await stream.send_all(said)
        await ended(stream)
        await site.refused(reason)


async def test_an_idle_connection_is_closed_in_favour_of_a_new_one(tmp_path: Path) -> None:
    async with (
        border(tmp_path, port_limits=EnrolmentPortLimits(connections=3, per_address=2)) as site,
        dialled(site) as oldest,
        dialled(site) as newer,
    ):
        for stream in (oldest, newer):
            await stream.send_all(BEGIN)
        await site.join("honest")
        await ended(oldest)
        await site.refused("crowded_out")


async def test_an_address_that_breaks_the_protocol_repeatedly_is_blocked(tmp_path: Path) -> None:
    limits = replace(EnrolmentPortLimits(), refusals_per_minute=2, abuse_weight=1)
    async with border(tmp_path, port_limits=limits) as site:
        for _ in range(2):
            async with dialled(site) as stream:
                await stream.send_all(BEGIN + frame(SETTINGS, 0, 0) * 100)
                await ended(stream)
        with pytest.raises(trio.BrokenResourceError):
            async with dialled(site):
                pass
        await site.refused("flood_of_settings", "flood_of_settings", "address_shut_out")
