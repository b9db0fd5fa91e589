"""The agent port and the enrolment port on real TLS sockets, with a real store; agents are played by the agent's own
code."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from structlog.testing import capture_logs

from _speedups import http2
from agent.enrolment import client as enrol
from agent.enrolment import credentials
from agent.enrolment.credentials import Joined
from proto.link import server as link
from proto.link.client import ClientStream, connect
from proto.messages import CommandMessage, Facts, Hello, kind_of
from server.conductor import Conductor
from server.core.effects import CreateJoinToken
from server.core.engine import Engine
from server.core.events import Now
from server.core.model import JoinToken
from server.fleet.identities import Identities
from server.fleet.join_requests import JoinRequests
from server.fleet.registry import Registry
from server.lifecycle.agent_access import AgentAccess
from server.ops.metrics import Metrics
from server.rpc.accept.listener import ListenerLimits
from server.rpc.authenticate import AgentAuth
from server.rpc.enrolment.connections import EnrolmentPortLimits
from server.rpc.port import agent_port
from server.rpc.settings import AgentPortSettings as RpcSettings
from server.rpc.settings import SessionTerms
from server.security.init import initialise
from server.security.tokens import Kind, make
from server.settings.schema import Settings
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.enrol import Enrol
from server.store.sqlite.store import SqliteStore
from server.store.writer import Writer
from tests.conductor.test_conductor import Seen
from tests.rpc.peer import Counts

JOURNAL, BOOT = "journal-1", "boot-1"


class Clock:
    """The real one, moved by `ahead` milliseconds of wall time."""

    ahead = 0

    def now(self) -> Now:
        return Now(trio.current_time(), time.time_ns() // 1_000_000 + self.ahead)


class PortCounts(Counts):
    def refused(self, reason: str) -> None: ...


class Border:
    """ports: (agent, enrolment). logs: everything logged by the server."""

    def __init__(
        self,
        folder: Path,
        store: SqliteStore,
        writer: Writer,
        clock: Clock,
        enrol_settings: Enrol,
        requests: JoinRequests,
        port_limits: EnrolmentPortLimits | None = None,
    ) -> None:
        self.folder, self.store, self.writer, self.clock = folder, store, writer, clock
        self.settings = Settings(data=folder / "data", agent_port=AgentPort(port=0), enrol=enrol_settings)
        initialise(self.settings.data, clock.now().wall_ms)
        self.metrics, self.registry, self.identities = Metrics(), Registry(epoch=1), Identities()
        self.requests = requests
        self.entrance = AgentAccess(
            self.settings, self.identities, self.registry, writer, clock, self.metrics, requests, port_limits
        )
        self.door = Conductor(Engine(), writer, self.registry, Seen(), clock)
        self.rules = RpcSettings(SessionTerms(epoch=1), hello_timeout=5)
        self.entry = AgentAuth(self.entrance.agent_tls, self.entrance.gate, None, self.entrance.handshake_failed)
        self.ports = (0, 0)
        self.logs: list[dict[str, object]] = []

    async def token(
        self,
        uses: int = 1,
        ttl: float = 600,
        networks: tuple[str, ...] = (),
        approve: bool = False,
        replace: bool = False,
        **labels: str,
    ) -> str:
        now, token = self.clock.now().wall_ms, make(Kind.JOIN, os.urandom)
        await self.writer.commit(
            [
                CreateJoinToken(
                    JoinToken(
                        token.id,
                        token.digest,
                        now + round(ttl * 1000),
                        uses,
                        labels,
                        "test",
                        now,
                        networks,
                        approve,
                        replace,
                    )
                )
            ]
        )
        return token.text

    async def join(self, name: str, token: str | None = None) -> Joined:
        """State in folder/name."""
        (self.folder / name).mkdir(exist_ok=True)
        asked = enrol.JoinRequest(("127.0.0.1", self.ports[1]), token or await self.token(), self.entrance.pin, name)
        return await enrol.join(self.folder / name, asked)

    async def renew(self, name: str) -> int:
        return await enrol.renew(self.folder / name, credentials.joined(self.folder / name))

    @asynccontextmanager
    async def dial(self, name: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[ClientStream]:
        context = tls or credentials.client_context(self.folder / name)
        async with connect("127.0.0.1", self.ports[0], metadata={}, ssl=context, connect_timeout=5) as stream:
            yield stream

    @asynccontextmanager
    async def session(
        self, name: str, *, host_id: str | None = None, journal: str = JOURNAL, boot: str = BOOT
    ) -> AsyncIterator[ClientStream]:
        """A stream on which Hello was said and Welcome heard. Raises LinkRefused, LinkClosed."""
        async with self.dial(name) as stream:
            await say_hello(stream, host_id or credentials.joined(self.folder / name).host_id, journal, boot)
            with trio.fail_after(5):
                first = await stream.recv()
            assert first is not None and kind_of(first)[0] == "welcome"
            yield stream

    def refusals(self) -> list[str]:
        """Reasons, one for each line that says that somebody did not get in."""
        words = ("connection_refused", "enrolment_refused", "host_quarantined")
        return [str(line.get("reason", "host_quarantined")) for line in self.logs if line["event"] in words]

    def counted(self) -> dict[str, float]:
        """reason → how often, over both ports."""
        found: dict[str, float] = {}
        for sample in self.metrics.refused.collect()[0].samples:
            if sample.name.endswith("_total"):
                found[sample.labels["reason"]] = found.get(sample.labels["reason"], 0) + sample.value
        return found

    async def refused(self, *reasons: str) -> None:
        """Wait until exactly these refusals, and no others, were logged and counted."""
        with trio.fail_after(5):
            while len(self.refusals()) < len(reasons):  # noqa: ASYNC110 - the log has no event to wait for
                await trio.sleep(0.01)
        assert sorted(self.refusals()) == sorted(reasons)
        assert self.counted() == {reason: reasons.count(reason) for reason in reasons}


async def say_hello(stream: ClientStream, host_id: str, journal: str = JOURNAL, boot: str = BOOT) -> None:
    hello = Hello(host_id=host_id, journal_id=journal, boot_id=boot, slots=1, facts=Facts(hostname="h"))
    await stream.send(CommandMessage(hello=hello))


@asynccontextmanager
async def border(
    folder: Path, per_second: float = 1000.0, port_limits: EnrolmentPortLimits | None = None, **enrol: float
) -> AsyncIterator[Border]:
    """Everything running, for the duration of the block."""
    clock, store = Clock(), SqliteStore(folder / "clarion.db")
    await store.open()
    writer = Writer(store, clock=clock, entropy=os.urandom)
    made = Border(
        folder,
        store,
        writer,
        clock,
        Enrol(port=0, per_second=per_second, **enrol),
        JoinRequests(await store.join_requests()),
        port_limits,
    )  # type: ignore[arg-type]
    agents, enrolment = link.bind("127.0.0.1", 0), link.bind("127.0.0.1", 0)
    made.ports = agents.getsockname()[1], enrolment.getsockname()[1]
    with agents, capture_logs() as made.logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(writer.run)
            limits = ListenerLimits(handshake=1.0)
            async with (
                made.entrance.serve(enrolment, made.ports[0], store),
                agent_port(
                    agents,
                    made.registry,
                    made.door,
                    writer,
                    clock,
                    made.rules,
                    PortCounts(),
                    limits,
                    http2.ConnectionLimits(),
                    made.entry,
                ),
            ):
                yield made
            await writer.aclose()
            nursery.cancel_scope.cancel()
    await store.aclose()
