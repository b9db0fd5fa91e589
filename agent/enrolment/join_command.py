"""Implements `clarion-agent join`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import trio

from agent.enrolment import client, credentials
from agent.enrolment.credentials import Joined
from agent.errors import AgentError, BadSettings, StateUnusable, TokenUnreadable
from agent.settings import address, host_name, read_token
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
    try:
        chosen = "" if hostname is None else host_name(hostname)
    except ValueError as error:
        raise BadSettings(f"--hostname: {error}", "give another name, or leave the option out") from error
    request = client.JoinRequest(_address(server), _token(token_file), pin, chosen)
    with hold(state):
        asked = request if chosen else _with_earlier_name(request, state)
        try:
            return trio.run(client.join, state, asked)
        except BaseExceptionGroup as group:
            cause = sole(group)
            if isinstance(cause, AgentError):
                raise cause from group
            raise


def _with_earlier_name(request: client.JoinRequest, state: Path) -> client.JoinRequest:
    """Keep the host name of an earlier join with this state directory.

    An earlier file that cannot be read has no effect, because joining again replaces it.
    """
    try:
        earlier = credentials.joined(state).hostname
    except StateUnusable:
        return request
    return replace(request, hostname=earlier)


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
