"""The page of a task with 10,000 hosts while they answer: measures what viewers cost, and how they affect other
commands.

The same task runs without and with all viewers in turn. The order alternates between pairs, so that a growing database
or a machine that slows down affects both sides equally; the difference is the cost of the viewers. Their pages are
opened before the task starts; that cost is reported separately.

The viewers run in a separate process at the lowest priority, because real viewers use other machines. In runs without
viewers, another process computes as much as they did: two threads of one core slow each other down, and the server is
not the cause. A first run, whose figures are dropped, determines how much that is. One command on one host is sampled
all the time; samples that start within the task's first START_S seconds, while all hosts get their command, are judged
separately.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from loadtest.api import Refused, Unreachable
from loadtest.measure.proc import cpu_seconds, stolen
from loadtest.measure.viewer import READY, ViewerRequest, ViewerResult
from loadtest.reports.figures import percentile, rounded
from loadtest.run import Incomplete, Run, body
from loadtest.scenarios.latency import samples
from loadtest.verify import Findings

ANSWERS = 3
TASK_SECONDS = 120.0
OPEN_SECONDS = 60.0
NICE = 19
OVERLOADED = 503
EVERY, START_S = 0.1, 2.0
"""NICE: how much lower the viewers' priority is. EVERY: minimum seconds between two commands on one host."""
DRAWS, LOW, HIGH = 2_000, 0.05, 0.95
"""Bootstrap: number of draws, and the shares of the draws between which a ratio lies."""


@dataclass(slots=True)
class Turn:
    """One run of the task.

    Attributes:
        cpu: CPU seconds of the server, from the task's start to its end.
        wall: Seconds from the task's start to its end.
        opening: CPU seconds of the server for opening the pages.
        viewers_cpu: CPU seconds of the viewers' process, or of its replacement.
        stolen: CPU seconds taken by the hypervisor, over all cores.
        refused: Commands on one host refused for lack of capacity.
        start_ms: Times of commands on one host that started within START_S.
        late: Seconds from the end until each viewer received it.
    """

    cpu: float = 0.0
    wall: float = 0.0
    opening: float = 0.0
    viewers_cpu: float = 0.0
    stolen: float = 0.0
    refused: int = 0
    start_ms: list[float] = field(default_factory=list)
    one_host_ms: list[float] = field(default_factory=list)
    seen: list[ViewerResult] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """CPU of the server in percent of a core."""
        return 100 * self.cpu / self.wall

    @property
    def share(self) -> float:
        """Share of a core used by the viewers or their replacement."""
        return self.viewers_cpu / self.wall


def viewers(run: Run) -> None:
    if run.cpu() is None:
        raise Incomplete("the server's process cannot be seen: name it with --server-pid")
    without: list[Turn] = []
    watched: list[Turn] = []
    share = _turn(run, run.options.viewers).share
    for pair in range(run.options.viewer_pairs):
        for number in (0, run.options.viewers) if pair % 2 == 0 else (run.options.viewers, 0):
            turn = _turn(run, number, share)
            (watched if number else without).append(turn)
            share = turn.share if number else share
    run.details["viewers"] = {"viewers": run.options.viewers, **_figures(without, watched)}


def _figures(without: Sequence[Turn], watched: Sequence[Turn]) -> dict[str, Any]:
    seen = [one for turn in watched for one in turn.seen]
    wall, number = sum(turn.wall for turn in watched), len(seen) / len(watched)
    more = [busy.percent - quiet.percent for quiet, busy in zip(without, watched, strict=True)]
    found: dict[str, Any] = {
        "cpu_percent_of_a_core": rounded(percentile(more, 0.5), 2),
        "cpu_percent_more_each_pair": [round(one, 1) for one in more],
        "cpu_percent_without": [round(turn.percent, 1) for turn in without],
        "cpu_percent_with": [round(turn.percent, 1) for turn in watched],
        "stolen_percent_of_a_core": [
            [round(100 * turn.stolen / turn.wall) for turn in turns] for turns in (without, watched)
        ],
        "viewers_own_cpu_percent": [round(100 * turn.share, 1) for turn in watched],
        "stand_in_cpu_percent": [round(100 * turn.share, 1) for turn in without],
        "opening_cpu_ms_per_viewer": round(1000 * sum(turn.opening for turn in watched) / len(seen), 2),
        "updates_per_second_and_viewer": round(sum(one.updates for one in seen) / number / wall, 2),
        "requests_per_viewer": round(sum(one.reads for one in seen) / len(seen), 1),
        "kb_per_viewer": round(sum(one.got_bytes for one in seen) / len(seen) / 1024, 1),
        "told_of_the_end_ms_p99": round(
            1000 * (percentile([late for turn in watched for late in turn.late], 0.99) or 0), 1
        ),
    }
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        found[f"one_host_ms_without_{name}"] = rounded(_of(without, share), 1)
        found[f"one_host_ms_with_{name}"] = rounded(_of(watched, share), 1)
        found[f"one_host_ms_without_{name}_each_turn"] = [
            rounded(percentile(turn.one_host_ms, share), 1) for turn in without
        ]
        found[f"one_host_ms_with_{name}_each_turn"] = [
            rounded(percentile(turn.one_host_ms, share), 1) for turn in watched
        ]
        found[f"one_host_{name}_ratio"], found[f"one_host_{name}_ratio_lies_between"] = ratio(
            without, watched, partial(_of, share=share)
        )
    found["one_host_samples"] = [sum(len(turn.one_host_ms) for turn in turns) for turns in (without, watched)]
    found["one_host_refused"] = [sum(turn.refused for turn in turns) for turns in (without, watched)]
    found["one_host_ms_at_the_start"] = [
        [round(ms, 1) for turn in turns for ms in turn.start_ms] for turns in (without, watched)
    ]
    return found


