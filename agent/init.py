"""The agent as the first process of a container (pid 1): a small parent process with the duties of an init.

Processes whose parent has ended become children of pid 1. Pid 1 must collect their exit statuses, or they stay as
zombies. If the agent did that itself, it could collect the status of a child that another part of it waits for.
Therefore pid 1 starts the agent as its child, collects every status, forwards signals, and exits when the agent exits.
The kernel then ends every other process of the container.
"""

from __future__ import annotations

import os
import signal
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def become_child() -> None:
    """Continue in a child process, which becomes the agent; pid 1 stays as its init and exits with it.

    Does nothing if this process is not pid 1.
    """
    if os.getpid() != 1:
        return
    # Block the signals until they have handlers: pid 1 would otherwise lose one that arrives now.
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
    """Collect the exit statuses of all ended children; return the wait status of this child."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def _code(status: int) -> int:
    """Return the exit code as a shell shows it: 128 plus the signal number for a killed process."""
    sys.stderr.flush()
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
