"""How the agents of tests.tools.bench.wire.wire connect: with a token, or with TLS after an enrolment with its own
database.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import socket
from typing import Any

import trio

from proto.link.server import bind
from server.core.effects import CreateJoinToken
from server.core.model import JoinToken
from server.fleet.identities import Identities
from server.fleet.registry import Registry
from server.lifecycle.agent_access import AgentAccess
from server.ops.metrics import Metrics
from server.ports import Clock
from server.rpc.authenticate import AgentAuth
from server.security.init import initialise
from server.security.tokens import Kind, make
from server.settings.schema import Settings
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.enrol import Enrol
from server.store.sqlite.store import SqliteStore
from server.store.writer import Writer

TOKEN = "bench"
TOKEN_MS = 3_600_000


@asynccontextmanager
async def entrance(
    agents: int, sock: socket, registry: Registry, clock: Clock, tls: bool
) -> AsyncIterator[tuple[AgentAuth, dict[str, Any]]]:
    """Open the ports while the context is open; yield what the agents need. `sock`: the agent port."""
    if not tls:
        yield AgentAuth(verify_token=lambda token: token == TOKEN), {"token": TOKEN}
        return
    with tempfile.TemporaryDirectory() as folder, bind("127.0.0.1", 0) as enrolment:
        settings = Settings(
            data=Path(folder) / "data", agent_port=AgentPort(port=0), enrol=Enrol(port=0, per_second=100_000.0)
        )
        initialise(settings.data, clock.now().wall_ms)
        store = SqliteStore(settings.data / "clarion.db")
        await store.open()
        writer = Writer(store, clock=clock, entropy=os.urandom)
        entry = AgentAccess(settings, Identities(), registry, writer, clock, Metrics())
        async with trio.open_nursery() as nursery:
            await nursery.start(writer.run)
            now, token = clock.now().wall_ms, make(Kind.JOIN, os.urandom)
            # a host that did not receive the answer asks again and needs another use
            await writer.commit(
                [CreateJoinToken(JoinToken(token.id, token.digest, now + TOKEN_MS, 2 * agents, {}, "bench", now))]
            )
            async with entry.serve(enrolment, sock.getsockname()[1], store):
                door = {"host": "127.0.0.1", "port": enrolment.getsockname()[1], "token": token.text, "pin": entry.pin}
                yield AgentAuth(entry.agent_tls, entry.gate, None, entry.handshake_failed), {"token": "", "door": door}
            await writer.aclose()
            nursery.cancel_scope.cancel()
        await store.aclose()
