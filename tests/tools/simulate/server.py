"""One process of the server: its start, its sessions, its sudden end.

Real parts: server/lifecycle/recovery.py, server/core, server/conductor.py, server/store/writer.py, server/fleet, and
server/rpc's handling of Hello.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from agent.core import events as ev
from server.cluster import lease
from server.conductor import Conductor
from server.core.effects import Ack, Alarm, Dispatch, Effects, Progress, Save, SaveExecution, SaveTask, Welcome
from server.core.engine import Engine
from server.core.events import DatabaseRestored, Event, HostDisconnected, Now, ServerStopping, TaskLoaded
from server.core.limits import EngineLimits
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.lifecycle import recovery
from server.rpc.session import hello as from_agent
from server.rpc.session.host_facts import HostRecorder
from server.settings.sections.store import Store as Settings
from server.store.base import StoreUnavailable
from server.store.lease import Holder, StoreFenced
from server.store.water import WriterLimits
from server.store.writer import Writer, WriterClosed
from tests.tools.simulate import translate
from tests.tools.simulate.loop import SimProcess, pieces
from tests.tools.simulate.machines.database import Store
from tests.tools.simulate.machines.link import DOWN, SILENCE, UP, Link

if TYPE_CHECKING:
    from tests.tools.simulate.world import World

RESTART = 2.0
STOP_WITHIN = 10.0
SETTINGS = Settings()
MASS_WINDOW, MASS_PAUSE = 60.0, 40.0
CREDITS = 2
"""A small number, so that results must wait for credits."""


class Crashed(BaseException):
    """The server dies at this point."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server


class Watched(Engine):
    """The engine, with a record of its decisions and their times."""

    def __init__(self, limits: EngineLimits, server: Server) -> None:
        super().__init__(limits, server.world.rng.random, server.epoch)
        self._server = server

    def handle(self, happened: Sequence[Event], now: Now) -> Effects:
        effects = super().handle(happened, now)
        if self._server.current:  # what one decides that has lost its lease is never committed
            checks = self._server.world.checks
            for save in effects.saves:
                if isinstance(save, SaveTask):
                    checks.saved(save.task)
                elif isinstance(save, SaveExecution):
                    checks.decided(save.execution, self._server)
        return effects


