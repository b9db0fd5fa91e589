"""The load: tasks of several kinds whose commands count their own starts, at a steady rate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from agent.shim.system.cgroup import identity
from tests.tools.chaos.site import Api, Site
from tests.tools.chaos.verification import Expected

COUNT = """
k=$CLARION_COMMAND_ID.$CLARION_ATTEMPT.$CLARION_RUN
echo $k >> $PLACE/starts
set -C
if true 2>/dev/null > $PLACE/once/$k; then :; else true 2>/dev/null > $PLACE/twice/$k.$$; fi
set +C
"""
"""`set -C` makes the shell open with O_EXCL (POSIX.1-2017, 2.7.2). CLARION_RUN distinguishes agents on the same
machine.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task. share: of 100 tasks. body: shell text after the count. canceled: it is canceled
    after its start.
    """

    share: int
    body: str
    expected: Expected
    more: tuple[tuple[str, Any], ...] = ()
    canceled: bool = False


TIMED_OUT, CANCELED = frozenset(("timed_out",)), frozenset(("canceled", "canceled_before_start"))
LINE = 37  # an id and the line's end
KINDS = {
    "quick": Kind(40, "echo $CLARION_COMMAND_ID", Expected(0, LINE, True)),
    "exits": Kind(15, "echo $CLARION_COMMAND_ID; exit 7", Expected(7, LINE, True)),
    "sleeps": Kind(20, "sleep 0.$(( $$ % 10 )); echo $CLARION_COMMAND_ID", Expected(0, LINE, True)),
    "long": Kind(10, "sleep 3; echo $CLARION_COMMAND_ID", Expected(0, LINE, True)),
    "writes": Kind(7, "head -c 30000 /dev/zero", Expected(0, 30_000, True)),
    "times out": Kind(4, "sleep 600", Expected(0, 0, False, TIMED_OUT), (("timeout", 1.5), ("grace", 1))),
    "canceled": Kind(4, "sleep 600", Expected(0, 0, False, CANCELED), (("grace", 1),), canceled=True),
}


@dataclass
class Work:
    """Creates tasks. tasks: kind by id. keys: number of requests, each with its own idempotency key."""

    site: Site
    place: Path
    seed: int
    tasks: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    executions: int = 0

    def __post_init__(self) -> None:
        for name in ("once", "twice"):
            (self.place / name).mkdir(parents=True)
        (self.place / "starts").touch()

    async def feed(self, api: Api, names: Sequence[str], executions: int, seconds: float) -> None:
        """Create about this many executions evenly over about this many seconds."""
        rng = random.Random(self.seed + 1)
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            while self.executions < executions:
                await trio.sleep_until(begun + seconds * self.executions / executions)
                some = rng.choice((len(names), max(1, len(names) // 2), max(1, len(names) // 8)))
                targets = list(names) if some == len(names) else sorted(rng.sample(list(names), some))
                kind = rng.choices(list(KINDS), [one.share for one in KINDS.values()])[0]
                self.executions += len(targets)
                nursery.start_soon(partial(self.ask, api, kind, targets, pause=rng.uniform(0.2, 3)))

    async def ask(self, api: Api, name: str, targets: list[str], *, pause: float = 0.5, before: str = "") -> str:
        """Create one task of this kind and return its id.

        Args:
            pause: Seconds until the cancel, for a kind that is canceled.
            before: Shell text between the count and the body.
        """
        kind = KINDS[name]
        self.asked += 1
        env = {"PLACE": str(self.place), "RIG": str(self.site.folder)}
        times = {"if_offline": "wait", "wait_for": 3600, "start_within": 3600, "timeout": 3600, **dict(kind.more)}
        body = {"command": COUNT + before + kind.body, "targets": targets, "env": env, **times}
        answer = await api.ask(
            "POST", "/run", json=body, headers={"Idempotency-Key": f"chaos-{self.seed}-{self.asked}"}
        )
        task_id: str = answer["task_id"]
        self.tasks[task_id] = name
        if kind.canceled:
            await trio.sleep(pause)
            await api.ask("POST", f"/tasks/{task_id}/cancel", also="task_finished")
        return task_id

    def name_of(self, row: dict[str, Any]) -> str:
        """Return the name of the execution's file."""
        directory = self.site.state(row["hostname"]) / "commands" / f"{row['command_id']}.{row['attempt']}"
        return f"{row['command_id']}.{row['attempt']}.{identity(directory)}"

    def files(self) -> tuple[set[str], list[str], list[str]]:
        """Return first starts, further starts and log lines."""
        once, twice = ({path.name for path in (self.place / name).iterdir()} for name in ("once", "twice"))
        return once, sorted(twice), (self.place / "starts").read_text().split()
