"""The files of one execution's directory: what the agent asks of a shim, and what the shim reports.

`agent/shim/__init__.py` tells who writes which file, when and how durably. All files are UTF-8 JSON. Times `*_at_ms`
are wall-clock
milliseconds since 1970 UTC and are only shown, never compared; durations are taken from CLOCK_BOOTTIME.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

SPEC = "spec.json"
CLOSED = "spec.void"
CLAIM = "claim.json"
STARTED = "started.json"
STOP = "stop.json"
KILL = "kill.json"
EXIT = "exit.json"
LOG = "shim.log"
STDOUT_HEAD, STDOUT_TAIL = "stdout.head", "stdout.tail"
STDERR_HEAD, STDERR_TAIL = "stderr.head", "stderr.tail"

MARKER = "CLARION_EXECUTION"
"""Name of the environment variable that every process of a command carries; its value is the directory's name."""

RUN = "CLARION_RUN"
"""Beside it, because several agents of one machine may run the same command: a digest of the directory's path."""

StopReason = Literal["timeout", "canceled", "expired"]
KillReason = Literal["timeout", "canceled", "expired", "output_limit"]
Outcome = Literal["completed", "failed", "timeout", "canceled"]


class RecordError(ValueError):
    """A file of the directory is there but cannot be understood; the text names the file and what is wrong with it."""


class Spec(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What to run: exactly one of `argv`, `command`, `script`.

    argv: program and arguments, no shell. command: text for `/bin/sh -c`, with `args` as $1, $2, …. script: text of a
    file, run by
    `interpreter` (split as a shell would) or, without one, by what its own first line names, with `args`. Limits: 0
    means none.
    Raises ValueError (from msgspec a ValidationError) naming the field.
    """

    argv: list[str] | None = None
    command: str | None = None
    script: str | None = None
    interpreter: str | None = None
    args: list[str] = []
    parameters: dict[str, str] = {}
    env: dict[str, str] = {}
    cwd: str | None = None
    run_as: str | None = None
    umask: int | None = None
    stdin_file: str | None = None
    timeout_ms: int = 0
    grace_ms: int = 5_000
    max_output: int = 0
    detach: bool = False
    success_codes: list[int] = msgspec.field(default_factory=lambda: [0])
    head_bytes: int = 262_144
    tail_bytes: int = 262_144
    drain_ms: int = 2_000

    def __post_init__(self) -> None:
        given = [name for name in ("argv", "command", "script") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of argv, command and script must be given, not {' and '.join(given) or 'none'}"
            )
        if self.argv is not None and not self.argv:
            raise ValueError("argv: is empty; its first element names the program")
        if self.argv is not None and self.args:
            raise ValueError("args: only with command or script; put them into argv")
        if self.interpreter is not None and self.script is None:
            raise ValueError("interpreter: only with script")
        if self.umask is not None and not 0 <= self.umask <= 0o777:
            raise ValueError("umask: must lie between 0 and 0o777")
        if self.stdin_file is not None and (
            not self.stdin_file or "/" in self.stdin_file or self.stdin_file in (".", "..")
        ):
            raise ValueError("stdin_file: must be a plain file name in the execution's directory")
        for name in ("timeout_ms", "grace_ms", "max_output", "head_bytes", "tail_bytes", "drain_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative")


class Claim(msgspec.Struct, kw_only=True, frozen=True):
    """Which shim owns the directory. `starttime`: field 22 of /proc/<pid>/stat, clock ticks after boot."""

    pid: int
    starttime: int
    boot_id: str


class Started(msgspec.Struct, kw_only=True, frozen=True):
    """The command's main process exists. `cgroup`: absolute path of its control group, or null."""

    pid: int
    starttime: int
    child_pid: int
    child_starttime: int
    boot_id: str
    started_at_ms: int
    cgroup: str | None = None


class Stop(msgspec.Struct, kw_only=True, frozen=True):
    """The agent's request to end the command."""

    reason: StopReason
    at_ms: int


class KillIntent(msgspec.Struct, kw_only=True, frozen=True):
    """Durable before the first signal: from here on the kill decides the outcome."""

    reason: KillReason
    at_ms: int


class StreamReport(msgspec.Struct, kw_only=True, frozen=True):
    """total_bytes and sha256 (hex) cover the whole stream; head_bytes and tail_bytes are the sizes of the two files."""

    total_bytes: int
    sha256: str
    head_bytes: int
    tail_bytes: int


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """Of all processes of the command that were reaped. max_rss_kb: of the largest one, never below the shim's own size
    at the fork."""

    user_us: int
    system_us: int
    max_rss_kb: int


class Kill(msgspec.Struct, kw_only=True, frozen=True):
    """How it was ended. term_at_ms, kill_at_ms: null when that signal was not needed. tree_empty: proven that no
    descendant is left."""

    reason: KillReason
    term_at_ms: int | None
    kill_at_ms: int | None
    tree_empty: bool


class Exit(msgspec.Struct, kw_only=True, frozen=True):
    """The final report. `error_code`: one of proto/reasons.py, empty when completed.

    left_running: processes that `detach` has let live. oom_killed: the kernel's OOM killer acted while it ran, and a
    process of it was killed
    by a SIGKILL that the shim did not send. output_missing: the disk did not take all of head and tail. inherited: what
    it had of the agent
    because the system did not allow to change it.
    """

    outcome: Outcome
    exit_code: int | None
    signal: int | None
    error_code: str
    error_message: str
    started_at_ms: int
    finished_at_ms: int
    duration_us: int
    stdout: StreamReport
    stderr: StreamReport
    usage: Usage
    kill: Kill | None = None
    pipe_held: bool = False
    leftovers_killed: int = 0
    left_running: int = 0
    oom_killed: bool = False
    output_missing: bool = False
    inherited: list[str] = []


class ShimRef(msgspec.Struct, frozen=True):
    """A shim that cannot be mistaken for a later process. boot_id: empty means the present boot."""

    pid: int
    starttime: int
    boot_id: str = ""


R = TypeVar("R", bound=msgspec.Struct)


def read(path: Path, kind: type[R]) -> R | None:
    """The record in a file, or None when the file is not there. Raises RecordError, OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def read_spec(directory: Path) -> Spec:
    """Raises RecordError, also when the file is missing."""
    spec = read(directory / SPEC, Spec)
    if spec is None:
        raise RecordError(f"{directory / SPEC}: is missing")
    return spec


def read_claim(directory: Path) -> Claim | None:
    """None: no shim has taken the directory, so nothing was started. Raises RecordError, OSError."""
    return read(directory / CLAIM, Claim)


def read_started(directory: Path) -> Started | None:
    """None: the main process is not (yet) known to run. Raises RecordError, OSError."""
    return read(directory / STARTED, Started)


def read_stop(directory: Path) -> Stop | None:
    """Raises RecordError, OSError."""
    return read(directory / STOP, Stop)


def read_kill(directory: Path) -> KillIntent | None:
    """Raises RecordError, OSError."""
    return read(directory / KILL, KillIntent)


def read_exit(directory: Path) -> Exit | None:
    """None: not finished, or the shim died. Raises RecordError, OSError."""
    return read(directory / EXIT, Exit)
