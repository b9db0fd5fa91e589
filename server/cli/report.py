"""The end of a task, told host by host; hosts that answered the same are told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from server.cli import emit
from server.cli.api import Api, Json, segment
from server.cli.outputs import Kept, Outputs
from server.cli.text import count, harmless, one_line
from server.cli.verdict import ENDED, summary

NAMES = 12
"""Hosts named in a header before it only counts them."""


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
    groups: dict[tuple[Any, ...], tuple[Json, list[str]]] = {}
    for item in _rows(api, task_id):
        groups.setdefault(_same(item), (item, []))[1].append(str(item["hostname"]))
    outputs = Outputs(api, task_id)
    rank = {status: place for place, status in enumerate(ENDED)}
    for item, names in sorted(groups.values(), key=lambda group: (rank.get(group[0]["status"], -1), -len(group[1]), group[1])):
        click.echo(f"{_names(names)}: {outcome(item)}")
        hint = (item.get("error") or {}).get("hint")
        for stream, mark in (("stdout", "  "), ("stderr", "  stderr: ")):
            kept = outputs.of(item, stream)
            if kept is not None:
                for text in readable(kept):
                    click.echo(f"{mark}{text}")
        if hint:
            click.echo(f"  hint: {one_line(str(hint))}")


def _same(item: Json) -> tuple[Any, ...]:
    """Everything that a reader of the answer would tell apart."""
    error = item.get("error") or {}
    ids = ((item.get(stream) or {}).get("output_id") for stream in ("stdout", "stderr"))
    return (item["status"], item.get("exit_code"), item.get("signal"), error.get("code"), error.get("detail"), *ids)


def _names(names: list[str]) -> str:
    shown = [one_line(name) for name in sorted(names)]
    if len(shown) == 1:
        return shown[0]
    more = f", … {len(shown) - NAMES:,} more" if len(shown) > NAMES else ""
    return f"{', '.join(shown[:NAMES])}{more} ({count(len(shown), 'host')})"


def outcome(item: Json) -> str:
    """`failed, exit code 3: the program ended … [run: exit_nonzero]`."""
    parts = [str(item["status"]).replace("_", " ")]
    if item.get("exit_code") is not None:
        parts.append(f"exit code {item['exit_code']}")
    if item.get("signal") is not None:
        parts.append(f"signal {item['signal']}")
    if item.get("unreachable"):
        parts.append("unreachable")
    error = item.get("error")
    if not error:
        return ", ".join(parts)
    detail = f" ({one_line(str(error['detail']))})" if error.get("detail") else ""
    return f"{', '.join(parts)}: {one_line(str(error['message']))}{detail} [{error.get('phase')}: {error.get('code')}]"


def readable(kept: Kept) -> Iterator[str]:
    """Lines without anything that steers a terminal; says how much is missing, and where."""
    yield from _lines(kept.head)
    if kept.truncated:
        yield f"[… {count(kept.dropped, 'byte')} of {kept.total_bytes:,} not kept …]"
        yield from _lines(kept.tail)


def _lines(data: bytes) -> list[str]:
    text = harmless(data.decode("utf-8", "replace"))
    return text.removesuffix("\n").split("\n") if text else []
