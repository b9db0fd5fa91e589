"""Picks the compiled lane where it was built, else the plain one; CLARION_PURE=1 forces the plain one. See lane_py for what it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from _speedups import lane_hello_py, lane_py
from _speedups.lane_limits import Limits

if TYPE_CHECKING:
    from _speedups.lane_hello_py import decode_hello, encode_welcome
    from _speedups.lane_hub_py import Hub
    from _speedups.lane_py import Conn
    from _speedups.lane_wire_py import encode_ack, encode_dispatch, encode_heartbeat
else:
    Conn, Hub = lane_py.Conn, lane_py.Hub
    decode_hello, encode_welcome = lane_hello_py.decode_hello, lane_hello_py.encode_welcome
    encode_ack, encode_dispatch, encode_heartbeat = lane_py.encode_ack, lane_py.encode_dispatch, lane_py.encode_heartbeat

IMPLEMENTATION = "py"
"""Which one was picked: `c` or `py`."""

if not TYPE_CHECKING and os.environ.get("CLARION_PURE", "") != "1":
    try:
        from _speedups.lane_c import Conn, Hub, encode_ack, encode_dispatch, encode_heartbeat
        from _speedups.lane_hello_c import decode_hello, encode_welcome

        IMPLEMENTATION = "c"
    except ModuleNotFoundError as error:
        # A build without a compiler has no such module. One that is there and cannot be loaded is a fault to be seen.
        if error.name != "_speedups.lane_c":
            raise

__all__ = ["IMPLEMENTATION", "Conn", "Hub", "Limits", "decode_hello", "encode_ack", "encode_dispatch", "encode_heartbeat", "encode_welcome"]
