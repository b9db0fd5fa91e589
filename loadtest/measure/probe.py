"""Measures the API while a scenario runs."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from loadtest.api import Api, Refused, Unreachable

EVERY = 0.05
USERS = 16
ASKED = ("/statistics", "/tasks?limit=20", "/hosts?limit=20")


class Probe:
    """Sends a request every EVERY seconds, regardless of earlier ones, while USERS connections are enough.

    The time of a request counts from the moment at which it was due, so that a stall is visible even though it delays
    further requests.

    Attributes:
        took_ms: Times of the answered requests.
        failures: Errors of the other requests.
    """

    def __init__(self, api: Callable[[], Api], every: float = EVERY, users: int = USERS) -> None:
        self._api, self._every = api, every
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._numbers = itertools.count()
        self._users = [threading.Thread(target=self._ask, daemon=True) for _ in range(users)]
        self._begin = 0.0
        self.took_ms: list[float] = []
        self.failures: list[str] = []

    def start(self) -> None:
        self._begin = time.monotonic()
        for user in self._users:
            user.start()

    def _ask(self) -> None:
        with self._api() as api:
            while True:
                with self._lock:
                    number = next(self._numbers)
                due = self._begin + number * self._every
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                try:
                    api.json("GET", ASKED[number % len(ASKED)])
                    self.took_ms.append((time.monotonic() - due) * 1000)
                except (Refused, Unreachable) as error:
                    self.failures.append(str(error))

    def close(self) -> None:
        """Wait for the requests in progress."""
        self._stop.set()
        for user in self._users:
            user.join(100)
