"""The probe of the API: slow answers do not slow it down, and none is lost."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from loadtest.api import Unreachable
from loadtest.measure.probe import Probe


class Slow:
    """An API whose answers wait for `gate`. arrived: number of requests."""

    def __init__(self, gate: threading.Event, arrived: threading.Semaphore) -> None:
        self._gate, self._arrived = gate, arrived

    def __enter__(self) -> Slow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def json(self, method: str, path: str) -> dict[str, Any]:
        self._arrived.release()
        assert self._gate.wait(30)
        return {}


def test_probe_requests_start_on_time_and_are_measured_from_their_due_time() -> None:
    gate, arrived = threading.Event(), threading.Semaphore(0)
    probe = Probe(lambda: Slow(gate, arrived), every=0.01, users=4)  # type: ignore[arg-type, return-value]
    probe.start()
    for _ in range(4):
        assert arrived.acquire(timeout=30)
    assert probe.took_ms == []
    gate.set()
    for _ in range(6):
        assert arrived.acquire(timeout=30)
    probe.close()
    assert len(probe.took_ms) >= 10
    assert min(probe.took_ms) >= 0


def test_failed_probe_requests_are_counted() -> None:
    failed = threading.Event()

    class Gone(Slow):
        def json(self, method: str, path: str) -> dict[str, Any]:
            failed.set()
            raise Unreachable(f"{method} {path}: away")

    probe = Probe(lambda: Gone(threading.Event(), threading.Semaphore()), every=0.01, users=1)  # type: ignore[arg-type, return-value]
    probe.start()
    assert failed.wait(30)
    probe.close()
    assert probe.took_ms == []
    assert probe.failures[0] == "GET /statistics: away"
