"""Runs the server's trio code under trio's own scheduler, and checks the promises about its messages.

In addition to the main simulator these parts are real: trio, server/rpc/session/streams.py with its tasks, the session
setup, the encoder and the fast path's decoder. HTTP/2 and sockets are simulated.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import trio

from _speedups import http2
from server.cluster import lease
from server.conductor import Conductor
from server.core.effects import Ack, Dispatch, Welcome
from server.core.events import Now, ServerStopping
from server.core.limits import EngineLimits
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.lifecycle import recovery
from server.rpc.authenticate import AgentAuth
from server.rpc.session.host_facts import HostRecorder
from server.rpc.session.setup import SessionSetup
from server.rpc.session.streams import AgentStreams
from server.rpc.settings import AgentPortSettings, SessionTerms
from server.settings.sections.store import Store as StoreSettings
from server.store.base import StoreUnavailable
from server.store.lease import Holder
from server.store.writer import Writer
from tests.tools.simulate.adapters.wire import Conn, Poller, Wire
from tests.tools.simulate.machines.database import Store
from tests.tools.simulate.server import Watched

if TYPE_CHECKING:
    from tests.tools.simulate.adapters.base import Fleet

LOST_AFTER = 120.0
COUNTS: Any = SimpleNamespace(
    session_opened=lambda: None,
    session_closed=lambda: None,
    join_refused=lambda: None,
    refused=lambda reason: None,
    command_reported=lambda seconds: None,
)


class Seen:
    """The conductor's outboxes; checks the promises when a message is sent."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def send(self, act: Any) -> None:
        fleet = self._server.fleet
        fleet.note("server says", act)
        if isinstance(act, Ack):
            fleet.checks.acked(act)
        elif isinstance(act, Dispatch):
            fleet.checks.dispatched(act, self._server)  # type: ignore[arg-type]
        elif isinstance(act, Welcome):
            fleet.checks.welcomed(act, self._server)  # type: ignore[arg-type]
        self._server.registry.send(act)


class Doors:
    """The engine's handle; records what agents sent in a Hello."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def submit(self, *events: Any) -> None:
        for event in events:
            self._server.fleet.note("server event", event)
            if hasattr(event, "entries"):
                self._server.fleet.checks.hello(event, self._server)  # type: ignore[arg-type]
        self._server.conductor.submit(*events)


class Server:
    """One process of the server, like server/app.py without HTTP and gRPC."""

    place = "here"

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = self.world = fleet
        self.epoch = 0
        self.listening = False
        self.scope = trio.CancelScope()
        self.life: Any = SimpleNamespace(alive=True)
        self.loss_suspended_until = 0.0
        parts: Any = fleet
        self.store = Store(parts, self, trio.sleep)  # type: ignore[arg-type]

    current = True

    @property
    def attached(self) -> list[str]:
        return [session.host_id for session in self.registry.sessions()] if self.listening else []

    def now(self) -> Now:
        return Now(trio.current_time(), self.fleet.clock.ms())

    def point(self, name: str) -> None:
        """Does nothing: a server here is killed wherever its tasks wait, not at named places."""

    def committed(self, saves: Any) -> None:
        pass

    def publish(self, progress: Any) -> None:
        self.fleet.checks.shown(progress)

    def forget(self, task_id: str) -> None:
        pass

    async def run(self) -> None:
        """Run until killed or stopped."""
        fleet, rng, store = self.fleet, self.fleet.rng, self.store
        parts: Any = store
        with self.scope:
            try:
                self.epoch = await recovery.open_store(parts, Holder(self.place, "simulated", 1), StoreSettings())
                self.registry = Registry(epoch=self.epoch)
                self.engine = Watched(
                    EngineLimits(lost_after=LOST_AFTER, start_grace=20.0, watchdog_margin=5.0, cancel_retry=5.0), self
                )  # type: ignore[arg-type]
                self.writer = Writer(parts, clock=self, entropy=rng.randbytes)
                self.conductor = Conductor(self.engine, self.writer, Seen(self), self, self)
                door: Any = Doors(self)
                self.poller = Poller()
                terms = AgentPortSettings(SessionTerms(self.epoch, 2))
                self.edge = AgentStreams(self.poller, self.registry, door, self.writer, self, terms, COUNTS)
                entry = AgentAuth(verify_token=lambda token: token == "good")
                self.handshake = SessionSetup(
                    self.edge,
                    HostRecorder(self.registry, self.writer, self),
                    door,
                    self,
                    entry,
                    terms,
                    COUNTS,
                    http2.ConnectionLimits(),
                )
                await recovery.load_hosts(parts, self.registry, self.engine, self.now())
                async with trio.open_nursery() as nursery:
                    self.nursery = nursery
                    nursery.start_soon(self.writer.run)
                    for host in fleet.machines.values():
                        fleet.oracle.went(host.host_id, trio.current_time(), LOST_AFTER)
                    await recovery.load_tasks(parts, self.engine, self.conductor, self.now())
                    nursery.start_soon(self.conductor.run)
                    nursery.start_soon(lease.keep, parts, 15.0)
                    nursery.start_soon(self.edge.run)
                    self.listening = True
            except* (StoreUnavailable, ClarionError) as away:
                fleet.note("server cannot start", away)
            finally:
                self.listening, self.life.alive = False, False

    def accept(self, wire: Wire) -> None:
        """Accept a connection with a call."""
        conn = Conn(self.poller, wire, trio.current_time)
        self.nursery.start_soon(conn.read)
        self.nursery.start_soon(conn.write)
        front: Any = conn
        self.handshake.on_call(front, {"authorization": "Bearer good"})

    async def stop(self) -> None:
        """Shut down in order."""
        self.listening = False
        self.conductor.submit(ServerStopping())
        self.edge.drain()
        with trio.move_on_after(5.0):
            await self.registry.wait_empty()
        self.conductor.end()
        with trio.move_on_after(10.0):
            await self.writer.aclose()
            parts: Any = self.store
            await lease.give_back(parts)
        self.scope.cancel()
