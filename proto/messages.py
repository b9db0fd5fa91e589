"""Exports all protobuf messages, so that a change of the protobuf library changes one file.

`decode` is strict where betterproto is lenient: betterproto 2.0.0b7 silently accepts most truncated messages and raises
arbitrary exceptions for the rest.
"""

from __future__ import annotations

from typing import TypeVar

import betterproto

from proto.gen.clarion.v1 import (
    Accepted,
    AuthorityRequest,
    AuthorityResponse,
    Cancel,
    CommandContent,
    CommandMessage,
    CommandResult,
    Credit,
    Decision,
    Drain,
    EnrolRequest,
    EnrolResponse,
    Entry,
    Facts,
    Forget,
    Heartbeat,
    Hello,
    KillReport,
    Observed,
    Outcome,
    Output,
    OutputDigest,
    Rejected,
    RenewRequest,
    ResultAck,
    Stage,
    Started,
    Stream,
    Usage,
    Verdict,
    Watch,
    Welcome,
)

SERVICE = "clarion.v1.CommandService"
CONNECT = f"/{SERVICE}/ConnectForCommands"
ENROLMENT = "clarion.v1.EnrolmentService"
AUTHORITY, ENROL, RENEW = f"/{ENROLMENT}/Authority", f"/{ENROLMENT}/Enrol", f"/{ENROLMENT}/Renew"
PROTOCOL = 1

M = TypeVar("M", bound=betterproto.Message)

__all__ = [
    "AUTHORITY",
    "CONNECT",
    "ENROL",
    "PROTOCOL",
    "RENEW",
    "SERVICE",
    "Accepted",
    "AuthorityRequest",
    "AuthorityResponse",
    "Cancel",
    "CommandContent",
    "CommandMessage",
    "CommandResult",
    "Credit",
    "Decision",
    "Drain",
    "EnrolRequest",
    "EnrolResponse",
    "Entry",
    "Facts",
    "Forget",
    "Heartbeat",
    "Hello",
    "KillReport",
    "MalformedMessage",
    "Observed",
    "Outcome",
    "Output",
    "OutputDigest",
    "Rejected",
    "RenewRequest",
    "ResultAck",
    "Stage",
    "Started",
    "Stream",
    "Usage",
    "Verdict",
    "Watch",
    "Welcome",
    "decode",
    "kind_of",
    "parse",
]


class MalformedMessage(ValueError):
    """The bytes are not a valid message of this type."""


def kind_of(message: CommandMessage) -> tuple[str, object | None]:
    """Return name and value of the oneof member, for example ("hello", Hello(...)).

    The result is ("", None) for a kind that this version does not know.
    """
    return betterproto.which_one_of(message, "message")


def decode(data: bytes) -> CommandMessage:
    """Parse one CommandMessage. Unknown fields are skipped.

    Raises:
        MalformedMessage: A field is truncated, has the wrong wire type, or holds text that is not UTF-8.
    """
    return parse(CommandMessage, data)


def parse(kind: type[M], data: bytes) -> M:
    """Parse one message of this type.

    Raises:
        MalformedMessage: As for `decode`.
    """
    _check_wire(data)
    try:
        return kind().parse(data)
    except Exception as error:  # for invalid bytes betterproto raises KeyError, IndexError, AttributeError, …
        raise MalformedMessage(f"not a {kind.__name__}: {error!r}") from error


def _check_wire(data: bytes) -> None:
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position, end)
        wire = tag & 7
        if tag >> 3 == 0:
            raise MalformedMessage("field number 0")
        if wire == 0:
            _, position = _varint(data, position, end)
        elif wire == 1:
            position += 8
        elif wire == 2:
            length, position = _varint(data, position, end)
            position += length
        elif wire == 5:
            position += 4
        else:
            raise MalformedMessage(f"wire type {wire}")
        if position > end:
            raise MalformedMessage("truncated field")


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    raise MalformedMessage("truncated or overlong varint")
