"""Detects standard input that no option reads. Data piped into `clarion run` is sent or refused, never silently
dropped.

It is not sent without an option: in `while read host; do clarion run "$host" -- …; done <hosts` the first command would
read the other hosts.
"""

from __future__ import annotations

import os
import select
import stat
import sys

import click

from server.cli.standard_streams import say

HOW = "send it with --stdin -, or leave it out with </dev/null"


def refuse() -> None:
    """Raise click.UsageError if standard input holds data."""
    if _has_data():
        raise click.UsageError(f"standard input holds data that no option asks for; {HOW}")


def warn() -> None:
    """Warn if standard input holds data after the command has been started."""
    if _has_data():
        say(f"warning: the data on standard input was not sent to the command; {HOW}", err=True)


def _has_data() -> bool:
    """Return whether standard input holds data, without reading it. A terminal, /dev/null and an empty pipe do not."""
    if sys.stdin is not sys.__stdin__ or sys.stdin is None:
        return False
    try:
        kind = os.fstat(0)
        if stat.S_ISREG(kind.st_mode):
            return os.lseek(0, 0, os.SEEK_CUR) < kind.st_size
        if not (stat.S_ISFIFO(kind.st_mode) or stat.S_ISSOCK(kind.st_mode)):
            return False
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if not any(event & select.POLLIN for _, event in poll.poll(0)):
            return False
        # A pipe or socket whose other end is closed is readable too; only bytes count.
        return _waiting_bytes() > 0
    except OSError:
        return False


def _waiting_bytes() -> int:
    from array import array
    from fcntl import ioctl
    from termios import FIONREAD

    number = array("i", [0])
    ioctl(0, FIONREAD, number)
    return number[0]
