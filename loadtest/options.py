"""Options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ON_REQUEST = ("answers", "viewers")
"""Scenarios that run only when selected."""
SCENARIOS = ("connect", "idle", "echo", "latency", "fairness", "mixed", "faults", "drain", "restart", "wire")


class CannotRun(Exception):
    """The run is impossible with these options. The message names the cause and a remedy."""


@dataclass(frozen=True, slots=True)
class ExistingServer:
    """A server that already runs.

    Attributes:
        join_token_file: Join token of a server without TLS.
        pid: Its process, if it is on this machine.
    """

    url: str
    token_file: Path
    agent_host: str
    agent_port: int
    join_token_file: Path | None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run; times are seconds.

    Attributes:
        processes: Processes for the simulated agents; None for as few as the limit on open files allows.
        tls: Mutual TLS on the agent port.
        sets: Settings of the started server.
        pure: Start the server without compiled modules.
        limit: Maximum duration of the whole run.
    """

    agents: int = 200
    rounds: int = 3
    store: str = "sqlite"
    tls: bool = False
    pure: bool = False
    report: Path = Path("report.json")
    scenarios: tuple[str, ...] = SCENARIOS
    existing: ExistingServer | None = None
    sets: tuple[str, ...] = ()
    processes: int | None = None
    seed: int = 1
    samples: int = 100
    fair_samples: int = 200
    idle_seconds: float = 20.0
    fault_seconds: float = 5.0
    fault_share: float = 0.1
    mixed_tasks: int = 24
    hello_timeout: float = 10.0
    backoff_max: float = 15.0
    dialing: int = 1_024
    viewers: int = 50
    viewers_poll: bool = False
    viewer_pairs: int = 5
    viewed_seconds: float = 20.0
    limit: float = 900.0
    keep: Path | None = None
