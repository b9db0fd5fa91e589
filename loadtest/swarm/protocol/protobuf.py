"""Protobuf's wire format, as much of it as the agent protocol uses (protobuf encoding guide).

Written by hand because a general library takes about 100 µs per message, which with ten thousand agents in a process
would measure the harness instead of the server.
"""

from __future__ import annotations

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MASK = (1 << 64) - 1


class Malformed(ValueError):
    """The bytes are not a message of the agent protocol."""


def varint(value: int) -> bytes:
    """Encode a varint. Negative numbers take ten bytes."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= MASK
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [bytes([value]) for value in range(0x80)]


def number(field: int, value: int) -> bytes:
    """Encode a varint field; nothing for 0, the default."""
    return varint(field << 3) + varint(value) if value else b""


def signed(field: int, value: int | None) -> bytes:
    """Encode an optional sint field; None is absent, 0 is not."""
    return b"" if value is None else varint(field << 3) + varint((value << 1) ^ (value >> 63))


def data(field: int, value: bytes) -> bytes:
    """Encode a bytes field; nothing if empty."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value if value else b""


def text(field: int, value: str) -> bytes:
    return data(field, value.encode())


def part(field: int, value: bytes) -> bytes:
    """Encode a message field; also present if empty."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value


def read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a value and the position after it.

    Raises:
        Malformed: The varint is truncated or too long.
    """
    value = shift = 0
    try:
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise Malformed("a number of more than ten bytes")
    except IndexError:
        raise Malformed("truncated number") from None
    if value > MASK:
        raise Malformed("a number of more than 64 bits")
    return value, at


def fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, int of a varint or bytes of a length-delimited field), in order. Fixed-width fields, of which the
    protocol has
    none, are skipped. Raises Malformed."""
    found: list[tuple[int, int | bytes]] = []
    at, end = 0, len(raw)
    while at < end:
        tag = raw[at]
        at += 1
        if tag > 0x7F:
            tag, at = read_varint(raw, at - 1)
        kind = tag & 7
        if not tag >> 3:
            raise Malformed("field number 0")
        if kind == BYTES:
            length, at = read_varint(raw, at)
            if at + length > end:
                raise Malformed("truncated field")
            found.append((tag >> 3, raw[at : at + length]))
            at += length
        elif kind == VARINT:
            value, at = read_varint(raw, at)
            found.append((tag >> 3, value))
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
            if at > end:
                raise Malformed("truncated field")
        else:
            raise Malformed(f"wire type {kind}")
    return found


def as_int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise Malformed("bytes where a number belongs")
    return value


def as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Malformed("a number where bytes belong")
    return value


def as_text(value: int | bytes) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"text that is not UTF-8: {error.reason}") from error


def as_ints(value: int | bytes) -> list[int]:
    """Return one element of a repeated number field, or all elements of a packed one."""
    if isinstance(value, int):
        return [value]
    values, at = [], 0
    while at < len(value):
        one, at = read_varint(value, at)
        values.append(one)
    return values