def _of(turns: Sequence[Turn], share: float) -> float | None:
    return percentile([ms for turn in turns for ms in turn.one_host_ms], share)


def ratio(
    without: Sequence[Turn], watched: Sequence[Turn], of: Callable[[Sequence[Turn]], float | None]
) -> tuple[float | None, list[float]]:
    """Return `of(watched) / of(without)` and the range that contains nine of ten such ratios under resampling.

    Whole runs are drawn with replacement (Efron's bootstrap), because samples of one run are not independent. A range
    that contains 1 shows no difference.
    """
    busy, quiet = of(watched), of(without)
    rng = random.Random(0)
    drawn = []
    for _ in range(DRAWS):
        more, less = of(rng.choices(watched, k=len(watched))), of(rng.choices(without, k=len(without)))
        if more and less:
            drawn.append(more / less)
    lies = [round(one, 3) for share in (LOW, HIGH) if (one := percentile(drawn, share)) is not None]
    return round(busy / quiet, 3) if busy and quiet else None, lies


def _turn(run: Run, number: int, share: float = 0.0) -> Turn:
    """Run the task once. `share` is the load of the viewers' replacement, see `_burning`."""
    turn = Turn()
    command = f"among {ANSWERS} {run.options.viewed_seconds:g}"
    with run.target.api() as api:
        task = api.json("POST", "/tasks", body(command, run.all_targets(api)))
        opening = _cpu(run)
        with _watching(run, task["task_id"], number) if number else _stand_in_load(share) as process:
            turn.opening = _cpu(run) - opening
            api.fresh()  # opening all pages may take longer than the server keeps an idle connection
            begin, cpu, lost, own = time.monotonic(), _cpu(run), stolen(), cpu_seconds(process.pid) or 0.0
            task = api.json("POST", f"/tasks/{task['task_id']}/start")
            stop = threading.Event()
            sampler = threading.Thread(target=_sample, args=(run, turn, begin, stop), daemon=True)
            sampler.start()
            try:
                task = api.wait_final(
                    api.json("GET", f"/tasks/{task['task_id']}"), run.left(TASK_SECONDS + run.options.viewed_seconds)
                )
                ended = time.monotonic()
            finally:
                stop.set()
                sampler.join()
            turn.wall, turn.cpu, turn.stolen = time.monotonic() - begin, _cpu(run) - cpu, stolen() - lost
            turn.viewers_cpu = (cpu_seconds(process.pid) or 0.0) - own
            if number:
                turn.seen = [ViewerResult(**one) for one in orjson.loads(process.communicate()[0])]
                turn.late = [max(0.0, one.final_at - ended) for one in turn.seen]
        expected = run.expected(command)
        run.check(api, task, expected)
    groups = len({expected.plan.stdout(host_id, name, "") for host_id, name in expected.hosts.items()})
    for place, one in enumerate(turn.seen):
        judge(run.findings, place, one, task, groups, run.fleet.size)
    run.show.say(
        f"   {number} viewers: {turn.percent:.1f} % of a core, one host p50 {rounded(_of([turn], 0.5), 1)}, "
        f"p99 {rounded(_of([turn], 0.99), 1)} ms over {turn.wall:.1f} s"
    )
    return turn


def judge(findings: Findings, place: int, one: ViewerResult, task: dict[str, Any], groups: int, hosts: int) -> None:
    """Check that a viewer received the final state of the task and of every host, and every answer."""
    wrong = list(one.failures)
    if (one.status, one.version) != (task["status"], task["version"]):
        wrong.append(
            f"saw {one.status} at version {one.version} last, and the task is {task['status']} at {task['version']}"
        )
    if (one.groups, one.answered, one.ended) != (groups, hosts, hosts):
        wrong.append(f"saw {one.groups} groups of {one.answered} hosts last, and {one.ended} hosts at their end")
    for sentence in wrong:
        findings.wrong += 1
        findings.say(f"viewer {place}: {sentence}")


@contextmanager
def _stand_in_load(share: float) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that computes for this share of its time, with the priority of viewers."""
    process = subprocess.Popen([sys.executable, "-m", "loadtest.measure.burn", f"{share:.4f}"])
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _watching(run: Run, task_id: str, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process with this many viewers and wait until all follow the task.

    Raises:
        Incomplete: The viewers did not start.
    """
    seconds = OPEN_SECONDS + TASK_SECONDS + run.options.viewed_seconds
    asked = ViewerRequest(run.target.url, run.target.token, task_id, number, seconds, run.options.viewers_poll)
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.measure.viewer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
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


def _sample(run: Run, turn: Turn, started: float, stop: threading.Event) -> None:
    """Run commands on one host until `stop` is set.

    A request refused for lack of capacity is repeated; any other refusal ends the sampling and is reported.
    """
    rng = random.Random(run.options.seed)
    with run.target.api() as api:
        while not stop.is_set():
            begin = time.monotonic()
            try:
                took = samples(run, api, rng, 1)
                (turn.start_ms if begin < started + START_S else turn.one_host_ms).extend(took)
            except (Refused, Unreachable) as error:
                if not isinstance(error, Refused) or error.status != OVERLOADED:
                    run.unfinished.append(f"commands on one host during viewing: {error}")
                    return
                turn.refused += 1
            stop.wait(max(0.0, begin + EVERY - time.monotonic()))


def _cpu(run: Run) -> float:
    now = run.cpu()
    if now is None:
        raise Incomplete("the server's process is gone")
    return now
