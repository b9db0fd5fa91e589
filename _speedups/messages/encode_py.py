"""Encodes the messages that the server sends most often: dispatches, acknowledgements and heartbeats.

This file runs as it is, and is compiled a second time as `_speedups.messages.encode_c` with the types of encode_c.pxd.
The tags are those of proto/command.proto.
"""

from __future__ import annotations

MAX_UINT64 = 0xFFFFFFFFFFFFFFFF
CACHED_VARINTS = 2_048
"""Encodings of the numbers below this are built once and kept."""


def varint(value: int) -> bytes:
    """Encode a varint.

    Args:
        value: 0 to 2^64 - 1.

    Raises:
        OverflowError, ValueError: the value has more than 64 bits, or is negative.
    """
    left = value
    if 0 <= left < CACHED_VARINTS:
        return _varints[left]
    out = bytearray()
    if left > MAX_UINT64:
        raise OverflowError(f"{value} has more than 64 bits")
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_varints: list[bytes] = []
_varints += [bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(CACHED_VARINTS)]


def encode_dispatch(shared: bytes, attempt: int, seq: int, session: int) -> bytes:
    """Encode CommandMessage(command_content).

    Args:
        shared: the encoded CommandContent that is the same for all hosts of a command.
        attempt: of this host, as seq and session; protobuf merges these fields into the shared ones.
    """
    own = b""
    if attempt:
        own = b"\xa0\x01" + varint(attempt)
    if seq:
        own += b"\xa8\x01" + varint(seq)
    if session:
        own += b"\xb0\x01" + varint(session)
    return b"".join((b"\x0a", varint(len(shared) + len(own)), shared, own))


def encode_ack(command_id: str, attempt: int) -> bytes:
    """Encode CommandMessage(result_ack)."""
    text = command_id.encode()
    body = b"".join((b"\x0a", varint(len(text)), text)) if text else b""
    if attempt:
        body += b"\x10" + varint(attempt)
    return b"".join((b"\x4a", varint(len(body)), body))


def encode_heartbeat(beat: int, answer: bool) -> bytes:
    """Encode CommandMessage(heartbeat)."""
    body = b"\x08" + varint(beat) if beat else b""
    if answer:
        body += b"\x10\x01"
    return b"".join((b"\x62", varint(len(body)), body))


def encode_welcome(
    epoch: int, session: int, credits: int, heartbeat_ms: int, silence_ms: int, verdicts: list[tuple[str, int, int]]
) -> bytes:
    """Encode CommandMessage(welcome).

    Args:
        verdicts: (command_id, attempt, decision) for each execution that the Hello named.
    """
    parts: list[bytes] = []
    if epoch:
        parts += (b"\x08", varint(epoch))
    if session:
        parts += (b"\x10", varint(session))
    if credits:
        parts += (b"\x18", varint(credits))
    if heartbeat_ms:
        parts += (b"\x20", varint(heartbeat_ms))
    if silence_ms:
        parts += (b"\x28", varint(silence_ms))
    for command_id, attempt, decision in verdicts:
        text = command_id.encode()
        own = b"".join((b"\x0a", varint(len(text)), text)) if text else b""
        if attempt:
            own += b"\x10" + varint(attempt)
        if decision:
            own += b"\x18" + varint(decision)
        parts += (b"\x32", varint(len(own)), own)
    body = b"".join(parts)
    return b"".join((b"\x22", varint(len(body)), body))
