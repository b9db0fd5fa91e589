"""The options that say what to run and where, and the request body they make. `run` and `tasks create` share them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from proto.common import duration
from server.cli import completion, host_arguments, standard_streams, stdin_argument
from server.cli.numbers import Whole
from server.cli.options import Verb

SCRIPT_LIMIT, STDIN_LIMIT = 16 << 20, 64 << 20
"""No server takes so much; these only keep a wrong file name from filling the memory."""

_OCTAL = re.compile(r"(?:0o)?0?[0-7]{1,3}")

LONGEST = 1e12
"""Seconds. The server's own limits are far below; larger numbers are none in JSON."""


class Duration(click.ParamType[float]):
    """Seconds, or with a unit: 500ms, 30s, 5m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            seconds = duration.parse(value)
        except ValueError as error:
            self.fail(f"{error}; write seconds, or 500ms, 30s, 5m, 2h, 1d", param, ctx)
        if seconds > LONGEST:
            self.fail(f"{value[:40]!r} is longer than any time that the server takes", param, ctx)
        return seconds


class Targeted(click.Command):
    """Takes the hosts as first word, too: `run 'web* and role=db' -- PROGRAM` is `run --hosts 'web* and role=db' --
    PROGRAM`."""

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
    """click has a mark of its own for an argument that was not given."""
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
            "Where, instead of HOSTS before --: names, ids or a selector such as 'web* and role=db'; all for every "
            "host; @FILE or - for a list, one a line. May be repeated."
        ),
        shell_complete=completion.hosts,
    ),
    click.option("--shell", metavar="TEXT", help="What: text for the host's shell."),
    click.option(
        "--script",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="What: a script, sent along; words after -- are its arguments.",
    ),
    click.option("--interpreter", metavar="X", help="Program that runs the script. Default: the script's own #! line."),
    click.option(
        "-t",
        "--timeout",
        type=Duration(),
        metavar="S",
        help="End the command on a host after this (seconds, or 30s, 5m, 2h).",
    ),
    click.option("--grace", type=Duration(), metavar="S", help="Time between TERM and KILL."),
    click.option(
        "--start-within", type=Duration(), metavar="S", help="A host that has not started by then is not run any more."
    ),
    click.option("--task-timeout", type=Duration(), metavar="S", help="End the whole task after this."),
    click.option(
        "--if-offline",
        type=click.Choice(["fail", "wait"]),
        help="What becomes of hosts that are offline. Default: fail.",
    ),
    click.option(
        "--wait-for",
        type=Duration(),
        metavar="S",
        help="How long --if-offline wait waits, from the start (seconds, or 30s, 5m, 2h).",
    ),
    click.option(
        "--retries",
        type=Whole(0),
        metavar="N",
        help="Try a host again up to N times when that can help and it did not run.",
    ),
    click.option(
        "--idempotent",
        is_flag=True,
        help=(
            "With --retries: also retry an attempt that ran and failed, or that may have run. Only for commands "
            "that may safely run twice."
        ),
    ),
    click.option(
        "--retry-on",
        metavar="REASONS",
        help="With --retries: for these reasons only, with commas between them; see docs/reference/reasons.md.",
    ),
    click.option(
        "--retry-pause",
        type=Duration(),
        metavar="S",
        help="With --retries: before the second attempt; doubled for each further one. Default: 1.",
    ),
    click.option(
        "--retry-pause-max", type=Duration(), metavar="S", help="With --retries: what no pause exceeds. Default: 60."
    ),
    click.option("--name", metavar="TEXT", help="The task's name. Default: the command, or the script's file name."),
    click.option("--description", metavar="TEXT", help="A text kept with the task."),
    click.option("--type", "type_", metavar="WORD", help="The task's type, a word of your own to list by."),
    click.option("--concurrency", type=Whole(1), metavar="N", help="Run on at most N hosts at a time."),
    click.option(
        "--param",
        multiple=True,
        metavar="K=V",
        help="A parameter; the command sees it as environment variable P_K. May be repeated.",
    ),
    click.option("--env", multiple=True, metavar="K=V", help="An environment variable. May be repeated."),
    click.option("--cwd", metavar="DIR", help="Directory to run in."),
    click.option("--run-as", metavar="USER", help="User to run as."),
    click.option("--umask", metavar="OCTAL", help="File mode mask, for example 027."),
    click.option(
        "--stdin",
        type=click.Path(path_type=Path, allow_dash=True),
        metavar="FILE|-",
        help="What the command gets on standard input.",
    ),
    click.option(
        "--success-code",
        multiple=True,
        type=Whole(0, 255),
        metavar="N",
        help="Exit code that counts as success. Default: 0. May be repeated.",
    ),
    click.option("--max-output", type=Whole(1), metavar="BYTES", help="End a command that writes more than this."),
    click.option(
        "--leave-children",
        is_flag=True,
        help="Let processes that the command leaves running live on; without it they are ended with the command.",
    ),
    click.option(
        "--idempotency-key",
        metavar="TEXT",
        help="The same key with the same request makes one task, however often it is sent.",
    ),
)


def task_options(command: Verb) -> Verb:
    """Gives the verb `body`, the request, and `key`, the idempotency key or None. Raises click.UsageError for
    contradictions."""

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


def body(words: tuple[str, ...], hosts: tuple[str, ...], **given: Any) -> dict[str, Any]:
    """The body of POST /api/v1/tasks and /run. Only what was given is in it: every default is the server's."""
    targets = host_arguments.targets(hosts)
    if not targets:
        raise click.UsageError("say where to run: clarion run 'web* and role=db' -- PROGRAM, or --hosts all")
    if not all(targets):
        raise click.UsageError(
            "the hosts to run on are an empty text"
            if targets == [""]
            else "--hosts has an empty name between its commas"
        )
    document: dict[str, Any] = {
        "targets": targets,
        **_what(words, given["shell"], given["script"], given["interpreter"]),
    }
    if given["script"] is not None:
        document["name"] = given["script"].name  # the server only knows its text
    for option, field in _PLAIN.items():
        if given[option] is not None:
            document[field] = given[option]
    if (retry := _retry(given)) is not None:
        document["retry"] = retry
    if given["wait_for"] is not None and given["if_offline"] != "wait":
        raise click.UsageError("--wait-for needs --if-offline wait")
    if given["param"]:
        document["parameters"] = _pairs("--param", given["param"])
    if given["env"]:
        document["env"] = _pairs("--env", given["env"])
    if given["umask"] is not None:
        document["umask"] = _umask(given["umask"])
    if given["stdin"] is not None:
        document["stdin_base64"] = b64encode(_file("--stdin", given["stdin"], STDIN_LIMIT)).decode("ascii")
    elif not any(str(given[name]) == "-" for name in ("script",)) and "-" not in hosts and "@-" not in hosts:
        stdin_argument.refuse()
    if given["success_code"]:
        document["success_codes"] = list(given["success_code"])
    if given["leave_children"]:
        document["leave_children"] = True
    _check_text(document, "")
    return document


