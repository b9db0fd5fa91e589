"""Heartbeats, disconnect detection and loss timeouts: section `[liveness]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from server.core.limits import EngineLimits
from server.settings.field_types import bounded

_ENGINE = EngineLimits()
"""The engine knows no settings: it declares the defaults of its limits."""


class Liveness(Struct, frozen=True, kw_only=True):
    """Heartbeats, disconnect detection and loss timeouts."""

    heartbeat: Annotated[float, bounded(0.05, 3600, "Interval at which the server and each agent send heartbeats.")] = (
        15.0
    )
    heartbeat_timeout: Annotated[
        float,
        bounded(
            0.1,
            86_400,
            "The server closes a session on which it receives nothing for this long. More than twice "
            "`liveness.heartbeat`.",
        ),
    ] = 45.0
    lost_after: Annotated[
        float, bounded(0.1, 31_536_000, "An execution whose host stays offline for this long ends as `lost`.")
    ] = _ENGINE.lost_after
    unanswered_after: Annotated[
        float,
        bounded(
            1,
            31_536_000,
            "The server repeatedly asks a connected host to end an execution. If the host reports no end for this "
            "long, the execution ends as `lost`. Set it above the longest database outage that you want to survive.",
        ),
    ] = _ENGINE.unanswered_after
    mass_silence_share: Annotated[
        float,
        bounded(
            0.01,
            1,
            "Share of the connected hosts that must go offline within `liveness.mass_silence_window` for a mass "
            "disconnect. The server then suspects its own network, raises an alarm and declares nothing lost for "
            "`liveness.mass_silence_pause`.",
        ),
    ] = _ENGINE.mass_share
    mass_silence_hosts: Annotated[int, bounded(1, 1_000_000, "Minimum number of hosts in a mass disconnect.")] = (
        _ENGINE.mass_hosts
    )
    mass_silence_window: Annotated[
        float, bounded(1, 86_400, "Period within which disconnects count towards a mass disconnect.")
    ] = _ENGINE.mass_window
    mass_silence_pause: Annotated[
        float, bounded(0, 86_400, "How long the server declares nothing lost after a mass disconnect.")
    ] = _ENGINE.mass_pause
    start_grace: Annotated[
        float,
        bounded(
            0,
            86_400,
            "After it starts, the server waits this long before it counts hosts that have not reconnected as offline.",
        ),
    ] = _ENGINE.start_grace
    watchdog_margin: Annotated[
        float,
        bounded(
            0,
            86_400,
            "How long after its timeout and grace the server itself ends an execution that its agent has not ended.",
        ),
    ] = _ENGINE.watchdog_margin
    elapsed_checkpoint_interval: Annotated[
        float,
        bounded(
            1,
            86_400,
            "How often the server saves the elapsed time of tasks with a `timeout` or `wait_for`. A server that is "
            "killed loses at most this much, so such a task may end late, never early.",
        ),
    ] = _ENGINE.elapsed_checkpoint_interval
    seen_saved_every: Annotated[
        float,
        bounded(
            1,
            86_400,
            "How often the server saves when it last received something from each connected host. It also saves when a "
            "host disconnects and when the server stops. A server that is killed loses at most this much.",
        ),
    ] = 300.0
    drain_min: Annotated[
        float,
        bounded(
            0,
            3600,
            "A server that stops tells each agent to reconnect after a random delay. This is the minimum delay.",
        ),
    ] = 1.0
    drain_max: Annotated[float, bounded(0, 3600, "Maximum delay before an agent of a stopped server reconnects.")] = (
        10.0
    )
