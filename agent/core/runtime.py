"""Engine settings, and the state of each execution that is not in the journal."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.effects import Started
from agent.core.model import Stage


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits of the engine.

    Attributes:
        slots: Commands that may run at the same time.
        spool_bytes: Bytes of output that the spool may hold.
        rejected: Number of refusals remembered per session.
        retry_ms: Milliseconds before a broken journal is rewritten.
        rewrite_records: The journal is compacted when it holds more records than this and more than four times the live
            ones.
    """

    slots: int = 16
    spool_bytes: int = 256 * 1024 * 1024
    rejected: int = 10_000
    retry_ms: int = 5_000
    rewrite_records: int = 8_192


@dataclass(slots=True)
class RuntimeState:
    """State of an execution that is not journaled and is lost when the agent ends.

    Attributes:
        stage: The durable stage, or None before the Intent is durable.
        spec: What to run, until it is handed to the runner.
        deadline_ms: Latest start on the boot-time clock, or None.
        stop: Reason of a Cancel that arrived before there was a process to stop.
        spawned: True once Spawn was emitted.
        kill_noted: True if its KillIntent, if there is one, is durable.
        dropped: True if the server asked to drop it while it was still open.
        process: The message about its main process, once that exists.
    """

    stage: Stage | None = None
    spec: object = None
    deadline_ms: int | None = None
    stop: str = ""
    spawned: bool = False
    kill_noted: bool = False
    dropped: bool = False
    process: Started | None = None
