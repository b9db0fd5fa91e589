"""The limit on open files, and how many processes it requires."""

from __future__ import annotations

import resource

from loadtest.options import CannotRun

SPARE = 200
"""Descriptors that a process needs in addition to one per connection."""


def limit() -> int:
    """Return how many files a process may open. The soft limit is raised to the hard limit; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 1 << 20
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def split(agents: int, files: int, wanted: int | None, apart: int = 0) -> list[int]:
    """Return the number of agents per process, evenly divided, then those in a separate process.

    Raises:
        CannotRun: `wanted` processes cannot hold the agents.
    """
    if apart:
        return [*split(agents - apart, files, wanted), apart]
    each = files - SPARE
    if each < 1:
        raise CannotRun(f"a process may open only {files} files; raise it: ulimit -n {SPARE + agents}")
    needed = -(-agents // each)
    if wanted is not None and wanted < needed:
        raise CannotRun(
            f"{agents} agents need {needed} processes of at most {each} each: a process may open {files} "
            f"files. Give --processes {needed}, or raise ulimit -n"
        )
    number = min(agents, wanted or needed)
    return [agents // number + (place < agents % number) for place in range(number)]


def check_server(agents: int, files: int) -> None:
    """Check that the started server, which inherits the limit, can open enough files.

    Raises:
        CannotRun: The limit is too low.
    """
    if agents + SPARE > files:
        raise CannotRun(
            f"a server with {agents} agents needs {agents + SPARE} open files, and a process may open {files}; "
            f"raise it: ulimit -n {agents + SPARE}"
        )