class Server:
    """One process. listening: agents may connect. life: ends with the process. place: its data directory; twins have
    two.
    """

    def __init__(self, world: World, place: str) -> None:
        self.world, self.place = world, place
        self.life = SimProcess(world.loop, f"server on {place}")
        self.store = Store(world, self)
        self.epoch = 0
        self.listening = self.draining = False
        self.loss_suspended_until = 0.0
        self._left: dict[str, float] = {}
        self._links: dict[int, Link] = {}
        self._dirty: dict[Session, None] = {}
        self._begun = world.loop.now
        self.life.run(self._serve())

    def now(self) -> Now:
        """Return the time on the server's clocks."""
        return Now(1_000.0 + self.world.loop.now - self._begun, self.world.server_clock.ms())

    @property
    def current(self) -> bool:
        """True if it has the lease, or no other server has taken it since."""
        return self.world.server is self

    def point(self, name: str) -> None:
        """A named place at which the server may be killed."""
        if self.world.strikes("server_point", name):
            raise Crashed(self)

    async def _serve(self) -> None:
        """Run like server/app.py."""
        world, swarm = self.world, self.world.swarm
        parts: Any = self.store
        try:
            self.epoch = await recovery.open_store(parts, Holder(self.place, "simulated", 1), SETTINGS)
            self.registry = Registry(epoch=self.epoch)
            limits = EngineLimits(
                in_flight=swarm.in_flight, in_flight_per_host=4, slice=swarm.slice, seq_block=swarm.seq_block, lost_after=swarm.lost_after,  # noqa: E501
                start_grace=swarm.start_grace, watchdog_margin=5.0, cancel_retry=5.0, forget_every=swarm.forget_every,
                small_task=swarm.small_task, mass_hosts=swarm.mass_hosts, mass_window=MASS_WINDOW, mass_pause=MASS_PAUSE,  # noqa: E501
                elapsed_checkpoint_interval=5.0,
            )  # fmt: skip
            if world.to_be_given_up:
                await self._give_up()
            self.engine = Watched(limits, self)
            self.writer = Writer(
                parts,
                clock=self,
                entropy=lambda n: world.rng.randbytes(n),
                limits=WriterLimits(
                    high_water=swarm.high_water,
                    low_water=swarm.high_water // 2,
                    small_rows=swarm.small_rows,
                    max_rows=swarm.max_rows,
                ),
            )
            self.memory = HostRecorder(self.registry, self.writer, self)
            self.conductor = Conductor(self.engine, self.writer, self.registry, self, self, self._alarm)
            await recovery.load_hosts(parts, self.registry, self.engine, self.now())
            self.life.run(self._until_fenced(self.writer.run()))
            self.life.run(self._until_fenced(lease.keep(parts, SETTINGS.lease_seconds)))
            for host_id in world.machines:
                world.oracle.went(host_id, world.loop.now, swarm.lost_after)
            await recovery.load_tasks(parts, self.engine, self.conductor, self.now())
        except (ClarionError, StoreUnavailable, StoreFenced) as error:
            world.note("server gives up", error)
            self.life.at(0.0, world.server_ended, self, RESTART)
            return
        self.life.run(self._until_fenced(self.conductor.run()))
        self.listening = True
        world.note("server ready", self.epoch)

    async def _until_fenced(self, work: Coroutine[Any, Any, None]) -> None:
        """End everything when another server holds the lease, like server/app.py."""
        try:
            await work
        except (StoreFenced, WriterClosed) as error:
            self.world.note("server fenced", error)
            self.listening, self.draining = False, True
            self.life.at(0.0, self.world.server_ended, self, RESTART)

    async def _give_up(self) -> None:
        """Mark open executions lost, like the command `restore` in server/admin/offline.py."""
        store, engine = self.store, Engine()
        engine.begin_grace(self.now())
        engine.load_counts(await store.count_tasks(), await store.sum_executions())
        saves: list[Save] = []
        for one in await store.open_tasks():
            saves += engine.handle([TaskLoaded(one.task, one.command, one.executions)], self.now()).saves
        saves += engine.handle([DatabaseRestored()], self.now()).saves
        await store.write(saves)
        self.world.to_be_given_up = False

    def _alarm(self, alarm: Alarm) -> None:
        self.world.alarms[alarm.code] += 1
        self.world.note("alarm", alarm.message)

    def stop(self, restart: float) -> None:
        """Handle SIGTERM, like server/app.py and server/rpc/session/streams.py."""
        self.world.note("server stops")
        self.listening, self.draining = False, True
        self.conductor.submit(ServerStopping())
        for link in list(self._links.values()):
            link.close(DOWN, "the server is shutting down")
            self.lost(link, "drained")
        self.life.run(self._wind_up(restart))

    async def _wind_up(self, restart: float) -> None:
        self.conductor.end()
        with pieces.move_on_after(STOP_WITHIN):
            await self.writer.aclose()
        parts: Any = self.store
        await lease.give_back(parts)
        self.life.at(0.0, self.world.server_ended, self, restart)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later: peers that wait for a message close the connection after SILENCE."""
        self.life.stopped_until = self.world.loop.now + seconds
        if seconds > SILENCE:
            for link in self._links.values():
                link.hear_nothing(UP)

    def end(self) -> None:
        self.life.end()
        self.listening = False
        self.world.links = [link for link in self.world.links if link.ends[0] is not None or link.ends[1] is not None]
        for link in self.world.links:
            if link.ends[1] is self:
                link.close(DOWN, "server died")
        if self.current:
            for host_id in self.world.machines:
                self.world.oracle.went(host_id, self.world.loop.now, self.world.swarm.lost_after)

    # --- the conductor's Shown
    # -------------------------------------------------------------------------------------------

    def committed(self, saves: Sequence[Save]) -> None:
        pass

    def publish(self, progress: Progress) -> None:
        self.world.checks.shown(progress)

    def forget(self, task_id: str) -> None:
        pass

    # --- sessions, as server/rpc does them
    # -------------------------------------------------------------------------------

    @property
    def busy_for(self) -> float:
        return max(0.02, self.life.stopped_until - self.world.loop.now)

    def receive(self, link: Link, message: Any) -> bool:
        if self.writer.reading_stopped or self.draining or self.life.stopped:
            return False
        if isinstance(message, from_agent.Hello):
            self._welcome(link, message)
        else:
            self.world.note("server event", message)
            if self.current:
                self.world.oracle.told.add((message.host_id, (message.command_id, message.attempt)))
            self.conductor.submit(message)
        return True

    def _welcome(self, link: Link, hello: from_agent.Hello) -> None:
        session = self.registry.attach(hello.host_id, "192.0.2.1:1", self.now().wall_ms, self._stir)
        self._links[session.number] = link
        if self.current:
            self.world.oracle.came(hello.host_id, self.world.loop.now, self.world.swarm.lost_after)
        self._left.pop(hello.host_id, None)
        self.memory.record_hello(hello, "192.0.2.1:1")
        event = from_agent.host_connected(hello, session.number)
        self.world.checks.hello(event, self)
        self.world.note("server event", event)
        self.conductor.submit(event)

    def lost(self, link: Link, why: str) -> None:
        if self.life.stopped:
            self.life.at(0.0, self.lost, link, why)
            return
        for number, known in list(self._links.items()):
            if known is link:
                del self._links[number]
                self._detach(link.host_id, number)

    def _detach(self, host_id: str, number: int) -> None:
        session = self.registry._sessions.get(host_id)
        if session is not None and session.number == number and self.registry.detach(session):
            if self.current:
                self.world.oracle.went(host_id, self.world.loop.now, self.world.swarm.lost_after)
            if not self.draining:
                self._gone(host_id)
                self.conductor.submit(HostDisconnected(host_id, number))

    def _gone(self, host_id: str) -> None:
        """Compute, independently of the software under test, the times during which nothing may be called lost."""
        now = self.world.loop.now
        self._left[host_id] = now
        away = sum(now - at <= MASS_WINDOW for at in self._left.values())
        if (
            away >= self.world.swarm.mass_hosts
            and away > 0.3 * (len(self.registry.sessions()) + away)
            and now >= self.loss_suspended_until
        ):
            self.loss_suspended_until = now + MASS_PAUSE
            self.world.struck_by_silence += 1

    def _stir(self, session: Session) -> None:
        if not self._dirty:
            self.life.at(0.0, self._flush)
        self._dirty[session] = None

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for session in dirty:
            link = self._links.get(session.number)
            if link is None:
                continue
            for spoken in session.take():
                self.point("server.between_acts")
                self._say(link, session, spoken)
            if session.ended is not None:
                link.close(DOWN, session.ended)
                self.lost(link, session.ended)

    def _say(self, link: Link, session: Session, spoken: translate.Spoken) -> None:
        world = self.world
        world.note("server says", spoken)
        world.checks.said(spoken, session)
        if isinstance(spoken, Ack):
            world.checks.acked(spoken)
        elif isinstance(spoken, Dispatch):
            world.checks.dispatched(spoken, self)
        elif isinstance(spoken, Welcome):
            world.checks.welcomed(spoken, self)
        event = translate.told(spoken, self.epoch, CREDITS, world.orders)
        link.send(DOWN, event)
        if isinstance(event, ev.Dispatch | ev.Cancel) and world.strikes("duplicate", "net.duplicate"):
            world.again(session.host_id, event)

    @property
    def attached(self) -> list[str]:
        """Return the hosts that have a session."""
        return [session.host_id for session in self.registry.sessions()] if self.listening else []
