"""Asks the store, after a Hello, which of its executions the database does not know.

A dispatch is recorded before it is sent. So an execution with a number of this database that is neither known nor of a
deleted task proves that a part of the database is lost, for example after damage to its write-ahead log.
"""

from __future__ import annotations

import math

import structlog
import trio

from server.core.effects import Inquire
from server.core.events import UnknownExecutions
from server.ports import EngineHandle
from server.store.base import Store, StoreUnavailable

log = structlog.get_logger(__name__)

RETRY_AFTER = 5.0
"""Seconds until a question is repeated that the database did not answer."""


class Orphans:
    """Looks up the executions that hosts name. `inquire` never awaits; `run` does the work.

    There is at most one question per host and start, so the queue needs no limit of its own.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._questions, self._incoming = trio.open_memory_channel[Inquire](math.inf)

    def inquire(self, act: Inquire) -> None:
        """Queue a question."""
        self._questions.send_nowait(act)

    async def run(self, engine: EngineHandle) -> None:
        """Answer questions until cancelled, and report executions that the database lost to the engine."""
        async for act in self._incoming:
            keys = [(command_id, attempt) for command_id, attempt, *_ in act.entries]
            while True:
                try:
                    known = await self._store.known_executions(act.host_id, [command_id for command_id, _ in keys])
                    break
                except StoreUnavailable as error:
                    log.warning("executions_unchecked", host_id=act.host_id, error=str(error), retry_s=RETRY_AFTER)
                    await trio.sleep(RETRY_AFTER)
            if lost := [entry for entry in act.entries if entry[0] not in known]:
                log.error(
                    "executions_missing",
                    host_id=act.host_id,
                    number=len(lost),
                    command_ids=[entry[0] for entry in lost[:20]],
                )
                engine.submit(UnknownExecutions(act.host_id, lost))
