"""The journal's file format: how records are framed, and how much can be read from a damaged file.

A file is MAGIC, then frames, then zeros up to its preallocated size. A frame is the payload's length and CRC-32 (32
bits each, big endian) and the payload: one record in MessagePack. The first frame is the Header. The checksum is CRC-32
of zlib rather than CRC-32C: it is in the standard library and checks 1 GB/s, both detect every burst of up to 32 bits,
and no other program reads this file.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from agent.core.journal import Record

MAGIC = b"CLARJNL1"
MAX_RECORD = 1 << 20
BLOCK = 256 << 10
_FRAME = struct.Struct(">II")
_CONTENT = re.compile(rb"[^\0]")


class Header(msgspec.Struct, frozen=True, array_like=True, tag="header"):
    """First frame of a journal.

    Attributes:
        journal_id: Random id of this journal.
        capacity: Size of the file when it was created; a shorter file has lost its end.
        made_at_ms: Wall-clock time of its creation.
    """

    journal_id: str
    capacity: int
    made_at_ms: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Header | Record)


@dataclass(slots=True)
class Scan:
    """Contents of a journal file.

    Attributes:
        end: Offset of the next frame.
        damage: What is wrong; empty if the file is intact.
    """

    header: Header | None = None
    records: list[Record] = field(default_factory=list)
    end: int = len(MAGIC)
    damage: str = ""


def frame(record: Header | Record) -> bytes:
    """Encode one record as a frame."""
    payload = _ENCODER.encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def content(header: Header, records: Iterable[Record]) -> bytes:
    """Return the beginning of a new file."""
    return b"".join([MAGIC, frame(header), *(frame(record) for record in records)])


def written(read: Callable[[int, int], bytes]) -> tuple[bytes, int]:
    """Return the contents of a file up to the zeros at its end, and the size of the file.

    A preallocated file consists mostly of zeros; reading it in one piece would take most of the agent's memory.

    Args:
        read: Returns up to `size` bytes at `offset`, as `read(size, offset)`; empty at the end of the file.
    """
    data, size = bytearray(), 0
    while block := read(BLOCK, size):
        begin = block.rstrip(b"\0")
        if begin:
            data += bytes(size - len(data)) + begin
        size += len(block)
    return bytes(data), size


def scan(data: bytes, size: int) -> Scan:
    """Read every intact frame, including those behind damaged ones.

    Args:
        data: The contents without the zeros at the end.
        size: Size of the file.
    """
    found = Scan()
    if not data.startswith(MAGIC):
        found.damage = "the file does not begin with the mark of a journal"
    position = len(MAGIC)
    while True:
        record = _record_at(data, position, size)
        if record is not None:
            length, value = record
            position += length
            found.end = position
            if isinstance(value, Header):
                found.header = found.header or value
            else:
                found.records.append(value)
            continue
        rest = _CONTENT.search(data, position)
        if rest is None:
            break
        found.damage = found.damage or f"the record at byte {position} cannot be read"
        # the length of a damaged frame is unreliable: the next frame may begin at any byte, with zeros of its length
        position = max(position + 1, rest.start() - 3) if rest.start() > position else position + 1
    if found.header is None:
        found.damage = found.damage or "the header is missing"
    elif size < found.header.capacity:
        found.damage = found.damage or f"the file is {size} bytes long and was {found.header.capacity}"
    return found


def _record_at(data: bytes, position: int, size: int) -> tuple[int, Header | Record] | None:
    start = position + _FRAME.size
    if position >= len(data) or start > size:
        return None
    length, checksum = _FRAME.unpack(data[position:start].ljust(_FRAME.size, b"\0"))
    if not 0 < length <= MAX_RECORD or start + length > size:
        return None
    payload = data[start : start + length].ljust(length, b"\0")
    if zlib.crc32(payload) != checksum:
        return None
    try:
        return _FRAME.size + length, _DECODER.decode(payload)
    except msgspec.DecodeError:  # a frame of a newer version, or a random match during the search
        return None
