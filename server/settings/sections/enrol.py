"""Settings of the enrolment port and of host certificates: section `[enrol]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.settings.field_types import Text255, bounded, described


class Enrol(Struct, frozen=True, kw_only=True):
    """The enrolment port, where hosts join with a token and renew their certificates. It is closed with
    `agent_port.insecure_loopback`."""

    host: Annotated[
        Text255,
        described(
            "Address of the enrolment port. The port uses TLS and refuses callers without a join token or a "
            "certificate."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, bounded(0, 65_535, "Port on which hosts join. 0 selects a free port.")] = 8442
    per_second: Annotated[
        float,
        bounded(
            0.1,
            100_000,
            "Joins and renewals that the server processes per second, over all hosts. The burst may be as large.",
        ),
    ] = 10.0
    connections: Annotated[
        int,
        bounded(
            16,
            100_000,
            "Maximum number of open connections. When the limit is reached, the server closes a connection without a "
            "call. If there is none, it closes the new connection.",
        ),
    ] = 512
    connections_per_address: Annotated[
        int,
        bounded(
            4,
            100_000,
            "Maximum number of open connections from one address. Raise it where many hosts share an address (NAT).",
        ),
    ] = 64
    handshakes_per_second: Annotated[
        float,
        bounded(
            1,
            10_000,
            "New connections that the server accepts per second. The others wait in the kernel's queue. A handshake "
            "takes one to two milliseconds of CPU time.",
        ),
    ] = 50.0
    idle_timeout: Annotated[float, bounded(1, 3600, "How long a connection without a call stays open.")] = 30.0
    wrong_tokens: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "Wrong join tokens per minute from one address that count towards `enrol.per_second`. The server refuses "
            "further ones without counting them. A valid token is always processed.",
        ),
    ] = 20
    lifetime: Annotated[
        float,
        bounded(300, 31_536_000, "How long a host certificate is valid. Agents renew after two thirds of this time."),
    ] = 86_400.0
    renew_after_end: Annotated[
        float,
        bounded(
            0,
            31_536_000,
            "How long after its expiry a host's last certificate can still be renewed, so that a host that was offline "
            "can reconnect. With 0 such a host must join again.",
        ),
    ] = 2_592_000.0
    pending: Annotated[int, bounded(0, 100_000, "Maximum number of join requests that wait for approval.")] = 100
    pending_ttl: Annotated[
        float,
        bounded(
            60, 31_536_000, "How long the server keeps a join request, whether it waits, is approved or is denied."
        ),
    ] = 86_400.0
    max_takeovers: Annotated[
        int,
        bounded(
            2,
            1000,
            "Sessions that a host may open within `enrol.takeover_window` while another session of the same host is "
            "open. One more quarantines the host and its copy.",
        ),
    ] = 6
    takeover_window: Annotated[float, bounded(1, 86_400, "Period over which `enrol.max_takeovers` is counted.")] = 300.0
