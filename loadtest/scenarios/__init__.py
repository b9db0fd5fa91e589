"""The scenarios, one file each. A scenario takes the Run, fills in its figures and adds to its findings."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.run import Run
from loadtest.scenarios.answers import answers
from loadtest.scenarios.connect import connect
from loadtest.scenarios.echo import echo
from loadtest.scenarios.fairness import fairness
from loadtest.scenarios.faults import faults
from loadtest.scenarios.idle import idle
from loadtest.scenarios.latency import latency
from loadtest.scenarios.mixed import mixed
from loadtest.scenarios.restart import drain, restart
from loadtest.scenarios.viewers import viewers
from loadtest.scenarios.wire import wire

ALL: dict[str, tuple[str, Callable[[Run], None]]] = {
    "connect": ("all hosts connect", connect),
    "idle": ("all hosts idle", idle),
    "echo": ("rounds of echo on all hosts", echo),
    "latency": ("one command on one host", latency),
    "fairness": ("one command on one host during other work", fairness),
    "answers": ("three answers of all hosts", answers),
    "viewers": ("a task's page with and without viewers", viewers),
    "mixed": ("many tasks at once", mixed),
    "faults": ("slow, dying and silent hosts", faults),
    "drain": ("stop and start of the server", drain),
    "restart": ("kill and start of the server", restart),
    "wire": ("one round from wire to tally, without REST and database", wire),
}
"""Title and function of each scenario by name, in order of execution."""

ALONE = ("wire",)
"""Scenarios that run after the server and the hosts have ended."""

__all__ = ["ALL", "ALONE"]
