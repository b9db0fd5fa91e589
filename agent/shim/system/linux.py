"""Linux system calls that Python 3.11 does not offer, and reading of /proc."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

# prctl(2), timerfd_create(2), wait(2)
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_TFD_TIMER_ABSTIME = 1
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
WAIT_ALL = 0x40000000
"""__WALL: also wait for children whose end is not announced by SIGCHLD."""

# linux/sched.h: the kernel sets this flag before an ending process closes its files
_PF_EXITING = 0x4

# clone(2); the number is the same on every architecture
_SYS_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc_with_gil = ctypes.PyDLL(None, use_errno=True)
_libc_with_gil.syscall.restype = ctypes.c_long


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls"),
            *("set_tid", "set_tid_size", "cgroup"),
        )
    )


@dataclass(frozen=True, slots=True)
class Process:
    """A line of /proc/<pid>/stat (proc(5)).

    Attributes:
        starttime: Field 22, clock ticks after boot; together with the pid it identifies a process within one boot.
        state: Field 3, of the main thread.
        flags: Field 9, of the main thread.
        threads: Field 20: threads that have not ended; a zombie counts itself.
    """

    pid: int
    parent: int
    starttime: int
    state: str
    flags: int
    threads: int

    @property
    def dead(self) -> bool:
        # A main thread that called pthread_exit is a zombie while its other threads continue.
        return self.state in "Xx" or (self.state == "Z" and self.threads <= 1)

    @property
    def ending(self) -> bool:
        """True if the process is dead or exiting: the kernel closes its files well before it becomes a zombie."""
        return self.dead or (bool(self.flags & _PF_EXITING) and self.threads <= 1)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def prctl(option: int, value: object) -> None:
    """Call prctl(2) with one argument.

    Raises:
        OSError: The call failed.
    """
    _checked(_libc.prctl(option, value, 0, 0, 0), "prctl")


def checked_syscall(number: int, *arguments: int) -> int:
    """Call a system call by number.

    Raises:
        OSError: The call failed.
    """
    return _checked(_libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)), f"system call {number}")


def become_subreaper() -> None:
    """Make orphaned descendants children of this process instead of init's.

    Raises:
        OSError: The call failed.
    """
    prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def is_subreaper() -> bool:
    """Return True if orphaned descendants become children of this process.

    Raises:
        OSError: The kernel has no subreapers.
    """
    value = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(value))
    return bool(value.value)


def die_with_parent() -> None:
    """Ask the kernel to send SIGKILL to this process when its parent ends.

    The request is lost at a change of user and at exec of a set-user-ID program.

    Raises:
        OSError: The call failed.
    """
    prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def set_name(name: str) -> None:
    """Set the name that ps and top show, at most 15 bytes."""
    prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def boottime_ns() -> int:
    """Return the nanoseconds since boot, including sleep; changes of the wall clock have no effect."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wall_ms() -> int:
    """Return the milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class BootTimer:
    """A file descriptor that becomes readable at a time of CLOCK_BOOTTIME, even if the machine slept in between."""

    def __init__(self) -> None:
        self.fd = _checked(_libc.timerfd_create(time.CLOCK_BOOTTIME, _TFD_FLAGS), "timerfd_create")
        self._at = 0

    def arm(self, at_ns: int | None) -> None:
        """Set the time at which the descriptor becomes readable; None for never."""
        at = 0 if at_ns is None else max(at_ns, 1)
        if at == self._at:
            return
        value = _TimerSpec(_Timespec(0, 0), _Timespec(at // 1_000_000_000, at % 1_000_000_000))
        _checked(_libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(value), None), "timerfd_settime")
        self._at = at

    def clear(self) -> None:
        """Reset the timer after it fired."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return
        self._at = 0


class _Boot:
    """The present boot as this process knows it."""

    id = ""


def boot_id() -> str:
    """Return the id of the present boot.

    Raises:
        OSError: /proc does not show it.
    """
    if not _Boot.id:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            _Boot.id = file.read().strip().decode()
    return _Boot.id


def use_boot_id(text: str) -> None:
    """Let `boot_id` return this text from now on.

    A mount namespace may show another id than the namespace of the shims. What counts is the id that the shims write.
    """
    _Boot.id = text


def oom_kills() -> int:
    """Return how many processes the kernel's OOM killer has ended since boot; 0 if unknown."""
    try:
        with open("/proc/vmstat", "rb", buffering=0) as file:
            _, found, rest = file.read(65_536).partition(b"\noom_kill ")
    except OSError:
        return 0
    return int(rest.split(b"\n", 1)[0]) if found else 0


