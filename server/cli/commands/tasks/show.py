"""`clarion tasks show`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from server.cli.options import format_option, with_api
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("show")
@task_argument()
@click.option(
    "--wait",
    is_flag=True,
    help="Attach: wait until the task has ended and show all results, as 'clarion run' does.",
)
@format_option()
@with_api
def command(api: Api, task_id: str, wait: bool, form: str) -> int:
    """Show one task: command, hosts, user and result. --wait attaches to it."""
    from server.cli.client.api import segment
    from server.cli.follow.task import attach
    from server.cli.render import lists

    task = api.get(f"tasks/{segment(task_id)}")
    if wait:
        return attach(api, task, form)
    if form == "human":
        lists.fields(describe(task, api))
    else:
        lists.print_object(form, task)
    return 0


def describe(task: dict[str, Any], api: Api) -> list[tuple[str, str]]:
    from server.cli.render.exit_codes import summary
    from server.cli.render.outcome import task_word
    from server.cli.render.text import age, count, labels, lasted, when

    run = task.get("command") or {}
    took = task["finished_at"] - task["started_at"] if task.get("finished_at") and task.get("started_at") else None
    return [
        ("task", str(task["task_id"])),
        ("page", api.page(str(task["task_id"]))),
        ("name", str(task["name"])),
        ("description", str(task.get("description") or "")),
        ("type", str(task.get("type") or "")),
        ("status", f"{task_word(task['status'])}{' (some hosts completed)' if task.get('partial') else ''}"),
        ("runs", _what(run)),
        ("where", str(task.get("target_text") or "")),
        ("host sets", ", ".join(f"@{name} version {version}" for name, version in (task.get("sets") or {}).items())),
        ("hosts", summary(task)),
        ("as user", str(run.get("run_as") or "that of each host's agent")),
        ("directory", str(run.get("cwd") or "")),
        ("environment", _names(run.get("env"))),
        ("parameters", labels(task.get("parameters"))),
        ("standard input", f"{run['stdin_bytes']:,} bytes" if run.get("stdin_bytes") else ""),
        ("umask", str(run.get("umask") or "")),
        ("timeout", lasted(run.get("timeout_ms"))),
        ("task timeout", lasted(task.get("timeout_ms"))),
        (
            "success codes",
            ", ".join(map(str, run.get("success_codes") or [])) if run.get("success_codes") not in (None, [0]) else "",
        ),
        ("children", "left running" if run.get("leave_children", run.get("detach")) else ""),
        ("concurrency", f"{count(task['concurrency'], 'host')} at a time" if task.get("concurrency") else ""),
        (
            "offline hosts",
            f"waited for, up to {lasted(task.get('wait_for_ms'))}" if task.get("if_offline") == "wait" else "",
        ),
        ("tried", f"up to {task['retry']['attempts']} times" if task.get("retry") else ""),
        ("repeats", str(task.get("rerun_of") or "")),
        (
            "created",
            (
                f"{when(task['created_at'])} ({age(task['created_at'], api.now_ms)} "
                f"ago){' by ' + str(task['created_by']) if task.get('created_by') else ''}"
            ),
        ),
        ("started", when(task.get("started_at"))),
        (
            "finished",
            f"{when(task['finished_at'])}{f', after {lasted(took)}' if took is not None else ''}"
            if task.get("finished_at")
            else "",
        ),
        ("cancel asked", f"{when(task['cancel_requested_at'])}" if task.get("cancel_requested_at") else ""),
    ]


def _what(run: dict[str, Any]) -> str:
    if run.get("argv"):
        return shlex.join(run["argv"])
    if run.get("command"):
        return f"sh -c {shlex.quote(run['command'])}{_arguments(run)}"
    if run.get("script"):
        lines = str(run["script"]).splitlines()
        by = f" with {run['interpreter']}" if run.get("interpreter") else ""
        return (
            f"a script of {len(lines):,} line{'s' if len(lines) != 1 else ''}{by}{_arguments(run)}: "
            f"{next((line for line in lines if line.strip()), '')}"
        )
    return ""


def _arguments(run: dict[str, Any]) -> str:
    return f" {shlex.join(run['args'])}" if run.get("args") else ""


def _names(values: object) -> str:
    """Return only the names, because values may be secrets."""
    return ", ".join(sorted(values)) if isinstance(values, dict) else ""
