"""Faults at random times, and the end of all faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tools.simulate.loop import Wall
from tests.tools.simulate.machines.link import DOWN, UP, Link
from tests.tools.simulate.machines.machine import Machine
from tests.tools.simulate.swarm import AT_AN_INSTANT

if TYPE_CHECKING:
    from tests.tools.simulate.world import World

TEN_YEARS = 315_360_000_000
"""Milliseconds."""


class Faults:
    def __init__(self, world: World) -> None:
        self.world = world
        self.slow_disks: dict[str, float] = {}
        self.wanted = [name for name in AT_AN_INSTANT if name in world.swarm.enabled]

    def plan(self) -> None:
        """Schedule faults with exponentially distributed intervals."""
        world, swarm = self.world, self.world.swarm
        at = 1.0
        while self.wanted and (at := at + world.rng.expovariate(1 / swarm.often)) < swarm.seconds:
            world.loop.at(at, self._strike, world.rng.choice(self.wanted))

    def _strike(self, name: str) -> None:
        world = self.world
        machine = world.rng.choice(list(world.machines.values()))
        if not world.calm and getattr(self, f"_{name}")(machine):
            world.met(
                name,
                machine.host_id if name.startswith(("agent", "host", "disk", "shim", "link", "partition")) else None,
            )

    def heal(self) -> None:
        """End all faults; lost hosts stay lost, and damage stays."""
        world = self.world
        self.slow_disks.clear()
        world.slow_until = world.database.away_until = world.database.slow_until = 0.0
        for server in (world.other, world.server):
            if server is not None and (server.life.stopped or server is world.other):
                world.server_ended(server, 0.1)
        for machine in world.machines.values():
            self._mend(machine)
        if world.server is None:
            world.start_server()

    def _mend(self, machine: Machine) -> None:
        machine.cut_off = False
        machine.disk.free = max(machine.disk.free, machine.disk.SIZE)
        machine.disk.syncs_to_fail = machine.disk.writes_to_fail = 0

    def _link(self, machine: Machine) -> Link | None:
        link = machine.agent.link if machine.agent is not None else None
        return link if link is not None and link.whole else None

    # --- each returns whether there was anything to harm
    # -------------------------------------------------------------------

    def _link_cut(self, machine: Machine) -> bool:
        link, rng = self._link(machine), self.world.rng
        if link is not None:
            link.cut(rng.randrange(3), rng.randrange(3))
        return link is not None

    def _link_half_open(self, machine: Machine) -> bool:
        link = self._link(machine)
        if link is not None:
            link.mute(UP)
            link.mute(DOWN)
        return link is not None

    def _link_one_way(self, machine: Machine) -> bool:
        link = self._link(machine)
        if link is not None:
            link.mute(self.world.rng.choice((UP, DOWN)))
        return link is not None

    def _link_slow(self, machine: Machine) -> bool:
        self.world.slow_until = self.world.loop.now + self.world.span(1.0, 10.0)
        return True

    def _partition(self, machine: Machine) -> bool:
        """Drop all packets of a host for some time."""
        self._link_half_open(machine)
        machine.cut_off = True
        self.world.loop.at(self.world.rng.choice((5.0, 40.0, 200.0)) * self.world.rng.random(), self._join, machine)
        return True

    def _join(self, machine: Machine) -> None:
        machine.cut_off = machine.gone

    def _server_kill(self, machine: Machine) -> bool:
        alive = self.world.server is not None
        self.world.kill_server(self.world.rng.choice((0.1, 2.0, 20.0)) * self.world.rng.random())
        return alive

    def _server_stop(self, machine: Machine) -> bool:
        """Shut the server down in order."""
        server = self.world.server
        if server is None or not server.listening or server.life.stopped:
            return False
        server.stop(self.world.rng.choice((0.1, 2.0, 20.0)) * self.world.rng.random())
        return True

    def _server_clock(self, machine: Machine) -> bool:
        self._set(self.world.server_clock)
        return True

    def _db_clock(self, machine: Machine) -> bool:
        """Change the database's clock, which leases use."""
        self._set(self.world.database.clock)
        return True

    def _set(self, clock: Wall) -> None:
        how = self.world.rng.choice((-TEN_YEARS, TEN_YEARS, -30_000, 30_000, 0))
        if how:
            clock.offset += how
        else:
            clock.stand(self.world.span(1.0, 30.0))

    def _server_twin(self, machine: Machine) -> bool:
        """Start a second server on the same database while the first one continues, or is paused and
        continues later.
        """
        world, server = self.world, self.world.server
        if server is None or not server.listening or server.draining or server.life.stopped or world.other is not None:
            return False
        if world.rng.random() < 0.7:
            server.freeze(world.rng.choice((5.0, 30.0, 90.0)) * world.rng.random())
        world.loop.at(world.span(0.0, 10.0), world.start_other)
        return True

    def _db_down(self, machine: Machine) -> bool:
        self.world.database.away_until = (
            self.world.loop.now + self.world.rng.choice((0.5, 10.0, 60.0)) * self.world.rng.random()
        )
        return True

    def _db_stall(self, machine: Machine) -> bool:
        self.world.database.slow_until = self.world.loop.now + self.world.span(1.0, 10.0)
        return True

    def _db_restored(self, machine: Machine) -> bool:
        """Make a backup; later stop the server, restore the backup and start the server."""
        database = self.world.database
        if database.backup is None:
            database.backup = database.tables.copy()
            return False
        if self.world.other is not None:
            self.world.server_ended(self.world.other, 0.0)
        self.world.kill_server(1.0)
        self.world.restore()
        return True

    def _agent_kill(self, machine: Machine) -> bool:
        alive = machine.agent is not None
        machine.kill_agent(self.world.rng.choice((0.05, 2.0, 10.0)))
        return alive

    def _agent_stop(self, machine: Machine) -> bool:
        if machine.agent is None or machine.agent.engine.draining:
            return False
        machine.agent.stop(self.world.span(0.5, 5.0))
        return True

    def _agent_clock(self, machine: Machine) -> bool:
        self._set(machine.clock)
        return True

    def _host_reboot(self, machine: Machine) -> bool:
        if not machine.gone:
            machine.reboot(self.world.span(1.0, 15.0))
        return not machine.gone

    def _host_wiped(self, machine: Machine) -> bool:
        if not machine.gone:
            machine.wipe()
        return not machine.gone

    def _host_gone(self, machine: Machine) -> bool:
        """Lose a host forever, at most one per run, so that something is left to check."""
        if any(other.gone for other in self.world.machines.values()) or len(self.world.machines) == 1:
            return False
        machine.reboot(1.0)
        machine.gone = machine.cut_off = True
        return True

    def _disk_full(self, machine: Machine) -> bool:
        machine.disk.free = -machine.disk.SIZE
        self.world.loop.at(self.world.span(1.0, 20.0), self._mend, machine)
        return True

    def _disk_error(self, machine: Machine) -> bool:
        if self.world.rng.random() < 0.5:
            machine.disk.syncs_to_fail = self.world.rng.randint(1, 3)
        else:
            machine.disk.writes_to_fail = self.world.rng.randint(1, 3)
        return True

    def _disk_slow(self, machine: Machine) -> bool:
        self.slow_disks[machine.host_id] = self.world.loop.now + self.world.span(1.0, 10.0)
        return True

    def _disk_damage(self, machine: Machine) -> bool:
        """Flip a byte, or remove the end of the file, while the agent is down."""
        if machine.gone:
            return False
        machine.kill_agent(self.world.span(0.5, 3.0))
        return machine.disk.damage("journal")

    def _shim_kill(self, machine: Machine) -> bool:
        alive = [directory for _, directory in sorted(machine.spool.kept.items()) if directory.alive]
        if alive:
            directory = self.world.rng.choice(alive)
            self.world.oracle.unwatched.add((machine.host_id, directory.key))
            directory.die()
        return bool(alive)
