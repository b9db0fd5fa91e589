"""Shell completion of hosts, tasks, contexts and states. It is quick, and silent if the server does not answer."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

WITHIN = 1.0
"""Maximum seconds to wait for the server."""
MOST = 50
"""Maximum number of proposals."""


def _get(ctx: click.Context, path: str, params: dict[str, object]) -> list[dict[str, object]]:
    """Return the items of a list, or none after any error: a shell that completes a word shows no errors."""
    try:
        from server.cli.client.connection import locate_server
        from server.cli.quick_start import skip_httpx_command

        skip_httpx_command()
        from server.cli.client.api import Api

        given = {
            **(ctx.find_root().params or {}),
            **{name: value for name, value in ctx.params.items() if value is not None},
        }
        place = locate_server(
            given.get("server"),
            given.get("token_file"),
            os.environ,
            Path.home(),
            Path.cwd(),
            given.get("named") or given.get("context"),
        )
        api = Api(place, connect_timeout=WITHIN)
        try:
            items: list[dict[str, object]] = api.get(
                path, {**params, "limit": MOST}, timeout=WITHIN, tries=1, patient=False
            )["items"]
            return items
        finally:
            api.close()
    except Exception:  # after any error there is nothing to complete
        return []


def tasks(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Complete the short id of a task."""
    from server.cli.render.text import one_line, short

    found = [CompletionItem("last", help="the newest task")]
    found += [
        CompletionItem(short(task["task_id"]), help=f"{task['status']}, {one_line(str(task['name']))[:60]}")
        for task in _get(ctx, "tasks", {})
    ]
    return [item for item in found if str(item.value).startswith(incomplete)]


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last name of a list with commas."""
    before, comma, word = incomplete.rpartition(",")
    if any(char in word for char in "*?[]()=<>\"' "):
        return []
    words = [] if comma else [name for name in ("all", "online", "offline") if name.startswith(word)]
    words += [str(host["hostname"]) for host in _get(ctx, "hosts", {"name": f"{word}*"} if word else {})]
    return [CompletionItem(f"{before}{comma}{name}") for name in dict.fromkeys(words)]


def contexts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a context."""
    from server.cli.client.contexts import load
    from server.cli.client.errors import CliFailure

    try:
        known = load(Path.home()).known
    except CliFailure:
        return []
    return [CompletionItem(name, help=one.server) for name, one in known.items() if name.startswith(incomplete)]


def task_states(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the state of a task."""
    from proto.words import TASKS

    return _words([said.word for said in TASKS.values()], incomplete)


def states(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the state of an execution."""
    from proto.words import STATES

    return _words([said.word for said in STATES.values()], incomplete)


def _words(words: list[str], incomplete: str) -> list[CompletionItem]:
    before, comma, word = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{one}") for one in words if one.startswith(word)]
