"""A task's page with 10,000 hosts while they answer: what those who watch cost the server, and what they do to everybody else's commands.

The same task runs with nobody and with all viewers in turn; what differs is theirs. Their pages are opened before the task starts, which
is counted apart. They are a process of their own at a lower priority: in life they are other machines.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from loadtest.figures import percentile
from loadtest.run import Incomplete, Run, body
from loadtest.scenarios.latency import samples
from loadtest.verify import Findings
from loadtest.viewer import READY, Asked, Seen

TURNS = 2
"""Of each kind, one after the other, so that a slow minute of the machine is in both."""
ANSWERS = 3
TASK_SECONDS = 120.0
OPEN_SECONDS = 60.0
NICE = 5
EVERY = 0.25
"""NICE: how much lower the viewers' priority is. EVERY: seconds from one command on one host to the next."""


@dataclass(slots=True)
class Turn:
    """cpu, wall: seconds of the server, from the task's start to its end. opening: CPU for opening the pages. late: seconds from the end to
    the moment at which a viewer was told of it."""

    cpu: float = 0.0
    wall: float = 0.0
    opening: float = 0.0
    one_host_ms: list[float] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


def viewers(run: Run) -> None:
    if run.cpu() is None:
        raise Incomplete("the server's process cannot be seen: name it with --server-pid")
    without, watched = [], []
    for _ in range(TURNS):
        without.append(_turn(run, 0))
        watched.append(_turn(run, run.options.viewers))
    seen = [one for turn in watched for one in turn.seen]
    quiet, busy = ([ms for turn in turns for ms in turn.one_host_ms] for turns in (without, watched))
    wall = sum(turn.wall for turn in watched)
    run.details["viewers"] = {
        "viewers": run.options.viewers,
        "cpu_percent_of_a_core": round(100 * (sum(turn.cpu for turn in watched) / wall - sum(turn.cpu for turn in without) / sum(turn.wall for turn in without)), 2),
        "cpu_percent_without": [round(100 * turn.cpu / turn.wall, 1) for turn in without],
        "cpu_percent_with": [round(100 * turn.cpu / turn.wall, 1) for turn in watched],
        "opening_cpu_ms_per_viewer": round(1000 * sum(turn.opening for turn in watched) / len(seen), 2),
        "updates_per_second_and_viewer": round(sum(one.updates for one in seen) / len(seen) * TURNS / wall, 2),
        "requests_per_viewer": round(sum(one.reads for one in seen) / len(seen), 1),
        "kb_per_viewer": round(sum(one.got_bytes for one in seen) / len(seen) / 1024, 1),
        "told_of_the_end_ms_p99": round(1000 * (percentile([late for turn in watched for late in turn.late], 0.99) or 0), 1),
        "one_host_ms_without_p50": percentile(quiet, 0.5),
        "one_host_ms_without_p99": percentile(quiet, 0.99),
        "one_host_ms_with_p50": percentile(busy, 0.5),
        "one_host_ms_with_p99": percentile(busy, 0.99),
    }


def _turn(run: Run, number: int) -> Turn:
    turn = Turn()
    command = f"among {ANSWERS} {run.options.viewed_seconds:g}"
    with run.target.api() as api:
        task = api.json("POST", "/tasks", body(command, run.everybody(api)))
        opening = _cpu(run)
        with _watching(run, task["task_id"], number) as process:
            turn.opening = _cpu(run) - opening
            api.fresh()  # opening so many pages may take longer than the server keeps an idle connection
            begin, cpu = time.monotonic(), _cpu(run)
            task = api.json("POST", f"/tasks/{task['task_id']}/start")
            stop = threading.Event()
            sampler = threading.Thread(target=_sample, args=(run, turn.one_host_ms, stop), daemon=True)
            sampler.start()
            try:
                task = api.wait_final(api.json("GET", f"/tasks/{task['task_id']}"), run.left(TASK_SECONDS + run.options.viewed_seconds))
                ended = time.monotonic()
            finally:
                stop.set()
                sampler.join()
            turn.wall, turn.cpu = time.monotonic() - begin, _cpu(run) - cpu
            if process is not None:
                turn.seen = [Seen(**one) for one in orjson.loads(process.communicate()[0])]
                turn.late = [max(0.0, one.told_at - ended) for one in turn.seen]
        expected = run.expected(command)
        run.check(api, task, expected)
    groups = len({expected.plan.stdout(host_id, name, "") for host_id, name in expected.hosts.items()})
    for place, one in enumerate(turn.seen):
        judge(run.findings, place, one, task, groups, run.fleet.size)
    run.show.say(f"   {number} viewers: {100 * turn.cpu / turn.wall:.1f} % of a core over {turn.wall:.1f} s")
    return turn


def judge(findings: Findings, place: int, one: Seen, task: dict[str, Any], groups: int, hosts: int) -> None:
    """A viewer must have been told of the end as it is, and of every host's state and answer."""
    wrong = list(one.failures)
    if (one.status, one.version) != (task["status"], task["version"]):
        wrong.append(f"saw {one.status} at version {one.version} last, and the task is {task['status']} at {task['version']}")
    if (one.groups, one.answered, one.ended) != (groups, hosts, hosts):
        wrong.append(f"saw {one.groups} groups of {one.answered} hosts last, and {one.ended} hosts at their end")
    for sentence in wrong:
        findings.wrong += 1
        findings.say(f"viewer {place}: {sentence}")


@contextmanager
def _watching(run: Run, task_id: str, number: int) -> Iterator[subprocess.Popen[bytes] | None]:
    """The process of so many viewers, all of whom follow the task. Raises Incomplete."""
    if not number:
        yield None
        return
    seconds = OPEN_SECONDS + TASK_SECONDS + run.options.viewed_seconds
    asked = Asked(run.target.url, run.target.token, task_id, number, seconds, run.options.viewers_poll)
    process = subprocess.Popen([sys.executable, "-m", "loadtest.viewer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(orjson.dumps(asked))
        process.stdin.close()
        process.stdin = None
        if process.stdout.readline() != READY:
            raise Incomplete("the viewers' process has ended before all of them followed the task")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _sample(run: Run, took: list[float], stop: threading.Event) -> None:
    rng = random.Random(run.options.seed)
    with run.target.api() as api:
        while not stop.is_set():
            begin = time.monotonic()
            took += samples(run, api, rng, 1)
            stop.wait(max(0.0, begin + EVERY - time.monotonic()))


def _cpu(run: Run) -> float:
    now = run.cpu()
    if now is None:
        raise Incomplete("the server's process is gone")
    return now
