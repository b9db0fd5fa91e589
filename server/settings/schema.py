"""Every setting of the server: its type, default, limits and meaning, in one place.

`server.settings.load` fills these from file, environment and flags; docs/reference/configuration.md is drawn from them.
Sizes are
bytes and durations seconds unless the name says otherwise (`_ms`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Text255 = Annotated[str, Meta(min_length=1, max_length=255)]
Text1000 = Annotated[str, Meta(min_length=1, max_length=1000)]
Text80 = Annotated[str, Meta(min_length=1, max_length=80)]
Text64 = Annotated[str, Meta(min_length=1, max_length=64)]
"""Host names (RFC 1035 2.3.4); MySQL user names (MariaDB 80, MySQL 32); MySQL database names."""


class Http(Struct, frozen=True, kw_only=True):
    """The REST API and the page."""

    host: Annotated[
        Text255,
        Meta(
            description=(
                "Address of the REST API and the page. In this release it must be loopback, because the port "
                "speaks no TLS yet."
            )
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of the REST API and the page; 0 takes any free one.")
    ] = 8440
    max_body: Annotated[
        int,
        Meta(
            ge=KIB,
            le=GIB,
            description=(
                "Largest request body. It must hold what `limits.stdin_bytes`, `limits.command_bytes`, "
                "`limits.parameters` and `limits.hosts_per_task` allow."
            ),
        ),
    ] = 4 * MIB
    max_json_depth: Annotated[int, Meta(ge=2, le=256, description="How deep JSON in a request may be nested.")] = 32
    max_json_keys: Annotated[
        int, Meta(ge=16, le=1_000_000, description="How many keys JSON in a request may have in all.")
    ] = 10_000
    max_json_values: Annotated[
        int,
        Meta(
            ge=1_000,
            le=1_000_000,
            description=(
                "How many values the lists and objects of a request's JSON may have in all. Reading 50,000 takes "
                "about 20 ms, in which the server does nothing else."
            ),
        ),
    ] = 50_000
    max_connections: Annotated[
        int,
        Meta(
            ge=16,
            le=100_000,
            description=(
                "Connections open at once. For a further one, a connection that waits for a request is closed; if "
                "there is none, the new one is."
            ),
        ),
    ] = 8_192
    connections_per_address: Annotated[
        int,
        Meta(
            ge=4,
            le=100_000,
            description=(
                "The same for connections from one address. Raise it where many clients share one; a trusted proxy "
                "has no such limit."
            ),
        ),
    ] = 1_024
    trusted_proxies: Annotated[
        Text1000 | None,
        Meta(
            description=(
                "Addresses and networks, with commas between them, of proxies whose `X-Forwarded-For` and "
                "`X-Forwarded-Proto` are believed: limits then count for the client behind the proxy, and the "
                "page's cookie is for https only if the client speaks it. Name no address from which others "
                "connect too."
            )
        ),
    ] = None
    compress_above: Annotated[
        int,
        Meta(
            ge=0,
            le=GIB,
            description=(
                "Bytes of an answer from which it is compressed with gzip for a client that accepts it; 0 never "
                "compresses."
            ),
        ),
    ] = 8 * KIB
    max_head: Annotated[
        int, Meta(ge=4 * KIB, le=64 * KIB, description="Largest head of a request: its first line and its headers.")
    ] = 16 * KIB
    max_head_fields: Annotated[int, Meta(ge=20, le=1_000, description="Header lines that a request may have.")] = 100
    body_timeout: Annotated[float, Meta(ge=0.1, le=600, description="Time for a request's body to arrive.")] = 20.0
    write_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=600,
            description=(
                "How long a request waits for its commit before it is answered with `store_unavailable`, and "
                "before that for room in the writer's queue before it is answered with `overloaded`."
            ),
        ),
    ] = 30.0
    send_timeout: Annotated[
        float,
        Meta(ge=1, le=3600, description="How long a peer may leave an answer unread before its connection is cut."),
    ] = 30.0
    keep_alive: Annotated[
        float, Meta(ge=1, le=3600, description="How long a connection without a request stays open.")
    ] = 15.0
    wait_max: Annotated[
        float, Meta(ge=1, le=600, description="Longest `wait=` of a long poll; a longer one is cut to this.")
    ] = 60.0
    page_size_max: Annotated[
        int, Meta(ge=200, le=10_000, description="Largest `limit=` of a list. Not below 200, which the CLI asks for.")
    ] = 500
    search_max_outputs: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "Different outputs that one request reads at most to filter or search a task's answers; the next "
                "request goes on."
            ),
        ),
    ] = 500
    search_max_bytes: Annotated[int, Meta(ge=MIB, le=1 << 30, description="Bytes of them.")] = 32 * MIB
    search_max_tasks: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description=(
                "Tasks that one page of a list looks at where it is filtered by host, by command or by a pattern; "
                "the next page goes on."
            ),
        ),
    ] = 5_000
    max_event_streams: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Streams of events (open pages) served at once; a further one is refused and polls instead.",
        ),
    ] = 200
    viewer_updates: Annotated[
        int,
        Meta(
            ge=5,
            le=10_000,
            description=(
                "Updates a second for all of them together, about: one gets at most five, and fewer when they are "
                "more than a fifth of this."
            ),
        ),
    ] = 100
    event_beat: Annotated[
        float,
        Meta(
            ge=0.2,
            le=60,
            description=(
                "Seconds after which an open page to which nothing was sent gets a sign of life. A page that hears "
                "nothing for a little more than twice as long says that it is not connected."
            ),
        ),
    ] = 5.0
    wrong_logins: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description=(
                "Attempts a minute to log in to the page with a wrong token that are listened to, of one address "
                "with one token; all tokens that are not known count as one."
            ),
        ),
    ] = 5
    wrong_tokens: Annotated[int, Meta(ge=1, le=1_000_000, description="The same for requests with a wrong token.")] = 60
    plain_session_idle: Annotated[
        float,
        Meta(
            ge=60,
            le=2_592_000,
            description=(
                "Seconds after which an unused session of the page is over that began over plain http, whose "
                "cookie every port of this host is sent."
            ),
        ),
    ] = 3_600.0
    plain_session_max_age: Annotated[
        float, Meta(ge=60, le=31_536_000, description="Seconds after which such a session is over in any case.")
    ] = 43_200.0
    session_idle: Annotated[
        float, Meta(ge=60, le=2_592_000, description="Seconds after which an unused session of the page is over.")
    ] = 43_200.0
    session_max_age: Annotated[
        float, Meta(ge=60, le=31_536_000, description="Seconds after which a session of the page is over in any case.")
    ] = 604_800.0
    answers_kept: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Tasks whose groups of answers are kept in memory, about 1 MB each with 10,000 hosts.",
        ),
    ] = 8


class AgentPort(Struct, frozen=True, kw_only=True):
    """The gRPC port that agents dial."""

    host: Annotated[
        Text255,
        Meta(description="Address of the agent port. It speaks TLS with certificates on both sides, so it may be any."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port that agents dial; 0 takes any free one.")] = 8441
    names: Annotated[
        Text1000 | None,
        Meta(
            description=(
                "Host names and addresses by which agents dial, with commas between them: what the server's "
                "certificate is made out to. Default: localhost, 127.0.0.1, ::1 and this machine's host name."
            )
        ),
    ] = None
    insecure_loopback: Annotated[
        bool,
        Meta(
            description=(
                "Plaintext instead of TLS, no certificates, one token for all agents: for tests and figures on one "
                "machine. Refused on any address but loopback."
            )
        ),
    ] = False
    max_message: Annotated[
        int,
        Meta(
            ge=2 * MIB,
            le=64 * MIB,
            description=(
                "Largest gRPC message, in both directions. A result with four full pieces of output takes a little "
                "over 1 MiB."
            ),
        ),
    ] = 4 * MIB
    hello_timeout: Annotated[
        float, Meta(ge=0.1, le=300, description="An agent that has not said Hello within this time is cut off.")
    ] = 10.0
    probe_connection_ttl: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description=(
                "A connection that asks for health or reflection, and is no agent's, is closed (GOAWAY first) "
                "after this time and may come again."
            ),
        ),
    ] = 600.0
    connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections at once. The process needs as many file descriptors and some more.",
        ),
    ] = 15_000
    connections_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections at once from one address; raise it where many hosts share one (NAT).",
        ),
    ] = 64
    handshakes_per_second: Annotated[
        float,
        Meta(ge=1, le=100_000, description="New connections taken per second; the others wait in the kernel's queue."),
    ] = 1_000.0
    handshake_burst: Annotated[
        int, Meta(ge=1, le=100_000, description="New connections taken at once before that rate holds.")
    ] = 500
    handshakes: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "TLS handshakes under way at once; further connections wait in the kernel's queue, and handshakes "
                "that have waited for their peer for a quarter of `handshake_timeout` then make room."
            ),
        ),
    ] = 500
    handshake_bytes: Annotated[
        int,
        Meta(
            ge=8 * KIB, le=MIB, description="Bytes that a peer may send for its handshake; an agent needs about 3,000."
        ),
    ] = 32 * KIB
    handshake_timeout: Annotated[
        float, Meta(ge=0.1, le=300, description="A TLS handshake that takes longer is cut off.")
    ] = 10.0
    max_unacked_results: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description=(
                "Results that one agent may have sent and that are not committed yet; it keeps further ones. All "
                "agents together are held back by `writer.high_water_bytes`."
            ),
        ),
    ] = 64
    outbox_messages: Annotated[
        int, Meta(ge=4, le=65_536, description="Messages that may wait to be sent to one agent.")
    ] = 256
    outbox_bytes: Annotated[
        int, Meta(ge=2 * MIB, le=GIB, description="Bytes that may wait to be sent to one agent.")
    ] = 8 * MIB


class Guard(Struct, frozen=True, kw_only=True):
    """What one connection of the agent port may ask of the server; a real agent stays far below. Who goes beyond is cut
    off, see docs/testing/attacks.md."""

    frames_per_second: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description=(
                "HTTP/2 frames of all types; as many at once. A DATA frame of a session counts less the fuller it "
                "is, down to a tenth."
            ),
        ),
    ] = 2_000
    messages_per_second: Annotated[
        int, Meta(ge=100, le=1_000_000, description="Messages of a session, however few frames they come in.")
    ] = 5_000
    settings_per_second: Annotated[
        int, Meta(ge=2, le=100_000, description="SETTINGS frames, acknowledgements included.")
    ] = 20
    priorities_per_second: Annotated[int, Meta(ge=1, le=100_000, description="PRIORITY frames.")] = 20
    window_updates_per_second: Annotated[int, Meta(ge=10, le=100_000, description="WINDOW_UPDATE frames.")] = 500
    empty_data_per_second: Annotated[int, Meta(ge=1, le=100_000, description="DATA frames that carry nothing.")] = 100
    pings_per_minute: Annotated[int, Meta(ge=1, le=100_000, description="PING frames.")] = 12
    probes_per_second: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "PING frames beyond `guard.pings_per_minute`, of which there may be one for each DATA frame that "
                "the server has sent: gRPC libraries measure the bandwidth with them."
            ),
        ),
    ] = 100
    resets_per_minute: Annotated[
        int,
        Meta(ge=1, le=100_000, description="RST_STREAM frames, and separately those that the server is made to send."),
    ] = 20
    streams_per_minute: Annotated[
        int, Meta(ge=1, le=100_000, description="Streams opened, one after the other or not.")
    ] = 120
    streams: Annotated[int, Meta(ge=1, le=1_000, description="Streams open at once.")] = 4
    header_block: Annotated[int, Meta(ge=4 * KIB, le=MIB, description="Headers of one call, compressed.")] = 16 * KIB
    header_list: Annotated[int, Meta(ge=4 * KIB, le=MIB, description="Headers of one call, decompressed.")] = 16 * KIB
    continuations: Annotated[int, Meta(ge=1, le=1_000, description="CONTINUATION frames of one header block.")] = 8
    hello_bytes: Annotated[
        int,
        Meta(
            ge=64 * KIB,
            le=4 * MIB,
            description=(
                "Messages before a session is open: the longest, and all of a connection together per minute. An "
                "agent's Hello takes about 50 bytes for each result that it holds, of which it may name 20,000."
            ),
        ),
    ] = 1_152 * KIB
    waiting_bytes: Annotated[
        int,
        Meta(
            ge=64 * KIB,
            le=64 * GIB,
            description=(
                "Bytes held over all connections that have no session yet, or for calls beside one. When it is "
                "more, of those that hold their share of it or more the one that waits longest is cut off. Not "
                "below `guard.hello_bytes`."
            ),
        ),
    ] = 16 * MIB
    header_timeout: Annotated[
        float, Meta(ge=0.1, le=300, description="Time from the beginning of a call's headers to their end.")
    ] = 5.0
    frame_timeout: Annotated[float, Meta(ge=0.1, le=300, description="Time from a frame's first byte to its last.")] = (
        30.0
    )
    send_timeout: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description=(
                "An agent that has not taken within this time what waited for it is cut off; looked at with each "
                "heartbeat."
            ),
        ),
    ] = 30.0
    refusals_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Connections of one address that may be refused or cut off before its next ones are closed unread, "
                "until less than that were; raise it where many hosts share one (NAT)."
            ),
        ),
    ] = 120
    abuse_weight: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description=(
                "As so many of them counts a connection that was cut off for a flood or for breaking the protocol, "
                "which no agent does."
            ),
        ),
    ] = 20
    tarpit_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="How long such a connection is kept open, unread, so that its other end comes again the later.",
        ),
    ] = 10.0
    tarpit_connections: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Connections that are kept open in this way at once; of more, the oldest is closed.",
        ),
    ] = 1_024


class Enrol(Struct, frozen=True, kw_only=True):
    """The enrolment port, where hosts join with a token and renew their certificates. Not open with
    `agent_port.insecure_loopback`."""

    host: Annotated[
        Text255,
        Meta(
            description=(
                "Address of the enrolment port. It speaks TLS and refuses a caller without a join token or a "
                "certificate."
            )
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port on which hosts join; 0 takes any free one.")] = 8442
    per_second: Annotated[
        float,
        Meta(
            ge=0.1,
            le=100_000,
            description="Joins and renewals taken per second, over all hosts; as many again in a burst.",
        ),
    ] = 10.0
    connections: Annotated[
        int,
        Meta(
            ge=16,
            le=100_000,
            description=(
                "Connections at once. For a further one, a connection without a call is closed; if there is none, "
                "the new one is."
            ),
        ),
    ] = 512
    connections_per_address: Annotated[
        int,
        Meta(
            ge=4,
            le=100_000,
            description="The same for connections from one address; raise it where many hosts share one (NAT).",
        ),
    ] = 64
    handshakes_per_second: Annotated[
        float,
        Meta(
            ge=1,
            le=10_000,
            description=(
                "New connections taken per second; the others wait in the kernel's queue. A handshake takes one to "
                "two milliseconds of computing."
            ),
        ),
    ] = 50.0
    idle_timeout: Annotated[
        float, Meta(ge=1, le=3600, description="A connection without a call is closed after this time.")
    ] = 30.0
    wrong_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Wrong join tokens a minute from one address that take part in `per_second`; further ones are "
                "refused before. A right one is taken in any case."
            ),
        ),
    ] = 20
    lifetime: Annotated[
        float,
        Meta(
            ge=300,
            le=31_536_000,
            description="How long a host's certificate is good; agents renew at two thirds of it.",
        ),
    ] = 86_400.0
    renew_after_end: Annotated[
        float,
        Meta(
            ge=0,
            le=31_536_000,
            description=(
                "How long after its end a host's last certificate can still be renewed, so that a host that was "
                "away comes back by itself; 0: not at all, then it must join again."
            ),
        ),
    ] = 2_592_000.0
    pending: Annotated[
        int, Meta(ge=0, le=100_000, description="Joins that may wait for an operator's approval at once.")
    ] = 100
    pending_ttl: Annotated[
        float,
        Meta(
            ge=60,
            le=31_536_000,
            description="How long such a join waits before it is dropped; one that was approved or denied as well.",
        ),
    ] = 86_400.0
    max_takeovers: Annotated[
        int,
        Meta(
            ge=2,
            le=1000,
            description=(
                "Sessions that a host may open within `takeover_window` while another of its own is open. One "
                "more, and host and copy are quarantined."
            ),
        ),
    ] = 6
    takeover_window: Annotated[float, Meta(ge=1, le=86_400, description="See `max_takeovers`.")] = 300.0


class Store(Struct, frozen=True, kw_only=True):
    """The database."""

    kind: Annotated[
        Literal["sqlite", "mysql"],
        Meta(
            description=(
                "`sqlite` is embedded and needs nothing; `mysql` is MySQL, MariaDB or a database compatible with them."
            )
        ),
    ] = "sqlite"
    path: Annotated[
        Path | None, Meta(description="SQLite only: the database file. Default: `clarion.db` in the data directory.")
    ] = None
    cache_bytes: Annotated[
        int,
        Meta(
            ge=256 * KIB,
            le=64 * GIB,
            description=(
                "SQLite only: pages of the file that the writing connection keeps in memory; each of the two that "
                "read keeps up to 2 MiB more. It fills up as the file grows, and then stays as it is."
            ),
        ),
    ] = 32 * MIB
    lease_seconds: Annotated[
        float,
        Meta(
            ge=0.5,
            le=3600,
            description=(
                "How long the server may be silent towards the database until another one may take over its lease; "
                "it renews it three times as often. Of two servers on one database only one can write, whatever "
                "this is."
            ),
        ),
    ] = 15.0
    lease_wait: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How long a start waits while another server has the lease, before it gives up.",
        ),
    ] = 30.0
    host: Annotated[
        Text255 | None,
        Meta(description="MySQL only: name or address of the database server. Either this or `store.socket`."),
    ] = None
    port: Annotated[int, Meta(ge=1, le=65535, description="MySQL only: port of the database server.")] = 3306
    socket: Annotated[
        Path | None, Meta(description="MySQL only: Unix socket of the database server. Either this or `store.host`.")
    ] = None
    user: Annotated[Text80 | None, Meta(description="MySQL only: the account.")] = None
    password_file: Annotated[
        Path | None,
        Meta(
            description=(
                "MySQL only: file whose first line is the account's password. Without it the login is tried "
                "without a password."
            )
        ),
    ] = None
    database: Annotated[Text64 | None, Meta(description="MySQL only: name of the database (schema).")] = None
    pool_size: Annotated[int, Meta(ge=1, le=64, description="MySQL only: connections held for reading.")] = 4
    tls: Annotated[
        Literal["off", "require", "verify"],
        Meta(
            description=(
                "MySQL only: `require` encrypts, `verify` also checks the server's certificate and name. A server "
                "without TLS is then refused, never used in clear."
            )
        ),
    ] = "off"
    tls_ca: Annotated[
        Path | None,
        Meta(
            description="MySQL only: file with the certificates to trust with `verify`. Default: those of the system."
        ),
    ] = None
    connect_timeout: Annotated[
        float, Meta(ge=0.1, le=120, description="MySQL only: time for connecting, TLS and login together.")
    ] = 10.0


class Writer(Struct, frozen=True, kw_only=True):
    """The batches in which everything is written."""

    linger_ms: Annotated[
        float, Meta(ge=0, le=1000, description="How long a batch waits for more rows, in milliseconds.")
    ] = 5.0
    max_rows: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Rows at which a batch is written at once, and that one transaction holds at most.",
        ),
    ] = 4_000
    small_rows: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description=(
                "Rows of a change at most that is written before larger ones which it has nothing to do with, so "
                "that one command on one host does not wait for those on ten thousand; 0 writes everything in the "
                "order in which it came."
            ),
        ),
    ] = 64
    batch_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=10_000,
            description=(
                "How long a transaction of many rows may take while such small changes come, in milliseconds; 0 "
                "for as long as it takes."
            ),
        ),
    ] = 20.0
    high_water: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description=(
                "Rows waiting to be written at which new work from outside waits; three executions of a new task "
                "count as one row."
            ),
        ),
    ] = 50_000
    low_water: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Rows waiting at which new work is taken again.")
    ] = 25_000
    reading_high_water: Annotated[
        int,
        Meta(
            ge=1,
            le=20_000_000,
            description=(
                "Rows waiting to be written at which nothing more is read from agents until there are "
                "`writer.high_water`."
            ),
        ),
    ] = 100_000
    high_water_bytes: Annotated[
        int,
        Meta(
            ge=MIB, le=64 * GIB, description="Bytes waiting to be written at which no new work is taken from outside."
        ),
    ] = 256 * MIB


class Limits(Struct, frozen=True, kw_only=True):
    """How much of everything is taken."""

    in_flight: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Executions dispatched and not ended, over all tasks. One in twenty is kept for tasks of at most "
                "16 hosts."
            ),
        ),
    ] = 20_000
    in_flight_per_task: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The same for one task; a task may ask for fewer with `concurrency`.")
    ] = 20_000
    in_flight_per_host: Annotated[int, Meta(ge=1, le=1024, description="The same for one host.")] = 16
    waiting: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Executions that may wait for hosts that are not connected, with `if_offline = wait`.",
        ),
    ] = 200_000
    waiting_per_host: Annotated[int, Meta(ge=0, le=100_000, description="The same for one host.")] = 1_000
    live_output_executions: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description=(
                "Executions whose output is followed while they run, at once; each takes "
                "`limits.live_output_bytes` of memory."
            ),
        ),
    ] = 64
    live_output_bytes: Annotated[
        int, Meta(ge=64 * KIB, le=64 * MIB, description="Newest bytes of output kept of one of them for its viewers.")
    ] = 512 * KIB
    live_output_rate: Annotated[
        int,
        Meta(
            ge=64 * KIB,
            le=GIB,
            description=(
                "Bytes per second that one agent may send of them; what a command says beyond that is skipped, and "
                "is in its result as far as that keeps it."
            ),
        ),
    ] = 640 * KIB
    live_output_rate_total: Annotated[
        int, Meta(ge=64 * KIB, le=4 * GIB, description="The same for all agents together.")
    ] = 5 * MIB
    attempts: Annotated[
        int, Meta(ge=1, le=100, description="Attempts per host that a task's retry policy may ask for.")
    ] = 10
    expression_chars: Annotated[
        int, Meta(ge=64, le=MIB, description="Length of one selector, or of one expression over answers.")
    ] = 64 * KIB
    selector_names: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description=(
                "Names that all brackets in the selectors of a request may stand for together, as in `web[001-480]`."
            ),
        ),
    ] = 100_000
    selector_patterns: Annotated[
        int, Meta(ge=1, le=100_000, description="Patterns that brackets in one word with `*` or `?` may stand for.")
    ] = 1_000
    selector_comparisons: Annotated[
        int,
        Meta(
            ge=1_000,
            le=5_000_000,
            description=(
                "What finding the hosts of a request's selectors may cost, in microseconds of computing: about two "
                "texts are compared with a pattern in each, and 16 host ids joined. It is done in slices of 2 ms, "
                "between which the server goes on."
            ),
        ),
    ] = 500_000
    hosts_per_task: Annotated[int, Meta(ge=1, le=1_000_000, description="Hosts that one task may have.")] = 20_000
    command_bytes: Annotated[
        int, Meta(ge=1, le=MIB, description="Length of a command, a script, or all words of an argv together.")
    ] = 64 * KIB
    parameters: Annotated[
        int,
        Meta(ge=0, le=1024, description="Parameters of one task; the same number of environment variables is taken."),
    ] = 64
    parameter_bytes: Annotated[
        int,
        Meta(
            ge=1, le=128 * KIB, description="Length of one parameter's value. Linux takes at most 128 KiB per string."
        ),
    ] = 4 * KIB
    stdin_bytes: Annotated[
        int, Meta(ge=0, le=32 * MIB, description="Length of what a command gets on its standard input.")
    ] = MIB
    timeout_max: Annotated[
        int,
        Meta(
            ge=1,
            le=31_536_000,
            description="Longest timeout that may be asked for; the default is 30 days, the most a year.",
        ),
    ] = 2_592_000


class Liveness(Struct, frozen=True, kw_only=True):
    """Who is here, and what happens when somebody is not."""

    heartbeat: Annotated[
        float, Meta(ge=0.05, le=3600, description="How often server and agent let each other know that they are there.")
    ] = 15.0
    heartbeat_timeout: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="A session that said nothing for so long is closed. More than twice `liveness.heartbeat`.",
        ),
    ] = 45.0
    lost_after: Annotated[
        float, Meta(ge=0.1, le=31_536_000, description="An execution whose host stays away for so long ends as `lost`.")
    ] = 3600.0
    unanswered_after: Annotated[
        float,
        Meta(
            ge=1,
            le=31_536_000,
            description=(
                "An execution that its connected host was asked to end, again and again for so long, without "
                "saying how it ended, ends as `lost`. Longer than any outage of the database that is to be borne."
            ),
        ),
    ] = 86_400.0
    mass_silence_share: Annotated[
        float,
        Meta(
            ge=0.01,
            le=1,
            description=(
                "When more than this share of the connected hosts goes away within `liveness.mass_silence_window`, "
                "the fault is taken for our own: an alarm is raised and nothing is called lost for "
                "`liveness.mass_silence_pause`."
            ),
        ),
    ] = 0.3
    mass_silence_hosts: Annotated[int, Meta(ge=1, le=1_000_000, description="… and at least so many hosts.")] = 10
    mass_silence_window: Annotated[float, Meta(ge=1, le=86_400, description="Within how many seconds.")] = 60.0
    mass_silence_pause: Annotated[
        float, Meta(ge=0, le=86_400, description="For how many seconds nothing is called lost then.")
    ] = 300.0
    start_grace: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="After a start of the server, hosts on their way back are not called offline for so long.",
        ),
    ] = 60.0
    watchdog_margin: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description=(
                "The server ends an execution by itself this long after its timeout and grace are over and its "
                "agent has not."
            ),
        ),
    ] = 30.0
    elapsed_checkpoint_interval: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description=(
                "How often the time that a task with a `timeout` or a `wait_for` has run is saved. A server that "
                "is killed forgets at most so much of it, so that such a task ends late, never early."
            ),
        ),
    ] = 60.0
    seen_saved_every: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description=(
                "How often the time is saved at which each connected host was last heard of. Of a host that leaves "
                "it is saved at once, and of all when the server stops; a server that is killed forgets at most so "
                "much."
            ),
        ),
    ] = 300.0
    drain_min: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="When the server stops, agents are told to come back after a random time from this …",
        ),
    ] = 1.0
    drain_max: Annotated[float, Meta(ge=0, le=3600, description="… up to this.")] = 10.0


class Log(Struct, frozen=True, kw_only=True):
    """What the server says on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important lines that are still written."),
    ] = "info"


