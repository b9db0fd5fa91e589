"""Protobuf of the messages of proto/command.proto that are on the fast path, compiled where it was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.pick import pick

IMPLEMENTATION, (_decode, _encode, _hello) = pick(
    "_speedups.messages.decode", "_speedups.messages.encode", "_speedups.messages.hello"
)
"""Which twin was picked: `c` or `py`."""

if TYPE_CHECKING:
    from _speedups.messages.decode_py import decode
    from _speedups.messages.encode_py import encode_ack, encode_dispatch, encode_heartbeat, encode_welcome, varint
    from _speedups.messages.hello_py import decode_hello
else:
    decode = _decode.decode
    decode_hello = _hello.decode_hello
    encode_ack = _encode.encode_ack
    encode_dispatch = _encode.encode_dispatch
    encode_heartbeat = _encode.encode_heartbeat
    encode_welcome = _encode.encode_welcome
    varint = _encode.varint

__all__ = [
    "IMPLEMENTATION",
    "decode",
    "decode_hello",
    "encode_ack",
    "encode_dispatch",
    "encode_heartbeat",
    "encode_welcome",
    "varint",
]
