"""Settings of the REST API and the page: section `[http]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.settings.field_types import GIB, KIB, MIB, Text255, Text1000, bounded, described


class Http(Struct, frozen=True, kw_only=True):
    """The REST API and the page."""

    host: Annotated[
        Text255,
        described(
            "Address of the REST API and the page. It must be a loopback address, because this port does not support "
            "TLS yet."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, bounded(0, 65_535, "Port of the REST API and the page. 0 selects a free port.")] = 8440
    max_body: Annotated[
        int,
        bounded(
            KIB,
            GIB,
            "Maximum size of a request body. It must hold the largest request that `limits.stdin_bytes`, "
            "`limits.command_bytes`, `limits.parameters` and `limits.hosts_per_task` allow.",
        ),
    ] = 4 * MIB
    max_json_depth: Annotated[int, bounded(2, 256, "Maximum nesting depth of the JSON in a request.")] = 32
    max_json_keys: Annotated[int, bounded(16, 1_000_000, "Maximum number of keys in the JSON of a request.")] = 10_000
    max_json_values: Annotated[
        int,
        bounded(
            1_000,
            1_000_000,
            "Maximum number of list and object values in the JSON of a request. Parsing 50,000 values blocks the "
            "server for about 20 ms.",
        ),
    ] = 50_000
    max_connections: Annotated[
        int,
        bounded(
            16,
            100_000,
            "Maximum number of open connections. When the limit is reached, the server closes a connection that "
            "waits for a request. If there is none, it closes the new connection.",
        ),
    ] = 8_192
    connections_per_address: Annotated[
        int,
        bounded(
            4,
            100_000,
            "Maximum number of open connections from one address. Raise it where many clients share an address. "
            "Trusted proxies are exempt.",
        ),
    ] = 1_024
    trusted_proxies: Annotated[
        Text1000 | None,
        described(
            "Addresses and networks of trusted proxies, separated by commas. The server believes the "
            "`X-Forwarded-For` and `X-Forwarded-Proto` headers that they send. Limits then apply to the client behind "
            "the proxy, and the page's cookie is marked `Secure` only if that client uses https. Do not list an "
            "address from which other clients connect."
        ),
    ] = None
    compress_above: Annotated[
        int,
        bounded(
            0,
            GIB,
            "Minimum size of a response that is compressed with gzip if the client accepts it. 0 disables compression.",
        ),
    ] = 8 * KIB
    max_head: Annotated[
        int, bounded(4 * KIB, 64 * KIB, "Maximum size of a request's first line and headers together.")
    ] = 16 * KIB
    max_head_fields: Annotated[int, bounded(20, 1_000, "Maximum number of header lines in a request.")] = 100
    body_timeout: Annotated[float, bounded(0.1, 600, "Time limit for receiving a request body.")] = 20.0
    write_timeout: Annotated[
        float,
        bounded(
            0.1,
            600,
            "How long a request waits for space in the writer's queue before it fails with `overloaded`. The wait for "
            "its commit has the same limit; after that it fails with `store_unavailable`.",
        ),
    ] = 30.0
    send_timeout: Annotated[
        float,
        bounded(1, 3600, "The server closes a connection whose client reads nothing of a response for this long."),
    ] = 30.0
    keep_alive: Annotated[float, bounded(1, 3600, "How long a connection without a request stays open.")] = 15.0
    wait_max: Annotated[
        float, bounded(1, 600, "Maximum `wait=` of a long poll. The server reduces a larger value to this.")
    ] = 60.0
    page_size_max: Annotated[
        int, bounded(200, 10_000, "Maximum `limit=` of a list. The CLI requests 200 entries, so it cannot be lower.")
    ] = 500
    search_max_outputs: Annotated[
        int,
        bounded(
            1,
            100_000,
            "Maximum number of different outputs that one search or filter request reads. The next request continues "
            "from there.",
        ),
    ] = 500
    search_max_bytes: Annotated[
        int, bounded(MIB, GIB, "Maximum bytes of output that one search or filter request reads.")
    ] = 32 * MIB
    search_max_tasks: Annotated[
        int,
        bounded(
            100,
            1_000_000,
            "Maximum number of tasks that the server reads for one page of a list filtered by host, command or "
            "pattern. The next page continues from there.",
        ),
    ] = 5_000
    max_event_streams: Annotated[
        int,
        bounded(
            1,
            10_000,
            "Maximum number of open event streams (open pages). The server refuses further streams; their pages poll "
            "instead.",
        ),
    ] = 200
    viewer_updates: Annotated[
        int,
        bounded(
            5,
            10_000,
            "Approximate number of updates per second for all event streams together. One stream gets at most five "
            "per second, and fewer if the number of streams exceeds a fifth of this value.",
        ),
    ] = 100
    event_beat: Annotated[
        float,
        bounded(
            0.2,
            60,
            "The server sends a keep-alive on an event stream after this many seconds without an update. A page that "
            "receives nothing for a little more than twice this time shows that it is not connected.",
        ),
    ] = 5.0
    wrong_logins: Annotated[
        int,
        bounded(
            1,
            10_000,
            "Login attempts with a wrong token that the page processes per minute, per address and token. All unknown "
            "tokens count as one token.",
        ),
    ] = 5
    wrong_tokens: Annotated[
        int,
        bounded(
            1,
            1_000_000,
            "API requests with a wrong token that the server processes per minute, per address and token. All unknown "
            "tokens count as one token.",
        ),
    ] = 60
    plain_session_idle: Annotated[
        float,
        bounded(
            60,
            2_592_000,
            "Idle time after which a page session that was opened over plain http ends. Browsers send its cookie to "
            "every port of this host.",
        ),
    ] = 3_600.0
    plain_session_max_age: Annotated[
        float, bounded(60, 31_536_000, "Maximum duration of a page session that was opened over plain http.")
    ] = 43_200.0
    session_idle: Annotated[float, bounded(60, 2_592_000, "Idle time after which a page session ends.")] = 43_200.0
    session_max_age: Annotated[float, bounded(60, 31_536_000, "Maximum duration of a page session.")] = 604_800.0
    answers_kept: Annotated[
        int,
        bounded(
            1,
            1_000,
            "Number of tasks whose result groups stay in memory. A task with 10,000 hosts needs about 1 MB.",
        ),
    ] = 8
