"""The standard streams of the CLI. They handle streams that are closed, full, or lack a character in their encoding.

A failed write to standard output raises `OutputLost`, so that the CLI ends with a message and its own exit code. A
failed write to standard error is dropped: it holds only progress and remarks.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

import click

_ASCII = {
    "·": "-",
    "…": "...",
    "→": "->",
    "\N{EN DASH}": "-",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{REPLACEMENT CHARACTER}": "?",
}
"""Replacements for characters that the stream's encoding does not have. Others become an escape such as \\u6f22."""


class OutputLost(Exception):
    """Standard output cannot be written any more. `reason` is the text of the operating system."""

    def __init__(self, error: OSError) -> None:
        self.broken_pipe = error.errno == errno.EPIPE
        self.reason = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
        super().__init__(self.reason)


class _Descriptor(io.RawIOBase):
    """A descriptor for writing.

    Attributes:
        strict: Raise OutputLost after a failure; otherwise drop all further data.
        failure: The error of the failed write, or None.
    """

    def __init__(self, fd: int, *, strict: bool, failure: OSError | None = None) -> None:
        self._fd = fd
        self.strict = strict
        self.failure = failure

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return self.failure is None and os.isatty(self._fd)

    def write(self, data: Any) -> int:
        while self.failure is None:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                # Another program that shares the terminal or pipe has made it non-blocking.
                select.select([], [self._fd], [])
            except OSError as error:
                self.failure = error
        if self.strict:
            raise OutputLost(self.failure)
        return len(data)


_ours: dict[str, _Descriptor] = {}
stdin_closed = False
"""Whether standard input was closed when the program started. It then reads as empty."""


def secure() -> None:
    """Replace sys.stdin, sys.stdout and sys.stderr by the streams of this module. For a program's entry point."""
    global stdin_closed
    codecs.register_error("clarion", _replace)
    stdin_closed = sys.stdin is None
    lost = {1: sys.stdout is None, 2: sys.stderr is None}
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # Otherwise the next socket would get this number, and output for the user would go to the server.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdout = _stream("stdout", 1, sys.stdout, strict=True, lost=lost[1])
    sys.stderr = _stream("stderr", 2, sys.stderr, strict=False, lost=lost[2])


def _stream(name: str, fd: int, old: Any, *, strict: bool, lost: bool) -> io.TextIOWrapper:
    failure = OSError(errno.EBADF, os.strerror(errno.EBADF)) if lost else None
    raw = _ours[name] = _Descriptor(fd, strict=strict, failure=failure)
    encoding = "utf-8" if old is None else old.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="clarion", line_buffering=raw.isatty(), write_through=False
    )


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_ASCII.get(char) or char.encode("ascii", "backslashreplace").decode() for char in bad), error.end


def give_up_stdout() -> None:
    """Drop all further standard output. Its loss was reported, and Python flushes the stream once more at exit."""
    if (raw := _ours.get("stdout")) is not None:
        raw.strict = False


def say(message: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Write to standard output or, with `err`, to standard error. Raises OutputLost."""
    # click.echo without `file` would write UTF-8 to an ASCII stream
    stream = sys.stderr if err else sys.stdout
    if isinstance(message, bytes) and not hasattr(stream, "buffer"):
        message = message.decode("utf-8", "replace")
    click.echo(message, file=stream, nl=nl)


def complain(message: str) -> None:
    """Write the final message to standard error, or to standard output if standard error is lost."""
    stderr = _ours.get("stderr")
    if stderr is not None:
        say(message, err=True)
        stdout = _ours["stdout"]
        if stderr.failure is None or stdout.failure is not None:
            return
    try:
        say(message, err=stderr is None)
    except (OutputLost, OSError):
        give_up_stdout()
