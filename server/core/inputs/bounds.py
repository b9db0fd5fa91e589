"""Limits of numbers that peers send or the database stores. docs/design/protocol.md lists them per field."""

from __future__ import annotations

NUMBER_MAX = 1 << 53
"""Largest count. JSON readers lose digits beyond it (RFC 8259 section 6), and no real count of bytes or microseconds is
larger.
"""
TIME_MAX_MS = 253_402_300_799_999
"""The end of the year 9999, the last moment that calendars of the clients can show."""
DURATION_MAX_MS = 3_155_760_000_000
"""A hundred years."""
EPOCH_MAX = (1 << 31) - 1
"""Largest epoch, which counts the starts of a server. A session number is an epoch followed by 32 bits; the largest one
still fits a signed 64-bit column.
"""
EPOCH_LEAP = 1_000
"""Starts by which a stored epoch may exceed that of the lease. There are fewer between two backups."""
EPOCH_SAFE = EPOCH_MAX - (1 << 20)
"""A larger epoch cannot result from starts. It is replaced, so that a million more starts always fit."""
EPOCH_HEALED = 1 << 30
"""The epoch after one that was replaced. It is larger than any that starts can have reached."""
SEQ_MAX = 1 << 52
"""Largest dispatch number of a host. It is half of NUMBER_MAX, so that a stored number can still grow."""
SEQ_LEAP = 1 << 24
"""Dispatches to one host that a rolled back database may have forgotten. A Hello may exceed the stored number by this
much.
"""
GENERATION_MAX = 1 << 31
"""Certificates of one host."""
ATTEMPTS_MAX = 1_000
"""Attempts of one execution. The setting limits.attempts allows 100."""
SIGNAL_MAX = 127
"""POSIX numbers signals below 128: a shell reports 128 + n as an exit code."""
PROCESSES_MAX = 1 << 22
"""Processes of one machine: the largest pid_max of Linux."""
RUNNING_MAX = 1 << 16
"""Running executions that an agent may report for its host."""


def within(value: int, high: int) -> int:
    """Return the value, limited to the range from 0 to `high`."""
    return max(0, min(value, high))
