"""Builds the request that creates a task from the options of `run` and `tasks create`."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from server.cli import host_arguments, standard_streams, stdin_argument

SCRIPT_LIMIT = 16 << 20
"""Bytes. No server accepts as many; the limit keeps a wrong file name from filling the memory."""
STDIN_LIMIT = 64 << 20
"""Bytes, for the same reason."""
_OCTAL = re.compile(r"(?:0o)?0?[0-7]{1,3}")


def body(words: tuple[str, ...], hosts: tuple[str, ...], **given: Any) -> dict[str, Any]:
    """Return the body of POST /api/v1/tasks and /run.

    It holds only the options that the user gave: all defaults are the server's.

    Raises:
        click.UsageError: Options are missing, wrong or contradict each other.
    """
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
        **_command(words, given["shell"], given["script"], given["interpreter"]),
    }
    if given["script"] is not None:
        document["name"] = given["script"].name  # the server knows only the script's text
    for option, field in _COPIED.items():
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
    elif str(given["script"]) != "-" and "-" not in hosts and "@-" not in hosts:
        stdin_argument.refuse()
    if given["success_code"]:
        document["success_codes"] = list(given["success_code"])
    if given["leave_children"]:
        document["leave_children"] = True
    _check_text(document, "")
    return document


_COPIED = {
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


def _command(words: tuple[str, ...], shell: str | None, script: Path | None, interpreter: str | None) -> dict[str, Any]:
    """Return the fields that say what to run: `command`, `script` or `argv`."""
    if script is None and interpreter is not None:
        raise click.UsageError("--interpreter needs --script")
    if shell is not None and script is not None:
        raise click.UsageError("--shell and --script exclude each other")
    if shell is not None:
        if words:
            raise click.UsageError("--shell TEXT is the whole command; put the words after -- into it, or omit --shell")
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
        fields: dict[str, Any] = {"script": text}
        if interpreter is not None:
            fields["interpreter"] = interpreter
        if words:
            fields["args"] = list(words)
        return fields
    if not words:
        raise click.UsageError("say what to run: -- PROGRAM ARG..., or --shell TEXT, or --script FILE")
    if not words[0]:
        raise click.UsageError("the program's name is empty")
    return {"argv": list(words)}


def _retry(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the retry policy, or None without --retries."""
    asked = {
        "idempotent": given["idempotent"] or None,
        "codes": given["retry_on"],
        "backoff": given["retry_pause"],
        "backoff_max": given["retry_pause_max"],
    }
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not given["retries"]:
        if wanted:
            raise click.UsageError(f"{_RETRY_OPTIONS[next(iter(wanted))]} needs --retries N")
        return None
    if "codes" in wanted:
        wanted["codes"] = [code.strip() for code in wanted["codes"].split(",")]
    return {"attempts": given["retries"] + 1, **wanted}


_RETRY_OPTIONS = {
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
    """Check the mask and return it as text, because a number in JSON does not show its base."""
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
    """Refuse text that is not UTF-8. Python decodes such words to lone surrogates, which JSON cannot hold."""
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
