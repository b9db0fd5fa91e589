"""Refused connections: their label in logs and metrics, and addresses that are blocked for a while."""

from __future__ import annotations

from collections import OrderedDict, deque
from socket import socket

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from server.errors import ClarionError

LABELS = {
    "no_hello": "no_hello",
    "slow_reader": "slow_reader",
    "write queue full": "slow_reader",
    "protocol error": "protocol_error",
    "guard: flood of ": "flood",
    "guard: frame of ": "frame_too_large",
    "guard: frame not ended": "slow_frame",
    "guard: header block not ended": "slow_headers",
    "guard: header block too large": "header_block",
    "guard: message of ": "message_too_large",
    "guard: crowded out": "crowded_out",
    "guard: more than ": "too_many_streams",
    "guard: flow control": "flow_control",
    "guard: no HTTP/2 preface": "not_http2",
    "guard: ": "protocol_error",
    "tls: ": "tls",
}
"""Beginning of the reason for which a connection ended → label.

Reasons that are not listed are orderly ends, or failures of the server's own code.
"""
SEVERE = frozenset(
    {
        "flow_control",
        "frame_too_large",
        "header_block",
        "malformed_message",
        "message_too_large",
        "protocol_error",
        "too_many_streams",
    }
)
"""Labels of refusals that no client causes by accident or by being slow; every flood_of_… is severe too."""
ORDERLY = frozenset({"eof", "reset", "closed", "goaway", "aborted"})
MAX_ADDRESSES = 10_000
"""Addresses whose refusals are remembered. Beyond that, the address whose last refusal is oldest is forgotten."""


def refusal_label(reason: str) -> str | None:
    """The label for the reason of a connection's end.

    Returns:
        None for an orderly end; "internal" for a failure of the server's own code.
    """
    for beginning, word in LABELS.items():
        if reason.startswith(beginning):
            return reason.removeprefix("guard: ").replace(" ", "_") if word == "flood" else word
    return None if reason in ORDERLY or ":" not in reason else "internal"


def is_severe(word: str) -> bool:
    """True if a refusal with this label counts `severe` times."""
    return word in SEVERE or word.startswith("flood_of_")


def grpc_error(error: ClarionError) -> GRPCError:
    """The error as the status that the agent receives."""
    return GRPCError(Status(error.problem.grpc), f"{error.code}: {error.message}; {error.hint}")


class AbuseTracker:
    """One token bucket of refusals per address. An address without tokens is blocked.

    Args:
        per_minute: size of a bucket, and tokens that return per minute.
        severe: tokens that a severe refusal takes. It may take more than there are: the address is then blocked until
            the debt is paid off.
    """

    def __init__(self, per_minute: int, severe: int = 1) -> None:
        self._burst = float(per_minute)
        self._severe = float(severe)
        self._tokens_of: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._reported: set[str] = set()

    def record(self, address: str, now: float, severe: bool = False) -> None:
        """Count a refused connection of this address."""
        tokens = self._tokens(address, now)
        (cost, least) = (self._severe, 1.0 - self._severe) if severe else (1.0, 0.0)
        # Refusals of connections that were already open when the address was blocked do not increase its debt.
        self._tokens_of[address] = (min(tokens, max(least, tokens - cost)), now)
        self._tokens_of.move_to_end(address)
        if len(self._tokens_of) > MAX_ADDRESSES:
            self._reported.discard(self._tokens_of.popitem(last=False)[0])

    def is_blocked(self, address: str, now: float) -> bool:
        """True if the next connection of this address must be refused."""
        if address not in self._tokens_of:
            return False
        tokens = self._tokens(address, now)
        if tokens >= self._burst:
            del self._tokens_of[address]
        if tokens >= self._burst / 2:
            self._reported.discard(address)
        return tokens < 1.0

    def is_first_block(self, address: str) -> bool:
        """True if the block is new and worth a log line. The address counts as reported from then on."""
        known = address in self._reported
        self._reported.add(address)
        return not known

    def _tokens(self, address: str, now: float) -> float:
        tokens, at = self._tokens_of.get(address, (self._burst, now))
        return min(self._burst, tokens + max(0.0, now - at) * self._burst / 60)


class Tarpit:
    """Holds refused connections open so that reconnecting clients slow down.

    Args:
        seconds: how long a connection is held.
        limit: connections held at once. One more closes the oldest.
    """

    def __init__(self, seconds: float, limit: int) -> None:
        self._seconds = seconds
        self._limit = limit
        self._held: deque[tuple[float, socket]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, sock: socket, now: float) -> None:
        """Keep a socket open, unread, for `seconds`."""
        self._held.append((now + self._seconds, sock))
        self.release(now)
        if len(self._held) > self._limit:
            self._held.popleft()[1].close()

    def release(self, now: float) -> None:
        """Close the sockets whose time is up."""
        while self._held and self._held[0][0] <= now:
            self._held.popleft()[1].close()
