"""One run: machines, one database, one server at a time, operators and faults, all drawn from one seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from agent.core.model import Key
from server.core.effects import Save
from server.core.states import ExecutionStatus
from tests.tools.simulate import translate
from tests.tools.simulate.checks import ATTACHED_WITHIN, Checks
from tests.tools.simulate.faults import Faults
from tests.tools.simulate.loop import Loop, Wall
from tests.tools.simulate.machines.database import Database
from tests.tools.simulate.machines.disk import OS
from tests.tools.simulate.machines.link import Link
from tests.tools.simulate.machines.machine import Died, Machine
from tests.tools.simulate.operators import Operators
from tests.tools.simulate.oracle import Oracle, Violation
from tests.tools.simulate.server import Crashed, Server
from tests.tools.simulate.swarm import draw

if TYPE_CHECKING:
    from agent.core import events as ev

MOST_STEPS = 200_000


class World:
    """A run.

    Attributes:
        calm: Faults have ended.
        trace: One line per event, or None.
        covered: Number of executions by (status, fault).
    """

    def __init__(
        self, seed: int, *, trace: bool = False, without: Sequence[str] = (), aim: Mapping[str, Any] | None = None
    ) -> None:
        """Draw a run.

        Args:
            without: Faults that are left out.
            aim: Parameters of the Swarm with fixed values.
        """
        OS.forget()
        self.rng = Random(seed)
        drawn = draw(self.rng, Random(seed + 1_000_003))
        drawn = replace(drawn, **aim or {})
        self.swarm = replace(drawn, enabled=drawn.enabled.difference(without))
        self.loop = Loop()
        self.trace: list[str] | None = [] if trace else None
        self.oracle, self.checks, self.orders = Oracle(), Checks(self), translate.Orders()
        self.calm = False
        self.struck: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.covered: Counter[tuple[str, str]] = Counter()
        self.recorded: list[list[Save]] | None = None
        self.seqs: dict[tuple[str, int], Key] = {}
        self.links: list[Link] = []
        self.server_clock = Wall(self.loop)
        self.places = 0
        self.to_be_given_up = False
        self.alarms: Counter[str] = Counter()
        self.struck_by_silence = 0
        self.slow_until = 0.0
        self.server: Server | None = None
        self.other: Server | None = None
        self.database = Database(Wall(self.loop))
        self.machines: dict[str, Machine] = {}
        self._active: dict[str, bool] = {}
        for number in range(1, self.swarm.hosts + 1):
            host_id = f"00000000-0000-7000-8000-{number:012}"
            self.machines[host_id] = Machine(self, host_id)
        self.start_server()
        self.operators = Operators(self)
        self.operators.plan()
        self.faults = Faults(self)
        self.faults.plan()

    # --- the run
    # ---------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Play the run.

        Raises:
            Violation: A promise was broken; exceptions of the software under test are passed on.
        """
        self._until(self.swarm.seconds)
        self.note("calm")
        self.calm = True
        self.faults.heal()
        self._until(self.loop.now + ATTACHED_WITHIN)
        self.checks.attached()
        self.operators.cancel_what_waits()
        longest = 60.0 + 4 * (self.swarm.lost_after + self.swarm.start_grace + 70.0)
        latest = self.loop.now + longest
        while self.loop.now < latest and not self._quiet():
            self._until(self.loop.now + 20.0)
        self._until(self.loop.now + 5.0)
        self.checks.everything()

    def _quiet(self) -> bool:
        agents = [machine.agent for machine in self.machines.values() if machine.agent is not None and not machine.gone]
        return all(task.status.final for task in self.database.tables.tasks.values()) and not any(
            agent.engine.running for agent in agents
        )

    def _until(self, when: float) -> None:
        loop = self.loop
        while True:
            due = loop.next()
            if due is None or due > when:
                break
            try:
                loop.step()
            except Crashed as crash:
                self.server_ended(crash.server, self.span(0.5, 8.0))
            except Died as death:
                if "host_reboot" in self.swarm.enabled and self.rng.random() < 0.4:
                    death.machine.reboot(self.span(1.0, 8.0))
                else:
                    death.machine.kill_agent(self.span(0.5, 8.0))
            if loop.steps > MOST_STEPS:
                raise Violation("I5", f"{MOST_STEPS} steps and no end")
        loop.now = max(loop.now, when)

    # --- the server
    # ------------------------------------------------------------------------------------------------------

    def start_server(self, place: str = "here") -> None:
        """Start the main server."""
        if self.server is None:
            self.note("server starts on", place)
            self.server = Server(self, place)

    def start_other(self) -> None:
        """Start a second server on the same database, as if the first one were believed dead."""
        if self.server is not None and self.other is None and not self.calm:
            self.places += 1
            self.note("another server starts")
            self.other = Server(self, f"there {self.places}")

    def took_over(self, server: Server) -> None:
        """This server has the lease from now on."""
        if server is not self.server:
            self.note("the other server takes over")
            self.server, self.other = server, self.server

    def kill_server(self, seconds: float) -> None:
        if self.server is not None:
            self.server_ended(self.server, seconds)

    def server_ended(self, server: Server, seconds: float) -> None:
        """A server process has ended. The lease holder, or the next one, is restarted after some seconds; a second
        server is not.
        """
        if not server.life.alive:
            return
        self.note("server dies on", server.place)
        server.end()
        if server is self.server:
            self.server = None
            self.loop.at(seconds, self.start_server, server.place)
        else:
            self.other = None

    def dialled(self) -> Server | None:
        """Return the server at the address that agents use."""
        up = [server for server in (self.server, self.other) if server is not None and server.listening]
        return self.rng.choice(up) if len(up) > 1 else up[0] if up else None

    def commit(self, server: Server, saves: list[Save]) -> None:
        if self.recorded is not None:
            self.recorded.append(saves)
        changed = self.database.tables.apply(saves)
        self.note("commit", saves)
        self.checks.committed(server, changed, list(saves))

    def restore(self) -> None:
        """Restore the backup: later promises no longer hold."""
        database, oracle = self.database, self.oracle
        assert database.backup is not None
        database.tables = database.backup.copy()
        oracle.restored_at, oracle.given_up = self.loop.now, self.rng.random() < 0.5
        oracle.told.clear()
        oracle.excused.clear()
        self.to_be_given_up = oracle.given_up
        oracle.acked.clear()
        oracle.promised = {key: known.task_id for key, known in database.tables.keys.items()}
        self.checks.restored()

    # --- chance
    # ----------------------------------------------------------------------------------------------------------

    def span(self, least: float, most: float) -> float:
        return least + (most - least) * self.rng.random()

    def strikes(self, fault: str, name: str) -> bool:
        """Return True if this fault happens at this place now. A run tries a third of the places only."""
        if self.calm or fault not in self.swarm.enabled:
            return False
        active = self._active.get(name)
        if active is None:
            active = self._active[name] = self.rng.random() < 0.35
        if not active or self.rng.random() >= self.swarm.strike:
            return False
        self.reached[name] += 1
        self.met(fault, None)
        return True

    def met(self, fault: str, host_id: str | None) -> None:
        """Count a fault, and the affected executions by status, of all hosts or of `host_id`."""
        self.struck[fault] += 1
        self.note("fault", fault, host_id)
        for (_, where), row in self.database.tables.rows.items():
            if host_id is None or where == host_id:
                accepted = row.status is ExecutionStatus.DISPATCHED and row.accepted_at is not None
                status = "accepted" if accepted else "final" if row.status.final else row.status.label
                self.covered["unreachable" if row.unreachable else status, fault] += 1

    def net_delay(self) -> float:
        slow = self.loop.now < self.slow_until and self.rng.random() < 0.3
        return self.span(0.2, 4.0) if slow else self.span(0.0002, 0.01)

    def disk_delay(self, machine: Machine) -> float:
        return (
            self.span(0.1, 3.0)
            if self.loop.now < self.faults.slow_disks.get(machine.host_id, 0.0)
            else self.span(0.0002, 0.003)
        )

    def again(self, host_id: str, event: ev.Event) -> None:
        """Deliver the same message to the agent once more, at any time, in this session or a later one."""
        self.loop.at(self.rng.choice((0.05, 1.0, 15.0)) * self.rng.random(), self._again, host_id, event)

    def _again(self, host_id: str, event: ev.Event) -> None:
        agent = self.machines[host_id].agent
        if agent is not None and agent.link is not None and agent.welcomed_at is not None:
            agent.receive(agent.link, event)

    def note(self, *what: object) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.now:.6f} {' '.join(map(str, what))}")
