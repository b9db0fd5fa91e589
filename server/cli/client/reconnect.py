"""Repeats requests while the server is down, for example during a restart; tasks go on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from server.cli.client.errors import CliFailure, ServerRefused, Unreachable
from server.errors import UNAVAILABLE

AWAY_LIMIT, AWAY_FIRST, AWAY_MOST = 120.0, 0.25, 5.0
"""Seconds: how long the server may be down before the CLI gives up; first and longest pause between two requests."""
Got = TypeVar("Got")


def retry_while_down(ask: Callable[[], Got], note: Callable[[str], None] | None, task_id: str) -> Got:
    """Call `ask`, and repeat it for AWAY_LIMIT seconds while the server does not answer or answers with 503.

    Args:
        ask: Sends a request and returns the response.
        note: Shows a remark to the user when the first request fails.
        task_id: Named in the error message.

    Raises:
        CliFailure: The server refused the request or was down for too long.
    """
    pause, started = AWAY_FIRST, None
    while True:
        try:
            return ask()
        except (Unreachable, ServerRefused) as failure:
            if isinstance(failure, ServerRefused) and failure.status != 503:
                raise
            now = time.monotonic()
            if started is None:
                started = now
                if note:
                    note(f"the server does not answer; trying again for {AWAY_LIMIT:.0f} s. The task goes on meanwhile")
            if now - started >= AWAY_LIMIT:
                raise CliFailure(
                    UNAVAILABLE,
                    f"{failure.message} for {AWAY_LIMIT:.0f} s",
                    f"see how the task ended with 'clarion tasks show {task_id}' when it is back",
                ) from None
            asked = (
                failure.retry_after if isinstance(failure, ServerRefused) and failure.retry_after is not None else pause
            )
            time.sleep(max(asked, AWAY_FIRST))
            pause = min(pause * 2, AWAY_MOST)
