"""What the numbers of a peer, and stored numbers, can honestly be. docs/design/protocol.md has the same as a table,
field by field."""

from __future__ import annotations

NUMBER_MAX = 1 << 53
"""Largest count: beyond it JSON readers lose digits (RFC 8259 section 6), and no honest count of bytes or microseconds
gets there."""
TIME_MAX_MS = 253_402_300_799_999
"""The end of the year 9999, the last moment that calendars in our clients can show."""
DURATION_MAX_MS = 3_155_760_000_000
"""A hundred years."""
EPOCH_MAX = (1 << 31) - 1
"""Starts of a server. Session numbers are an epoch followed by 32 bits, so that the largest one still fits a signed
64-bit column."""
EPOCH_LEAP = 1_000
"""Starts by which a stored fact about epochs may be ahead of the lease: more were not made between two backups."""
EPOCH_SAFE = EPOCH_MAX - (1 << 20)
"""An epoch above this was not reached by starts; it is replaced, so that a million more starts always fit."""
EPOCH_HEALED = 1 << 30
"""Where epochs go on after one that was replaced: above all that starts can have reached."""
SEQ_MAX = 1 << 52
"""Dispatch numbers of one host. Half of NUMBER_MAX: what is stored can still grow."""
SEQ_LEAP = 1 << 24
"""Dispatches to one host that a database which was set back may have forgotten. A Hello is believed up to so many above
what is stored."""
GENERATION_MAX = 1 << 31
"""Certificates of one host."""
ATTEMPTS_MAX = 1_000
"""Attempts of one execution; limits.attempts allows 100."""
SIGNAL_MAX = 127
"""POSIX numbers signals below 128: a shell reports 128 + n as an exit code."""
PROCESSES_MAX = 1 << 22
"""Processes of one machine: Linux's largest pid_max."""
RUNNING_MAX = 1 << 16
"""Executions under way on one host, as an agent counts them."""


def within(value: int, high: int) -> int:
    """value, or the nearer end of 0 … high."""
    return max(0, min(value, high))