_PLAIN = {
    "name": "name",
    "description": "description",
    "type_": "type",
    "timeout": "timeout",
    "grace": "grace",
    "start_within": "start_within",
    "task_timeout": "task_timeout",
    "concurrency": "concurrency",
    "if_offline": "if_offline",
    "wait_for": "wait_for",
    "cwd": "cwd",
    "run_as": "run_as",
    "max_output": "max_output",
}


def _what(words: tuple[str, ...], shell: str | None, script: Path | None, interpreter: str | None) -> dict[str, Any]:
    if script is None and interpreter is not None:
        raise click.UsageError("--interpreter needs --script")
    if shell is not None and script is not None:
        raise click.UsageError("--shell and --script exclude each other")
    if shell is not None:
        if words:
            raise click.UsageError(
                "--shell TEXT is the whole command; put the words after -- into it, or leave --shell away"
            )
        if not shell.strip():
            raise click.UsageError("--shell is empty; say what to run")
        return {"command": shell}
    if script is not None:
        try:
            text = _file("--script", script, SCRIPT_LIMIT).decode()
        except UnicodeDecodeError:
            raise click.UsageError(f"--script: {script} is not UTF-8 text") from None
        if not text.strip():
            raise click.UsageError(f"--script: {script} is empty")
        what: dict[str, Any] = {"script": text}
        if interpreter is not None:
            what["interpreter"] = interpreter
        if words:
            what["args"] = list(words)
        return what
    if not words:
        raise click.UsageError("say what to run: -- PROGRAM ARG..., or --shell TEXT, or --script FILE")
    if not words[0]:
        raise click.UsageError("the program's name is empty")
    return {"argv": list(words)}


def _retry(given: dict[str, Any]) -> dict[str, Any] | None:
    asked = {
        "idempotent": given["idempotent"] or None,
        "codes": given["retry_on"],
        "backoff": given["retry_pause"],
        "backoff_max": given["retry_pause_max"],
    }
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not given["retries"]:
        if wanted:
            raise click.UsageError(f"{_RETRY[next(iter(wanted))]} needs --retries N")
        return None
    if "codes" in wanted:
        wanted["codes"] = [code.strip() for code in wanted["codes"].split(",")]
    return {"attempts": given["retries"] + 1, **wanted}


_RETRY = {
    "idempotent": "--idempotent",
    "codes": "--retry-on",
    "backoff": "--retry-pause",
    "backoff_max": "--retry-pause-max",
}


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option}: {name!r} must be NAME=VALUE")
        if name in pairs:
            raise click.UsageError(f"{option}: {name} is given twice")
        pairs[name] = value
    return pairs


def _umask(text: str) -> str:
    """As text: a number in JSON does not say its base."""
    if not _OCTAL.fullmatch(text):
        raise click.UsageError(f"--umask: {text!r} must be octal, 000 to 777")
    return text


def _file(option: str, path: Path, limit: int) -> bytes:
    if str(path) == "-" and standard_streams.stdin_closed:
        raise click.UsageError(f"{option}: standard input is closed")
    try:
        with click.open_file(str(path), "rb") as handle:
            data: bytes = handle.read(limit + 1)
    except OSError as error:
        raise click.UsageError(f"{option}: {path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise click.UsageError(f"{option}: {path} is larger than {limit:,} bytes")
    return data


def _check_text(value: Any, where: str) -> None:
    """Words of a command line that are not UTF-8 arrive as lone surrogates, which JSON cannot carry."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise click.UsageError(
                f"{where} is not UTF-8: {value!r}; put such bytes into a script or standard input"
            ) from None
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key, where)
            _check_text(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner, where)
