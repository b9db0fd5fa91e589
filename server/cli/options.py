"""What all verbs share: where the server is, and in which form they answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

Verb = Callable[..., Any]


def talks(command: Verb) -> Verb:
    """Gives the verb `api`, connected as flags, environment and defaults say."""

    @click.option("--server", metavar="URL", help="Default: $CLARION_SERVER, else the context's, else http://127.0.0.1:8440.")
    @click.option("--token-file", metavar="FILE", help="Default: $CLARION_TOKEN_FILE, else the context's, else ./data/admin.token, else ~/.config/clarion/token.")
    @wraps(command)
    def wrapped(server: str | None, token_file: str | None, **others: Any) -> Any:
        from server.cli.connect import find

        _spare_httpx_its_own_command()
        from server.cli.api import Api

        outer = click.get_current_context().obj or {}
        place = find(server or outer.get("server"), token_file or outer.get("token_file"), os.environ, Path.home(), Path.cwd(), outer.get("context"))
        api = Api(place)
        try:
            return command(api=api, **others)
        finally:
            api.close()

    return wrapped


def _spare_httpx_its_own_command() -> None:
    """httpx 0.28 imports the `httpx` command, and with it rich and pygments, if it can: a third of the time that a verb takes.

    It goes on without where that import fails, and None in sys.modules makes it fail (Python reference, 5.3.1).
    """
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules["httpx._main"]


def answers(*, lines: bool = True, hosts: bool = False, text: bool = False, table: bool = False) -> Callable[[Verb], Verb]:
    """Gives the verb `form`: human, json, jsonl or yaml; for what names hosts also names (one per line) and folded (`web[1-9]`).

    text: exact bytes. table: also wide (no column is cut or left out), and the option --no-headers.
    """
    forms = ["human", "json", *(["jsonl"] if lines else []), "yaml", *(["wide"] if table else []), *(["names", "folded"] if hosts else []), *(["text"] if text else [])]

    def decorate(command: Verb) -> Verb:
        @click.option("-o", "--format", "--output", "asked", type=click.Choice(forms), help="Form of the answer. Default: human.")
        @click.option("--json", "as_json", is_flag=True, help="The same as -o json: one JSON document.")
        @wraps(command)
        def wrapped(asked: str | None, as_json: bool, as_jsonl: bool = False, no_headers: bool = False, **others: Any) -> Any:
            chosen = {form for form, given in (("json", as_json), ("jsonl", as_jsonl), (asked, asked)) if given}
            if len(chosen) > 1:
                raise click.UsageError("--json, --jsonl and --format exclude each other")
            if table:
                from server.cli import emit

                emit.headers = not no_headers
            return command(form=chosen.pop() if chosen else "human", **others)

        verb: Verb = wrapped
        if table:
            verb = click.option("--no-headers", is_flag=True, help="Tables without their first line.")(verb)
        if lines:
            verb = click.option("--jsonl", "as_jsonl", is_flag=True, help="The same as -o jsonl: one JSON object per line.")(verb)
        return verb

    return decorate


def limited(default: int) -> Callable[[Verb], Verb]:
    """Gives the verb `limit`: how many rows, None for all."""

    def decorate(command: Verb) -> Verb:
        @click.option("--limit", type=click.IntRange(1), default=default, show_default=True, metavar="N", help="At most so many rows.")
        @click.option("--all", "everything", is_flag=True, help="Every row, whatever --limit says.")
        @wraps(command)
        def wrapped(limit: int, everything: bool, **others: Any) -> Any:
            return command(limit=None if everything else limit, **others)

        return wrapped

    return decorate
