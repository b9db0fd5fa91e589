"""Output while it comes: the last of it per execution, what each viewer has of it, and how much an agent may send."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

STDOUT, STDERR = 1, 2
STREAMS = (STDOUT, STDERR)
"""Numbers as in proto/command.proto."""
PIECE = 32 * 1024
"""Bytes in one piece, at most."""
OVERHEAD = 64
"""What a piece costs of the credit beside its bytes; agents count the same."""


@dataclass(frozen=True, slots=True)
class WatchOutput:
    """To the agent: send this one's output from these offsets on, or no more."""

    host_id: str
    session: int
    command_id: str
    attempt: int
    offsets: Mapping[int, int]
    stop: bool = False


@dataclass(frozen=True, slots=True)
class OutputCredit:
    """To the agent: so many bytes of output more."""

    host_id: str
    session: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one stream. order, at_ms: as the agent told, 0 where it does not know any more."""

    stream: int
    offset: int
    data: bytes
    order: int = 0
    at_ms: int = 0

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """These bytes of a stream were skipped: from `offset` up to, not including, `end`."""

    stream: int
    offset: int
    end: int


@dataclass(slots=True)
class ViewerPosition:
    """What a viewer has: of each stream everything before its offset, but for the gaps that it was told of. serial: of
    the ring's pieces."""

    offsets: dict[int, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    serial: int = 0


class OutputRing:
    """The last `limit` bytes of one execution's output, each piece counted with its OVERHEAD, in the order in which
    they came.

    Bytes that are there already are dropped, so an agent may send anything again. `restart` has it filled anew from
    earlier offsets.
    """

    def __init__(self, limit: int, offsets: Mapping[int, int]) -> None:
        self._limit = limit
        self._pieces: deque[Piece] = deque()
        self._size = 0
        self._dropped = 0
        self.ends = dict(offsets)
        """Of each stream, where the next piece should begin."""
        self._begins = dict(offsets)

    def __len__(self) -> int:
        return self._size

    @property
    def serial(self) -> int:
        """Of the piece that comes next."""
        return self._dropped + len(self._pieces)

    def add(self, piece: Piece) -> bool:
        """False: nothing in it is new."""
        begin = max(piece.offset, self.ends[piece.stream])
        if begin >= piece.end:
            return False
        if begin > piece.offset:
            piece = Piece(piece.stream, begin, piece.data[begin - piece.offset :], piece.order, piece.at_ms)
        self._pieces.append(piece)
        self._size += len(piece.data) + OVERHEAD
        self.ends[piece.stream] = piece.end
        while self._size > self._limit:
            old = self._pieces.popleft()
            self._dropped += 1
            self._size -= len(old.data) + OVERHEAD
            self._begins[old.stream] = old.end
        return True

    def reaches(self, position: ViewerPosition) -> bool:
        """Whether a viewer with this position misses nothing that was dropped here."""
        return all(position.offsets[stream] >= self._begins[stream] for stream in STREAMS)

    def restart(self, offsets: Mapping[int, int]) -> None:
        """Forget all pieces; the next ones begin at these offsets."""
        self._dropped += len(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.ends = dict(offsets)
        self._begins = dict(offsets)

    def news(self, position: ViewerPosition) -> list[Piece | Gap]:
        """What a viewer does not have yet; its position is moved on."""
        found: list[Piece | Gap] = []
        for piece in islice(self._pieces, max(0, position.serial - self._dropped), None):
            found += new_part(position, piece)
        position.serial = self.serial
        return found


def new_part(position: ViewerPosition, piece: Piece) -> Iterator[Piece | Gap]:
    """What of this piece is new at that position, with the gap before it, if there is one. The position is moved on."""
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
    """What the final result holds beyond that position, in pieces: head, the gap where the middle was dropped, tail."""
    for begin, data in ((0, head), (total - len(tail), tail)):
        first = max(0, position.offsets[stream] - begin)
        for at in range(first, len(data), PIECE):
            yield from new_part(position, Piece(stream, begin + at, data[at : at + PIECE]))
    if position.offsets[stream] < total:
        yield Gap(stream, position.offsets[stream], total)
        position.offsets[stream] = total


class SessionCredit:
    """Of one session: what was granted and has not come yet."""

    __slots__ = ("outstanding",)

    def __init__(self) -> None:
        self.outstanding = 0

    def grant(self, window: int) -> int:
        """Bytes to grant now so that the agent may send `window` again; 0 while it still has half of that."""
        if 2 * self.outstanding > window:
            return 0
        more = window - self.outstanding
        self.outstanding = window
        return more

    def take(self, length: int) -> bool:
        """A piece of so many bytes has come. False: beyond what was granted."""
        self.outstanding -= length + OVERHEAD
        return self.outstanding >= 0


def credit_share(window: int, total: int, sessions: int) -> int:
    """What each of the sessions that are watched may send at a time, all of them together about `total`: a piece at
    least."""
    return max(PIECE + OVERHEAD, min(window, total // max(1, sessions)))
