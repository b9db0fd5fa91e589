"""The journal's bytes: how records are framed, and how much can be read back from a file that was damaged.

A file is MAGIC, then frames, then zeros up to its preallocated size. A frame is the payload's length and CRC-32 (both
32 bits, big
endian) and the payload, one record in MessagePack. The first frame is the Header. CRC-32 as in zlib, and not CRC32C:
zlib's is in
the standard library and checks 1 GB/s, both find every burst of up to 32 bits, and nothing else reads this file.
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
    """journal_id: random per journal. capacity: the file's size when it was made; a shorter one has lost its end."""

    journal_id: str
    capacity: int
    made_at_ms: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Header | Record)


@dataclass(slots=True)
class Scan:
    """What could be read. end: where the next frame belongs. damage: what is wrong, empty when nothing is."""

    header: Header | None = None
    records: list[Record] = field(default_factory=list)
    end: int = len(MAGIC)
    damage: str = ""


def frame(record: Header | Record) -> bytes:
    payload = _ENCODER.encode(record)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def content(header: Header, records: Iterable[Record]) -> bytes:
    """The beginning of a new file."""
    return b"".join([MAGIC, frame(header), *(frame(record) for record in records)])


def written(read: Callable[[int, int], bytes]) -> tuple[bytes, int]:
    """What is in a file up to the zeros at its end, and the file's size. read: (size, offset) → bytes there, none
    behind the end.

    A file is preallocated and nearly all of it is zeros: read as one piece it would be most of the agent's memory.
    """
    data, size = bytearray(), 0
    while block := read(BLOCK, size):
        begin = block.rstrip(b"\0")
        if begin:
            data += bytes(size - len(data)) + begin
        size += len(block)
    return bytes(data), size


def scan(data: bytes, size: int) -> Scan:
    """Read every frame that is whole, also behind damaged ones. data: without the zeros that follow up to the file's
    size."""
    found = Scan()
    if not data.startswith(MAGIC):
        found.damage = "the file does not begin as a journal does"
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
        # its length cannot be trusted: the next frame may begin at any byte, and its length's zeros belong to it
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
    except msgspec.DecodeError:  # a whole frame of a newer version, or a chance hit while searching
        return None