class Settings(Struct, frozen=True, kw_only=True):
    """All of them. Field names are the TOML sections."""

    data: Annotated[
        Path, Meta(description="The server's data directory: tokens, the SQLite database, `server.toml`.")
    ] = Path("data")
    http: Http = Http()
    agent_port: AgentPort = AgentPort()
    guard: Guard = Guard()
    enrol: Enrol = Enrol()
    store: Store = Store()
    writer: Writer = Writer()
    limits: Limits = Limits()
    liveness: Liveness = Liveness()
    log: Log = Log()

    @property
    def admin_token(self) -> Path:
        return self.data / "admin.token"

    @property
    def metrics_token(self) -> Path:
        """Reads metrics, health and the API's description, and nothing else."""
        return self.data / "metrics.token"

    @property
    def join_token(self) -> Path:
        """Exists with agent_port.insecure_loopback only."""
        return self.data / "join.token"

    @property
    def database_file(self) -> Path:
        """The SQLite file: `store.path`, or clarion.db in the data directory."""
        return self.store.path or self.data / "clarion.db"


class Loaded(Struct, frozen=True, kw_only=True):
    """settings, and where each value came from: dotted key → `default`, `file PATH`, `environment NAME` or `flag NAME`.

    warnings: one sentence for each old name that was used.
    """

    settings: Settings
    sources: dict[str, str]
    warnings: tuple[str, ...] = ()


class Fault(Struct, frozen=True, kw_only=True):
    """One thing wrong with one setting. `shown` is the offending value as text, or None where it might be a secret."""

    key: str
    source: str
    message: str
    shown: str | None = None

    def __str__(self) -> str:
        value = "" if self.shown is None else f" = {self.shown}"
        return f"{self.key}{value} ({self.source}): {self.message}"


class SettingsError(Exception):
    """Everything that is wrong with the settings, at once. No settings result."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))
