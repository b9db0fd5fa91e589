"""What the engine keeps beside the journal: its limits, and of each execution what may die with the agent."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.effects import Started
from agent.core.model import Stage


@dataclass(frozen=True, slots=True)
class Config:
    """slots: commands at once. spool_bytes: room for output. rejected: refusals remembered per session. retry_ms: pause
    before a
    broken journal is written anew. rewrite_records: the journal is compacted when it holds more than this many records
    and
    more than four times the live ones."""

    slots: int = 16
    spool_bytes: int = 256 * 1024 * 1024
    rejected: int = 10_000
    retry_ms: int = 5_000
    rewrite_records: int = 8_192


@dataclass(slots=True)
class Live:
    """What is known of an execution beside its records, and dies with the agent. stage: the one that is durable.

    deadline_ms: boot-time clock. stop: reason of a Cancel that came before there was anything to stop. kill_noted: its
    KILL_INTENT,
    if there is one, is durable.
    """

    stage: Stage | None = None
    spec: object = None
    deadline_ms: int | None = None
    stop: str = ""
    spawned: bool = False
    kill_noted: bool = False
    dropped: bool = False
    process: Started | None = None
