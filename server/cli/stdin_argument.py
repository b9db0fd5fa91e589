"""Standard input that nothing asked for: what is piped into `clarion run` is sent or refused, and never dropped without
a word.

It is not sent by itself: in `while read host; do clarion run "$host" -- …; done <hosts` that would swallow the other
hosts.
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
    """Raises click.UsageError if there is something to read."""
    if _has_data():
        raise click.UsageError(f"standard input holds data that no option asks for; {HOW}")


def warn() -> None:
    """The same once the command has been started, for what came later."""
    if _has_data():
        say(f"warning: what came on standard input was not sent to the command; {HOW}", err=True)


def _has_data() -> bool:
    """Without reading any of it. A terminal and /dev/null hold nothing; neither does a pipe into which nothing has been
    written."""
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
        # a socket or pipe whose other end is closed can be "read", too; only bytes count
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
