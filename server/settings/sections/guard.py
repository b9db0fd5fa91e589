"""Limits on each connection of the agent port: section `[guard]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from _speedups.http2.limits import ConnectionLimits
from server.settings.field_types import GIB, KIB, MIB, bounded

_HTTP2 = ConnectionLimits()
"""The fast path of HTTP/2 knows no settings: it declares the defaults of its limits."""


class Guard(Struct, frozen=True, kw_only=True):
    """Limits on each connection of the agent port. A real agent stays far below them. The server closes a connection
    that exceeds one; see docs/testing/attacks.md."""

    frames_per_second: Annotated[
        int,
        bounded(
            100,
            1_000_000,
            "HTTP/2 frames of all types per second; the burst may be as large. A DATA frame of a session counts less "
            "the fuller it is, down to a tenth.",
        ),
    ] = _HTTP2.frames_per_second
    messages_per_second: Annotated[
        int, bounded(100, 1_000_000, "Messages of a session per second, whatever the number of their frames.")
    ] = _HTTP2.messages_per_second
    settings_per_second: Annotated[
        int, bounded(2, 100_000, "SETTINGS frames per second, acknowledgements included.")
    ] = _HTTP2.settings_per_second
    priorities_per_second: Annotated[int, bounded(1, 100_000, "PRIORITY frames per second.")] = (
        _HTTP2.priorities_per_second
    )
    window_updates_per_second: Annotated[int, bounded(10, 100_000, "WINDOW_UPDATE frames per second.")] = (
        _HTTP2.window_updates_per_second
    )
    empty_data_per_second: Annotated[int, bounded(1, 100_000, "Empty DATA frames per second.")] = (
        _HTTP2.empty_data_per_second
    )
    pings_per_minute: Annotated[int, bounded(1, 100_000, "PING frames per minute.")] = _HTTP2.pings_per_minute
    probes_per_second: Annotated[
        int,
        bounded(
            1,
            100_000,
            "PING frames per second beyond `guard.pings_per_minute`. The peer may send one for each DATA frame that "
            "it received: gRPC libraries measure bandwidth with them.",
        ),
    ] = _HTTP2.probes_per_second
    resets_per_minute: Annotated[
        int,
        bounded(
            1,
            100_000,
            "RST_STREAM frames per minute that the peer sends. The same limit applies separately to those that the "
            "peer makes the server send.",
        ),
    ] = _HTTP2.resets_per_minute
    streams_per_minute: Annotated[int, bounded(1, 100_000, "Streams that the peer opens per minute.")] = (
        _HTTP2.streams_per_minute
    )
    streams: Annotated[int, bounded(1, 1_000, "Maximum number of open streams.")] = _HTTP2.streams
    header_block: Annotated[int, bounded(4 * KIB, MIB, "Maximum compressed size of the headers of one call.")] = (
        _HTTP2.header_block
    )
    header_list: Annotated[int, bounded(4 * KIB, MIB, "Maximum decompressed size of the headers of one call.")] = (
        _HTTP2.header_list
    )
    continuations: Annotated[int, bounded(1, 1_000, "Maximum number of CONTINUATION frames in one header block.")] = (
        _HTTP2.continuations
    )
    hello_bytes: Annotated[
        int,
        bounded(
            64 * KIB,
            4 * MIB,
            "Maximum size of one message before a session is open, and of all such messages of a connection per "
            "minute. An agent's Hello takes about 50 bytes for each result that the agent holds; it may name 20,000.",
        ),
    ] = _HTTP2.hello_bytes
    waiting_bytes: Annotated[
        int,
        bounded(
            64 * KIB,
            64 * GIB,
            "Maximum bytes held for all connections without a session, and for calls outside a session. Above it, the "
            "server drops the oldest of the connections that hold at least an equal share. Not below "
            "`guard.hello_bytes`.",
        ),
    ] = _HTTP2.waiting_bytes
    header_timeout: Annotated[
        float, bounded(0.1, 300, "Time limit from the beginning of a call's headers to their end.")
    ] = _HTTP2.header_timeout
    frame_timeout: Annotated[float, bounded(0.1, 300, "Time limit from a frame's first byte to its last.")] = (
        _HTTP2.frame_timeout
    )
    send_timeout: Annotated[
        float,
        bounded(
            1,
            3600,
            "The server disconnects an agent that does not receive waiting messages within this time. It checks with "
            "each heartbeat.",
        ),
    ] = 30.0
    refusals_per_minute: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Refused or aborted connections per minute after which an address is blocked. The server closes its "
            "connections unread until the rate is below the limit. Raise it where many hosts share an address (NAT).",
        ),
    ] = 120
    abuse_weight: Annotated[
        int,
        bounded(
            1, 10_000, "Number of refusals that one flood or protocol violation counts as. Agents never cause either."
        ),
    ] = 20
    tarpit_seconds: Annotated[
        float,
        bounded(
            0,
            60,
            "How long the server holds a connection from a blocked address open, unread. This delays the next attempt "
            "of a client that waits for the close.",
        ),
    ] = 10.0
    tarpit_connections: Annotated[
        int,
        bounded(
            0,
            10_000,
            "Maximum number of connections that are held open in this way. Above it, the server closes the oldest.",
        ),
    ] = 1_024
