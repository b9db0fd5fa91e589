"""Why the lane has cut a connection off, in one word for logs and metrics; and which addresses are turned away for a
while."""

from __future__ import annotations

from collections import OrderedDict, deque
from socket import socket

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from server.errors import ClarionError

WORDS = {
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
"""Beginning of the lane's reason → label. What is not here ended in order, or was no fault of the peer's."""
GRAVE = frozenset(
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
"""Labels of what no client does by accident or for want of time; with every flood_of_…."""
ORDERLY = frozenset({"eof", "reset", "closed", "goaway", "aborted"})
ADDRESSES = 10_000
"""Addresses of which refusals are remembered; of more, those that were refused longest ago are forgotten."""


def label(reason: str) -> str | None:
    """None: nobody was cut off. A failure of our own code is "internal"."""
    for beginning, word in WORDS.items():
        if reason.startswith(beginning):
            return reason.removeprefix("guard: ").replace(" ", "_") if word == "flood" else word
    return None if reason in ORDERLY or ":" not in reason else "internal"


def is_grave(word: str) -> bool:
    return word in GRAVE or word.startswith("flood_of_")


def refusal(error: ClarionError) -> GRPCError:
    """As the agent is to see it."""
    return GRPCError(Status(error.problem.grpc), f"{error.code}: {error.message}; {error.hint}")


class AbuseTracker:
    """Of each address a token bucket: `per_minute` refusals at once, and that many a minute after. A grave one counts
    as `grave` of them,
    also when less than that is left: the address then waits for what it owes."""

    def __init__(self, per_minute: int, grave: int = 1) -> None:
        self._full, self._grave = float(per_minute), float(grave)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._told: set[str] = set()

    def refused(self, address: str, now: float, grave: bool = False) -> None:
        tokens, (cost, least) = self._tokens(address, now), (self._grave, 1.0 - self._grave) if grave else (1.0, 0.0)
        # connections that were open already when the address was shut out do not add to what it owes
        self._left[address] = (min(tokens, max(least, tokens - cost)), now)
        self._left.move_to_end(address)
        if len(self._left) > ADDRESSES:
            self._told.discard(self._left.popitem(last=False)[0])

    def shut_out(self, address: str, now: float) -> bool:
        """Whether its next connection is not to be let in."""
        if address not in self._left:
            return False
        tokens = self._tokens(address, now)
        if tokens >= self._full:
            del self._left[address]
        if tokens >= self._full / 2:
            self._told.discard(address)
        return tokens < 1.0

    def first_time(self, address: str) -> bool:
        """Whether this is news: it was let in before, for a while at least."""
        known = address in self._told
        self._told.add(address)
        return not known

    def _tokens(self, address: str, now: float) -> float:
        tokens, at = self._left.get(address, (self._full, now))
        return min(self._full, tokens + max(0.0, now - at) * self._full / 60)


class Tarpit:
    """Connections that are to be closed unread, kept open for `seconds` first: who comes again once it hears of its
    end, comes rarely. At most
    `most` at once; one more closes the oldest."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._held: deque[tuple[float, socket]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, sock: socket, now: float) -> None:
        self._held.append((now + self._seconds, sock))
        self.release(now)
        if len(self._held) > self._most:
            self._held.popleft()[1].close()

    def release(self, now: float) -> None:
        """Close those whose time is up."""
        while self._held and self._held[0][0] <= now:
            self._held.popleft()[1].close()
