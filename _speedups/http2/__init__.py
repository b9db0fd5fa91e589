"""The HTTP/2 fast path of the agent port, compiled where it was built. See connection_py for what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.http2.limits import Limits
from _speedups.pick import pick

IMPLEMENTATION, (_connection, _hello) = pick("_speedups.http2.connection", "_speedups.messages.hello")
"""Which twin was picked: `c` or `py`."""

if TYPE_CHECKING:
    from _speedups.http2.connection_py import Conn
    from _speedups.http2.poller_py import Hub
    from _speedups.messages.codec_py import encode_ack, encode_dispatch, encode_heartbeat
    from _speedups.messages.hello_py import decode_hello, encode_welcome
else:
    Conn, Hub = _connection.Conn, _connection.Hub
    encode_ack, encode_dispatch, encode_heartbeat = (
        _connection.encode_ack,
        _connection.encode_dispatch,
        _connection.encode_heartbeat,
    )
    decode_hello, encode_welcome = _hello.decode_hello, _hello.encode_welcome

__all__ = [
    "IMPLEMENTATION",
    "Conn",
    "Hub",
    "Limits",
    "decode_hello",
    "encode_ack",
    "encode_dispatch",
    "encode_heartbeat",
    "encode_welcome",
]
