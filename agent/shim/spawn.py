"""Turns a Spec into a running program: everything between fork and exec. Each failure names what failed.

A command gets:

* environment: PATH, HOME, USER, LOGNAME, SHELL=/bin/sh, LANG=C.UTF-8; then the spec's `env`; then its parameters as
  P_<name>; and always CLARION_COMMAND_ID, CLARION_ATTEMPT, CLARION_EXECUTION, CLARION_RUN. Nothing of the agent's own
  environment.
* cwd: as given, else "/". umask: as given, else 022. stdin: the given file, else /dev/null. Signals: all at their
  defaults, none blocked.
* its own session without a terminal; no open files except 0, 1, 2; the rest as `surroundings` describes.
* a script under a real path that its user can reach (`script`). Without an interpreter it is run by what its first line
  names (`#!program one-argument`, as execve(2) reads it, but also where the directory is mounted noexec); without such
  a line by /bin/sh.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import pwd
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agent.shim import records, script
from agent.shim.records import Spec
from agent.shim.system import environment as surroundings
from agent.shim.system import limits, linux
from agent.shim.system.cgroup import Group, identity
from agent.shim.system.limits import OriginalLimits

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_UMASK = 0o022
EXIT_SPAWN_FAILED = 127
NOTE_BYTES = 1
_GO = b"g"


class SpawnFailed(Exception):
    """The program cannot be started.

    The text begins with what failed: program, interpreter, script, cwd, run_as, stdin_file, env, parameters or process.
    """

    def __init__(self, thing: str, text: str) -> None:
        super().__init__(f"{thing}: {text}")


class Child:
    """A forked process that waits for `release` and then becomes the program.

    Attributes:
        status_fd: Ends when the program runs. If starting it fails, the reason can be read from it (UTF-8 text), and
            the process exits.
        in_group: True if the process is in the given control group already.
    """

    def __init__(
        self, spec: Spec, directory: Path, stdout_fd: int, stderr_fd: int, group: Group | None, original: OriginalLimits
    ) -> None:
        """Fork the process.

        Args:
            spec: What to run.
            directory: The execution's directory.
            stdout_fd: Descriptor for standard output.
            stderr_fd: Descriptor for standard error.
            group: Control group, or None.
            original: Resource limits of the command.

        Raises:
            SpawnFailed: No process can be created.
        """
        self._note = mmap.mmap(-1, NOTE_BYTES)  # shared with the child
        shim, opened = os.getpid(), list[int]()
        try:
            opened += os.pipe()
            opened += os.pipe()
            self.pid, self.in_group = _fork(group)
        except OSError as error:
            for fd in opened:
                os.close(fd)
            raise SpawnFailed("process", f"the kernel cannot create another one: {limits.explain(error)}") from error
        gate, self._gate, self.status_fd, status = opened
        if self.pid == 0:
            _child(_Plan(spec, directory, stdout_fd, stderr_fd, shim, original, self._note), gate, status, self._gate)
        os.close(gate)
        os.close(status)
        self.starttime = 0
        # only shown in started.json, so a failure must not stop the command
        with contextlib.suppress(OSError):
            one = linux.process(self.pid)
            self.starttime = one.starttime if one is not None else 0

    @property
    def inherited(self) -> list[str]:
        """Properties of the agent's process that the system did not allow to reset; known once status_fd has ended."""
        return surroundings.names(self._note[0])

    def release(self) -> None:
        # Without a reader the process has been killed, which its wait status will show.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, _GO)
        os.close(self._gate)

    def abandon(self) -> None:
        """Let the process exit without running anything, instead of `release`."""
        os.close(self._gate)


