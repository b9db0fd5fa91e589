"""What the server keeps in memory of a task that has ended, after the time for which its page is still shown from
memory: nothing."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.web.world import HOSTS, World, open_world

TASKS = 60
"""In each of the rounds that are compared."""
WARM = 4
"""Rounds before them: caches of the server, of SQLite and of Python fill up until then."""


async def one_task(world: World, number: int) -> None:
    """Asked for with a key, looked at, run on all hosts, each with an output of its own; one of them is away for a
    moment meanwhile."""
    answer = await world.post(
        "/api/v1/run", {"targets": ["all"], "command": f"echo {number}"}, headers={"Idempotency-Key": f"kept-{number}"}
    )
    assert answer.status == 201, answer.data
    task = answer.json
    for name in HOSTS:
        world.begin(task, name)
    away = HOSTS[number % len(HOSTS)]
    for name in HOSTS:
        world.report(task, name, stdout=f"{number} {name}".encode())
    world.disconnect(away)
    world.connect(away)
    await world.conductor.committed()
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}")).json["status"] == "completed"
    assert len((await world.get(f"/api/v1/tasks/{task['task_id']}/hosts")).json["items"]) == len(HOSTS)


def allocated() -> int:
    """Python's small objects, of all kinds: also those that the garbage collector passes by."""
    gc.collect()
    return sys.getallocatedblocks()


def containers() -> list[tuple[Any, int]]:
    """Each, held so that no later one can have its address, and how much is in it now.

    A dict of plain values is known to the garbage collector through its owner only.
    """
    tracked = gc.get_objects()
    every = itertools.chain(tracked, (one for owner in tracked for one in gc.get_referents(owner) if type(one) is dict))
    return [
        (one, len(one))
        for one in {
            id(one): one for one in every if isinstance(one, (dict, list, set, deque)) and one is not tracked
        }.values()
    ]


def of_cursors(one: Any) -> bool:
    """A connection of sqlite3 keeps weak references to its cursors, and throws the dead ones away at every 200th
    cursor."""
    return isinstance(one, list) and len(one) <= 200 + 2 and all(isinstance(each, weakref.ref) for each in one)


@pytest.mark.capability("Q10", "F23")
async def test_nothing_is_kept_of_a_finished_task(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await open_world(tmp_path, nursery)
    monkeypatch.setattr(world.live, "_keep_final", 0.0)
    await world.know(*HOSTS)
    world.connect(*HOSTS)
    seen: list[int] = []
    before: list[tuple[Any, int]] = []
    for number in range((WARM + 3) * TASKS + 1):
        if number == WARM * TASKS:
            before = containers()
        if number % TASKS == 0:
            seen.append(allocated())
        await one_task(world, number)
    grown = [
        (type(one), was, len(one), str(one)[:300])
        for one, was in before
        if one is not seen and len(one) - was >= TASKS and not of_cursors(one)
    ]
    assert not grown, "containers in which something of each task stays"
    more = [later - earlier for earlier, later in pairwise(seen[WARM:])]
    print(seen, more)
    # what is kept of a task is kept in each round; tables of a fixed size in C fill up with less and less
    assert min(more) < 3 * TASKS, f"objects that stay, for each {TASKS} tasks: {more}"
    await world.aclose()
