"""The HTTP/2 fast path of the agent port, compiled where it was built.

`Poller.poll` returns rows: tuples (tag, kind, ...), where tag is the object that was given to `Conn.attach`. Only
attached connections have rows. kind is the number of CommandMessage's member in proto/command.proto:

    2   command_id, attempt, outcome, exit_code or None, signal, error_code, error_message, started_at_ms,
        finished_at_ms, duration_us, stdout, stderr, usage, kill, pipe_held, leftovers_killed, left_running, observed;
        stdout and stderr are (head, tail, total_bytes, sha256) or None, usage is (user_us, system_us, max_rss_kb) or
        None, kill is (reason, term_at_ms, kill_at_ms, tree_empty) or None
    5   command_id, attempt
    7   command_id, attempt, pid, started_at_ms
    8   command_id, attempt, stream, offset, data, order, at_ms
    12  beat, answer, running
    n   the whole message, for any other member, known or not; a message without a member gives no row
    0   reason: the peer of this session sent something malformed; nothing more of it is read until it is detached
    -1  reason: the session has left the fast path: "ended", "reset", or why the connection is closed
"""

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
