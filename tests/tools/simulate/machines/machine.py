"""A host: its boots, its disk, its shims, and its agent, which connects, is killed and restarts.

Real parts: agent/core, agent/conductor.py, agent/storage/journal.py with file format and recovery, agent/recovery.py,
agent/session/wire.py for Hello.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent import recovery
from agent.clock import full_jitter
from agent.conductor import Conductor
from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.model import Key, Now, Stage
from agent.core.runtime import EngineConfig
from agent.core.state import Limits
from agent.errors import StateUnusable
from agent.storage import journal as journals
from tests.tools.simulate import translate
from tests.tools.simulate.loop import SimProcess, Wall
from tests.tools.simulate.machines.disk import Disk, Path
from tests.tools.simulate.machines.link import UP, Link
from tests.tools.simulate.machines.shims import Directory, Hands, Loose, Spool

if TYPE_CHECKING:
    from tests.tools.simulate.world import World

RESTART = 2.0
"""Seconds until systemd restarts an agent that has ended."""
HELLO_TIMEOUT = 10.0


class Died(BaseException):
    """The agent, or its whole machine, dies at this point."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.host_id)
        self.machine = machine


class Machine:
    """A host. clock: its wall clock. gone: it never returns. cut_off: no packet gets through."""

    def __init__(self, world: World, host_id: str) -> None:
        self.world, self.host_id = world, host_id
        self.disk = Disk(world.rng, self)
        self.spool = Spool(self)
        self.shims = self.boots = self.journals = 0
        self.clock = Wall(world.loop, world.rng.randint(-(10**9), 10**9))
        self.agent: Agent | None = None
        self.gone = self.cut_off = False
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        self.boot_id = f"{self.host_id}-boot-{self.boots}"
        self.booted_at = self.world.loop.now
        self.life = SimProcess(self.world.loop, self.host_id)
        self.start_later(self.world.span(0.0, 1.0))

    def wall_ms(self) -> int:
        return self.clock.ms()

    def now(self) -> Now:
        """Return the time on the agent's clocks."""
        return Now(round((self.world.loop.now - self.booted_at) * 1000) + 5_000, self.wall_ms())

    def point(self, name: str) -> None:
        """A named place at which the agent may be killed or the machine may lose power."""
        if self.agent is not None and self.world.strikes("agent_point", name):
            raise Died(self)

    def start_later(self, seconds: float) -> None:
        self.life.at(seconds, self._start)

    def _start(self) -> None:
        if self.agent is None and not self.gone:
            self.world.note("agent starts", self.host_id)
            Agent(self)

    def told(self, directory: Directory) -> None:
        """A shim has done something visible."""
        if self.agent is not None:
            self.agent.life.at(self.world.span(0.0005, 0.01), self.agent.hands.look, directory)

    # --- what happens to it
    # ----------------------------------------------------------------------------------------------

    def kill_agent(self, restart: float) -> None:
        if self.agent is not None:
            self.world.note("agent dies", self.host_id)
            agent, self.agent = self.agent, None
            agent.end()
            self.start_later(restart)

    def reboot(self, seconds: float) -> None:
        """Lose power: memory and unsynced data are lost."""
        if not self.life.alive:
            return
        if self.agent is not None and self.agent.link is not None:
            self.agent.link.mute(UP)  # nobody says goodbye
        self.kill_agent(0.0)
        self.life.end()
        for directory in self.spool.kept.values():
            if directory.life is not None:
                directory.life.end()
            directory.sweep()
        self.disk.lose_power()
        self.world.oracle.suspects(self.host_id).add("rebooted")
        self.world.loop.at(seconds, self.boot)

    def wipe(self) -> None:
        """Reinstall under the same name with an empty disk."""
        self.reboot(self.world.span(1.0, 8.0))
        self.disk, self.spool = Disk(self.world.rng, self), Spool(self)
        self.world.oracle.suspects(self.host_id).add("journal")


