"""`clarion wait`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.param_types import Duration
from server.cli.standard_streams import say
from server.cli.task_ids import TaskId

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("wait")
@click.argument("task_ids", type=TaskId(), nargs=-1, metavar="[TASK...]", default=("last",))
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    metavar="S",
    help="Maximum time to wait (seconds, or 30s, 5m, 2h); exit code 75 if a task has not ended by then.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; only set the exit code.")
@format_option()
@with_api
def command(api: Api, task_ids: tuple[str, ...], timeout: float | None, quiet: bool, form: str) -> int:
    """Wait until tasks have ended. The exit code is that of 'clarion run' for the first task that did not complete."""
    from server.cli.client import started
    from server.cli.client.api import segment
    from server.cli.client.reconnect import retry_while_down
    from server.cli.follow.task import WAIT
    from server.cli.render import lists
    from server.cli.render.exit_codes import FINAL, exit_code, summary
    from server.cli.render.outcome import task_word
    from server.errors import NOT_ENDED

    until = None if timeout is None else time.monotonic() + timeout
    worst = 0
    for task_id in task_ids:
        started.task(task_id, ours=False)
        path = f"tasks/{segment(task_id)}"
        task = retry_while_down(lambda path=path: api.get(path, tries=1, patient=False), None, task_id)  # type: ignore[misc]
        while (
            task["status"] not in FINAL and (left := WAIT if until is None else min(WAIT, until - time.monotonic())) > 0
        ):
            asked = {"wait": round(left, 3), "since": task["version"]}
            task = retry_while_down(
                lambda path=path, asked=asked: api.get(path, asked, timeout=WAIT + 15, tries=1, patient=False),  # type: ignore[misc]
                None,
                task_id,
            )
        ended = task["status"] in FINAL
        worst = worst or (exit_code(task) if ended else NOT_ENDED)
        if form != "human":
            lists.print_object("jsonl" if form == "jsonl" or (len(task_ids) > 1 and form == "json") else form, task)
        elif not quiet:
            say(f"task {task['task_id']} {task_word(task['status'])}: {summary(task)}")
    started.reset()
    return worst
