"""Resolves words of the command line to tasks: an id, its end or beginning, `last`, or -1, -2, … from the newest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from server.cli import completion
from server.cli.client.errors import CliFailure
from server.cli.render.text import SHORT
from server.errors import USAGE

if TYPE_CHECKING:
    from server.cli.client.api import Api

Verb = Callable[..., Any]
SEARCHED = 5_000
"""Number of newest tasks that are searched for a partial id."""
_WHOLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_PART = re.compile(r"[0-9a-f-]{4,35}\Z")
_BACK = re.compile(r"(?:last)?-([1-9][0-9]{0,3})\Z")


class TaskId(click.ParamType[str]):
    """A word that names a task. `resolve_task` asks the server later."""

    name = "task"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return completion.tasks(ctx, incomplete)


def may_be_task(text: str) -> bool:
    """Return whether a word has the form of a task id, a part of one, or `last`."""
    word = text.strip().lower()
    return word == "last" or any(form.match(word) for form in (_BACK, _WHOLE, _PART))


def resolve_task(api: Api, text: str) -> str:
    """Return the complete id. A word that cannot be an id is returned unchanged, and the server refuses it.

    Raises:
        CliFailure: No task or several tasks match.
    """
    word = text.strip().lower()
    if word == "last" or _BACK.match(word):
        return _newest(api, 1 if word == "last" else int(_BACK.match(word)[1]))  # type: ignore[index]
    if _WHOLE.match(word) or not _PART.match(word) or not re.search("[0-9a-f]", word):
        return text
    found: list[str] = []
    searched = 0
    for page in api.pages("tasks", {}, SEARCHED):
        searched += len(page)
        found += [
            str(task["task_id"])
            for task in page
            if str(task["task_id"]).endswith(word) or str(task["task_id"]).startswith(word)
        ]
        if found and len(word) >= SHORT:
            break
    if len(found) == 1:
        return found[0]
    if not found:
        among = (
            f"the newest {SEARCHED:,} tasks"
            if searched >= SEARCHED
            else f"{searched:,} tasks"
            if searched != 1
            else "1 task"
        )
        raise CliFailure(
            USAGE,
            f"No task with the id {text!r} among {among}",
            "'clarion tasks list' shows ids; the whole id finds older tasks, too",
        )
    some = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
    raise CliFailure(USAGE, f"{len(found):,} tasks have {text!r} in their id: {some}", "write more of it")


def _newest(api: Api, number: int) -> str:
    seen = 0
    for page in api.pages("tasks", {}, number):
        if seen + len(page) >= number:
            return str(page[number - seen - 1]["task_id"])
        seen += len(page)
    have = f"there {'is only 1' if seen == 1 else f'are only {seen:,}'}" if seen else "there is none yet"
    raise CliFailure(USAGE, f"No task is number {number:,} from the newest: {have}", "'clarion tasks list' shows them")


def rewrite(command: click.Command, args: list[str]) -> list[str]:
    """Rewrite -1, -2, … of a verb that accepts tasks to `last-1`, `last-2`, …, which click does not read as options."""
    if not any(isinstance(param.type, TaskId) for param in command.params):
        return args
    valued = {
        name
        for param in command.params
        if isinstance(param, click.Option) and not param.is_flag and not param.count
        for name in param.opts
    }
    end = args.index("--") if "--" in args else len(args)
    words = list(args)
    for index, word in enumerate(args[:end]):
        if re.match(r"-[1-9][0-9]{0,3}\Z", word) and not (index and args[index - 1] in valued):
            words[index] = f"last{word}"
    return words


def task_argument(*, default: str | None = None) -> Callable[[Verb], Verb]:
    """Pass `task_id` to the verb. `default` is used if the user names no task."""
    if default is None:
        return click.argument("task_id", type=TaskId(), metavar="TASK")
    return click.argument("task_id", type=TaskId(), metavar="[TASK]", required=False, default=default)
