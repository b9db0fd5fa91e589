"""The standard streams of the CLI. They survive what happens to them: closed, full, cut off, or too narrow for a
character.

What cannot be written to standard output raises `OutputLost`, so that the CLI ends with a sentence and an exit code of
its own. What cannot be
written to standard error is dropped: it is progress and remarks, and no result depends on it.
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
"""What is written for a character that the stream's encoding does not have. Any other becomes an escape such as
\\u6f22."""


class OutputLost(Exception):
    """Standard output cannot be written any more. reason: as the operating system says it."""

    def __init__(self, error: OSError) -> None:
        self.broken_pipe = error.errno == errno.EPIPE
        self.reason = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
        super().__init__(self.reason)


class _Descriptor(io.RawIOBase):
    """A descriptor for writing. strict: raise OutputLost when it fails; otherwise drop what comes from then on.
    failure: why it failed."""

    def __init__(self, fd: int, *, strict: bool, failure: OSError | None = None) -> None:
        self._fd, self.strict, self.failure = fd, strict, failure

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
                # another program has made the terminal or the pipe that it shares with this one non-blocking
                select.select([], [self._fd], [])
            except OSError as error:
                self.failure = error
        if self.strict:
            raise OutputLost(self.failure)
        return len(data)


_ours: dict[str, _Descriptor] = {}
stdin_closed = False
"""Whether standard input was closed when the program began. It reads as empty since."""


def secure() -> None:
    """Put streams in place that behave as this module says. For a program's entry point: it replaces sys.stdin,
    sys.stdout and sys.stderr."""
    global stdin_closed
    codecs.register_error("clarion", _replace)
    stdin_closed = sys.stdin is None
    lost = {1: sys.stdout is None, 2: sys.stderr is None}
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # Otherwise the next socket would get this number, and what is meant for a person would go to the server.
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
    """Drop what standard output still holds, and all that comes: its loss has been reported, and Python writes once
    more at exit."""
    if (raw := _ours.get("stdout")) is not None:
        raw.strict = False


def say(message: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Write to standard output, or to standard error. Raises OutputLost."""
    # click.echo without `file` would write UTF-8 to a stream that says it takes ASCII only
    stream = sys.stderr if err else sys.stdout
    if isinstance(message, bytes) and not hasattr(stream, "buffer"):
        message = message.decode("utf-8", "replace")
    click.echo(message, file=stream, nl=nl)


def complain(message: str) -> None:
    """Say on standard error why the program ends; on standard output if that is the one that is left."""
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
