"""The HTTP/2 fast path of the agent port, compiled where it was built. See connection_py for what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.http2.limits import ConnectionLimits
from _speedups.pick import pick

IMPLEMENTATION, (_connection, _poller) = pick("_speedups.http2.connection", "_speedups.http2.poller")
"""Which twin was picked: `c` or `py`."""

if TYPE_CHECKING:
    from _speedups.http2.connection_py import Conn
    from _speedups.http2.poller_py import Poller
else:
    Conn = _connection.Conn
    Poller = _poller.Poller

__all__ = ["IMPLEMENTATION", "Conn", "ConnectionLimits", "Poller"]
