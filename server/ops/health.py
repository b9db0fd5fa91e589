"""Health checks: whether the process is alive, accepts work, and its parts respond."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import structlog
import trio

from server.core.effects import Alarm
from server.ops.metrics import Metrics
from server.store.base import Store, StoreUnavailable

LAG_EVERY_S = 1.0
"""Interval of the loop lag measurement."""
LAG_RED_S = 1.0
"""Loop lag from which the server is unhealthy."""
PING_TIMEOUT_S = 2.0
ALARM_SHOWN_S = 300.0
"""How long an alarm is shown after it was raised."""

log = structlog.get_logger(__name__)


class Phase(Enum):
    """Phase of the server's life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Health:
    """Health of the server. The app sets `phase` and `agent_port` and runs `run` in its nursery.

    Args:
        store: The database.
        queue: Returns the rows in the writer's queue, whether the queue is full, and whether the last write succeeded.
            A database on a full or failing disk can still answer reads.
        metrics: Receives loop lag and alarms.
    """

    def __init__(self, store: Store, queue: Callable[[], tuple[int, bool, bool]], metrics: Metrics) -> None:
        self._store = store
        self._queue = queue
        self._metrics = metrics
        self._alarms: dict[str, tuple[float, str]] = {}
        self.phase = Phase.STARTING
        self.agent_port: str | None = None
        self.lag_s = 0.0
        self.worst_lag_s = 0.0
        metrics.loop_lag.set_function(lambda: self.lag_s)

    @property
    def ready(self) -> bool:
        """True if the server accepts work."""
        return self.phase is Phase.READY

    async def run(self) -> None:
        """Measure the loop lag every LAG_EVERY_S until cancelled."""
        while True:
            due = trio.current_time() + LAG_EVERY_S
            await trio.sleep_until(due)
            self.measured(trio.current_time() - due)

    def measured(self, lag_s: float) -> None:
        """Record a loop lag. The worst lag is kept and falls by a tenth with each measurement."""
        self.lag_s = max(lag_s, 0.0)
        self.worst_lag_s = max(self.lag_s, self.worst_lag_s * 0.9)

    def alarm(self, alarm: Alarm) -> None:
        """Log and count an alarm, and show it for ALARM_SHOWN_S."""
        log.error("alarm", code=alarm.code, message=alarm.message)
        self._metrics.alarms.labels(alarm.code).inc()
        self._alarms[alarm.code] = (trio.current_time(), alarm.message)

    def _alarmed(self) -> dict[str, object]:
        now = trio.current_time()
        recent = {code: message for code, (at, message) in self._alarms.items() if now - at < ALARM_SHOWN_S}
        return {"ok": not recent, **recent}

    async def deep(self) -> tuple[bool, dict[str, dict[str, object]]]:
        """Check every part, including the database; takes at most PING_TIMEOUT_S.

        Returns:
            Whether all parts are healthy, and for each part `ok` and its measurements.
        """
        rows, full, available = self._queue()
        checks: dict[str, dict[str, object]] = {
            "phase": {"ok": self.ready, "phase": self.phase.value},
            "store": await self._ping(),
            "loop": {
                "ok": self.lag_s < LAG_RED_S,
                "lag_ms": round(self.lag_s * 1000, 2),
                "worst_lag_ms": round(self.worst_lag_s * 1000, 2),
            },
            "writer": {"ok": available and not full, "rows": rows, "available": available},
            "alarms": self._alarmed(),
            "agent_port": {"ok": self.agent_port is not None, "address": self.agent_port},
        }
        return all(check["ok"] for check in checks.values()), checks

    async def _ping(self) -> dict[str, object]:
        started = trio.current_time()
        try:
            with trio.fail_after(PING_TIMEOUT_S):
                await self._store.ping()
        except trio.TooSlowError:
            return {"ok": False, "error": f"no answer within {PING_TIMEOUT_S:g} s"}
        except StoreUnavailable as error:
            return {"ok": False, "error": str(error) or "the database does not answer"}
        return {"ok": True, "ping_ms": round((trio.current_time() - started) * 1000, 2)}
