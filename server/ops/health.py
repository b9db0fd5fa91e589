"""Health: is the process alive, does it take work, and do its parts answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import structlog
import trio

from server.core.effects import Alarm
from server.ops.metrics import Metrics
from server.store.base import Store, StoreUnavailable

LAG_EVERY_S = 1.0
LAG_RED_S = 1.0
PING_TIMEOUT_S = 2.0
ALARM_SHOWN_S = 300.0

log = structlog.get_logger("server.health")


class Phase(Enum):
    """Where the server is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Health:
    """The app moves `phase`, sets `agent_port` once the port is bound, and runs `run` in its nursery.

    queue: rows that wait to be written, whether that is too many, and whether the last attempt to write succeeded: a
    disk that
    fails or is full can still be read.
    """

    def __init__(self, store: Store, queue: Callable[[], tuple[int, bool, bool]], metrics: Metrics) -> None:
        self._store, self._queue = store, queue
        self._metrics = metrics
        self._alarms: dict[str, tuple[float, str]] = {}
        self.phase = Phase.STARTING
        self.agent_port: str | None = None
        self.lag_s = 0.0
        self.worst_lag_s = 0.0
        metrics.loop_lag.set_function(lambda: self.lag_s)

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    async def run(self) -> None:
        """Measure for ever by how much the loop wakes us late."""
        while True:
            due = trio.current_time() + LAG_EVERY_S
            await trio.sleep_until(due)
            self.measured(trio.current_time() - due)

    def measured(self, lag_s: float) -> None:
        """The worst is remembered, and fades by a tenth with each measurement."""
        self.lag_s = max(lag_s, 0.0)
        self.worst_lag_s = max(self.lag_s, self.worst_lag_s * 0.9)

    def alarm(self, alarm: Alarm) -> None:
        """Say it in the log, count it, and show it for ALARM_SHOWN_S."""
        log.error("alarm", code=alarm.code, message=alarm.message)
        self._metrics.alarms.labels(alarm.code).inc()
        self._alarms[alarm.code] = (trio.current_time(), alarm.message)

    def _alarmed(self) -> dict[str, object]:
        now = trio.current_time()
        recent = {code: message for code, (at, message) in self._alarms.items() if now - at < ALARM_SHOWN_S}
        return {"ok": not recent, **recent}

    async def deep(self) -> tuple[bool, dict[str, dict[str, object]]]:
        """Whether all is well, and per part: `ok` and what was found. Asks the database; takes PING_TIMEOUT_S at
        most."""
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