def _fork(group: Group | None) -> tuple[int, bool]:
    """Return 0 in the child and its pid in the parent, and whether the child was created in the group.

    Raises:
        OSError: The kernel creates no process.
    """
    if group is not None:
        fd = os.open(group.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return linux.fork_into(fd), True
        except OSError as error:
            # An old kernel, a seccomp filter or missing rights; any other cause makes os.fork fail too.
            if error.errno in (errno.EAGAIN, errno.ENOMEM):
                raise
        finally:
            os.close(fd)
    return os.fork(), False


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that the child needs. It reports in the one byte of `note` what it could not reset."""

    spec: Spec
    directory: Path
    stdout_fd: int
    stderr_fd: int
    shim: int
    original: OriginalLimits
    note: mmap.mmap


def _child(plan: _Plan, gate: int, status: int, gate_writer: int) -> NoReturn:
    try:
        os.close(gate_writer)
        if os.read(gate, 1) != _GO:
            os._exit(EXIT_SPAWN_FAILED)
        _become(plan)
    except SpawnFailed as failure:
        text = str(failure)
    except BaseException as error:
        text = f"process: {type(error).__name__}: {error}"
    os.write(status, text.encode(errors="replace")[:4000])
    os._exit(EXIT_SPAWN_FAILED)


def _become(plan: _Plan) -> NoReturn:
    spec, directory = plan.spec, plan.directory
    _default_signals()
    os.setsid()
    user = _user(spec.run_as)
    path = _script(spec, directory, user)
    stdin = _open_stdin(spec, directory)
    for source, target in ((stdin, 0), (plan.stdout_fd, 1), (plan.stderr_fd, 2)):
        os.dup2(source, target, inheritable=True)
    plan.note[0] = surroundings.clean()
    os.umask(DEFAULT_UMASK if spec.umask is None else spec.umask)
    if user is not None:
        _change_user(user)
        if path and not os.access(path, os.R_OK):
            raise SpawnFailed("script", f"{path} cannot be read as {user.pw_name!r}")
    linux.die_with_parent()
    if os.getppid() != plan.shim:
        os._exit(EXIT_SPAWN_FAILED)
    try:
        os.chdir(spec.cwd if spec.cwd is not None else "/")
    except (OSError, ValueError) as error:
        raise SpawnFailed("cwd", f"{spec.cwd!r}: {_reason(error)}") from error
    thing, argv = _argv(spec, path)
    environment = _environment(spec, directory)
    plan.original.restore()
    _execute(thing, argv, environment)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _default_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError:
                # The C library reserves two real-time signals for itself (signal(7)).
                continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _user(name: str | None) -> pwd.struct_passwd | None:
    """Return the user to switch to, or None to keep the present one."""
    if name is None:
        return None
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise SpawnFailed("run_as", f"there is no user {name!r} on this host") from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise SpawnFailed("run_as", f"only an agent that runs as root can run commands as {name!r}")
    return entry


def _change_user(user: pwd.struct_passwd) -> None:
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    except OSError as error:
        raise SpawnFailed("run_as", f"cannot become {user.pw_name!r}: {error.strerror}") from error


def _open_stdin(spec: Spec, directory: Path) -> int:
    path = "/dev/null" if spec.stdin_file is None else directory / spec.stdin_file
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SpawnFailed("stdin_file", f"{path}: {error.strerror}") from error


def _script(spec: Spec, directory: Path, user: pwd.struct_passwd | None) -> str:
    """Write the script and return the path that the command uses."""
    if spec.script is None:
        return ""
    try:
        return str(script.write(directory, spec.script, user))
    except OSError as error:
        raise SpawnFailed("script", f"cannot be written: {error.strerror}") from error


def _argv(spec: Spec, path: str) -> tuple[str, list[str]]:
    """Return how an error names the first element, and program and arguments."""
    if spec.argv is not None:
        return "program", spec.argv
    if spec.command is not None:
        return "interpreter", ["/bin/sh", "-c", spec.command, "sh", *spec.args]
    if spec.interpreter is not None:
        try:
            interpreter = shlex.split(spec.interpreter)
        except ValueError as error:
            raise SpawnFailed("interpreter", f"{spec.interpreter!r}: {error}") from error
    else:
        interpreter = _first_line(spec.script or "")
    if not interpreter:
        raise SpawnFailed("interpreter", "is empty; name a program or leave it out")
    return "interpreter", [*interpreter, path, *spec.args]


def _first_line(text: str) -> list[str]:
    line, _, _ = text.partition("\n")
    if not line.startswith("#!"):
        return ["/bin/sh"]
    return line[2:].strip().split(None, 1)


def _environment(spec: Spec, directory: Path) -> dict[bytes, bytes]:
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:
        name, home = str(uid), "/"
    command_id, _, attempt = directory.name.rpartition(".")
    values = {"PATH": DEFAULT_PATH, "HOME": home, "USER": name, "LOGNAME": name, "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
    for thing, prefix, given in (("env", "", spec.env), ("parameters", "P_", spec.parameters)):
        for key, value in given.items():
            if not key or "=" in key or "\0" in key:
                raise SpawnFailed(thing, f"{key!r} cannot be the name of a variable")
            if "\0" in value:
                raise SpawnFailed(thing, f"the value of {key!r} contains a NUL character")
            values[prefix + key] = value
    values |= {
        "CLARION_COMMAND_ID": command_id,
        "CLARION_ATTEMPT": attempt,
        records.MARKER: directory.name,
        records.RUN: identity(directory),
    }
    # a home directory in /etc/passwd may not be UTF-8
    return {os.fsencode(key): os.fsencode(value) for key, value in values.items()}


def _execute(thing: str, argv: Sequence[str], environment: dict[bytes, bytes]) -> NoReturn:
    program = argv[0]
    if any("\0" in word for word in argv):
        raise SpawnFailed(thing, "an argument contains a NUL character")
    words = [word.encode() for word in argv]
    search = os.fsdecode(environment[b"PATH"])
    places = [program] if "/" in program else [f"{folder}/{program}" for folder in search.split(":") if folder]
    denied = ""
    for place in places:
        try:
            os.execve(os.fsencode(place), words, environment)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.exists(place):
                raise SpawnFailed(
                    "interpreter", f"{place} exists, but the program named in its first line (or header) does not"
                ) from error
        except PermissionError:
            denied = denied or place
        except OSError as error:
            raise SpawnFailed(thing, f"{place}: {error.strerror}") from error
    if denied:
        raise SpawnFailed(thing, f"{denied} is not executable for this user")
    where = "" if "/" in program else f" in PATH ({search})"
    raise SpawnFailed(thing, f"there is no {program!r}{where}")
