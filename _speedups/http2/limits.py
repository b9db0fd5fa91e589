"""Limits of one connection of the fast path, and the token buckets that enforce them."""

from __future__ import annotations

from dataclasses import dataclass, fields

SMALLEST_FRAME, LARGEST_FRAME = 16_384, (1 << 24) - 1
"""RFC 9113 section 4.2: every endpoint must take frames of 16,384 bytes; no frame can be longer than 2^24 - 1."""

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 0, 1, 3, 6, 11
"""Error codes of RFC 9113 section 7."""


FULL_FRAME_DISCOUNT = 0.9
"""Part of a frame's cost that a full DATA frame of a session does not pay.

Ten full frames cost as much as an empty one, so that results may arrive as fast as the network delivers them.
"""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of each connection.

    Counts per second or minute are token buckets: that many at once, and that many per period after.

    Attributes:
        max_message: bytes of one gRPC message; a longer one is refused when its length is read.
        max_frame: bytes of one frame without its header; must not be less than what is advertised to the peer.
        frames_per_second: of all types; full DATA frames of the attached stream cost a tenth.
        messages_per_second: gRPC messages on the attached stream, however few frames they are in.
        settings_per_second, priorities_per_second, window_updates_per_second, empty_data_per_second, pings_per_minute:
            frames of that type.
        probes_per_second: PINGs beyond that, of which one is allowed for each DATA frame that was sent.
        resets_per_minute: RST_STREAM by the peer (CVE-2023-44487), and separately by this side (CVE-2025-8671).
        streams_per_minute: streams opened, whatever becomes of them.
        streams: streams that the peer has open at once.
        hello_bytes: of messages on streams that are not attached: of the longest, and of all together per minute.
        waiting_bytes: held for connections without a session and for calls besides one, over all of a poller.
        header_timeout: seconds from HEADERS to the end of its CONTINUATIONs.
        frame_timeout: seconds from a frame's first byte to its last; `Poller.overdue` checks both.
        header_block: bytes of HEADERS and its CONTINUATIONs, compressed.
        header_list: bytes of the headers, decompressed.
        continuations: frames after one HEADERS.
        write_queue_bytes: that wait for the socket or for the peer's windows.
        stream_window, connection_window: bytes, for grpclib's Configuration; what h2 advertised is enforced here.
        linger: seconds for a closing connection to take what is queued; `poll` checks it.

    Raises:
        ValueError: a limit is not positive or HTTP/2 does not allow it. The error names the field.
    """

    max_message: int = 4 << 20
    max_frame: int = 16_384
    frames_per_second: int = 2_000
    messages_per_second: int = 5_000
    settings_per_second: int = 20
    priorities_per_second: int = 20
    window_updates_per_second: int = 500
    empty_data_per_second: int = 100
    pings_per_minute: int = 12
    probes_per_second: int = 100
    resets_per_minute: int = 20
    streams_per_minute: int = 120
    streams: int = 4
    hello_bytes: int = 1_152 << 10
    waiting_bytes: int = 16 << 20
    header_timeout: float = 5.0
    frame_timeout: float = 30.0
    header_block: int = 16_384
    header_list: int = 16_384
    continuations: int = 8
    write_queue_bytes: int = 8 << 20
    stream_window: int = 256 << 10
    connection_window: int = 256 << 10
    linger: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name}: must be more than 0")
        if not SMALLEST_FRAME <= self.max_frame <= LARGEST_FRAME:
            raise ValueError(f"max_frame: must be {SMALLEST_FRAME} to {LARGEST_FRAME}")
        if self.max_message >= 1 << 31:
            raise ValueError("max_message: must be less than 2^31")


def rates(limits: ConnectionLimits) -> dict[str, tuple[float, float]]:
    """Name in a reason → (tokens saved at most, tokens per second)."""
    per_second = {
        "settings": limits.settings_per_second,
        "priorities": limits.priorities_per_second,
        "window updates": limits.window_updates_per_second,
        "empty data": limits.empty_data_per_second,
        "probes": limits.probes_per_second,
    }
    per_minute = {
        "pings": limits.pings_per_minute,
        "resets": limits.resets_per_minute,
        "resets sent": limits.resets_per_minute,
        "streams": limits.streams_per_minute,
        "bytes before hello": limits.hello_bytes,
    }
    table = {name: (float(count), float(count)) for name, count in per_second.items()}
    return table | {name: (float(count), count / 60) for name, count in per_minute.items()}


class Buckets:
    """The token buckets of one connection. A bucket that was never used needs no memory."""

    __slots__ = ("_rates", "_tokens")

    def __init__(self, table: dict[str, tuple[float, float]]) -> None:
        self._rates = table
        self._tokens: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float, number: int = 1) -> bool:
        """Take tokens; False, and none are taken, if there are fewer. now: seconds of any monotonic clock."""
        burst, rate = self._rates[name]
        tokens, at = self._tokens.get(name, (burst, now))
        tokens = min(burst, tokens + max(0.0, now - at) * rate)
        if tokens < number:
            self._tokens[name] = (tokens, now)
            return False
        self._tokens[name] = (tokens - number, now)
        return True
