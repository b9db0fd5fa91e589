"""Waits for a task with long polls, which the server answers when something has changed."""

from __future__ import annotations

import sys
import time

import click

from server.cli import interrupt
from server.cli.client import started
from server.cli.client.api import Api, Json, segment
from server.cli.client.errors import CliFailure, ServerRefused
from server.cli.client.reconnect import retry_while_down
from server.cli.follow.results import PartialPrinter, ResultPrinter, result_printer, still_open
from server.cli.render.exit_codes import FINAL, exit_code
from server.cli.render.progress import progress_meter
from server.cli.standard_streams import say

WAIT = 25
EARLY, SHORTEST = 0.5, 0.05
"""WAIT: seconds of one long poll. EARLY: minimum seconds between two long polls without news. SHORTEST: minimum seconds
of a long poll."""


def attach(api: Api, task: Json, form: str, *, quiet: bool = False) -> int:
    """Wait until the task has ended, show results as hosts end, and return the exit code.

    On a terminal, Ctrl-C asks whether to detach or to cancel the task. Elsewhere it detaches: the results that have
    arrived are shown, and the task goes on.
    """
    task_id = str(task["task_id"])
    started.task(task_id, ours=False)
    if not quiet:
        announce(api, task_id)
    shown = result_printer(api, task, form, quiet=quiet)
    while True:
        try:
            if task["status"] not in FINAL:
                wait(api, task_id, quiet=quiet, shown=shown)
                task = retry_while_down(lambda: api.get(f"tasks/{segment(task_id)}", patient=False), None, task_id)
            shown.finish(task)
            return exit_code(task)
        except KeyboardInterrupt:
            if task["status"] in FINAL or not cancel_or_detach(api, task_id, shown):
                return interrupt.exit_code()


def announce(api: Api, task_id: str) -> None:
    """Print the task's id and its page."""
    say(f"task {task_id} · {api.page(task_id)}", err=True)


def cancel_or_detach(api: Api, task_id: str, shown: PartialPrinter | None = None) -> bool:
    """Handle Ctrl-C and SIGTERM: cancel the task, or show the results that have arrived and how to attach again.

    Returns:
        True if the task is being canceled; False if the CLI must end.
    """
    if not _wanted(task_id):
        try:
            task = api.get(f"tasks/{segment(task_id)}", tries=1, patient=False)
            if shown is not None:
                shown.leave(task)
            open_hosts = f": {still_open(task)}"
        except (CliFailure, KeyboardInterrupt):
            # The server does not answer, or the user pressed Ctrl-C again: print how to attach in any case.
            open_hosts = ""
        say(
            (
                f"interrupted{open_hosts}. The task goes on: attach to it with 'clarion attach {task_id}', end it "
                f"with 'clarion tasks cancel {task_id}'"
            ),
            err=True,
        )
        return False
    _cancel(api, task_id)
    return True


def _wanted(task_id: str) -> bool:
    """Ask on a terminal whether to cancel the task. A second Ctrl-C, SIGTERM or no answer means to detach."""
    if interrupt.terminated() or not _on_terminal():
        return False
    try:
        answer = click.prompt(
            f"\nTask {task_id} is running: detach or cancel?",
            type=click.Choice(["d", "c"], case_sensitive=False),
            default="d",
            err=True,
        )
    except (click.Abort, KeyboardInterrupt):
        return False
    return str(answer).lower() == "c"


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _cancel(api: Api, task_id: str) -> None:
    try:
        api.post(f"tasks/{segment(task_id)}/cancel")
        say("canceling; waiting for every host to report its end", err=True)
    except ServerRefused as refusal:
        if refusal.code != "task_finished":
            raise


def wait(api: Api, task_id: str, *, quiet: bool, shown: ResultPrinter | None = None) -> Json:
    """Wait until the task has ended and return its last progress. A server that is down is tried for AWAY_LIMIT."""
    path = f"tasks/{segment(task_id)}/progress"
    with progress_meter(quiet) as bar:
        progress = retry_while_down(lambda: api.get(path, tries=1, patient=False), bar.note, task_id)
        while True:
            bar.show(progress)
            if progress["status"] in FINAL:
                return progress
            again = (
                None
                if shown is None
                else retry_while_down(lambda now=progress: shown.look(now, bar.aside()), bar.note, task_id)  # type: ignore[misc]
            )
            longest = WAIT if again is None else max(SHORTEST, min(WAIT, again))
            since, asked = progress["version"], time.monotonic()
            progress = retry_while_down(
                lambda since=since, longest=longest: api.get(
                    path, {"wait": longest, "since": since}, timeout=WAIT + 15, tries=1, patient=False
                ),  # type: ignore[misc]
                bar.note,
                task_id,
            )
            if progress["version"] == since and again is None and (early := EARLY - (time.monotonic() - asked)) > 0:
                time.sleep(early)  # a server that is stopping answers every long poll at once
