"""Settings of the port that agents connect to: section `[agent_port]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from _speedups.http2.limits import ConnectionLimits
from server.settings.field_types import GIB, KIB, MIB, Text255, Text1000, bounded, described

_HTTP2 = ConnectionLimits()
"""The fast path of HTTP/2 knows no settings: it declares the defaults of its limits."""


class AgentPort(Struct, frozen=True, kw_only=True):
    """The gRPC port that agents connect to."""

    host: Annotated[
        Text255,
        described("Address of the agent port. It may be any address: both sides authenticate with TLS certificates."),
    ] = "127.0.0.1"
    port: Annotated[int, bounded(0, 65_535, "Port that agents connect to. 0 selects a free port.")] = 8441
    names: Annotated[
        Text1000 | None,
        described(
            "Host names and addresses in the server's certificate, separated by commas. Agents connect to one of them. "
            "Default: localhost, 127.0.0.1, ::1 and this machine's host name."
        ),
    ] = None
    insecure_loopback: Annotated[
        bool,
        described(
            "Plaintext instead of TLS, no certificates, and one token for all agents. For tests and measurements on "
            "one machine; refused on any address but loopback."
        ),
    ] = False
    max_message: Annotated[
        int,
        bounded(
            2 * MIB,
            64 * MIB,
            "Maximum size of a gRPC message in either direction. A result with four full pieces of output takes a "
            "little over 1 MiB.",
        ),
    ] = _HTTP2.max_message
    hello_timeout: Annotated[
        float, bounded(0.1, 300, "The server disconnects an agent that sends no Hello within this time.")
    ] = 10.0
    probe_connection_ttl: Annotated[
        float,
        bounded(
            1,
            86_400,
            "Maximum duration of a connection that requests health or reflection and is not an agent's. The server "
            "sends GOAWAY before it closes the connection, and the client may reconnect.",
        ),
    ] = 600.0
    connections: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Maximum number of open connections. The process needs at least as many file descriptors.",
        ),
    ] = 15_000
    connections_per_address: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Maximum number of open connections from one address. Raise it where many hosts share an address (NAT).",
        ),
    ] = 64
    handshakes_per_second: Annotated[
        float,
        bounded(
            1, 100_000, "New connections that the server accepts per second. The others wait in the kernel's queue."
        ),
    ] = 1_000.0
    handshake_burst: Annotated[
        int,
        bounded(1, 100_000, "New connections that the server accepts at once before `handshakes_per_second` applies."),
    ] = 500
    handshakes: Annotated[
        int,
        bounded(
            1,
            100_000,
            "Maximum number of concurrent TLS handshakes. Further connections wait in the kernel's queue. When all "
            "slots are busy, the server drops handshakes that have waited for their peer for a quarter of "
            "`handshake_timeout`.",
        ),
    ] = 500
    handshake_bytes: Annotated[
        int,
        bounded(8 * KIB, MIB, "Maximum bytes that a peer may send for its TLS handshake. An agent needs about 3,000."),
    ] = 32 * KIB
    handshake_timeout: Annotated[float, bounded(0.1, 300, "Time limit for a TLS handshake.")] = 10.0
    max_unacked_results: Annotated[
        int,
        bounded(
            1,
            10_000,
            "Maximum number of results that one agent may send before the first of them is committed. The agent keeps "
            "further results. `writer.high_water_bytes` limits all agents together.",
        ),
    ] = 64
    outbox_messages: Annotated[
        int, bounded(4, 65_536, "Maximum number of messages that wait to be sent to one agent.")
    ] = 256
    outbox_bytes: Annotated[
        int, bounded(2 * MIB, GIB, "Maximum bytes of messages that wait to be sent to one agent.")
    ] = _HTTP2.write_queue_bytes
