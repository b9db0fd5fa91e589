"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ASKED = ("answers", "viewers")
"""Scenarios that run only when they are named."""
SCENARIOS = ("connect", "idle", "echo", "latency", "fairness", "mixed", "faults", "drain", "restart", "wire")


class CannotRun(Exception):
    """The run is impossible as asked. The message names what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A server that runs already. pid: of its process, if it is on this machine. join_token_file: for one without
    TLS."""

    url: str
    token_file: Path
    agent_host: str
    agent_port: int
    join_token_file: Path | None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds. processes: None for as few as the limit on open files allows. tls: mutual, on the agent port.

    sets: settings of the server that is started. pure: it runs without compiled modules. limit: for the whole run."""

    agents: int = 200
    rounds: int = 3
    store: str = "sqlite"
    tls: bool = False
    pure: bool = False
    report: Path = Path("report.json")
    scenarios: tuple[str, ...] = SCENARIOS
    foreign: Foreign | None = None
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
