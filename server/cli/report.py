"""The end of a task; hosts that answered the same are told once, the largest group first."""

from __future__ import annotations

from collections.abc import Iterator

import click

from server.cli import emit, groups
from server.cli.api import Api, Json, segment
from server.cli.outputs import Outputs
from server.cli.text import count
from server.cli.verdict import summary

GROUPS = 20
"""Told in full at the end of a run; more would be what groups are there to spare."""


def tell(api: Api, task: Json, form: str) -> None:
    """`task`: final, as the API gives it."""
    task_id = str(task["task_id"])
    if form == "json":
        emit.stream_document({"task": task}, "hosts", _with_outputs(api, task_id))
    elif form == "jsonl":
        for item in _with_outputs(api, task_id):
            emit.json_line(item)
    else:
        _groups(api, task_id)
        click.echo(f"task {task_id} {task['status']}: {summary(task)}", err=True)


def _rows(api: Api, task_id: str) -> Iterator[Json]:
    for page in api.pages(f"tasks/{segment(task_id)}/hosts", {}):
        yield from page


def _with_outputs(api: Api, task_id: str) -> Iterator[Json]:
    outputs = Outputs(api, task_id)
    for item in _rows(api, task_id):
        for stream in ("stdout", "stderr"):
            kept = outputs.of(item, stream)
            if kept is not None:
                item[stream] = {**item[stream], **kept.as_json()}
        yield item


def _groups(api: Api, task_id: str) -> None:
    outputs = Outputs(api, task_id)
    shown = 0
    for page, found in groups.pages(api, task_id, GROUPS):
        for group in found:
            groups.show(group, outputs, number=False)
        shown += len(found)
        if page["groups"] > shown >= GROUPS:
            click.echo(f"{count(page['groups'] - shown, 'more group')} of answers; see them with 'clarion tasks groups {task_id} --all'", err=True)
        elif page["groups"] > 1 and page["next"] is None:
            click.echo(f"{count(page['groups'], 'group')} of answers; compare them with 'clarion tasks diff {task_id}'", err=True)
