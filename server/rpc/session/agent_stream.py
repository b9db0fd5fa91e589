"""One call of an agent."""

from __future__ import annotations

import asyncio
from typing import Protocol

from grpclib.exceptions import GRPCError

from _speedups.http2 import Conn
from server.fleet.session import Session
from server.rpc.connection.lazy_grpc import LazyGrpcConnection


class AgentStream:
    """A call on a fast-path connection. This object is the tag of the connection's rows.

    Args:
        conn: the fast-path connection.
        lazy: its protocol object, if the call is on the fast path; None if grpclib carries the call.

    Attributes:
        session: None until the Hello is accepted.
        outcome: of a call that grpclib carries; resolved with None for OK, or with the error that ends the call.
        heartbeat_to_answer: the agent's heartbeat whose answer is sent with the next messages.
        beat: number of the server's last heartbeat.
        last_sent: when something was last sent; 0 before the Welcome.
    """

    __slots__ = (
        "_must_have_sent",
        "_stalled_since",
        "beat",
        "conn",
        "heartbeat_to_answer",
        "last_sent",
        "lazy",
        "outcome",
        "session",
    )

    def __init__(self, conn: Conn, lazy: LazyGrpcConnection | None = None) -> None:
        self.conn = conn
        self.lazy = lazy
        self.session: Session | None = None
        self.outcome: asyncio.Future[GRPCError | None] | None = (
            None if lazy is not None else asyncio.get_running_loop().create_future()
        )
        self.heartbeat_to_answer: int | None = None
        self.beat = 0
        self.last_sent = self._must_have_sent = self._stalled_since = 0.0

    def is_stalled(self, now: float, patience: float) -> bool:
        """True if bytes that were queued `patience` seconds ago are still not sent."""
        queued = self.conn.queued_bytes
        if queued == 0:
            self._stalled_since = 0.0
            return False
        sent = self.conn.counts()["bytes_out"]
        if self._stalled_since == 0.0 or sent >= self._must_have_sent:
            self._stalled_since = now
            self._must_have_sent = sent + queued
            return False
        return now - self._stalled_since >= patience

    def finish(self, error: GRPCError | None) -> None:
        """End the call with a status; None for OK."""
        if self.lazy is not None:
            self.lazy.finish(error)
        elif self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(error)


class HelloHandler(Protocol):
    """Judges the first message of a call on the fast path."""

    def on_hello(self, stream: AgentStream, message: bytes) -> None: ...

    def on_wrong_start(self, stream: AgentStream, reason: str, detail: str, error: GRPCError) -> None: ...
