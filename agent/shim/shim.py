"""Supervises one command: starts it, reads its output, ends it when required, and writes the report.

One thread with one poll loop over the two pipes, a CLOCK_BOOTTIME timer and a wake-up descriptor for signals. Once it
runs, it needs neither the agent nor the fork server.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import traceback
from pathlib import Path
from typing import NoReturn

from agent.shim import durable, publish, records, report
from agent.shim.directory import (
    Allow,
    StopRequests,
    add_to_group,
    log,
    make_group,
    read_order,
    remove_group,
    remove_script,
)
from agent.shim.durable import RESERVE_BYTES
from agent.shim.live import LiveLog
from agent.shim.records import Exit, Kill, KillIntent, KillReason, Spec, Started, Usage
from agent.shim.report import Ending
from agent.shim.spawn import Child, SpawnFailed
from agent.shim.spool import PIPE_BYTES, Spool
from agent.shim.system import limits, linux
from agent.shim.system.limits import OriginalLimits
from agent.shim.system.tree import Tree

PROOF_SECONDS = 30.0
"""SIGKILL is repeated for this long. Survivors (uninterruptible sleep, another user) are reported: tree_empty=false."""
LOOK_SECONDS = 10.0
"""Time to read what the shim needs before the start, while the system refuses it (no free descriptor, no memory)."""
KILL_RECORD_SECONDS = 5.0
"""Time to write kill.json; after it the command is ended without that file: a command must not exceed its time."""

_NS = 1_000_000_000


def main(directory: Path, parent_group: Path | None, original: OriginalLimits, allow: Allow | None = None) -> NoReturn:
    """Run the shim in a process that was just forked for this execution; never returns.

    Args:
        directory: The execution's directory.
        parent_group: Control group below which the command gets its own, or None.
        original: Resource limits of the command.
        allow: See `read_order`.
    """
    code = 1
    try:
        Shim(directory, parent_group, original).run(allow)
        code = 0
    except BaseException:
        log(directory, traceback.format_exc())
    finally:
        os._exit(code)


class Shim:
    """One execution."""

    def __init__(self, directory: Path, parent_group: Path | None, original: OriginalLimits) -> None:
        self._directory = directory
        self._parent_group = parent_group
        self._original = original
        self._boot_id = linux.boot_id()
        self._started_ms = linux.wall_ms()
        self._started_ns = linux.boottime_ns()
        self._oom_kills = linux.oom_kills()
        self._killed_by_others = False  # a process of the command ended by a SIGKILL that the shim did not send
        self._finished: tuple[int, int] | None = None  # (wall ms, boot-time ns) at the end of the main process
        self._status: int | None = None
        self._spawn_error = ""
        self._kill: KillIntent | None = None
        self._term_at_ms: int | None = None
        self._kill_at_ms: int | None = None
        self._pipe_held = False
        self._requests = StopRequests(directory)
        self._due: int | None = None  # deadline of the present phase, boot-time ns
        self._buffer = mmap.mmap(-1, PIPE_BYTES)  # uses memory only for the part that is ever filled

    def run(self, allow: Allow | None) -> None:
        self._prepare_process()
        me = durable.retry_for(LOOK_SECONDS, lambda: linux.process(os.getpid()))
        if me is None:
            raise RuntimeError("/proc does not show this process")
        claim = records.Claim(pid=me.pid, starttime=me.starttime, boot_id=self._boot_id)
        if not durable.claim(self._directory, records.CLAIM, claim):
            # A second request for the same execution: the first shim owns it, and it is never started again.
            return
        spec = read_order(self._directory, allow, LOOK_SECONDS)
        if isinstance(spec, Ending):
            return self._publish_without_start(spec)
        try:
            for name in (records.EXIT, records.KILL, records.STARTED):
                durable.reserve(self._directory, name)
            live = LiveLog(self._directory)
            stdout, stderr = (
                Spool(self._directory, name, spec.head_bytes, spec.tail_bytes, live) for name in ("stdout", "stderr")
            )
        except OSError as error:
            text = (
                f"disk: cannot keep {RESERVE_BYTES} bytes for the report in {self._directory}: {limits.explain(error)}"
            )
            self._publish_without_start(Ending("failed", "spawn_failed", text, None, None))
            return
        reason = self._requests.poll()
        if reason is not None:
            self._record_kill(reason)
            kill = Kill(reason=reason, term_at_ms=None, kill_at_ms=None, tree_empty=True)
            self._publish_without_start(report.never_started(reason), kill)
            return
        self._supervise(spec, me, stdout, stderr)

    def _prepare_process(self) -> None:
        linux.set_name("clarion-shim")
        linux.become_subreaper()
        self._wake_fd, wake_writer = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(wake_writer, False)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._requests.signaled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self._timer = linux.BootTimer()

    # -- from start to end

    def _supervise(self, spec: Spec, me: linux.Process, stdout: Spool, stderr: Spool) -> None:
        self._spec = spec
        self._streams = (stdout, stderr)
        # No group with `detach`: a process that outlives the command must not hold the group
        group = None if spec.detach else make_group(self._parent_group, self._directory)
        try:
            child = Child(spec, self._directory, stdout.write_fd, stderr.write_fd, group, self._original)
        except SpawnFailed as failure:
            self._publish_without_start(Ending("failed", "spawn_failed", str(failure), None, None))
            remove_group(group, self._directory)
            return
        for spool in self._streams:
            os.close(spool.write_fd)
        self._child = child
        if group is not None and not child.in_group and not add_to_group(group, child.pid, self._directory):
            group = None
        self._tree = Tree(group, child.pid)
        self._started_ms, self._started_ns = linux.wall_ms(), linux.boottime_ns()
        started = Started(
            pid=me.pid,
            starttime=me.starttime,
            child_pid=child.pid,
            child_starttime=child.starttime,
            boot_id=self._boot_id,
            started_at_ms=self._started_ms,
            cgroup=str(group.path) if group is not None else None,
        )
        try:
            # Needs no fsync: after a loss of power the boot id shows that the command is gone.
            durable.write_prepared(self._directory, records.STARTED, started, sync=False)
        except OSError as error:
            child.abandon()
            os.waitpid(child.pid, 0)
            text = f"disk: cannot note the start in {self._directory}: {error.strerror}"
            self._publish_without_start(Ending("failed", "spawn_failed", text, None, None))
            remove_group(group, self._directory)
            return
        child.release()
        if spec.timeout_ms:
            self._due = self._started_ns + spec.timeout_ms * 1_000_000
        os.set_blocking(child.status_fd, False)
        self._poll = select.poll()
        for fd in (self._wake_fd, self._timer.fd, child.status_fd, stdout.read_fd, stderr.read_fd):
            self._poll.register(fd, select.POLLIN)
        self._status_open = True
        self._run_until_exit_or_kill()
        if self._kill is None:
            self._drain()
            if not spec.detach:
                self._kill_all()
        else:
            self._end_tree()
        self._read_rest()
        final = self._final_report()
        remove_script(self._directory)
        publish.publish(self._directory, final)
        remove_group(group, self._directory)

    def _run_until_exit_or_kill(self) -> None:
        """Apply the race rule: the first of main process exit seen here and durable kill.json decides the outcome."""
        while True:
            self._reap()
            if self._finished is not None:
                return
            reason = self._kill_reason()
            if reason is not None:
                self._record_kill(reason)
                return
            self._wait_and_handle()

    def _kill_reason(self) -> KillReason | None:
        reason = self._requests.poll()
        if reason is not None:
            return reason
        if self._is_due():
            return "timeout"
        if self._spec.max_output and sum(spool.keeper.total_bytes for spool in self._streams) > self._spec.max_output:
            return "output_limit"
        return None

    def _record_kill(self, reason: KillReason) -> None:
        intent = self._kill = KillIntent(reason=reason, at_ms=linux.wall_ms())
        try:
            durable.retry_for(KILL_RECORD_SECONDS, lambda: durable.publish(self._directory, records.KILL, intent))
        except OSError as error:
            log(self._directory, f"ending the command without kill.json: {error}")

    def _drain(self) -> None:
        """After the main process has ended, read the remaining output for a limited time."""
        self._due_in(self._spec.drain_ms / 1000)
        while any(spool.open for spool in self._streams):
            if self._is_due() or self._requests.poll() is not None:
                self._pipe_held = True
                return
            self._wait_and_handle()
            self._reap()

    def _end_tree(self) -> None:
        """Send SIGTERM to all processes, wait for the grace time, then send SIGKILL."""
        self._term_at_ms = linux.wall_ms()
        self._tree.terminate()
        self._due_in(self._spec.grace_ms / 1000)
        while True:
            self._reap()
            if self._tree.empty:
                return
            if self._is_due():
                break
            self._wait_and_handle()
        self._kill_at_ms = linux.wall_ms()
        self._kill_all()

    def _kill_all(self) -> None:
        proof = linux.boottime_ns() + int(PROOF_SECONDS * _NS)
        pause = 0.005
        self._reap()
        while not self._tree.empty and linux.boottime_ns() < proof:
            self._tree.kill()
            self._due_in(pause)
            while not self._tree.empty and not self._is_due():
                self._wait_and_handle()
                self._reap()
            pause = min(0.2, pause * 2)

    def _read_rest(self) -> None:
        """Read what ended processes left in the pipes: at most two pipes full, because a detached process may write
        forever.
        """
        for spool in self._streams:
            if not spool.open:
                continue
            taken = 0
            while taken < 2 * PIPE_BYTES and (count := spool.pull(self._buffer)):
                taken += count
            # Not at its end: a process outside the tree, or a detached process, holds the pipe.
            self._pipe_held = self._pipe_held or count != 0
            spool.close()

    # -- the loop

    def _due_in(self, seconds: float) -> None:
        self._due = linux.boottime_ns() + int(seconds * _NS)

    def _is_due(self) -> bool:
        return self._due is not None and linux.boottime_ns() >= self._due

    def _wait_and_handle(self) -> None:
        """Wait for the next event, at most until the deadline of the phase, and handle it."""
        self._timer.arm(min((at for at in (self._due, self._requests.retry_at_ns) if at is not None), default=None))
        for fd, _ in self._poll.poll():
            if fd == self._wake_fd:
                os.read(self._wake_fd, 4096)
            elif fd == self._timer.fd:
                self._timer.clear()
            elif self._status_open and fd == self._child.status_fd:
                self._read_status()
            else:
                spool = next(spool for spool in self._streams if spool.open and spool.read_fd == fd)
                if spool.pull(self._buffer) == 0:
                    self._poll.unregister(fd)
                    spool.close()

    def _read_status(self) -> None:
        """Handle the status pipe: its end means that the program runs; a text gives the reason why it does not."""
        try:
            text = os.read(self._child.status_fd, 4096)
        except BlockingIOError:
            return
        if text:
            self._spawn_error = text.decode(errors="replace")
        else:
            try:
                durable.rename_prepared(self._directory, records.STARTED)
            except OSError as error:
                log(self._directory, f"{records.STARTED} keeps its temporary name: {error}")
        self._poll.unregister(self._child.status_fd)
        os.close(self._child.status_fd)
        self._status_open = False

    def _reap(self) -> None:
        for pid, status in self._tree.reap():
            if (
                self._kill is None
                and not self._tree.killed
                and os.WIFSIGNALED(status)
                and os.WTERMSIG(status) == signal.SIGKILL
            ):
                self._killed_by_others = True
            if pid == self._child.pid and self._status is None:
                self._status = status
                self._finished = linux.wall_ms(), linux.boottime_ns()
                if self._status_open:
                    self._read_status()

    # -- the report

    def _final_report(self) -> Exit:
        kill = self._kill
        written = sum(spool.keeper.total_bytes for spool in self._streams)
        ending = report.ending(
            self._spec, kill.reason if kill is not None else None, self._status, self._spawn_error, written
        )
        if kill is not None or self._finished is None:
            self._finished = linux.wall_ms(), linux.boottime_ns()
        finished_ms, finished_ns = self._finished
        notes = [ending.error_message]
        if not self._tree.empty and not (self._spec.detach and kill is None):
            left = ", ".join(str(one.pid) for one in self._tree.seen()[:10])
            notes.append(
                f"processes that could not be ended: "
                f"{left or 'unknown'}{' (' + self._tree.refused + ')' if self._tree.refused else ''}"
            )
        streams, problems = publish.store_output(self._streams)
        notes += problems
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Exit(
            outcome=ending.outcome,
            exit_code=ending.exit_code,
            signal=ending.signal,
            error_code=ending.error_code,
            error_message="; ".join(note for note in notes if note),
            started_at_ms=self._started_ms,
            finished_at_ms=finished_ms,
            duration_us=(finished_ns - self._started_ns) // 1000,
            stdout=streams[0],
            stderr=streams[1],
            usage=Usage(
                user_us=int(usage.ru_utime * 1e6), system_us=int(usage.ru_stime * 1e6), max_rss_kb=usage.ru_maxrss
            ),
            kill=None
            if kill is None
            else Kill(
                reason=kill.reason,
                term_at_ms=self._term_at_ms,
                kill_at_ms=self._kill_at_ms,
                tree_empty=self._tree.empty,
            ),
            pipe_held=self._pipe_held,
            leftovers_killed=len(self._tree.killed) if kill is None else 0,
            left_running=self._left_running(),
            oom_killed=self._killed_by_others and linux.oom_kills() > self._oom_kills,
            output_missing=any(problems),
            inherited=self._inherited(),
        )

    def _left_running(self) -> int:
        """Return the number of processes left running; at least one if they cannot be listed."""
        if not self._spec.detach or self._kill is not None or self._tree.empty:
            return 0
        return max(1, len(self._tree.seen()))

    def _inherited(self) -> list[str]:
        found = self._child.inherited
        if found:
            text = f"the command inherited from the agent: {', '.join(found)}; the system does not allow to reset this"
            log(self._directory, text)
        return found

    def _publish_without_start(self, ending: Ending, kill: Kill | None = None) -> None:
        final = report.without_start(ending, self._started_ms, self._started_ns, kill)
        publish.publish_without_output(self._directory, final)
