"""A whole server without its agent port: real store, engine, conductor, fleet and app; agents are played by events."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import trio
from quart_trio import QuartTrio

from server.conductor import Conductor
from server.core.effects import Save, SaveHost
from server.core.engine import Engine
from server.core.events import Accepted, HostConnected, HostDisconnected, Now, Outcome, Result, Started
from server.core.model import Host, Output
from server.core.results.outputs import build_output
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.ops.health import Health, Phase
from server.ops.metrics import Metrics
from server.security.tokens import Kind, make
from server.store.sqlite.store import SqliteStore
from server.store.tables.columns import Row
from server.store.tables.registry import TABLES, Tables
from server.store.writer import Writer
from server.web.app import create_app
from server.web.http.auth import TokenVerifier
from server.web.http.limits import Limits
from server.web.http.route import Route
from server.web.readmodel.deps import Deps
from server.web.readmodel.progress import LiveProgress
from server.web.routes import ROUTES

ADMIN = make(Kind.API, os.urandom)
OTHER = make(Kind.API, os.urandom)
METRICS = make(Kind.API, os.urandom)
"""Read-only."""
AUTH = {"Authorization": f"Bearer {ADMIN.text}"}
HOSTS = ("web-1", "web-2", "db-1")
JOURNAL = "journal"


class WallClock:
    def now(self) -> Now:
        return Now(trio.current_time(), time.time_ns() // 1_000_000)


class GatedStore(SqliteStore):
    """The real store, whose writes a test may hold back. `down`: what every call raises, as if the database had
    gone."""

    def __init__(self, path: Path, tables: Tables = TABLES) -> None:
        super().__init__(path, tables=tables)
        self.gate = trio.Event()
        self.gate.set()
        self.down: Exception | None = None

    async def write(self, saves: Sequence[Save]) -> None:
        await self.gate.wait()
        await super().write(saves)

    async def fetch(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        if self.down is not None:
            raise self.down
        return await super().fetch(sql, parameters)


class FillableWriter(Writer):
    """The real writer, which a test may declare full."""

    declared_full = False

    @property
    def full(self) -> bool:
        return self.declared_full or super().full

    async def wait_room(self) -> None:
        if self.declared_full:
            await trio.sleep_forever()
        await super().wait_room()


@dataclass
class Answer:
    status: int
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.data)

    @property
    def error(self) -> Any:
        return self.json["error"]


class World:
    """Everything a test may want to touch."""

    def __init__(
        self, store: GatedStore, nursery: trio.Nursery, limits: Limits, routes: Sequence[Route] = ROUTES
    ) -> None:
        self.store, self.nursery = store, nursery
        self.clock = WallClock()
        self.writer = FillableWriter(store, clock=self.clock, entropy=os.urandom)
        self.fleet = Registry()
        self.live = LiveProgress(self.clock)
        self.metrics = Metrics()
        self.engine = Engine()
        self.conductor = Conductor(self.engine, self.writer, self.fleet, self.live, self.clock)
        self.metrics.follow(self.conductor, lambda: self.live.ended, self.fleet)
        self.writer_available = True
        self.health = Health(store, lambda: (0, self.writer.full, self.writer_available), self.metrics)
        self.health.phase, self.health.agent_port = Phase.READY, "127.0.0.1:1"
        self.shutdown = trio.Event()
        self.deps = Deps(
            engine=self.conductor,
            fleet=self.fleet,
            watching=self.fleet.watching,
            commits=self.writer,
            store=store,
            live=self.live,
            clock=self.clock,
            entropy=os.urandom,
            tokens=TokenVerifier({"admin": ADMIN, "other": OTHER}, {"metrics": METRICS}),
            nursery=nursery,
            shutdown=self.shutdown,
            metrics=self.metrics,
            health=self.health,
            version="0.0.test",
            limits=limits,
        )
        self.app: QuartTrio = create_app(self.deps, routes)
        self.client = self.app.test_client()
        self.ids: dict[str, str] = {}
        self.sessions: dict[str, Session] = {}

    async def call(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
        token: bool = True,
    ) -> Answer:
        """A request through the whole app. `data` is sent as it is."""
        sent = dict(AUTH) if token else {}
        if json is not None:
            data, sent["Content-Type"] = orjson.dumps(json), "application/json"
        sent |= headers or {}
        response = await self.client.open(path, method=method, headers=sent, data=data)
        return Answer(response.status_code, response.headers, await response.get_data())

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, json: object = None, **more: Any) -> Answer:
        return await self.call("POST", path, json, **more)

    async def know(self, *names: str) -> None:
        """Hosts that have been here before."""
        for index, name in enumerate(names, start=len(self.ids)):
            host = Host(f"01900000-0000-7000-8000-{index:012d}", name, created_at=1, updated_at=1)
            await self.writer.commit([SaveHost(host)])
            self.fleet.put(host)
            self.ids[name] = host.host_id

    async def aclose(self) -> None:
        """What is queued is written first, as in a real stop."""
        self.store.gate.set()
        self.conductor.end()
        await self.writer.aclose()
        await self.store.aclose()

    def connect(self, *names: str) -> None:
        for name in names:
            session = self.sessions[name] = self.fleet.attach(self.ids[name], "test", 5, lambda session: None)
            self.conductor.submit(HostConnected(self.ids[name], session.number, JOURNAL, 16))

    def disconnect(self, name: str) -> None:
        session = self.sessions.pop(name)
        self.fleet.detach(session)
        self.conductor.submit(HostDisconnected(self.ids[name], session.number))

    async def run(self, *targets: str, **more: object) -> dict[str, Any]:
        answer = await self.post("/api/v1/run", {"targets": list(targets) or ["all"], "command": "true"} | more)
        assert answer.status == 201, answer.data
        body: dict[str, Any] = answer.json
        return body

    def begin(self, task: dict[str, Any], name: str) -> None:
        self.conductor.submit(Accepted(self.ids[name], task["command"]["command_id"], 1))
        self.conductor.submit(Started(self.ids[name], task["command"]["command_id"], 1, 42, 1))

    def report(
        self,
        task: dict[str, Any],
        name: str,
        code: int = 0,
        stdout: Output | bytes = b"",
        stderr: bytes = b"",
        **report: object,
    ) -> None:
        """The final report of this host's agent. report: further facts of it, e.g. `leftovers_killed=2`."""
        outcome = Outcome.COMPLETED if code == 0 else Outcome.FAILED
        out = stdout if isinstance(stdout, Output) else whole(stdout)
        self.conductor.submit(
            Result(
                self.ids[name],
                task["command"]["command_id"],
                1,
                outcome,
                exit_code=code,
                error_code=None if code == 0 else "exit_nonzero",
                execution_ms=7,
                stdout=out,
                stderr=whole(stderr),
                report=report,
            )
        )


def whole(data: bytes) -> Output | None:
    return build_output(data, b"", len(data), sha256(data).digest())


async def log_in(world: World) -> str:
    """The world's client has a session's cookie from now on; the session's CSRF token."""
    answer = await world.post("/api/v1/session", {"token": ADMIN.text}, token=False)
    assert answer.status == 201, answer.data
    csrf: str = answer.json["csrf"]
    return csrf


async def open_world(
    folder: Path,
    nursery: trio.Nursery,
    limits: Limits | None = None,
    *,
    tables: Tables = TABLES,
    routes: Sequence[Route] = ROUTES,
) -> World:
    store = GatedStore(folder / "clarion.db", tables)
    await store.open()
    world = World(store, nursery, limits or Limits(), routes)
    nursery.start_soon(world.writer.run)
    nursery.start_soon(world.conductor.run)
    return world