class Agent:
    """One process of the agent."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.world = machine, machine.world
        self.life = SimProcess(self.world.loop, f"{machine.host_id} agent")
        machine.agent = self
        self.link: Link | None = None
        self.welcomed_at: float | None = None
        self._failures = 0
        self._syncing = False
        try:
            found = self._open()
        except StateUnusable:
            machine.kill_agent(RESTART)
            return
        swarm = self.world.swarm
        config = EngineConfig(
            slots=swarm.slots, spool_bytes=8_000_000, retry_ms=2_000, rewrite_records=swarm.rewrite_records
        )
        self.engine = Engine(self.state, self.journal.header.journal_id, machine.boot_id, config)
        self.hands = Hands(self)
        parts: list[Any] = [self, self.hands, self, machine, self.life, self]
        self.conductor = Conductor(self.engine, *parts)
        self._resume(found)
        for key in recovery.stale_directories(self.state, machine.spool):  # type: ignore[arg-type]
            self.hands.remove(key)
        self._dial()

    # --- start, as agent/app.py does it
    # ------------------------------------------------------------------------------------

    def _open(self) -> list[recovery.Found]:
        machine, swarm = self.machine, self.world.swarm
        machine.journals += 1
        now_ms = machine.wall_ms()
        parts: Any = {
            "path": Path(machine.disk, "journal"),
            "disk": machine.disk,
            "limits": Limits(acked=swarm.acked, tombstones=swarm.tombstones),
            "sizes": journals.Sizes(swarm.capacity, 2 * swarm.capacity),
        }
        try:
            name = f"{machine.host_id}-journal-{machine.journals}"
            self.journal, self.state = journals.open_journal(new_id=name, now_ms=now_ms, warn=self._warn, **parts)
            spool: Any = machine.spool
            if recovery.unknown_directories(self.state, spool, now_ms):
                self.journal.rewrite(self.state.records())
        except OSError as error:
            raise StateUnusable(str(error), "free space") from error
        Loose.alive = frozenset(one.claim for one in machine.spool.kept.values() if one.alive and one.claim is not None)
        return recovery.find(self.state, spool, machine.boot_id)

    def _resume(self, found: list[recovery.Found]) -> None:
        for one in found:
            if one.report is not None:
                where = (self.machine.host_id, one.key)
                if one.report.error_code == "agent_died":
                    self.world.oracle.unforked.add(where)
                self.submit(ev.ShimExited(one.key, one.report))
            elif one.shim is not None:
                self.hands.adopt(one.key)
                if self.state.executions[one.key].stage is Stage.INTENT:
                    self.submit(ev.ShimStarted(one.key, one.shim.pid, one.shim.starttime, one.shim.boot_id))
                else:
                    self.submit(ev.ShimAdopted(one.key))

    def _warn(self, what: str) -> None:
        if "with a new id" in what:
            self.world.oracle.suspects(self.machine.host_id).add("journal")
        self.world.note("journal", self.machine.host_id, what)

    def warning(self, what: str, **about: object) -> None:
        self.world.note("agent", self.machine.host_id, what, about)

    info = warning

    def end(self) -> None:
        self.life.end()
        if self.link is not None:
            self.link.close(UP, "agent died")

    def submit(self, event: ev.Event) -> None:
        self.world.note("agent event", self.machine.host_id, event)
        self.conductor.submit(event)

    # --- the journal's thread
    # ------------------------------------------------------------------------------------------------

    def put(self, item: out.Append | out.Rewrite | out.Message) -> None:
        """Queue work for the journal, or a message for the server; agent/conductor.py uses `put` for both."""
        if isinstance(item, out.Append | out.Rewrite):
            self.journal.put(item)
            if not self._syncing:
                self._syncing = True
                self.life.at(self.world.disk_delay(self.machine), self._sync)
        elif self.link is not None:
            self.machine.point("agent.before_send")
            if isinstance(item, out.Result) and item.stored:
                self.world.checks.reported(self.machine, item)
            self.link.send(UP, translate.to_server(self, item))

    def _sync(self) -> None:
        self._syncing = False
        self.journal._queue.put(None)
        self.journal._run(lambda event: self.life.at(0.0, self.submit, event))

    # --- the stream, as agent/session/session.py does it
    # -------------------------------------------------------------------------------

    def _dial(self) -> None:
        self.welcomed_at = None
        self.life.at(self.world.span(0.002, 0.05), self._connect)

    def _connect(self) -> None:
        server = None if self.machine.cut_off else self.world.dialled()
        if server is None:
            self._again()
            return
        self.link = link = Link(self.world.loop, self.machine.host_id, self, server, self.world.net_delay)
        self.world.links.append(link)
        link.send(UP, translate.hello(self))
        self.life.at(HELLO_TIMEOUT, self._unwelcome, link)

    def _unwelcome(self, link: Link) -> None:
        if self.link is link and self.welcomed_at is None:
            link.close(UP, "no welcome")
            self.lost(link, "no welcome")

    busy_for = 0.02

    def receive(self, link: Link, message: Any) -> bool:
        if isinstance(message, ev.Welcome):
            self.welcomed_at = self.world.loop.now
        if self.welcomed_at is not None:
            self.submit(message)
        return True

    def lost(self, link: Link, why: str) -> None:
        if self.link is link:
            self.link = None
            self.submit(ev.Disconnected())
            self._again()

    def _again(self) -> None:
        """Wait like agent/session/session.py."""
        if self.welcomed_at is not None and self.world.loop.now - self.welcomed_at >= 5.0:
            self._failures = 0
        pause = full_jitter(self._failures, 1.0, self.world.swarm.backoff_max, self.world.rng)
        self._failures += 1
        self.life.at(pause, self._dial)

    # --- told to stop
    # --------------------------------------------------------------------------------------------------------

    def stop(self, restart: float) -> None:
        """Handle SIGTERM: accept nothing new, start what was accepted, end."""
        self.submit(ev.Stopping())
        self._wind_up(self.world.loop.now + 5.0, restart)

    def _wind_up(self, latest: float, restart: float) -> None:
        quiet = not self.hands.starting and all(live.spawned for live in self.engine.live.values())
        if quiet or self.world.loop.now >= latest:
            self.machine.kill_agent(restart)
        else:
            self.life.at(0.1, self._wind_up, latest, restart)

    def output(self, key: Key) -> bytes:
        directory = self.machine.spool.kept.get(key)
        return directory.output if directory is not None else b""
