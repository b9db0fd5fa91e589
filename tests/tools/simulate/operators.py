"""Operators and scripts: they create, start, cancel and delete tasks, and repeat unanswered requests.

They act like server/web/service/create_task.py and tasks.py, without HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

from server.core.effects import CreateTask, DeleteTask
from server.core.events import Event, ExecutionsCanceled, TaskCanceled, TaskCreated, TaskDeleted, TaskStarted
from server.core.model import Command, Retry, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import KeyTaken, StoreUnavailable

if TYPE_CHECKING:
    from tests.tools.simulate.server import Server
    from tests.tools.simulate.world import World

WITHIN = 20.0
"""Seconds that a client waits for an answer before it repeats the request."""


REFUSALS = ("busy", "offline", "never_seen", "expired", "draining", "journal_failed")
ENDS = ("exit_nonzero", "silent", "journal_lost", "shim_died", "agent_died", "rebooted", "signaled")


def _policy(rng: Random) -> Retry | None:
    if rng.random() < 0.6:
        return None
    idempotent = rng.random() < 0.5
    return Retry(rng.choice((2, 4)), REFUSALS + ENDS, rng.choice((0, 500, 5_000)), 10_000, idempotent)


class Operators:
    def __init__(self, world: World) -> None:
        self.world = world
        self._made = 0
        self._deleting: set[str] = set()
        self._asking: Counter[str] = Counter()

    def plan(self) -> None:
        """Spread the requests over the run."""
        world, swarm = self.world, self.world.swarm
        for number in range(1, swarm.tasks + 1):
            world.loop.at(world.rng.random() * swarm.seconds * 0.8, self._create, f"key-{number}")

    def _create(self, key: str) -> None:
        rng, swarm = self.world.rng, self.world.swarm
        hosts = (
            tuple(host_id for host_id in self.world.machines if rng.random() < 0.8) or tuple(self.world.machines)[:1]
        )
        if rng.random() < 0.03:
            hosts = (*hosts, "host-never-seen")
        timeout_ms = rng.choice((None, None, 3_000, 60_000))
        concurrency = rng.choice((None, None, 1))
        command = {
            "command": "true",
            "timeout_ms": rng.choice((0, 300, 5_000, 60_000)),
            "grace_ms": rng.choice((100, 2_000)),
            "start_within_ms": rng.choice((50, 2_000, 60_000)),
        }
        start = rng.random() < 0.8
        how = {
            "timeout_ms": timeout_ms,
            "concurrency": concurrency,
            "wait_ms": rng.choice((None, None, 5_000, 60_000)),
            "retry": _policy(rng),
        }
        self._ask(key, hosts, how, command, start)
        for what, odds in (
            (self._start, 0.4),
            (self._cancel, 0.3),
            (self._cancel_some, 0.2),
            (self._force, 0.1),
            (self._delete, 0.1),
        ):
            if rng.random() < odds:
                self.world.loop.at(rng.choice((0.1, 2.0, swarm.seconds)) * rng.random(), what, key)
        self.world.loop.at(swarm.seconds * (0.5 + rng.random()), self._start, key)

    # --- requests
    # --------------------------------------------------------------------------------------------------------

    def _server(self) -> Server | None:
        server = self.world.server
        return (
            server
            if server is not None and server.listening and not server.writer.full and not server.life.stopped
            else None
        )

    def _ask(
        self, key: str, hosts: tuple[str, ...], how: dict[str, Any], command: dict[str, object], start: bool
    ) -> None:
        """Send a request, and repeat it with the same key until it is answered."""
        if key in self.world.oracle.promised:
            return
        again = (key, hosts, how, command, start)
        self.world.loop.at(WITHIN * (0.5 + self.world.rng.random()), self._ask, *again)
        server = self._server()
        if server is not None:
            server.life.run(self._counted(key, self._creation(server, *again)))

    async def _counted(self, key: str, request: Coroutine[Any, Any, None]) -> None:
        self._asking[key] += 1
        try:
            await request
        finally:
            self._asking[key] -= 1

    async def _creation(
        self,
        server: Server,
        key: str,
        hosts: tuple[str, ...],
        how: dict[str, Any],
        command: dict[str, object],
        start: bool,
    ) -> None:
        world = self.world
        try:
            known = await server.store.known_key(key)
            if known is not None:
                live = server.engine.task(known.task_id)
                if start and live is not None and live.status is TaskStatus.PENDING and live.cancel_reason is None:
                    server.conductor.submit(TaskStarted(known.task_id))
                    await server.conductor.committed(known.task_id)
                world.checks.promise(key, known.task_id)
                return
            self._made += 1
            task_id, command_id = f"t{self._made:03}", f"00000000-0000-7000-8000-{self._made:012}"
            counts = (len(hosts), *[0] * (len(ExecutionStatus) - 1))
            now = server.now().wall_ms
            task = Task(
                task_id, key, "", "command", TaskStatus.PENDING, "me", now, now, "all", hosts,
                counts=counts, **how,
            )  # fmt: skip
            made = Command(command_id, task_id, **command)  # type: ignore[arg-type]
            await server.writer.commit([CreateTask(task, made, key, sha256(key.encode()).digest())])
            events: list[Event] = [TaskCreated(task, made)]
            if start:
                events.append(TaskStarted(task_id))
            server.conductor.submit(*events)
            await server.conductor.committed(task_id)
            world.checks.promise(key, task_id)
        except (KeyTaken, StoreUnavailable):
            return  # the client asks again

    def _start(self, key: str) -> None:
        self._tell(key, TaskStarted)

    def _cancel(self, key: str) -> None:
        self._tell(key, TaskCanceled)

    def _force(self, key: str) -> None:
        self._tell(key, lambda task_id: TaskCanceled(task_id, force=True))

    def _cancel_some(self, key: str) -> None:
        rng = self.world.rng
        hosts = [host_id for host_id in (*self.world.machines, "host-of-no-task") if rng.random() < 0.5]
        force = rng.random() < 0.3
        self._tell(key, lambda task_id: ExecutionsCanceled(task_id, hosts, force))

    def _tell(self, key: str, make: Callable[[str], TaskStarted | TaskCanceled | ExecutionsCanceled]) -> None:
        server, task_id = self._server(), self.world.oracle.promised.get(key)
        if server is not None and task_id is not None and task_id not in self._deleting:
            event = make(task_id)
            self.world.note("operator", event)
            if isinstance(event, TaskCanceled | ExecutionsCanceled) and event.force:
                self.world.oracle.forced.add(task_id)
            server.conductor.submit(event)

    def _delete(self, key: str) -> None:
        server, task_id = self._server(), self.world.oracle.promised.get(key)
        if server is None or task_id is None or self._asking[key]:
            return  # a request for this key under way would make another task of it
        live = server.engine.task(task_id)
        if live is None or live.status is TaskStatus.PENDING:
            server.life.run(self._deletion(server, task_id))

    async def _deletion(self, server: Server, task_id: str) -> None:
        world = self.world
        self._deleting.add(task_id)
        try:
            await server.conductor.committed(task_id)
            task = world.database.tables.tasks.get(task_id)
            if task is None or (server.engine.task(task_id) is None and not task.status.final):
                return
            world.note("operator", "delete", task_id)
            await server.writer.commit([DeleteTask(task_id)])
            server.conductor.submit(TaskDeleted(task))
        except StoreUnavailable:
            return  # the server has stopped
        finally:
            self._deleting.discard(task_id)

    def cancel_what_waits(self) -> None:
        """Cancel never started tasks at the end of the run. Started tasks must end without help."""
        server = self.world.server
        assert server is not None
        for task_id, task in list(self.world.database.tables.tasks.items()):
            if task.status is TaskStatus.PENDING:
                server.conductor.submit(TaskCanceled(task_id))
