"""Every error that an operator or an agent can meet.

Each error has a stable code, a message, a remedy, an HTTP status, a gRPC status and an exit code of the command line.
All of them come from these tables only. docs/reference/errors.md is drawn from them; tests/web/test_errors.py raises
each error.
"""

from __future__ import annotations

from server.errors.error import ClarionError
from server.errors.problem import (
    CANCELED,
    FAILED,
    NO_PERMISSION,
    NOT_ENDED,
    SOFTWARE,
    TIMEOUT,
    UNAVAILABLE,
    UNREACHABLE,
    UNTOLD,
    USAGE,
    Problem,
)
from server.errors.table import PROBLEMS

__all__ = [
    "CANCELED",
    "FAILED",
    "NOT_ENDED",
    "NO_PERMISSION",
    "PROBLEMS",
    "SOFTWARE",
    "TIMEOUT",
    "UNAVAILABLE",
    "UNREACHABLE",
    "UNTOLD",
    "USAGE",
    "ClarionError",
    "Problem",
]
