"""Waiting for a task: one long poll after the other, each answered when something has changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from server.cli.api import Api, Json, segment
from server.cli.failure import INTERRUPTED, CliFailure, ServerRefused, Unreachable
from server.cli.meter import meter
from server.cli.report import tell
from server.cli.verdict import FINAL, exit_code
from server.errors import UNAVAILABLE

WAIT = 25
AWAY_LIMIT, AWAY_FIRST, AWAY_MOST = 120.0, 0.25, 5.0
EARLY = 0.5
"""Seconds: of one long poll; how long a server may be away before we give up on it; pauses between
tries; an answer without news that comes sooner than EARLY is not asked for again before."""


def attach(api: Api, task: Json, form: str, *, quiet: bool = False) -> int:
    """Wait until the task has ended, tell what its hosts said, return the exit code.

    Ctrl-C asks on a terminal whether to detach or to cancel the task; elsewhere it detaches, and the task goes on.
    """
    task_id = str(task["task_id"])
    while True:
        try:
            if task["status"] not in FINAL:
                wait(api, task_id, quiet=quiet)
                task = _patient(lambda: api.get(f"tasks/{segment(task_id)}"))
            tell(api, task, form)
            return exit_code(task)
        except KeyboardInterrupt:
            if task["status"] in FINAL or not cancels(api, task_id):
                return INTERRUPTED


def cancels(api: Api, task_id: str) -> bool:
    """After a Ctrl-C: cancel the task, or say how to come back to it. False: we are to leave."""
    if not _wanted(task_id):
        click.echo(f"interrupted; the task goes on. Attach to it with 'clarion attach {task_id}', end it with 'clarion tasks cancel {task_id}'", err=True)
        return False
    _cancel(api, task_id)
    return True


def _wanted(task_id: str) -> bool:
    """Asks, where somebody can answer. A second Ctrl-C, or no answer, means to detach."""
    if not _on_terminal():
        return False
    try:
        answer = click.prompt(f"\nTask {task_id} is running: detach or cancel?", type=click.Choice(["d", "c"], case_sensitive=False), default="d", err=True)
    except (click.Abort, KeyboardInterrupt):
        return False
    return str(answer).lower() == "c"


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _cancel(api: Api, task_id: str) -> None:
    try:
        api.post(f"tasks/{segment(task_id)}/cancel")
        click.echo("canceling; waiting for every host to say what became of it", err=True)
    except ServerRefused as refusal:
        if refusal.code != "task_finished":
            raise


def wait(api: Api, task_id: str, *, quiet: bool) -> Json:
    """The last progress, whose status is final. A server that is away is waited for, up to AWAY_LIMIT."""
    path = f"tasks/{segment(task_id)}/progress"
    with meter(quiet) as shown:
        progress = _patient(lambda: api.get(path, tries=1), shown.note, task_id)
        shown.show(progress)
        while progress["status"] not in FINAL:
            since, asked = progress["version"], time.monotonic()
            progress = _patient(lambda since=since: api.get(path, {"wait": WAIT, "since": since}, timeout=WAIT + 15, tries=1), shown.note, task_id)  # type: ignore[misc]
            shown.show(progress)
            if progress["version"] == since and (early := EARLY - (time.monotonic() - asked)) > 0:
                time.sleep(early)  # a server that is about to stop ends every wait at once
        return progress


def _patient(ask: Callable[[], Json], note: Callable[[str], None] | None = None, task_id: str = "") -> Json:
    pause, started = AWAY_FIRST, None
    while True:
        try:
            return ask()
        except (Unreachable, ServerRefused) as failure:
            if isinstance(failure, ServerRefused) and failure.status != 503:
                raise
            now = time.monotonic()
            if started is None:
                started = now
                if note:
                    note(f"the server is away; trying again for {AWAY_LIMIT:.0f} s, the task goes on without us")
            if now - started >= AWAY_LIMIT:
                raise CliFailure(UNAVAILABLE, f"{failure.message} for {AWAY_LIMIT:.0f} s", f"see how the task ended with 'clarion tasks show {task_id}' when it is back") from None
            asked = failure.retry_after if isinstance(failure, ServerRefused) and failure.retry_after is not None else pause
            time.sleep(max(asked, AWAY_FIRST))
            pause = min(pause * 2, AWAY_MOST)
