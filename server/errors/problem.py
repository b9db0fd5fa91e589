"""The entry of an error in the table, and the exit codes."""

from __future__ import annotations

from dataclasses import dataclass

FAILED = 2
"""Exit code: at least one execution failed."""
UNREACHABLE = 3
"""Exit code: no execution failed, and at least one did not start or was lost."""
CANCELED = 4
"""Exit code: the task was canceled."""
TIMEOUT = 5
"""Exit code: the task timed out."""
USAGE = 64
"""EX_USAGE of sysexits.h; so are the following exit codes from this file."""
UNAVAILABLE = 69
SOFTWARE = 70
UNTOLD = 74
"""EX_IOERR: the request was carried out, or may have been, and its end could not be determined.

A caller that repeats the request may run it a second time.
"""
NOT_ENDED = 75
"""EX_TEMPFAIL: the wait ended before the task did."""
NO_PERMISSION = 77


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in the table.

    Attributes:
        code: Stable code of the error.
        http: HTTP status.
        grpc: gRPC status, a number of grpc/status.proto.
        exit: Exit code of the command line.
        message: Default message, one sentence.
        hint: Default remedy, one sentence.
        zh: Message and remedy in Chinese; None if server/web/page/static/i18n/zh-CN.json has them.
    """

    code: str
    http: int
    grpc: int
    exit: int
    message: str
    hint: str
    zh: tuple[str, str] | None = None
