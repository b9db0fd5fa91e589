"""Validates the body of a request that creates a task: everything that its types cannot express."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from proto.readable import escaped
from proto.reasons import REASONS
from server.core.model import Command, Retry
from server.errors import ClarionError
from server.web.http.limits import Limits
from server.web.schemas.requests import RetryBody, TaskBody
from server.web.service import editor_characters
from server.web.service.checks import (
    CONTROL,
    check_name,
    check_number,
    check_seconds,
    check_text,
    check_visible,
    over_limit,
    refuse,
)

TYPE = r"[a-z][a-z0-9_-]{0,31}"
VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
"""A name as defined in POSIX.1-2017 section 8.1, with a limit."""
PARAMETER_NAME = r"[A-Za-z0-9_]{1,64}"
USER_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?"
_TYPE = re.compile(rf"{TYPE}\Z")
_VARIABLE_NAME = re.compile(rf"{VARIABLE_NAME}\Z")
_PARAMETER_NAME = re.compile(rf"{PARAMETER_NAME}\Z")
_USER_NAME = re.compile(rf"{USER_NAME}\Z")
_OCTAL = re.compile(r"(?:0o)?0?[0-7]{1,3}\Z")
SHORTEST_S = 0.001
"""Shortest time limit, in seconds."""
DEFAULT_NAME_CHARS = 80
"""Length of a task name that is made from the command."""
SUCCESS_CODES_READ = 1_000
"""Exit codes that a request may list, duplicates included. There are 256 different ones."""

RETRYABLE = tuple(reason.code for reason in REASONS.values() if reason.retryable)
"""Reasons for which a retry can help: the command certainly did not run."""
NEVER_RETRIED = frozenset(
    {"canceled", "canceled_before_start", "force_canceled", "output_limit", "unknown", "rolled_back", "restored"}
)
"""Reasons that are never retried: an operator ended the execution, or the server does not know what happened."""
RETRYABLE_IF_IDEMPOTENT = tuple(
    reason.code for reason in REASONS.values() if reason.started and reason.code not in NEVER_RETRIED
)
"""Reasons that are retried only if the command is idempotent: it may have run."""


@dataclass(frozen=True, slots=True)
class ValidatedTaskRequest:
    """A valid request to create a task. Its hosts are not resolved yet.

    Attributes:
        body: The request's body.
        name: The task's name.
        command: The command, without ids.
        task_timeout_ms: Time limit of the whole task; None for no limit.
        wait_ms: How long to wait for hosts that are offline; None to fail them at once.
        retry: The retry policy; None for no retries.
    """

    body: TaskBody
    name: str
    command: Command
    task_timeout_ms: int | None
    wait_ms: int | None
    retry: Retry | None


def validate(body: TaskBody, limits: Limits) -> ValidatedTaskRequest:
    """Validate a body. Does not read anything but the body.

    Raises:
        ClarionError: missing_field or invalid_value; names the first wrong field.
    """
    what = _check_program(body, limits)
    if not _TYPE.match(body.type):
        raise refuse(
            "type",
            f"cannot be {body.type[:60]!r}",
            "use 1 to 32 lower-case letters, digits, - and _, beginning with a letter",
        )
    _check_cwd(body.cwd, limits)
    if body.run_as is not None and not _USER_NAME.match(body.run_as):
        raise refuse(
            "run_as",
            f"cannot be a user's name: {body.run_as[:60]!r}",
            "use letters, digits, . _ and -, at most 64; the user must exist on the hosts",
        )
    success_codes = _success_codes(body.success_codes, limits)
    if body.concurrency is not None:
        check_number("concurrency", body.concurrency, 1, limits.hosts_per_task, "limits.hosts_per_task")
    _check_description(body.description, limits)
    longest = limits.timeout_max
    command = Command(
        command_id="",
        task_id="",
        command=body.command,
        argv=tuple(body.argv) if body.argv is not None else None,
        script=body.script,
        interpreter=body.interpreter,
        args=tuple(body.args),
        parameters=_mapping("parameters", body.parameters, _PARAMETER_NAME, limits),
        env=_mapping("env", body.env, _VARIABLE_NAME, limits),
        cwd=body.cwd,
        run_as=body.run_as,
        umask=_umask(body.umask),
        stdin=_stdin(body, limits),
        timeout_ms=check_seconds("timeout", body.timeout, SHORTEST_S, longest),
        grace_ms=check_seconds("grace", body.grace, 0, longest),
        start_within_ms=check_seconds("start_within", body.start_within, SHORTEST_S, longest),
        max_output=check_number("max_output", body.max_output, 1, limits.max_output, None),
        detach=_leave_children(body),
        success_codes=success_codes,
    )
    task_timeout_ms = (
        None if body.task_timeout is None else check_seconds("task_timeout", body.task_timeout, SHORTEST_S, longest)
    )
    name = _name(body, what, limits)
    wait_ms = check_seconds("wait_for", body.wait_for, SHORTEST_S, longest)
    return ValidatedTaskRequest(
        body,
        name,
        command,
        task_timeout_ms,
        wait_ms if body.if_offline == "wait" else None,
        _retry(body.retry, limits),
    )


def _check_program(body: TaskBody, limits: Limits) -> str:
    """Check command, argv, script and the fields that belong to them. Returns which of the three is given."""
    given = [name for name in ("command", "argv", "script") if getattr(body, name) is not None]
    if not given:
        raise ClarionError(
            "missing_field",
            "nothing to run: one of command, argv and script is needed",
            field="command",
            hint="add command, argv or script",
        )
    if len(given) > 1:
        raise refuse(given[1], f"and {given[0]} exclude each other", "send exactly one of command, argv and script")
    what = given[0]
    if what == "argv":
        assert body.argv is not None
        if not body.argv or not body.argv[0].strip():
            raise refuse("argv", "is empty", "the first word is the program")
        _check_words("argv", body.argv, limits.command_bytes)
        if body.args:
            raise refuse("args", "cannot be combined with argv", "put the arguments into argv")
    else:
        text = getattr(body, what)
        if what == "script":
            editor_characters.check_script(text, body.interpreter)
        else:
            editor_characters.check_command(text)
        check_text(what, text, limits.command_bytes, "limits.command_bytes", empty=False)
        _check_words("args", body.args, limits.command_bytes)
    if body.interpreter is not None:
        if what != "script":
            raise refuse("interpreter", f"cannot be combined with {what}", "use script, or leave interpreter out")
        editor_characters.check_interpreter(
            check_text("interpreter", body.interpreter, limits.parameter_bytes, "limits.parameter_bytes", empty=False)
        )
    return what


def _check_words(field: str, words: list[str], max_bytes: int) -> None:
    if len(words) > max_bytes:
        raise over_limit(
            field,
            f"has {len(words)} words; at most {max_bytes} are accepted",
            f"shorten {field}",
            "limits.command_bytes",
        )
    for index, word in enumerate(words):
        check_text(f"{field}[{index}]", word, max_bytes, "limits.command_bytes")
    if (size := sum(len(word.encode()) + 1 for word in words)) > max_bytes:
        raise over_limit(
            field,
            f"has {size} bytes in all; at most {max_bytes} are accepted",
            f"shorten {field}",
            "limits.command_bytes",
        )


def _check_cwd(cwd: str | None, limits: Limits) -> None:
    if cwd is None:
        return
    check_text("cwd", cwd, limits.parameter_bytes, "limits.parameter_bytes", empty=False)
    if not PurePosixPath(cwd).is_absolute():
        raise refuse("cwd", "must be an absolute path", "begin it with /")
    if CONTROL.search(cwd):
        raise refuse("cwd", f"contains control characters: {cwd[:60]!a}", "remove them")


def _check_description(text: str, limits: Limits) -> None:
    check_text("description", text, limits.description_chars * 4, None)
    if len(text) > limits.description_chars:
        raise over_limit(
            "description",
            f"has {len(text)} characters; at most {limits.description_chars} are accepted",
            "shorten description",
            None,
        )
    check_visible("description", text, lines=True)


def _success_codes(codes: list[int], limits: Limits) -> tuple[int, ...]:
    if len(codes) > SUCCESS_CODES_READ:
        raise over_limit(
            "success_codes",
            f"lists {len(codes)} exit codes; at most {SUCCESS_CODES_READ} are read",
            "list each code once",
            None,
        )
    found = tuple(
        dict.fromkeys(check_number(f"success_codes[{index}]", code, 0, 255, None) for index, code in enumerate(codes))
    )
    if not found or len(found) > limits.success_codes:
        raise refuse(
            "success_codes",
            f"lists {len(found)} exit codes; 1 to {limits.success_codes} are accepted",
            "list the exit codes that count as success, or leave success_codes out for 0 alone",
        )
    return found


def _mapping(field: str, values: dict[str, str], names: re.Pattern[str], limits: Limits) -> dict[str, str]:
    if len(values) > limits.parameters:
        raise over_limit(
            field,
            f"has {len(values)} entries; at most {limits.parameters} are accepted",
            f"send fewer entries in {field}",
            "limits.parameters",
        )
    for name, value in values.items():
        if not names.match(name):
            raise ClarionError(
                "invalid_value",
                f"{field}: {name[:100]!r} cannot be the name of an environment variable",
                field=field,
                hint="use letters, digits and _",
            )
        check_text(f"{field}.{name}", value, limits.parameter_bytes, "limits.parameter_bytes")
    return values


def _umask(value: str | None) -> int | None:
    if value is None:
        return None
    if not _OCTAL.match(value):
        raise refuse(
            "umask",
            f"is not an octal mask from 000 to 777: {value[:20]!r}",
            'write one to three octal digits, such as "022"',
        )
    return int(value, 8)


def _leave_children(body: TaskBody) -> bool:
    if body.leave_children is not None and body.detach is not None and body.leave_children is not body.detach:
        raise refuse(
            "detach",
            "contradicts leave_children",
            "detach is the earlier name of leave_children; send leave_children alone",
        )
    return bool(body.leave_children or body.detach)


def _stdin(body: TaskBody, limits: Limits) -> bytes | None:
    if body.stdin is not None and body.stdin_base64 is not None:
        raise refuse("stdin", "and stdin_base64 exclude each other", "send one of them")
    data, field = None, "stdin"
    if body.stdin is not None:
        data = body.stdin.encode()
    elif body.stdin_base64 is not None:
        field = "stdin_base64"
        try:
            data = base64.b64decode(body.stdin_base64, validate=True)
        except (binascii.Error, ValueError):
            raise refuse(
                field,
                "is not base64",
                "encode it with the standard alphabet and padding, for example with: base64 -w0 FILE",
            ) from None
    if data is not None and len(data) > limits.stdin_bytes:
        raise over_limit(
            field,
            f"has {len(data)} bytes; at most {limits.stdin_bytes} are accepted",
            "send less",
            "limits.stdin_bytes",
        )
    return data


def _name(body: TaskBody, what: str, limits: Limits) -> str:
    """The given name, or the first line of the command, shortened."""
    if body.name is not None:
        return check_name("name", body.name, limits.name_chars)
    text = " ".join(body.argv or ()) if what == "argv" else str(getattr(body, what))
    line = next(line for line in text.splitlines() if line.strip()).strip() if text.strip() else what
    line = escaped(CONTROL.sub(" ", line))
    return line if len(line) <= DEFAULT_NAME_CHARS else line[: DEFAULT_NAME_CHARS - 1] + "…"


def _retry(body: RetryBody | None, limits: Limits) -> Retry | None:
    if body is None:
        return None
    default = (*RETRYABLE, *RETRYABLE_IF_IDEMPOTENT) if body.idempotent else RETRYABLE
    codes = default if body.codes is None else tuple(dict.fromkeys(body.codes))
    for index, code in enumerate(codes):
        if code not in REASONS or code in NEVER_RETRIED:
            raise refuse(
                f"retry.codes[{index}]",
                f"cannot be {code[:60]!r}: executions that end so are never retried",
                f"one of: {', '.join((*RETRYABLE, *RETRYABLE_IF_IDEMPOTENT))}",
            )
        if code in RETRYABLE_IF_IDEMPOTENT and not body.idempotent:
            raise refuse(
                f"retry.codes[{index}]",
                f"is {code}, which means that the command may have run",
                "add idempotent if running it twice does no harm",
            )
    if not codes:
        raise refuse("retry.codes", "is empty", "list reasons, or leave codes out")
    return Retry(
        attempts=check_number("retry.attempts", body.attempts, 1, limits.attempts, "limits.attempts"),
        codes=codes,
        backoff_ms=check_seconds("retry.backoff", body.backoff, 0, limits.timeout_max),
        backoff_max_ms=check_seconds("retry.backoff_max", body.backoff_max, 0, limits.timeout_max),
        idempotent=body.idempotent,
    )
