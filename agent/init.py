"""The agent as the first process of a container (pid 1): a small parent that does what the kernel expects of an init,
and nothing else.

Processes whose parent has ended become children of pid 1, which must take their exit statuses, or they stay as zombies.
If the agent did that
itself it could take the status of a child that another part of it waits for. So pid 1 starts the agent as its child,
takes every status,
passes signals on, and ends as the agent does. With its end the kernel ends every process of the container.
"""

from __future__ import annotations

import os
import signal
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def become_child() -> None:
    """Return in a child, which is to be the agent; this process stays as its init and exits as the child does. Nothing
    unless this is pid 1."""
    if os.getpid() != 1:
        return
    # Until they have handlers the signals wait: pid 1 would otherwise not see one that comes now.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    for number in PASSED_ON:
        signal.signal(number, lambda got, _: _pass_on(child, got))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os._exit(_code(_reap_until(child)))


def _pass_on(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def _reap_until(child: int) -> int:
    """Take the exit statuses of all that end; the wait status of this child once it is among them."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def _code(status: int) -> int:
    """As a shell gives it: 128 and the signal's number for one that was killed."""
    sys.stderr.flush()
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
