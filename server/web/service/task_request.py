"""A TaskBody → the Task and the Command it asks for. Everything that a type cannot say is checked here, before anything
is written."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from proto.ids import uuid7
from proto.readable import escaped
from server.core.model import Command, Retry, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.errors import ClarionError
from server.ports import Clock, Entropy
from server.web.http.limits import Limits
from server.web.schemas.requests import TaskBody
from server.web.service import editor_characters, retry_policy
from server.web.service.checks import check_visible, too_much
from server.web.service.checks import count as _count
from server.web.service.checks import refuse as refuse
from server.web.service.checks import seconds as _seconds

_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
"""What POSIX.1-2017 section 8.1 calls a name, bounded."""
_PARAMETER = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?\Z")
_OCTAL = re.compile(r"(?:0o)?0?[0-7]{1,3}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SHORTEST_S = 0.001
DEFAULT_NAME_CHARS = 80
MANY_CODES = 1_000
"""Exit codes that are read, doubled ones included; there are 256."""


def check_text(field: str, value: str, max_bytes: int, setting: str | None, *, empty: bool = True) -> str:
    """No NUL, which no operating system can pass on, and no more than so many bytes of UTF-8. setting: what bounds it;
    None: a fixed limit."""
    if not empty and not value.strip():
        raise refuse(field, "is empty", f"give {field} a value")
    if "\0" in value:
        raise refuse(field, "contains NUL", "an operating system cannot pass NUL on; use stdin_base64 for binary data")
    if len(value) > max_bytes or len(value.encode()) > max_bytes:
        raise too_much(
            field, f"has {len(value.encode())} bytes; at most {max_bytes} are accepted", f"shorten {field}", setting
        )
    return value


def check_line(field: str, value: str, max_chars: int) -> str:
    if len(value) > max_chars:
        raise too_much(
            field, f"has {len(value)} characters; at most {max_chars} are accepted", f"shorten {field}", None
        )
    if _CONTROL.search(value):
        raise refuse(field, "contains control characters", f"write {field} on one line")
    check_visible(field, value)
    return value


def _mapping(field: str, values: dict[str, str], names: re.Pattern[str], limits: Limits) -> dict[str, str]:
    if len(values) > limits.parameters:
        raise too_much(
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
        raise too_much(
            field,
            f"has {len(data)} bytes; at most {limits.stdin_bytes} are accepted",
            "send less",
            "limits.stdin_bytes",
        )
    return data


def _words(field: str, words: list[str], max_bytes: int) -> tuple[str, ...]:
    if len(words) > max_bytes:
        raise too_much(
            field,
            f"has {len(words)} words; at most {max_bytes} are accepted",
            f"shorten {field}",
            "limits.command_bytes",
        )
    for index, word in enumerate(words):
        check_text(f"{field}[{index}]", word, max_bytes, "limits.command_bytes")
    if (size := sum(len(word.encode()) + 1 for word in words)) > max_bytes:
        raise too_much(
            field,
            f"has {size} bytes in all; at most {max_bytes} are accepted",
            f"shorten {field}",
            "limits.command_bytes",
        )
    return tuple(words)


def _what_to_run(body: TaskBody, limits: Limits) -> str:
    """Checks command, argv, script and what belongs to them; returns which of the three it is."""
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
        _words("argv", body.argv, limits.command_bytes)
        if body.args:
            raise refuse("args", "does not go with argv", "put the arguments into argv")
    else:
        text = getattr(body, what)
        if what == "script":
            editor_characters.check_script(text, body.interpreter)
        else:
            editor_characters.check_command(text)
        check_text(what, text, limits.command_bytes, "limits.command_bytes", empty=False)
        _words("args", body.args, limits.command_bytes)
    if body.interpreter is not None:
        if what != "script":
            raise refuse("interpreter", f"does not go with {what}", "use script, or leave interpreter out")
        editor_characters.check_interpreter(
            check_text("interpreter", body.interpreter, limits.parameter_bytes, "limits.parameter_bytes", empty=False)
        )
    return what


@dataclass(frozen=True, slots=True)
class ValidatedTaskRequest:
    """A checked TaskBody, whose hosts are not looked up yet."""

    body: TaskBody
    name: str
    command: Command
    task_timeout_ms: int | None
    wait_ms: int | None
    retry: Retry | None


def check(body: TaskBody, limits: Limits) -> ValidatedTaskRequest:
    """Raises ClarionError that names the first field that is wrong. Looks at nothing but the body."""
    what = _what_to_run(body, limits)
    if not _TYPE.match(body.type):
        raise refuse(
            "type",
            f"cannot be {body.type[:60]!r}",
            "use 1 to 32 lower-case letters, digits, - and _, beginning with a letter",
        )
    if body.cwd is not None:
        if not PurePosixPath(
            check_text("cwd", body.cwd, limits.parameter_bytes, "limits.parameter_bytes", empty=False)
        ).is_absolute():
            raise refuse("cwd", "must be an absolute path", "begin it with /")
        if _CONTROL.search(body.cwd):
            raise refuse("cwd", f"contains control characters: {body.cwd[:60]!a}", "remove them")
    if body.run_as is not None and not _USER.match(body.run_as):
        raise refuse(
            "run_as",
            f"cannot be a user's name: {body.run_as[:60]!r}",
            "use letters, digits, . _ and -, at most 64; the user must exist on the hosts",
        )
    if len(body.success_codes) > MANY_CODES:
        raise too_much(
            "success_codes",
            f"names {len(body.success_codes)} exit codes; at most {MANY_CODES} are read",
            "name each once",
            None,
        )
    codes = tuple(
        dict.fromkeys(
            _count(f"success_codes[{index}]", code, 0, 255, None) for index, code in enumerate(body.success_codes)
        )
    )
    if not codes or len(codes) > limits.success_codes:
        raise refuse(
            "success_codes",
            f"names {len(codes)} exit codes; 1 to {limits.success_codes} are accepted",
            "name the exit codes that count as success, or leave success_codes out for 0 alone",
        )
    if body.concurrency is not None:
        _count("concurrency", body.concurrency, 1, limits.hosts_per_task, "limits.hosts_per_task")
    check_text("description", body.description, limits.description_chars * 4, None)
    if len(body.description) > limits.description_chars:
        raise too_much(
            "description",
            f"has {len(body.description)} characters; at most {limits.description_chars} are accepted",
            "shorten description",
            None,
        )
    check_visible("description", body.description, lines=True)
    command = Command(
        command_id="",
        task_id="",
        command=body.command,
        argv=tuple(body.argv) if body.argv is not None else None,
        script=body.script,
        interpreter=body.interpreter,
        args=tuple(body.args),
        parameters=_mapping("parameters", body.parameters, _PARAMETER, limits),
        env=_mapping("env", body.env, _ENV_NAME, limits),
        cwd=body.cwd,
        run_as=body.run_as,
        umask=_umask(body.umask),
        stdin=_stdin(body, limits),
        timeout_ms=_seconds("timeout", body.timeout, SHORTEST_S, limits.timeout_max),
        grace_ms=_seconds("grace", body.grace, 0, limits.timeout_max),
        start_within_ms=_seconds("start_within", body.start_within, SHORTEST_S, limits.timeout_max),
        max_output=_count("max_output", body.max_output, 1, limits.max_output, None),
        detach=_leave_children(body),
        success_codes=codes,
    )
    task_timeout_ms = (
        None
        if body.task_timeout is None
        else _seconds("task_timeout", body.task_timeout, SHORTEST_S, limits.timeout_max)
    )
    return ValidatedTaskRequest(
        body,
        _name(body, what, limits),
        command,
        task_timeout_ms,
        retry_policy.wait_ms(body, limits),
        retry_policy.policy(body.retry, limits),
    )


def _name(body: TaskBody, what: str, limits: Limits) -> str:
    if body.name is not None:
        name = check_line("name", body.name, limits.name_chars)
        if not name.strip():
            raise refuse("name", "is empty", "give it a name, or leave name out")
        return name
    text = " ".join(body.argv or ()) if what == "argv" else str(getattr(body, what))
    line = next(line for line in text.splitlines() if line.strip()).strip() if text.strip() else what
    line = escaped(_CONTROL.sub(" ", line))
    return line if len(line) <= DEFAULT_NAME_CHARS else line[: DEFAULT_NAME_CHARS - 1] + "…"


def build(
    wish: ValidatedTaskRequest, host_ids: tuple[str, ...], target_text: str, by: str, clock: Clock, entropy: Entropy
) -> tuple[Task, Command]:
    """A pending task and its command, with new ids."""
    now, body, command = clock.now().wall_ms, wish.body, wish.command
    command.task_id, command.command_id = uuid7(now, entropy(10)), uuid7(now, entropy(10))
    counts = [0] * len(ExecutionStatus)
    counts[ExecutionStatus.PENDING] = len(host_ids)
    task = Task(
        task_id=command.task_id,
        name=wish.name,
        description=body.description,
        type=body.type,
        status=TaskStatus.PENDING,
        created_by=by,
        created_at=now,
        updated_at=now,
        target_text=target_text,
        targets=host_ids,
        parameters=body.parameters,
        timeout_ms=wish.task_timeout_ms,
        concurrency=body.concurrency,
        counts=tuple(counts),
        wait_ms=wish.wait_ms,
        retry=wish.retry,
    )
    return task, command
