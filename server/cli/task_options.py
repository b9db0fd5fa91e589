"""Options of `run` and `tasks create`: which command to run, where and how."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from server.cli import completion
from server.cli.options import Verb
from server.cli.param_types import Duration, Whole
from server.cli.task_request import body


class Targeted(click.Command):
    """A command that accepts the hosts as its first word.

    `run 'web* and role=db' -- PROGRAM` is the same as `run --hosts 'web* and role=db' -- PROGRAM`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        words = _given_words(given)
        before = args[: len(args) - len(words)]
        if words and "hosts" not in given and before[-1:] != ["--"]:
            args = [*before, f"--hosts={words[0]}", *words[1:]]
            given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            program = _given_words(given)
            if program and args[len(args) - len(program) - 1] != "--":
                raise click.UsageError(
                    f"put -- before the program: clarion {ctx.info_name} {words[0]!r} -- {' '.join(program)}", ctx
                )
        return super().parse_args(ctx, args)


def _given_words(given: dict[str, Any]) -> list[str]:
    """Return the words; click has a marker of its own for an argument that is missing."""
    words = given.get("words")
    return list(words) if isinstance(words, tuple | list) else []


_OPTIONS: tuple[Callable[[Verb], Verb], ...] = (
    click.argument(
        "words",
        nargs=-1,
        type=click.UNPROCESSED,
        metavar="[HOSTS] [-- PROGRAM [ARG]...]",
        shell_complete=completion.hosts,
    ),
    click.option(
        "--hosts",
        multiple=True,
        metavar="HOSTS",
        help=(
            "The hosts, instead of HOSTS before --: names, ids or a selector such as 'web* and role=db'; all for "
            "every host; @FILE or - for a list with one per line. May be repeated."
        ),
        shell_complete=completion.hosts,
    ),
    click.option("--shell", metavar="TEXT", help="Command text for the shell of the host."),
    click.option(
        "--script",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A script to send and run; words after -- are its arguments.",
    ),
    click.option("--interpreter", metavar="X", help="Program that runs the script. Default: the script's #! line."),
    click.option(
        "-t",
        "--timeout",
        type=Duration(),
        metavar="S",
        help="Time limit of the command on each host (seconds, or 30s, 5m, 2h).",
    ),
    click.option("--grace", type=Duration(), metavar="S", help="Time between SIGTERM and SIGKILL."),
    click.option(
        "--start-within",
        type=Duration(),
        metavar="S",
        help="Skip hosts that have not started the command within this time.",
    ),
    click.option("--task-timeout", type=Duration(), metavar="S", help="Time limit of the whole task."),
    click.option(
        "--if-offline",
        type=click.Choice(["fail", "wait"]),
        help="Whether offline hosts fail at once or the task waits for them. Default: fail.",
    ),
    click.option(
        "--wait-for",
        type=Duration(),
        metavar="S",
        help="With --if-offline wait: how long to wait from the start (seconds, or 30s, 5m, 2h).",
    ),
    click.option(
        "--retries",
        type=Whole(0),
        metavar="N",
        help="Retry a host up to N times if the command did not run and a retry can help.",
    ),
    click.option(
        "--idempotent",
        is_flag=True,
        help=(
            "With --retries: also retry an attempt that ran and failed, or that may have run. Only for commands "
            "that are safe to run twice."
        ),
    ),
    click.option(
        "--retry-on",
        metavar="REASONS",
        help="With --retries: retry only for these reasons, separated by commas; see docs/reference/reasons.md.",
    ),
    click.option(
        "--retry-pause",
        type=Duration(),
        metavar="S",
        help="With --retries: delay before the second attempt; each further delay is twice as long. Default: 1.",
    ),
    click.option(
        "--retry-pause-max",
        type=Duration(),
        metavar="S",
        help="With --retries: maximum delay between attempts. Default: 60.",
    ),
    click.option("--name", metavar="TEXT", help="The task's name. Default: the command, or the script's file name."),
    click.option("--description", metavar="TEXT", help="A description stored with the task."),
    click.option(
        "--type", "type_", metavar="WORD", help="The task's type: any word, by which 'tasks list' can filter."
    ),
    click.option("--concurrency", type=Whole(1), metavar="N", help="Run on at most N hosts at the same time."),
    click.option(
        "--param",
        multiple=True,
        metavar="K=V",
        help="A parameter, which the command gets as environment variable P_K. May be repeated.",
    ),
    click.option("--env", multiple=True, metavar="K=V", help="An environment variable. May be repeated."),
    click.option("--cwd", metavar="DIR", help="Working directory of the command."),
    click.option("--run-as", metavar="USER", help="User that runs the command."),
    click.option("--umask", metavar="OCTAL", help="File mode mask, for example 027."),
    click.option(
        "--stdin",
        type=click.Path(path_type=Path, allow_dash=True),
        metavar="FILE|-",
        help="File to send as the command's standard input; - is the CLI's own.",
    ),
    click.option(
        "--success-code",
        multiple=True,
        type=Whole(0, 255),
        metavar="N",
        help="An exit code that counts as success. Default: 0. May be repeated.",
    ),
    click.option("--max-output", type=Whole(1), metavar="BYTES", help="End a command that writes more than this."),
    click.option(
        "--leave-children",
        is_flag=True,
        help="Do not end processes that the command leaves running. By default they are ended with the command.",
    ),
    click.option(
        "--idempotency-key",
        metavar="TEXT",
        help="Requests with the same key and content create one task, however often they are sent.",
    ),
)


def task_options(command: Verb) -> Verb:
    """Add the options and pass `body`, the request, and `key`, the idempotency key or None, to the command.

    The command raises click.UsageError for options that contradict each other.
    """

    @wraps(command)
    def wrapped(idempotency_key: str | None, **given: Any) -> Any:
        others = {name: given.pop(name) for name in list(given) if name not in _NAMES}
        return command(body=body(**given), key=idempotency_key, **others)

    decorated: Verb = wrapped
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


_NAMES = frozenset(
    [
        "words",
        "hosts",
        "shell",
        "script",
        "interpreter",
        "timeout",
        "grace",
        "start_within",
        "task_timeout",
        "if_offline",
        "wait_for",
        "retries",
        "idempotent",
        "retry_on",
        "retry_pause",
        "retry_pause_max",
        "name",
        "description",
        "type_",
        "concurrency",
        "param",
        "env",
        "cwd",
        "run_as",
        "umask",
        "stdin",
        "success_code",
        "max_output",
        "leave_children",
    ]
)
