"""Samples memory, CPU and connected hosts of server and fleet twice a second during the whole run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.measure.proc import cpu_seconds, rss_kb
from loadtest.site.fleet import Fleet, FleetFailed
from loadtest.site.target import Target

EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        at: Seconds since the start of the run.
        cpu_seconds: CPU time of the server's process; starts at 0 for a new process.
    """

    at: float
    connected: int
    rss_kb: float | None
    cpu_seconds: float | None


class ResourceSampler:
    def __init__(self, target: Target, fleet: Fleet) -> None:
        self._target, self._fleet = target, fleet
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self.samples: list[Sample] = []
        self.marks: list[tuple[float, str]] = []
        self.on_sample: Callable[[Sample], None] = lambda sample: None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    def mark(self, name: str) -> None:
        """Note the start of a scenario."""
        self.marks.append((self.elapsed, name))

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            pid = self._target.pid
            try:
                connected = self._fleet.connected
            except FleetFailed:
                return  # the running scenario gets the same error and reports it
            sample = Sample(self.elapsed, connected, rss_kb(pid) if pid else None, cpu_seconds(pid) if pid else None)
            self.samples.append(sample)
            self.on_sample(sample)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
