"""Rules between settings, and values that this release does not support yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from server.settings.networks import networks
from server.settings.schema import Settings
from server.settings.table import plain, rows

Found = tuple[str, str]
"""Dotted key, and what is wrong with its value and how to correct it."""

_MYSQL_ONLY = (
    "host",
    "port",
    "socket",
    "user",
    "password_file",
    "database",
    "pool_size",
    "tls",
    "tls_ca",
    "connect_timeout",
)
_SQLITE_ONLY = ("path", "cache_bytes")
_NAME = re.compile(r"[A-Za-z0-9_*](?:[A-Za-z0-9._-]{0,253})|[0-9A-Fa-f:.]{2,45}")
_NO_TLS = "this port has no TLS yet, so it must be a loopback address such as 127.0.0.1 or ::1"


def broken(settings: Settings, given: Callable[[str], bool]) -> Iterator[Found]:
    """Yield every rule that `settings` break. `given(key)` is true if the operator set that key."""
    if not loopback(settings.http.host):
        yield "http.host", f"{_NO_TLS}; give others access through an SSH tunnel or a TLS proxy on this machine"
    try:
        networks(settings.http.trusted_proxies or "")
    except ValueError as error:
        yield "http.trusted_proxies", f"{error}; separate several with commas"
    yield from _plaintext(settings)
    yield from _ports(settings)
    yield from _store(settings, given)
    yield from _sizes(settings)
    yield from _times(settings)
    yield from _unreachable(settings, given)


def loopback(host: str) -> bool:
    """Return whether `host` is `localhost` or a loopback address (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _plaintext(settings: Settings) -> Iterator[Found]:
    port = settings.agent_port
    if port.insecure_loopback and not loopback(port.host):
        yield (
            "agent_port.insecure_loopback",
            f"plaintext is for loopback only, and agent_port.host is {port.host}; set it to false",
        )
    for name in (port.names or "").split(","):
        if port.names is not None and not _NAME.fullmatch(name.strip()):
            yield (
                "agent_port.names",
                f"{name.strip()!r} is neither a host name nor an address; separate several with commas",
            )


def _ports(settings: Settings) -> Iterator[Found]:
    if settings.http.port == settings.agent_port.port != 0:
        yield "agent_port.port", "http.port is the same; set two different ports"
    if (
        not settings.agent_port.insecure_loopback
        and settings.enrol.port in (settings.http.port, settings.agent_port.port)
        and settings.enrol.port
    ):
        yield "enrol.port", "http.port or agent_port.port is the same; set three different ports"


def _store(settings: Settings, given: Callable[[str], bool]) -> Iterator[Found]:
    store = settings.store
    if store.kind == "sqlite":
        for name in _MYSQL_ONLY:
            if given(f"store.{name}"):
                yield f"store.{name}", "has no effect with store.kind = sqlite; set store.kind = mysql, or remove this"
        return
    for name in _SQLITE_ONLY:
        if given(f"store.{name}"):
            yield f"store.{name}", "has no effect with store.kind = mysql; set store.kind = sqlite, or remove this"
    for name in ("database", "user"):
        if getattr(store, name) is None:
            yield f"store.{name}", "store.kind = mysql needs it; set it"
    if store.host is None and store.socket is None:
        yield "store.host", "store.kind = mysql needs either store.host or store.socket; set one of them"
    if store.host is not None and store.socket is not None:
        yield "store.socket", "store.host is set too; keep one of them"
    if store.socket is not None:
        if given("store.port"):
            yield "store.port", "has no effect with store.socket; remove one of them"
        if store.tls != "off":
            yield "store.tls", "a Unix socket does not use TLS; use store.host, or set store.tls = off"
    if store.tls_ca is not None and store.tls != "verify":
        yield "store.tls_ca", f"has no effect with store.tls = {store.tls}; set store.tls = verify, or remove this"


def _sizes(settings: Settings) -> Iterator[Found]:
    writer, limits, port = settings.writer, settings.limits, settings.agent_port
    if writer.low_water >= writer.high_water:
        yield "writer.low_water", f"must be below writer.high_water, which is {writer.high_water}"
    if writer.reading_high_water <= writer.high_water:
        yield "writer.reading_high_water", f"must be above writer.high_water, which is {writer.high_water}"
    if writer.max_rows > writer.high_water:
        yield "writer.max_rows", f"must not be above writer.high_water, which is {writer.high_water}"
    # Parameters and environment have the same limits; 64 KiB are for the other fields of the message.
    largest = limits.command_bytes + 2 * limits.parameters * limits.parameter_bytes + limits.stdin_bytes + (64 << 10)
    if largest > port.max_message:
        parts = "limits.command_bytes, limits.parameters x limits.parameter_bytes (twice) and limits.stdin_bytes"
        yield "agent_port.max_message", f"{parts} allow a command of {largest} bytes; raise this or lower those"
    # In JSON, base64 turns three bytes into four. An escape turns a line end, a quote or a backslash into two bytes. A
    # host id takes 39 bytes in a list.
    texts = max(limits.command_bytes, limits.expression_chars) + 2 * limits.parameters * limits.parameter_bytes
    body = limits.stdin_bytes * 4 // 3 + 2 * texts + 40 * limits.hosts_per_task + (64 << 10)
    if body > settings.http.max_body:
        parts = (
            "limits.stdin_bytes (as base64), limits.command_bytes, limits.parameters x limits.parameter_bytes "
            "(twice) and limits.hosts_per_task"
        )
        yield "http.max_body", f"{parts} allow a request of {body} bytes; raise this or lower those"
    if settings.guard.waiting_bytes < settings.guard.hello_bytes + (64 << 10):
        yield (
            "guard.waiting_bytes",
            f"must be at least 64 KiB more than guard.hello_bytes, which is {settings.guard.hello_bytes}",
        )
    if port.outbox_bytes < port.max_message:
        yield "agent_port.outbox_bytes", f"must not be below agent_port.max_message, which is {port.max_message}"


WITHIN = (
    ("limits.in_flight_per_task", "limits.in_flight"),
    ("limits.in_flight_per_host", "limits.in_flight"),
    ("limits.waiting_per_host", "limits.waiting"),
    ("limits.live_output_rate", "limits.live_output_rate_total"),
    ("limits.hosts_per_task", "limits.selector_names"),
    ("http.connections_per_address", "http.max_connections"),
    ("http.max_event_streams", "http.max_connections"),
    ("http.session_idle", "http.session_max_age"),
    ("http.plain_session_idle", "http.plain_session_max_age"),
)
"""A limit and the wider limit that contains it. A value above the wider one would have no effect."""


def _unreachable(settings: Settings, given: Callable[[str], bool]) -> Iterator[Found]:
    for inner, outer in WITHIN:
        bound = value_of(settings, outer)
        if given(inner) and value_of(settings, inner) > bound:
            yield inner, f"can never be reached, because {outer} is {plain(bound)}; lower this or raise that"


def _times(settings: Settings) -> Iterator[Found]:
    live = settings.liveness
    if live.heartbeat_timeout <= 2 * live.heartbeat:
        yield (
            "liveness.heartbeat_timeout",
            f"must be more than twice liveness.heartbeat, which is {plain(live.heartbeat)}",
        )
    if live.lost_after < live.heartbeat_timeout:
        yield (
            "liveness.lost_after",
            f"must not be below liveness.heartbeat_timeout, which is {plain(live.heartbeat_timeout)}",
        )
    if live.drain_min > live.drain_max:
        yield "liveness.drain_min", f"must not be above liveness.drain_max, which is {plain(live.drain_max)}"


def value_of(settings: Settings, key: str) -> Any:
    """Return the value of a dotted key; `store.path` has its effective default.

    Raises:
        KeyError: There is no such setting.
    """
    row = rows()[key]
    if key == "store.path" and settings.store.kind == "sqlite":
        return settings.database_file
    return getattr(getattr(settings, row.section) if row.section else settings, row.name)
