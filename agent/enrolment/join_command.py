"""Implements `clarion-agent join`."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from agent.enrolment import client, credentials, facts
from agent.enrolment.credentials import Joined
from agent.errors import AgentError, BadSettings, TokenUnreadable
from agent.settings import address, read_token
from agent.storage.lock import hold
from proto.common.exception_groups import sole

ENROL_PORT = 8442
TOKEN_LIMIT = 4096


def join(server: str, token_file: str, ca_pin: str, state: Path, hostname: str | None) -> Joined:
    """Join a server with the arguments of the command line.

    Raises:
        AgentError: The host could not join.
    """
    try:
        pin = credentials.pin(ca_pin)
    except ValueError as error:
        raise BadSettings(f"--ca-pin: {error}", "copy it from the server") from error
    asked = client.JoinRequest(
        _address(server), _token(token_file), pin, facts.readable(hostname or "") or facts.own_name()
    )
    with hold(state):
        try:
            return trio.run(client.join, state, asked)
        except BaseExceptionGroup as group:
            cause = sole(group)
            if isinstance(cause, AgentError):
                raise cause from group
            raise


def _address(text: str) -> tuple[str, int]:
    """Parse HOST, HOST:PORT, [IPv6] or [IPv6]:PORT."""
    has_port = text.rpartition("]")[2].startswith(":") if text.startswith("[") else ":" in text
    try:
        return address(text if has_port else f"{text}:{ENROL_PORT}")
    except ValueError as error:
        raise BadSettings(f"--server: {error}", "name the server's enrolment port") from error


def _token(name: str) -> str:
    if name != "-":
        return read_token(Path(name))
    token = sys.stdin.readline(TOKEN_LIMIT).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenUnreadable("--token-file -: standard input contains no token", "pipe the join token into it")
    return token