def fork_into(group_fd: int) -> int:
    """Fork like os.fork, with the child in this control group from the start.

    For single-threaded processes whose child soon calls exec, because Python's own work after a fork is skipped. Moving
    a process later through cgroup.procs waits for a grace period of the whole kernel, 15 ms and more; this costs
    nothing.

    Raises:
        OSError: The kernel refuses it.
    """
    arguments = _CloneArguments(flags=_CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=group_fd)
    return _checked(_libc_with_gil.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)), "clone3")


def process(pid: int) -> Process | None:
    """Return the process with this pid, or None if there is none.

    Raises:
        OSError: The state cannot be read: no free descriptor (EMFILE, ENFILE), no permission (EACCES, EPERM), no
            memory, an I/O error. This says nothing about the process.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        line = os.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    # The name in field 2 may contain spaces and parentheses; the fields after its last ")" do not (proc(5)).
    fields = line[line.rfind(b")") + 2 :].split()
    return Process(
        pid, int(fields[1]), int(fields[19]), fields[0].decode("ascii"), flags=int(fields[6]), threads=int(fields[17])
    )


def processes() -> dict[int, Process]:
    """Return every visible process by pid. The mount option hidepid of /proc may hide those of other users.

    Raises:
        OSError: /proc cannot be read.
    """
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                one = process(int(name))
            except PermissionError:
                continue
            if one is not None:
                found[one.pid] = one
    return found


class _ProcessHandles:
    """True if this kernel has handles of processes: pidfd_open since Linux 5.3, pidfd_send_signal since 5.1."""

    usable = True


def probe_process_handles() -> str:
    """Try the calls on this process, and use /proc and kill instead if they are missing. Children inherit the result.

    Returns:
        Why they cannot be used; empty if they can. A seccomp filter may refuse them too, with any of three errors.
    """
    _ProcessHandles.usable, why = True, ""
    try:
        fd = os.pidfd_open(os.getpid())
        try:
            signal.pidfd_send_signal(fd, 0)
        finally:
            os.close(fd)
    except AttributeError as error:
        why = f"this Python was built without {error.name}"
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            why = error.strerror or str(error)
    _ProcessHandles.usable = not why
    return why


def has_process_handles() -> bool:
    """Return False if `probe_process_handles` found that `open_process` cannot work."""
    return _ProcessHandles.usable


def open_process(pid: int, starttime: int) -> int | None:
    """Return a pidfd of exactly this process, or None if it has ended.

    The identity is checked after opening, so the descriptor cannot refer to another process.

    Raises:
        OSError: The state cannot be read. This includes a pid that is in use but not visible in /proc: only the
            kernel's answer that there is no such process means that it is gone.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    keep = False
    try:
        one = process(pid)
        if one is None and not _ended(fd):
            raise PermissionError(errno.EACCES, f"process {pid} exists, but /proc does not show it")
        keep = one is not None and one.starttime == starttime and not one.dead
    finally:
        if not keep:
            os.close(fd)
    return fd if keep else None


def alive(pid: int, starttime: int) -> bool:
    """Return True if exactly this process still runs.

    Raises:
        OSError: The state cannot be read.
    """
    if not _ProcessHandles.usable:
        return _shown_alive(pid, starttime)
    fd = open_process(pid, starttime)
    if fd is None:
        return False
    os.close(fd)
    return True


def _shown_alive(pid: int, starttime: int) -> bool:
    """Do the work of `alive` without a handle."""
    one = process(pid)
    if one is not None:
        return one.starttime == starttime and not one.dead
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists and belongs to another user
    raise PermissionError(errno.EACCES, f"process {pid} exists, but /proc does not show it")


def _ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send_signal(target: Process, number: int) -> bool:
    """Send a signal to exactly this process; see `signal_process`."""
    return signal_process(target.pid, target.starttime, number)


def signal_process(pid: int, starttime: int, number: int) -> bool:
    """Send a signal to exactly this process, never to a later one with its pid; False if it is gone.

    Without process handles, a process that gets the pid in the microseconds between check and signal would be hit. The
    kernel gives pids in turn, so that needs tens of thousands of forks in this time.

    Raises:
        PermissionError: The signal is not permitted.
        OSError: The state cannot be read.
    """
    if not _ProcessHandles.usable:
        now = process(pid)
        if now is None or now.starttime != starttime:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        now = process(pid)
        if now is None or now.starttime != starttime:
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True
