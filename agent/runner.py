"""Starts, watches and stops shims for the engine. One trio task per execution."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from agent.core import events as ev
from agent.core.model import Key, Outcome, Report, lost_report
from agent.log import Log
from agent.shim import client, records
from agent.shim.records import Claim, RecordError, ShimRef, StopReason
from agent.shim.system import limits
from agent.shim.system.tree import ShimAlive, sweep
from agent.storage.spool import Order, Spool

FIRST_LOOK = 0.001
LAST_LOOK = 0.1
STOP_AGAIN = 5.0
LOOK_AGAIN_FIRST, LOOK_AGAIN_LAST = 0.05, 5.0
"""Shortest and longest pause in seconds between lookups of an execution whose state cannot be read."""
MEDIA_SECONDS = 600.0
"""If a disk error such as EIO lasts for this long after the shim ended, the report counts as lost. The agent waits
without limit while other errors last, because an operator can repair their cause.
"""
STOP_REASONS: dict[str, StopReason] = {"canceled": "canceled", "timeout": "timeout", "expired": "expired"}
DIRECTORY_REMOVED = "another program removed its directory, and nothing else shows whether the command ran"
MEDIA = (errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ESTALE)
REMOVE_TRIES = 12
Submit = Callable[[ev.Event], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """State of an execution that an earlier agent process started.

    It has a report, or the shim that still supervises it, or neither if the system prevented the lookup.
    """

    key: Key
    report: Report | None = None
    shim: ShimRef | None = None


class ShimSpawner(Protocol):
    """The part of agent.shim.client.ForkServer that the runner uses."""

    async def spawn(self, directory: Path) -> ShimRef: ...


class Runner:
    """Runs the executions of this agent."""

    def __init__(self, spool: Spool, forks: ShimSpawner, nursery: trio.Nursery, submit: Submit, log: Log) -> None:
        """Build a runner.

        Args:
            spool: Directories of the executions.
            forks: Starts shims.
            nursery: Lives as long as the agent. The shims keep running when it ends.
            submit: Passes an event to the engine.
            log: The agent's log.
        """
        self._spool, self._forks, self._nursery, self._submit, self._log = spool, forks, nursery, submit, log
        self._refs: dict[Key, ShimRef] = {}
        self.starting = 0
        self.before_end: Callable[[Key], None] = lambda key: None
        """Called when a command has ended and all its output is on disk, before the engine gets the event."""

    def spawn(self, key: Key, order: Order) -> None:
        """Start the shim of a new execution."""
        self.starting += 1
        self._nursery.start_soon(self._run, key, order)

    def adopt(self, key: Key, ref: ShimRef) -> None:
        """Watch a shim that an earlier agent process started."""
        self._refs[key] = ref
        self._nursery.start_soon(self._watch, key, ref)

    def retry_lookup(self, key: Key, look: Callable[[], Found], resume: Callable[[Found], None]) -> None:
        """Repeat a lookup that failed when this agent started.

        Args:
            key: The execution.
            look: Looks it up.
            resume: Called with the result once the lookup succeeds.
        """
        self._nursery.start_soon(self._retry_lookup, key, look, resume)

    def stop(self, key: Key, reason: str) -> None:
        """Ask the shim to end the command."""
        self._nursery.start_soon(self._stop, key, reason)

    def remove(self, key: Key) -> None:
        """Delete the directory of an execution."""
        self._nursery.start_soon(self._remove, key)

    # --- one execution ------------------------------------------------------------------------------------------------

    async def _run(self, key: Key, order: Order) -> None:
        try:
            ref = await self._start(key, order)
        finally:
            self.starting -= 1
        if ref is None:
            return
        self._refs[key] = ref
        self._submit(ev.ShimStarted(key, ref.pid, ref.starttime, ref.boot_id))
        await self._watch(key, ref)

    async def _start(self, key: Key, order: Order) -> ShimRef | None:
        """Start the shim; None if the command did not start, after reporting that to the engine."""
        directory = self._spool.path(key)
        try:
            self._spool.make(key, order)
            return await self._forks.spawn(directory)
        except client.ForkServerLost as error:
            reason = str(error)
        except OSError as error:
            # the directory could not be made, or the first request created no shim
            self._not_started(key, limits.explain(error))
            return None
        except RecordError as error:
            reason = str(error)
        claim = await self._retry(key, lambda: prevent_start(directory))
        if isinstance(claim, Claim):
            return ShimRef(claim.pid, claim.starttime, claim.boot_id)
        if isinstance(claim, RecordError) or not await self._retry(key, lambda: start_prevented(directory)):
            self._submit(
                ev.ShimExited(
                    key,
                    lost_report(
                        "shim_died", DIRECTORY_REMOVED if claim is None else f"its claim cannot be read: {claim}"
                    ),
                )
            )
        else:
            self._not_started(key, reason)
        return None

    def _not_started(self, key: Key, reason: str) -> None:
        self._log.error("command_not_started", command_id=key[0], attempt=key[1], error=reason)
        self._submit(ev.ShimExited(key, not_started(reason)))

    async def _watch(self, key: Key, ref: ShimRef) -> None:
        directory = self._spool.path(key)
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poll_started, key, directory)
                await client.wait_shim(ref, lambda error: self._cannot_look(key, error))
                nursery.cancel_scope.cancel()
            # a short command may have ended before its start was reported
            self._report_started(key, directory)
            report = await self._report(key, directory)
            if report is not None:
                break
        self._refs.pop(key, None)
        self.before_end(key)
        self._submit(ev.ShimExited(key, report))

    async def _retry_lookup(self, key: Key, look: Callable[[], Found], resume: Callable[[Found], None]) -> None:
        found = await self._retry(key, look, in_thread=True)
        if not isinstance(found, Found):
            found = Found(key, lost_report("shim_died", f"its report cannot be read: {found}"))
        resume(found)

    async def _poll_started(self, key: Key, directory: Path) -> None:
        """Report the start once started.json exists. The shim writes it within milliseconds, or ends; there is no
        notification.
        """
        pause = FIRST_LOOK
        while not self._report_started(key, directory):
            await trio.sleep(pause)
            pause = min(2 * pause, LAST_LOOK)

    def _report_started(self, key: Key, directory: Path) -> bool:
        """Report the start to the engine; False if it is not known whether the command runs."""
        try:
            started = records.read_started(directory)
        except RecordError as error:
            self._log.warning("start_record_unreadable", command_id=key[0], attempt=key[1], error=str(error))
            return True
        except OSError:
            return False
        if started is None:
            return False
        self._submit(ev.ProcessStarted(key, started.child_pid, started.started_at_ms))
        return True

    async def _report(self, key: Key, directory: Path) -> Report | None:
        """Return how the command ended, now that its shim is gone; None if the shim still exists."""
        found = await self._retry(key, lambda: self._spool.report(key))
        if isinstance(found, Report):
            return found
        claim = (
            found
            if isinstance(found, RecordError | OSError)
            else await self._retry(key, lambda: prevent_start(directory))
        )
        if isinstance(claim, RecordError | OSError):
            return lost_report("shim_died", f"its report cannot be read: {claim}")
        if claim is None:
            # on a full disk a shim cannot write its claim
            never = await self._retry(key, lambda: start_prevented(directory))
            return (
                not_started("its shim ended before it could claim the directory; is the disk full?")
                if never is True
                else lost_report("shim_died", DIRECTORY_REMOVED)
            )
        ended = await self._retry(key, lambda: kill_orphans(directory), in_thread=True)
        if isinstance(ended, ShimAlive):
            return None
        return (
            ended
            if isinstance(ended, Report)
            else lost_report("shim_died", f"processes of the command may still run: {ended}")
        )

    async def _retry(
        self, key: Key, look: Callable[[], T], *, in_thread: bool = False
    ) -> T | OSError | RecordError | ShimAlive:
        """Return the result of `look`, and repeat it while the system prevents the lookup (OSError, no thread).

        Such an error says nothing about the execution. An OSError is returned only if the disk fails for MEDIA_SECONDS.
        """
        pause, begun = LOOK_AGAIN_FIRST, trio.current_time()
        while True:
            try:
                return await trio.to_thread.run_sync(look) if in_thread else look()
            except (RecordError, ShimAlive) as error:
                return error
            except OSError as error:
                if error.errno in MEDIA and trio.current_time() - begun > MEDIA_SECONDS:
                    return error
                problem = error
            except RuntimeError as error:  # threading: can't start new thread
                problem = OSError(errno.EAGAIN, str(error))
            if pause == LOOK_AGAIN_FIRST:
                self._cannot_look(key, problem)
            await trio.sleep(pause)
            pause = min(2 * pause, LOOK_AGAIN_LAST)

    def _cannot_look(self, key: Key, error: OSError) -> None:
        self._log.error("execution_lookup_failed", command_id=key[0], attempt=key[1], error=limits.explain(error))

    async def _stop(self, key: Key, reason: str) -> None:
        directory, wanted = self._spool.path(key), STOP_REASONS.get(reason, "canceled")
        while ref := self._refs.get(key):  # no reference: it has ended, and its report follows
            try:
                await trio.to_thread.run_sync(client.request_stop, ref, directory, wanted)
                return
            except (OSError, RecordError, RuntimeError) as error:
                self._log.error("stop_failed", command_id=key[0], attempt=key[1], error=str(error))
                await trio.sleep(STOP_AGAIN)

    async def _remove(self, key: Key) -> None:
        tries = 0
        while True:
            try:
                await trio.to_thread.run_sync(self._spool.remove, key)
                return
            except (OSError, RuntimeError) as error:
                self._log.error("directory_removal_failed", command_id=key[0], attempt=key[1], error=str(error))
            tries += 1
            if tries == REMOVE_TRIES:
                return  # the next start of the agent tries again
            await trio.sleep(STOP_AGAIN)


def not_started(reason: str) -> Report:
    """Return the report of a command for which no process could be created."""
    return Report(
        Outcome.FAILED,
        error_code="spawn_failed",
        error_message=f"no process could be created for the command: {reason}",
    )


def prevent_start(directory: Path) -> Claim | None:
    """Prevent every shim from starting anything in this directory from now on.

    A shim claims the directory before it reads what to run. If there is no claim after that file was renamed, a later
    shim finds nothing to run. Renaming needs no free space, so this also works on a full disk.

    Returns:
        The claim of a shim that may have started the command, or None: then the command never started and never will.

    Raises:
        OSError: The directory cannot be read or changed.
        RecordError: The claim is damaged.
    """
    claim = records.read_claim(directory)
    if claim is None:
        with suppress(FileNotFoundError):
            os.rename(directory / records.SPEC, directory / records.CLOSED)
        claim = records.read_claim(directory)
        if claim is not None:
            with suppress(FileNotFoundError):
                os.rename(directory / records.CLOSED, directory / records.SPEC)
    return claim


def start_prevented(directory: Path) -> bool:
    """Return True if `prevent_start` found the directory unclaimed and complete, so that nothing ran."""
    return (directory / records.CLOSED).exists()


def kill_orphans(directory: Path) -> Report:
    """End the processes of a command whose shim died without a report. Blocks for up to about 10 s.

    Raises:
        ShimAlive: The shim still exists.
        OSError: It is not known whether the shim exists.
    """
    message = "the process that supervised the command was killed"
    try:
        ended = sweep(directory)
    except (RecordError, TimeoutError) as error:
        return lost_report("shim_died", f"{message}; processes of the command may still run: {error}")
    return lost_report("shim_died", f"{message}; {ended} remaining processes were ended" if ended else message)
