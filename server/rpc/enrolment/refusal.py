"""Refusals of the enrolment port, and bounded reading of its messages."""

from __future__ import annotations

from proto.messages import M, MalformedMessage, parse
from proto.readable import escaped
from server.errors import ClarionError

MAX_NAME = 255
"""Characters of a hostname in a log line or a join request."""


class EnrolmentRefused(ClarionError):
    """A refusal that is not logged or counted yet. details: fields for the log."""

    def __init__(self, code: str, message: str | None = None, hint: str | None = None, **details: object) -> None:
        super().__init__(code, message, hint=hint, details=details)


def read_message(kind: type[M], data: bytes) -> M:
    """Decode a message.

    Raises:
        EnrolmentRefused: the bytes are not a message of this kind.
    """
    try:
        return parse(kind, data)
    except MalformedMessage as error:
        raise EnrolmentRefused("malformed_message", str(error)) from None


def readable_name(hostname: str) -> str:
    """The name, escaped and shortened."""
    return escaped(hostname[:MAX_NAME])[:MAX_NAME]
