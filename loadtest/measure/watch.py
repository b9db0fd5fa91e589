"""Looks at server and fleet twice a second from the beginning to the end: memory, CPU and connected hosts over time."""

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
    """at: seconds since the beginning. cpu_seconds grows; a new process of the server begins at 0 again."""

    at: float
    connected: int
    rss_kb: float | None
    cpu_seconds: float | None


class Watch:
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
        """A scenario begins."""
        self.marks.append((self.elapsed, name))

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            pid = self._target.pid
            try:
                connected = self._fleet.connected
            except FleetFailed:
                return  # the scenario that is under way meets the same and tells
            sample = Sample(self.elapsed, connected, rss_kb(pid) if pid else None, cpu_seconds(pid) if pid else None)
            self.samples.append(sample)
            self.on_sample(sample)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
