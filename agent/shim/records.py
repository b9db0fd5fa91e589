"""Files of one execution's directory: what the agent asks of a shim, and what the shim reports.

`agent/shim/__init__.py` describes who writes which file, when and how durably. All files are UTF-8 JSON. Times named
`*_at_ms` are wall-clock milliseconds since 1970 UTC; they are displayed and never compared. Durations are measured with
CLOCK_BOOTTIME.
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
"""Environment variable of every process of a command; its value is the directory's name."""

RUN = "CLARION_RUN"
"""Environment variable with a digest of the directory's path, because several agents of one machine may run the same
command.
"""

StopReason = Literal["timeout", "canceled", "expired"]
KillReason = Literal["timeout", "canceled", "expired", "output_limit"]
Outcome = Literal["completed", "failed", "timeout", "canceled"]


class RecordError(ValueError):
    """A file of the directory exists but is invalid; the text names the file and the fault."""


class Spec(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The command to run: exactly one of `argv`, `command`, `script`. A limit of 0 means none.

    Attributes:
        argv: Program and arguments, without a shell.
        command: Text for `/bin/sh -c`, with `args` as $1, $2, ….
        script: Text of a file, run with `args` by `interpreter` or by what its first line names.
        interpreter: Command line of the interpreter, split as a shell does.

    Raises:
        ValueError: Names the invalid field (from msgspec a ValidationError).
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
    """The shim that owns the directory. `starttime` is field 22 of /proc/<pid>/stat, in clock ticks after boot."""

    pid: int
    starttime: int
    boot_id: str


class Started(msgspec.Struct, kw_only=True, frozen=True):
    """The command's main process exists. `cgroup` is the absolute path of its control group, or null."""

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
    """The shim will end the command. Durable before the first signal; from then on the kill decides the outcome."""

    reason: KillReason
    at_ms: int


class StreamReport(msgspec.Struct, kw_only=True, frozen=True):
    """One output stream.

    Attributes:
        total_bytes: Length of the whole stream.
        sha256: Hexadecimal digest of the whole stream.
        head_bytes: Size of the head file.
        tail_bytes: Size of the tail file.
    """

    total_bytes: int
    sha256: str
    head_bytes: int
    tail_bytes: int


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """Resources of all reaped processes of the command.

    Attributes:
        max_rss_kb: Peak memory of the largest process, never below the shim's own size at the fork.
    """

    user_us: int
    system_us: int
    max_rss_kb: int


class Kill(msgspec.Struct, kw_only=True, frozen=True):
    """How the shim ended the command.

    Attributes:
        term_at_ms: Time of SIGTERM; null if it was not needed.
        kill_at_ms: Time of SIGKILL; null if it was not needed.
        tree_empty: True if it is proven that no descendant is left.
    """

    reason: KillReason
    term_at_ms: int | None
    kill_at_ms: int | None
    tree_empty: bool


class Exit(msgspec.Struct, kw_only=True, frozen=True):
    """The final report.

    Attributes:
        error_code: A code of proto/reasons.py; empty when the command completed.
        left_running: Number of processes that `detach` left running.
        oom_killed: The kernel's OOM killer acted during the run, and a process of the command was killed by a SIGKILL
            that the shim did not send.
        output_missing: The disk did not accept all of head and tail.
        inherited: Properties of the agent's process that the system did not allow to reset.
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
    """Identifies a shim, so that a later process with the same pid is not mistaken for it. An empty boot_id means this
    boot.
    """

    pid: int
    starttime: int
    boot_id: str = ""


R = TypeVar("R", bound=msgspec.Struct)


def read(path: Path, kind: type[R]) -> R | None:
    """Return the record in a file, or None if there is no file.

    Raises:
        RecordError: The file is invalid.
        OSError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def read_spec(directory: Path) -> Spec:
    """Return what to run.

    Raises:
        RecordError: The file is missing or invalid.
        OSError: The file cannot be read.
    """
    spec = read(directory / SPEC, Spec)
    if spec is None:
        raise RecordError(f"{directory / SPEC}: the file is missing")
    return spec


def read_claim(directory: Path) -> Claim | None:
    """Return the claim, or None if no shim has claimed the directory, so that nothing was started.

    Raises:
        RecordError: The file is invalid.
        OSError: The file cannot be read.
    """
    return read(directory / CLAIM, Claim)


def read_started(directory: Path) -> Started | None:
    """Return the start record, or None if the main process is not known to run yet.

    Raises:
        RecordError: The file is invalid.
        OSError: The file cannot be read.
    """
    return read(directory / STARTED, Started)


def read_stop(directory: Path) -> Stop | None:
    """Return the stop request, or None.

    Raises:
        RecordError: The file is invalid.
        OSError: The file cannot be read.
    """
    return read(directory / STOP, Stop)


def read_kill(directory: Path) -> KillIntent | None:
    """Raises RecordError, OSError."""
    return read(directory / KILL, KillIntent)


def read_exit(directory: Path) -> Exit | None:
    """Return the report, or None if the command has not finished or the shim died.

    Raises:
        RecordError: The file is invalid.
        OSError: The file cannot be read.
    """
    return read(directory / EXIT, Exit)
