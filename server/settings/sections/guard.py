"""Limits on each connection of the agent port: section `[guard]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.settings.field_types import GIB, KIB, MIB, bounded


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
    ] = 2_000
    messages_per_second: Annotated[
        int, bounded(100, 1_000_000, "Messages of a session per second, whatever the number of their frames.")
    ] = 5_000
    settings_per_second: Annotated[
        int, bounded(2, 100_000, "SETTINGS frames per second, acknowledgements included.")
    ] = 20
    priorities_per_second: Annotated[int, bounded(1, 100_000, "PRIORITY frames per second.")] = 20
    window_updates_per_second: Annotated[int, bounded(10, 100_000, "WINDOW_UPDATE frames per second.")] = 500
    empty_data_per_second: Annotated[int, bounded(1, 100_000, "Empty DATA frames per second.")] = 100
    pings_per_minute: Annotated[int, bounded(1, 100_000, "PING frames per minute.")] = 12
    probes_per_second: Annotated[
        int,
        bounded(
            1,
            100_000,
            "PING frames per second beyond `guard.pings_per_minute`. The peer may send one for each DATA frame that "
            "it received: gRPC libraries measure bandwidth with them.",
        ),
    ] = 100
    resets_per_minute: Annotated[
        int,
        bounded(
            1,
            100_000,
            "RST_STREAM frames per minute that the peer sends. The same limit applies separately to those that the "
            "peer makes the server send.",
        ),
    ] = 20
    streams_per_minute: Annotated[int, bounded(1, 100_000, "Streams that the peer opens per minute.")] = 120
    streams: Annotated[int, bounded(1, 1_000, "Maximum number of open streams.")] = 4
    header_block: Annotated[int, bounded(4 * KIB, MIB, "Maximum compressed size of the headers of one call.")] = (
        16 * KIB
    )
    header_list: Annotated[int, bounded(4 * KIB, MIB, "Maximum decompressed size of the headers of one call.")] = (
        16 * KIB
    )
    continuations: Annotated[int, bounded(1, 1_000, "Maximum number of CONTINUATION frames in one header block.")] = 8
    hello_bytes: Annotated[
        int,
        bounded(
            64 * KIB,
            4 * MIB,
            "Maximum size of one message before a session is open, and of all such messages of a connection per "
            "minute. An agent's Hello takes about 50 bytes for each result that the agent holds; it may name 20,000.",
        ),
    ] = 1_152 * KIB
    waiting_bytes: Annotated[
        int,
        bounded(
            64 * KIB,
            64 * GIB,
            "Maximum bytes held for all connections without a session, and for calls outside a session. Above it, the "
            "server drops the oldest of the connections that hold at least an equal share. Not below "
            "`guard.hello_bytes`.",
        ),
    ] = 16 * MIB
    header_timeout: Annotated[
        float, bounded(0.1, 300, "Time limit from the beginning of a call's headers to their end.")
    ] = 5.0
    frame_timeout: Annotated[float, bounded(0.1, 300, "Time limit from a frame's first byte to its last.")] = 30.0
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
