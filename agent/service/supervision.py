"""Resets the service manager's watchdog while the event loop runs."""

from __future__ import annotations

import trio

from proto.common.service_manager import ServiceManager

WATCHDOG_SHARE = 4
"""The watchdog is reset this many times in its period."""


async def supervise(manager: ServiceManager) -> None:
    """Reset the watchdog until cancelled. If the event loop is stuck, the manager restarts the agent.

    Commands do not notice: their shims run without the agent.
    """
    if manager.watchdog is None:
        return
    while True:
        manager.alive()
        await trio.sleep(manager.watchdog / WATCHDOG_SHARE)
