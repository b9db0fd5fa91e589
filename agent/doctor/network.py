"""Checks of the way to the server: name, TCP, TLS; and of the certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

from agent.enrolment import credentials
from agent.settings import Settings
from agent.shim.system import linux
from agent.status.connection import address_text
from proto.common.checkup import Finding

SOON_SHARE = 0.1
"""The agent renews after two thirds of a certificate's life; with less than this left, renewal does not work."""


def server_of(settings: Settings) -> tuple[str, int] | None:
    """Return the address for commands; None if the agent has not joined and no server is set. Raises StateUnusable."""
    if settings.server is not None:
        return settings.server
    if not credentials.has_joined(settings.state):
        return None
    where = credentials.joined(settings.state)
    return where.host, where.port


def joined(settings: Settings) -> Iterator[Finding]:
    """Check that the agent has joined."""
    if settings.insecure_loopback:
        yield Finding("joined", "warning", "insecure_loopback is set, so there is no TLS", "use it only for tests")
    elif not credentials.has_joined(settings.state):
        yield Finding(
            "joined",
            "error",
            f"{settings.state}: this agent has not joined a server",
            "run 'clarion-agent join' with the same --state",
        )
    else:
        where = credentials.joined(settings.state)
        yield Finding("joined", "ok", f"host {where.host_id} of {address_text((where.host, where.port))}")


def certificate(settings: Settings) -> Iterator[Finding]:
    """Check how long the certificate lasts."""
    if settings.insecure_loopback or not credentials.has_joined(settings.state):
        return
    valid = credentials.validity(settings.state)
    boot_ms = linux.boottime_ns() // 1_000_000
    held = credentials.held_certificate(settings.state, linux.boot_id(), boot_ms)
    if held.received_ms is not None:
        left = (held.received_ms + held.life_ms - boot_ms) / 1000
        if left < held.life_ms / 1000 * SOON_SHARE:
            ended = f"ends in {left:.0f} s" if left > 0 else f"ended {-left:.0f} s ago"
            yield Finding(
                "certificate",
                "warning",
                f"the certificate {ended} and was not renewed",
                "check the enrolment port of the server; the agent's log names the reason",
            )
        else:
            yield Finding("certificate", "ok", f"valid for {left / 86_400:.1f} days, renewed before its end")
    else:
        yield Finding("certificate", "ok", "received before the last start of the machine; the agent renews it soon")
    now_ms = time.time_ns() // 1_000_000
    if not valid.not_before <= now_ms <= valid.not_after:
        yield Finding(
            "clock",
            "warning",
            "this machine's clock is outside the validity of its certificate; times in logs are wrong",
            "set the clock, for example with chrony",
        )
    else:
        yield Finding("clock", "ok", "the clock agrees with the validity of the certificate")


def connection(settings: Settings) -> Iterator[Finding]:
    """Resolve the server's name, connect, and shake hands with TLS as the agent does."""
    where = server_of(settings)
    if where is None:
        yield Finding("server", "skipped", "no server is known")
        return
    host, port = where
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield Finding("dns", "error", f"{host}: {error.strerror}", "correct the name server or /etc/hosts")
        return
    yield Finding("dns", "ok", f"{host} is {', '.join(sorted({str(one[4][0]) for one in found}))}")
    try:
        raw = socket.create_connection(where, settings.connect_timeout)
    except OSError as error:
        text = error.strerror or f"no answer within {settings.connect_timeout:g} s"
        yield Finding(
            "tcp",
            "error",
            f"{address_text(where)}: {text}",
            "start the server, or let the firewall pass connections to its agent port",
        )
        return
    with raw:
        yield Finding("tcp", "ok", f"{address_text(where)} accepts connections")
        if settings.insecure_loopback or not credentials.has_joined(settings.state):
            return
        try:
            with credentials.client_context(settings.state).wrap_socket(raw, server_hostname=host) as secure:
                version, protocol = secure.version(), secure.selected_alpn_protocol()
        except ssl.SSLCertVerificationError as error:
            yield Finding(
                "tls",
                "error",
                f"{address_text(where)}: the server's certificate is not accepted: {error.verify_message or error}",
                "add the name to agent_port.names of the server; if another server answers, join it",
            )
            return
        except OSError as error:
            yield Finding(
                "tls",
                "error",
                f"{address_text(where)}: {error.strerror or error}",
                "check that a Clarion agent port listens there and that no proxy changes TLS",
            )
            return
    yield Finding("tls", "ok", f"{version}, {protocol or 'no protocol chosen'}")
