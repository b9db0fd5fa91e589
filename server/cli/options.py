"""Options that several verbs share: server and token, output format, and limits of lists."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from server.cli import completion
from server.cli.param_types import Whole
from server.cli.quick_start import skip_httpx_command

Verb = Callable[..., Any]


def connection_options(command: Verb) -> Verb:
    """Add the options for server and token. `clarion --help` describes them; they may stand before or after the "
    "verb."""
    for option in (
        click.option("--server", metavar="URL", hidden=True),
        click.option("--token-file", metavar="FILE", hidden=True),
        click.option("--context", metavar="NAME", hidden=True, shell_complete=completion.contexts),
    ):
        command = option(command)
    return command


def with_api(command: Verb) -> Verb:
    """Pass `api`, a client of the chosen server, to the verb. Its `task_id` or `task_ids` become complete ids."""

    @connection_options
    @wraps(command)
    def wrapped(server: str | None, token_file: str | None, context: str | None, **others: Any) -> Any:
        from server.cli.client.connection import locate_server

        skip_httpx_command()
        from server.cli.client.api import Api
        from server.cli.task_ids import resolve_task as find_task

        outer = click.get_current_context().obj or {}
        place = locate_server(
            server or outer.get("server"),
            token_file or outer.get("token_file"),
            os.environ,
            Path.home(),
            Path.cwd(),
            context or outer.get("context"),
        )
        api = Api(place)
        try:
            if "task_id" in others:
                others["task_id"] = find_task(api, others["task_id"])
            if "task_ids" in others:
                others["task_ids"] = tuple(find_task(api, text) for text in others["task_ids"])
            return command(api=api, **others)
        finally:
            api.close()

    return wrapped


def format_option(
    *, lines: bool = True, hosts: bool = False, text: bool = False, table: bool = False, names: bool = False
) -> Callable[[Verb], Verb]:
    """Pass `form`, the output format, to the verb: human, json, jsonl, yaml and those that the arguments add.

    Args:
        lines: Adds jsonl, one JSON object per line.
        hosts: Adds names (one host per line) and folded (`web[1-9]`).
        text: Adds text, the exact bytes of a command.
        table: Adds wide, which shows all columns in full, and the option --no-headers.
        names: Adds names, one id or name per line.
    """
    forms = [
        "human",
        "json",
        *(["jsonl"] if lines else []),
        "yaml",
        *(["wide"] if table else []),
        *(["names"] if hosts or names else []),
    ]
    forms += [*(["folded"] if hosts else []), *(["text"] if text else [])]

    def decorate(command: Verb) -> Verb:
        @click.option(
            "-o",
            "--output",
            "--format",
            "asked",
            type=click.Choice(forms),
            metavar="FORM",
            help=f"Output format: {', '.join(forms)}. Default: human.",
        )
        @click.option("--json", "as_json", is_flag=True, help="The same as -o json: one JSON document.")
        @wraps(command)
        def wrapped(
            asked: str | None, as_json: bool, as_jsonl: bool = False, no_headers: bool = False, **others: Any
        ) -> Any:
            chosen = {form for form, given in (("json", as_json), ("jsonl", as_jsonl), (asked, asked)) if given}
            if len(chosen) > 1:
                raise click.UsageError("--json, --jsonl and -o exclude each other")
            if table:
                from server.cli.render import lists

                lists.headers = not no_headers
            return command(form=chosen.pop() if chosen else "human", **others)

        verb: Verb = wrapped
        if table:
            verb = click.option("--no-headers", is_flag=True, help="Omit the header line of tables.")(verb)
        if lines:
            verb = click.option(
                "--jsonl", "as_jsonl", is_flag=True, help="The same as -o jsonl: one JSON object per line."
            )(verb)
        return verb

    return decorate


def limit_option(default: int) -> Callable[[Verb], Verb]:
    """Pass `limit`, the maximum number of rows, to the verb; None means all."""

    def decorate(command: Verb) -> Verb:
        @click.option(
            "--limit",
            type=Whole(1),
            default=default,
            show_default=True,
            metavar="N",
            help="Maximum number of rows.",
        )
        @click.option("--all", "everything", is_flag=True, help="Show all rows and ignore --limit.")
        @wraps(command)
        def wrapped(limit: int, everything: bool, **others: Any) -> Any:
            return command(limit=None if everything else limit, **others)

        return wrapped

    return decorate
