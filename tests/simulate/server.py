"""One life of the server's process: its start, its sessions, its sudden end.

Real here: server/boot.py, server/core, server/conductor.py, server/store/writer.py, server/fleet, server/rpc's reading of Hello.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.core import events as ev
from proto import messages as pb
from server import boot
from server.conductor import Conductor
from server.core.effects import Ack, Alarm, Dispatch, Effects, Progress, Save, SaveExecution, SaveTask, Welcome
from server.core.engine import Engine
from server.core.events import Event, HostDisconnected, Now, Restored, Stopping, TaskLoaded
from server.core.world import Limits
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.rpc import from_agent
from server.rpc.remember import Memory
from server.settings import Store as Settings
from server.store.lease import Holder
from server.store.writer import Writer
from tests.simulate import translate
from tests.simulate.link import DOWN, Link
from tests.simulate.loop import Life, pieces

if TYPE_CHECKING:
    from tests.simulate.world import World

RESTART = 2.0
STOP_WITHIN = 10.0
MASS_WINDOW, MASS_PAUSE = 60.0, 40.0
CREDITS = 2
"""Few, so that results wait for them."""


class Crashed(BaseException):
    """The server dies here and now."""


class Watched(Engine):
    """The engine, and a note of when it decided what."""

    def __init__(self, limits: Limits, world: World, epoch: int) -> None:
        super().__init__(limits, world.rng.random, epoch)
        self._seen = world

    def handle(self, happened: Sequence[Event], now: Now) -> Effects:
        effects = super().handle(happened, now)
        for save in effects.saves:
            if isinstance(save, SaveTask):
                self._seen.checks.saved(save.task)
            elif isinstance(save, SaveExecution):
                self._seen.checks.decided(save.execution)
        return effects


class Server:
    """listening: agents are let in. life: ends with the process."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.server = self
        self.life = Life(world.loop, "server")
        self.listening = self.draining = False
        self.calm_at = 0.0
        self._left: dict[str, float] = {}
        self._links: dict[int, Link] = {}
        self._dirty: dict[Session, None] = {}
        self._begun = world.loop.now
        self.life.run(self._serve())

    def now(self) -> Now:
        """The server's clocks."""
        world = self.world
        return Now(1_000.0 + world.loop.now - self._begun, 1_700_000_000_000 + world.server_clock + round(world.loop.now * 1000))

    async def _serve(self) -> None:
        """As server/app.py."""
        world, swarm, store = self.world, self.world.swarm, self.world.store
        parts: Any = store
        try:
            self.epoch = await boot.open_store(parts, Holder("", "simulated", 1), Settings())
            self.registry = Registry(epoch=self.epoch)
            limits = Limits(
                in_flight=swarm.in_flight, in_flight_per_host=4, slice=swarm.slice, seq_block=swarm.seq_block, lost_after=swarm.lost_after,
                start_grace=swarm.start_grace, watchdog_margin=5.0, cancel_retry=5.0, forget_every=swarm.forget_every,
                mass_hosts=swarm.mass_hosts, mass_window=MASS_WINDOW, mass_pause=MASS_PAUSE, lap=5.0,
            )  # fmt: skip
            if world.to_be_given_up:
                await self._give_up()
            self.engine = Watched(limits, world, self.epoch)
            self.writer = Writer(
                parts, clock=self, entropy=lambda n: world.rng.randbytes(n), high_water=swarm.high_water, low_water=swarm.high_water // 2
            )
            self.memory = Memory(self.registry, self.writer, self)
            self.conductor = Conductor(self.engine, self.writer, self.registry, self, self, self._alarm)
            await boot.load_hosts(parts, self.registry, self.engine, self.now())
            self.life.run(self.writer.run())
            for host_id in world.machines:
                world.ghost.went(host_id, world.loop.now, swarm.lost_after)
            await boot.load_tasks(parts, self.engine, self.conductor, self.now())
        except (ClarionError, Exception) as error:
            if not isinstance(error, ClarionError) and type(error).__name__ != "StoreUnavailable":
                raise
            self.life.at(0.0, world.kill_server, RESTART)
            return
        self.life.run(self.conductor.run())
        self.listening = True
        world.note("server ready", self.epoch)

    async def _give_up(self) -> None:
        """As server/local.py does it for the command `restore`."""
        store, engine = self.world.store, Engine()
        engine.begin_grace(self.now())
        engine.load_counts(await store.count_tasks(), await store.sum_executions())
        saves: list[Save] = []
        for one in await store.open_tasks():
            saves += engine.handle([TaskLoaded(one.task, one.command, one.executions)], self.now()).saves
        saves += engine.handle([Restored()], self.now()).saves
        await store.write(saves)
        self.world.to_be_given_up = False

    def _alarm(self, alarm: Alarm) -> None:
        self.world.alarms[alarm.code] += 1
        self.world.note("alarm", alarm.message)

    def stop(self, restart: float) -> None:
        """SIGTERM, as server/app.py and server/rpc/edge.py."""
        self.world.note("server stops")
        self.listening, self.draining = False, True
        self.conductor.submit(Stopping())
        for link in list(self._links.values()):
            link.close(DOWN, "the server is shutting down")
            self.lost(link, "drained")
        self.life.run(self._wind_up(restart))

    async def _wind_up(self, restart: float) -> None:
        self.conductor.end()
        with pieces.move_on_after(STOP_WITHIN):
            await self.writer.aclose()
        self.life.at(0.0, self.world.kill_server, restart)

    def end(self) -> None:
        self.life.end()
        self.listening = False
        self.world.links = [link for link in self.world.links if link.ends[0] is not None or link.ends[1] is not None]
        for link in self.world.links:
            if link.ends[1] is self:
                link.close(DOWN, "server died")
        for host_id in self.world.machines:
            self.world.ghost.went(host_id, self.world.loop.now, self.world.swarm.lost_after)

    # --- the conductor's Shown -------------------------------------------------------------------------------------------

    def publish(self, progress: Progress) -> None:
        self.world.checks.shown(progress)

    def forget(self, task_id: str) -> None:
        pass

    # --- sessions, as server/rpc does them -------------------------------------------------------------------------------

    def receive(self, link: Link, message: Any) -> bool:
        if self.writer.full or self.draining:
            return False
        if isinstance(message, pb.Hello):
            self._welcome(link, message)
        else:
            self.world.note("server event", message)
            self.world.ghost.told.add((message.host_id, (message.command_id, message.attempt)))
            self.conductor.submit(message)
        return True

    def _welcome(self, link: Link, said: pb.Hello) -> None:
        hello = from_agent.hello(bytes(pb.CommandMessage(hello=said)))
        session = self.registry.attach(hello.host_id, "192.0.2.1:1", self.now().wall_ms, self._stir)
        self._links[session.number] = link
        self.world.ghost.came(hello.host_id, self.world.loop.now, self.world.swarm.lost_after)
        self._left.pop(hello.host_id, None)
        self.memory.met(hello, "192.0.2.1:1")
        event = from_agent.connected(hello, session.number)
        self.world.checks.hello(event)
        self.world.note("server event", event)
        self.conductor.submit(event)

    def lost(self, link: Link, why: str) -> None:
        for number, known in list(self._links.items()):
            if known is link:
                del self._links[number]
                self._detach(link.host_id, number)

    def _detach(self, host_id: str, number: int) -> None:
        session = self.registry._sessions.get(host_id)
        if session is not None and session.number == number and self.registry.detach(session):
            self.world.ghost.went(host_id, self.world.loop.now, self.world.swarm.lost_after)
            if not self.draining:
                self._gone(host_id)
                self.conductor.submit(HostDisconnected(host_id, number))

    def _gone(self, host_id: str) -> None:
        """Counted apart from what is tested: from when on, and until when, nothing may be called lost."""
        now = self.world.loop.now
        self._left[host_id] = now
        away = sum(now - at <= MASS_WINDOW for at in self._left.values())
        if away >= self.world.swarm.mass_hosts and away > 0.3 * (len(self.registry.sessions()) + away) and now >= self.calm_at:
            self.calm_at = now + MASS_PAUSE
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
                self.world.server_point("server.between_acts")
                self._say(link, session, spoken)
            if session.ended is not None:
                link.close(DOWN, session.ended)
                self.lost(link, session.ended)

    def _say(self, link: Link, session: Session, spoken: translate.Spoken) -> None:
        world = self.world
        world.note("server says", spoken)
        if isinstance(spoken, Ack):
            world.checks.acked(spoken)
        elif isinstance(spoken, Dispatch):
            world.checks.dispatched(spoken)
        elif isinstance(spoken, Welcome):
            world.checks.welcomed(spoken)
        event = translate.told(spoken, self.epoch, CREDITS, world.orders)
        link.send(DOWN, event)
        if isinstance(event, ev.Dispatch | ev.Cancel) and world.strikes("duplicate", "net.duplicate"):
            world.again(session.host_id, event)

    @property
    def attached(self) -> list[str]:
        """Hosts that have a session."""
        return [session.host_id for session in self.registry.sessions()] if self.listening else []
