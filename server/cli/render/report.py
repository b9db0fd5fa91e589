"""Prints the results of a finished task; equal results are printed once, the largest group first."""

from __future__ import annotations

from collections.abc import Iterator

from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs
from server.cli.render import lists, result_groups
from server.cli.render.exit_codes import summary
from server.cli.render.outcome import task_word
from server.cli.render.text import count
from server.cli.standard_streams import say

GROUPS = 20
"""Maximum number of groups that are printed at the end of a run."""


def print_document(api: Api, task: Json, form: str) -> None:
    """Print one document with the task and all hosts with their output."""
    task_id = str(task["task_id"])
    outputs = Outputs(api, task_id)
    lists.document(form, {"task": task}, "hosts", (with_outputs(row, outputs) for row in _rows(api, task_id)))


def _rows(api: Api, task_id: str) -> Iterator[Json]:
    for page in api.pages(f"tasks/{segment(task_id)}/hosts", {}):
        yield from page


def with_outputs(row: Json, outputs: Outputs) -> Json:
    for stream in ("stdout", "stderr"):
        kept = outputs.of(row, stream)
        if kept is not None:
            row[stream] = {**row[stream], **kept.as_json()}
    return row


def print_groups(api: Api, task_id: str, quiet: bool) -> None:
    outputs, twins = Outputs(api, task_id), result_groups.LookAlikes()
    shown = 0
    for page, found in result_groups.pages(api, task_id, GROUPS):
        for group in found:
            result_groups.show(group, outputs, number=False, twins=twins)
        shown += len(found)
        if page["groups"] > shown >= GROUPS:
            # Printed even with --quiet, because the results are not complete.
            say(
                (
                    f"{count(page['groups'] - shown, 'more group')} of answers; see them with 'clarion tasks "
                    f"groups {task_id} --all'"
                ),
                err=True,
            )
        elif page["groups"] > 1 and page["next"] is None and not quiet:
            say(
                f"{count(page['groups'], 'group')} of answers; compare them with 'clarion tasks diff {task_id}'",
                err=True,
            )


def summarize(task: Json) -> None:
    say(f"task {task['task_id']} {task_word(task['status'])}: {summary(task)}", err=True)
