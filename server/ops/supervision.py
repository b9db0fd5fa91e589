"""Tells the service manager how the server does: its status and, for the watchdog, that the event loop is not stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import trio

from proto.common.service_manager import ServiceManager
from server.ops.health import Health

STATUS_EVERY = 5.0
"""Seconds between two updates of the status."""
WATCHDOG_SHARE = 4
"""The watchdog is reset this many times in its period."""
START_STEP = 10.0
"""Seconds between two requests for more time while the server waits at its start. Each asks for three times as many."""

log = structlog.get_logger(__name__)


async def supervise(manager: ServiceManager, health: Health, agents: Callable[[], int]) -> None:
    """Reset the watchdog and update the status until cancelled.

    The watchdog is not reset while the event loop lags by half of its period or more. If the loop is stuck, nothing
    runs here, and the manager restarts the server.

    Args:
        manager: The service manager.
        health: Measures the lag of the event loop.
        agents: Returns the number of connected agents.
    """
    if not manager.exists:
        return
    period = manager.watchdog
    pause = STATUS_EVERY if period is None else min(STATUS_EVERY, period / WATCHDOG_SHARE)
    told, failed = "", ""
    while True:
        if period is not None:
            if health.lag_s < period / 2:
                manager.alive()
            else:
                log.error("watchdog_not_reset", lag_s=round(health.lag_s, 3), watchdog_s=period)
        status = described(agents())
        if status != told:
            manager.status(status)
            told = status
        if manager.failed != failed:
            failed = manager.failed
            if failed:
                log.warning("service_manager_unreachable", error=failed)
        await trio.sleep(pause)


async def ask_for_time(manager: ServiceManager, why: str) -> None:
    """Ask the service manager for more time until cancelled: the start is not complete, and it has not failed."""
    while True:
        manager.still_starting(3 * START_STEP, why)
        await trio.sleep(START_STEP)


def described(agents: int) -> str:
    """Return the status of a server with this many connected agents."""
    return f"ready, {agents:,} agent{'' if agents == 1 else 's'} online"


@contextmanager
def asking_for_time(manager: ServiceManager | None, why: str, step: float = START_STEP) -> Iterator[None]:
    """Ask for more time, as `ask_for_time` does, while the body blocks; for work before the event loop runs.

    Args:
        manager: The service manager, or None.
        why: The status that the manager shows.
        step: Seconds between two requests.
    """
    if manager is None or not manager.exists:
        yield
        return
    over = threading.Event()

    def ask() -> None:
        while True:
            manager.still_starting(3 * step, why)
            if over.wait(step):
                return

    thread = threading.Thread(target=ask, name="ask-for-time")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
