"""The one place from which messages are imported, so that changing the protobuf library changes one file.

`decode` is strict where betterproto is lenient: betterproto 2.0.0b7 silently accepts most truncated messages and raises
whatever comes to hand on the rest.
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
    """Bytes that are not the message that they should be."""


def kind_of(message: CommandMessage) -> tuple[str, object | None]:
    """Name and value of the oneof's member: ("hello", Hello(...)), or ("", None) for a kind this version does not
    know."""
    return betterproto.which_one_of(message, "message")


def decode(data: bytes) -> CommandMessage:
    """Parse one CommandMessage.

    Raises MalformedMessage for truncated fields, wrong wire types and text that is not UTF-8. Unknown fields are
    skipped.
    """
    return parse(CommandMessage, data)


def parse(kind: type[M], data: bytes) -> M:
    """Parse one message of this kind, as strictly. Raises MalformedMessage."""
    _check_wire(data)
    try:
        return kind().parse(data)
    except Exception as error:  # betterproto lets KeyError, IndexError, AttributeError, … through on bad bytes
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
