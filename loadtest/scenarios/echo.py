"""Rounds: one command on all hosts, from the request until every result is durable; then every row is checked."""

from __future__ import annotations

import time

from loadtest.api import Api, TooLate
from loadtest.reports.figures import Round
from loadtest.run import Run, body

ROUND_SECONDS, SECONDS_PER_AGENT = 120.0, 0.1


def echo(run: Run) -> None:
    with run.target.api() as api:
        for number in range(1, run.options.rounds + 1):
            run.figures.rounds.append(one_round(run, api, f"echo round {number} of seed {run.options.seed}"))
            last = run.figures.rounds[-1]
            run.show.say(
                f"   round {number}: "
                f"{last.wall_seconds if last.wall_seconds is None else round(last.wall_seconds, 3)} s, lost "
                f"{last.lost}, doubled {last.doubled}"
            )


def one_round(run: Run, api: Api, command: str) -> Round:
    """Run one round. Two API calls create and start the task, so that both can be timed; wall time includes them."""
    done = Round()
    targets, cpu, begin = run.all_targets(api), run.cpu(), time.monotonic()
    task = api.json("POST", "/tasks", body(command, targets))
    api.json("POST", f"/tasks/{task['task_id']}/start")
    done.create_start_seconds = time.monotonic() - begin
    try:
        # the version in the answer may be outdated already; only the task's end counts
        task = api.wait_final(
            api.json("GET", f"/tasks/{task['task_id']}"), run.left(ROUND_SECONDS + SECONDS_PER_AGENT * run.fleet.size)
        )
        done.wall_seconds = time.monotonic() - begin
        done.server_cpu_us_per_agent = run.per_agent_us(cpu)
    except TooLate as late:
        run.unfinished.append(str(late))
        task = late.task
    found = run.check(api, task, run.expected(command))
    done.lost, done.doubled = found.lost, found.doubled
    return done
