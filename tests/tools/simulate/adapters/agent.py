"""Runs the agent's trio code (session, conductor, journal) under trio's own scheduler. Only the shims are simulated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import trio

from agent.conductor import Conductor
from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.model import Digest, Key, Kill, Now, Report
from agent.core.runtime import EngineConfig
from agent.enrolment.facts import Facts
from agent.policy import Policy
from agent.runner import STOP_REASONS
from agent.send_queue import SendQueue
from agent.session import wire
from agent.session.session import Sessions, Timing
from agent.shim.report import ending
from agent.storage import journal as journals
from agent.storage.disk import Disk
from agent.storage.spool import _OUTCOMES, FILES, Order, Spool
from tests.tools.simulate.adapters.wire import ClientStream, Wire

if TYPE_CHECKING:
    from tests.tools.simulate.adapters.base import Fleet

QUIET: Any = SimpleNamespace(
    debug=lambda *_, **__: None, info=lambda *_, **__: None, warning=lambda *_, **__: None, error=lambda *_, **__: None
)


class NoSync(Disk):
    """The journal's contents need not survive this process."""

    def sync(self, fd: int) -> None:
        pass


class Hands:
    """Replaces agent.runner.Runner, without processes."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.starting = self._pids = 0
        self._stops: dict[Key, trio.Event] = {}
        self._reasons: dict[Key, str] = {}

    def spawn(self, key: Key, order: Order) -> None:
        self.starting += 1
        self._host.nursery.start_soon(self._run, key, order)

    def stop(self, key: Key, reason: str) -> None:
        if key in self._stops:
            self._reasons.setdefault(key, reason)
            self._stops[key].set()

    def remove(self, key: Key) -> None:
        self._host.spool.remove(key)

    async def _run(self, key: Key, order: Order) -> None:
        host, fleet, rng, stopped = self._host, self._host.fleet, self._host.fleet.rng, trio.Event()
        await trio.sleep(rng.uniform(0.001, 0.02))
        directory = host.spool.make(key, order)
        self.starting -= 1
        self._pids += 10
        pid, self._stops[key] = self._pids, stopped
        process, started = fleet.oracle.begins((host.host_id, key), trio.current_time()), host.now().wall_ms
        host.conductor.submit(ev.ShimStarted(key, pid, pid, "boot"), ev.ProcessStarted(key, pid + 1, started))
        lasts, limit = rng.choice((0.01, 1.0, 60.0)) * rng.random(), order.spec.timeout_ms / 1000 or float("inf")
        with trio.move_on_after(min(lasts, limit)):
            await stopped.wait()
        reason = (
            STOP_REASONS.get(self._reasons.get(key, ""), "canceled")
            if stopped.is_set()
            else "timeout"
            if lasts > limit
            else None
        )
        del self._stops[key]
        said = f"{host.host_id} {key[0]}\n".encode() * rng.randrange(3)
        (directory / FILES["stdout"][0]).write_bytes(said)
        end = ending(order.spec, reason, 15 if reason else rng.choice((0, 0, 3)) << 8, "")
        finished = host.now().wall_ms
        process.ended = trio.current_time()
        process.report = Report(
            _OUTCOMES[end.outcome], end.exit_code, end.signal or 0, end.error_code, end.error_message, started, finished, max(0, finished - started) * 1000,  # noqa: E501
            Digest(len(said), len(said), 0, sha256(said).digest()) if said else Digest(), kill=Kill(reason, 1, 0, True) if reason else None,  # noqa: E501
        )  # fmt: skip
        host.conductor.submit(ev.ShimExited(key, process.report))


class Host:
    """An agent, assembled like agent/app.py does."""

    gone = False

    def __init__(self, fleet: Fleet, number: int, nursery: trio.Nursery, root: Path) -> None:
        self.fleet, self.nursery = fleet, nursery
        self.host_id = f"00000000-0000-7000-8000-{number:012}"
        self.wire: Wire | None = None
        (root / self.host_id).mkdir()
        self.spool = Spool(root / self.host_id / "commands")
        sizes = journals.Sizes(1 << 14, 1 << 14)
        self.journal, state = journals.open_journal(
            root / self.host_id / "journal",
            new_id=f"journal-{number}",
            now_ms=1,
            warn=lambda text: None,
            sizes=sizes,
            disk=NoSync(),
        )
        self.engine = Engine(state, self.journal.header.journal_id, "boot", EngineConfig(slots=16))
        self._syncing = False
        send_queue: SendQueue[Any] = SendQueue()
        parts: list[Any] = [self, Hands(self), send_queue, self, nursery, QUIET]
        self.conductor = Conductor(self.engine, *parts)
        facts = Facts("host", "192.0.2.1", "linux", "x86_64", "1", {})
        timing, quiet = Timing(), QUIET
        self.sessions = Sessions(
            self.conductor, self._dial, lambda: wire.hello(self.host_id, "boot", self.engine.hello(), facts, 16), self.spool, Policy(),  # noqa: E501
            timing, fleet.rng, quiet,
        )  # fmt: skip

    @property
    def agent(self) -> Host:
        return self

    def now(self) -> Now:
        return Now(round(trio.current_time() * 1000), self.fleet.clock.ms())

    def put(self, work: out.Append | out.Rewrite) -> None:
        """Queue work for the journal, whose thread is a task here."""
        self.journal.put(work)
        if not self._syncing:
            self._syncing = True
            self.nursery.start_soon(self._sync)

    async def _sync(self) -> None:
        await trio.sleep(self.fleet.rng.uniform(0.0002, 0.003))
        self._syncing = False
        self.journal._queue.put(None)
        told: list[ev.JournalDurable | ev.JournalFailed] = []
        self.journal._run(told.append)
        self.conductor.submit(*told)

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[ClientStream]:
        async with self.fleet.connection(self) as wire:
            yield ClientStream(wire)
