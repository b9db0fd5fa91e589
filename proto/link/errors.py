"""How a stream can end badly."""

from __future__ import annotations


class LinkClosed(Exception):
    """The connection is gone, or could not be made. Dial again."""


class LinkRefused(Exception):
    """The other side ended the call with a gRPC status other than OK.

    code: number of grpc/status.proto. message: the other side's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"gRPC status {code}: {message}")
        self.code, self.message = code, message


class MessageTooLarge(Exception):
    """The other side announced a message above the limit; none of it was read."""
