"""Errors of a stream."""

from __future__ import annotations


class LinkClosed(Exception):
    """The connection is lost or could not be opened. The caller may connect again."""


class LinkRefused(Exception):
    """The peer ended the call with a gRPC status other than OK.

    Attributes:
        code: Number as in grpc/status.proto.
        message: The peer's text.
    """

    def __init__(self, code: int, message: str) -> None:
        """Store code and message."""
        super().__init__(f"gRPC status {code}: {message}")
        self.code, self.message = code, message


class MessageTooLarge(Exception):
    """The peer announced a message above the limit; no byte of it was read."""
