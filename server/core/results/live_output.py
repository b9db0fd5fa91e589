"""Live output: the last bytes per execution, the position of each viewer, and the credit of the agents."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE

STDOUT, STDERR = 1, 2
STREAMS = (STDOUT, STDERR)
"""The streams. The numbers are those of proto/command.proto."""


@dataclass(frozen=True, slots=True)
class WatchOutput:
    """Message to an agent: send an execution's output from these offsets, or stop sending it."""

    host_id: str
    session: int
    command_id: str
    attempt: int
    offsets: Mapping[int, int]
    stop: bool = False


@dataclass(frozen=True, slots=True)
class OutputCredit:
    """Message to an agent: it may send this many further bytes of output."""

    host_id: str
    session: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one stream.

    Attributes:
        stream: STDOUT or STDERR.
        offset: Offset of the first byte in the stream.
        data: The bytes.
        order: Order over both streams as the agent reports it; 0 if the agent no longer knows it.
        at_ms: Time by the agent's clock, in milliseconds since 1970; 0 if the agent no longer knows it.
    """

    stream: int
    offset: int
    data: bytes
    order: int = 0
    at_ms: int = 0

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a stream that were skipped.

    Attributes:
        stream: STDOUT or STDERR.
        offset: Offset of the first skipped byte.
        end: Offset after the last skipped byte.
    """

    stream: int
    offset: int
    end: int


@dataclass(slots=True)
class ViewerPosition:
    """The part of the output that a viewer has.

    Attributes:
        offsets: For each stream, the offset up to which the viewer has all bytes or was told of the gaps.
        serial: Serial number of the next piece in the ring.
    """

    offsets: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    serial: int = 0


class OutputRing:
    """The last bytes of one execution's output, in the order in which they arrived.

    Bytes that the ring already has are dropped, so an agent may send anything again.

    Attributes:
        ends: For each stream, the offset at which the next piece should begin.
    """

    def __init__(self, limit: int, offsets: Mapping[int, int]) -> None:
        """Create an empty ring.

        Args:
            limit: Bytes to keep. Each piece counts with its OUTPUT_OVERHEAD.
            offsets: For each stream, the offset of the first byte.
        """
        self._limit = limit
        self._pieces: deque[Piece] = deque()
        self._size = 0
        self._dropped = 0
        self.ends = dict(offsets)
        self._begins = dict(offsets)

    def __len__(self) -> int:
        """Return the bytes in the ring, each piece with its OUTPUT_OVERHEAD."""
        return self._size

    @property
    def serial(self) -> int:
        """Serial number of the next piece."""
        return self._dropped + len(self._pieces)

    def add(self, piece: Piece) -> bool:
        """Add a piece. Return False if it contains nothing new."""
        begin = max(piece.offset, self.ends[piece.stream])
        if begin >= piece.end:
            return False
        if begin > piece.offset:
            piece = Piece(piece.stream, begin, piece.data[begin - piece.offset :], piece.order, piece.at_ms)
        self._pieces.append(piece)
        self._size += len(piece.data) + OUTPUT_OVERHEAD
        self.ends[piece.stream] = piece.end
        while self._size > self._limit:
            old = self._pieces.popleft()
            self._dropped += 1
            self._size -= len(old.data) + OUTPUT_OVERHEAD
            self._begins[old.stream] = old.end
        return True

    def reaches(self, position: ViewerPosition) -> bool:
        """Return whether the ring still has everything that a viewer at this position lacks."""
        return all(position.offsets[stream] >= self._begins[stream] for stream in STREAMS)

    def restart(self, offsets: Mapping[int, int]) -> None:
        """Drop all pieces. The next ones begin at these offsets."""
        self._dropped += len(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.ends = dict(offsets)
        self._begins = dict(offsets)

    def news(self, position: ViewerPosition) -> list[Piece | Gap]:
        """Return the pieces and gaps that a viewer lacks, and advance its position."""
        found: list[Piece | Gap] = []
        for piece in islice(self._pieces, max(0, position.serial - self._dropped), None):
            found += new_part(position, piece)
        position.serial = self.serial
        return found


def new_part(position: ViewerPosition, piece: Piece) -> Iterator[Piece | Gap]:
    """Yield the part of a piece that is new at a position, and advance the position.

    A gap before the piece is yielded first.
    """
    have = position.offsets[piece.stream]
    if piece.end <= have:
        return
    position.offsets[piece.stream] = piece.end
    if piece.offset > have:
        yield Gap(piece.stream, have, piece.offset)
    if piece.offset >= have:
        yield piece
    else:
        yield Piece(piece.stream, have, piece.data[have - piece.offset :], piece.order, piece.at_ms)


def remaining(position: ViewerPosition, stream: int, head: bytes, tail: bytes, total: int) -> Iterator[Piece | Gap]:
    """Yield the part of a final output that a viewer lacks: head, the gap for the dropped middle, tail."""
    for begin, data in ((0, head), (total - len(tail), tail)):
        first = max(0, position.offsets[stream] - begin)
        for at in range(first, len(data), OUTPUT_PIECE):
            yield from new_part(position, Piece(stream, begin + at, data[at : at + OUTPUT_PIECE]))
    if position.offsets[stream] < total:
        yield Gap(stream, position.offsets[stream], total)
        position.offsets[stream] = total


class SessionCredit:
    """Credit for output that a session was granted and has not used."""

    __slots__ = ("outstanding",)

    def __init__(self) -> None:
        """Start without credit."""
        self.outstanding = 0

    def grant(self, window: int) -> int:
        """Return the bytes to grant so that the agent may send `window` again; 0 while it still has half of that."""
        if 2 * self.outstanding > window:
            return 0
        more = window - self.outstanding
        self.outstanding = window
        return more

    def take(self, length: int) -> bool:
        """Count a piece of this length. Return False if it exceeds the granted credit."""
        self.outstanding -= length + OUTPUT_OVERHEAD
        return self.outstanding >= 0


def credit_share(window: int, total: int, sessions: int) -> int:
    """Return the bytes that each watched session may send at a time: a share of `total`, and at least one piece.

    Args:
        window: Largest share.
        total: Bytes for all sessions together.
        sessions: Number of watched sessions.
    """
    return max(OUTPUT_PIECE + OUTPUT_OVERHEAD, min(window, total // max(1, sessions)))
