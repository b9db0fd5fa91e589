"""Finds the executions of a running task that have ended; returns each once."""

from __future__ import annotations

import time

from server.cli.client.api import Api, Json, segment
from server.cli.render.exit_codes import ENDED

LOOK_EVERY, COST = 0.5, 10.0
"""Minimum seconds between two requests for a task's hosts. A request that took t seconds is followed by a pause of
COST * t, so that lists of ten thousand hosts do not keep the server busy."""


class EndedExecutions:
    """The ended executions of one task.

    Attributes:
        open: Rows of hosts that had not ended at the last request.
    """

    def __init__(self, api: Api, task_id: str) -> None:
        self._api, self._path = api, f"tasks/{segment(task_id)}/hosts"
        self._given: set[str] = set()
        self._next_at = 0.0
        self.open: list[Json] = []

    @property
    def due_in(self) -> float:
        """Seconds until the next request is due; 0 if it is due now."""
        return max(0.0, self._next_at - time.monotonic())

    def look(self) -> list[Json]:
        """Return the executions that have ended since the last call. After a CliFailure the next call repeats them."""
        started = time.monotonic()
        found: list[Json] = []
        opened: list[Json] = []
        for page in self._api.pages(self._path, {}):
            for row in page:
                if row["status"] not in ENDED:
                    opened.append(row)
                elif row["host_id"] not in self._given:
                    found.append(row)
        self.open = opened
        self._given.update(str(row["host_id"]) for row in found)
        now = time.monotonic()
        self._next_at = now + max(LOOK_EVERY, COST * (now - started))
        return found
