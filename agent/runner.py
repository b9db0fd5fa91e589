"""The hands of the engine: has shims started, waits for their end, passes stops on. One trio task per execution."""

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
"""Seconds between looks at an execution of which it cannot be told how far it is."""
MEDIA_SECONDS = 600.0
"""What a disk that fails (EIO) does not give back for so long, after the shim has ended, is taken as lost. Other errors
can be mended, and
are waited for without end."""
STOP_REASONS: dict[str, StopReason] = {"canceled": "canceled", "timeout": "timeout", "expired": "expired"}
TAKEN_AWAY = "its directory was removed by somebody else, and nothing tells whether it ran"
MEDIA = (errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ESTALE)
REMOVE_TRIES = 12
Submit = Callable[[ev.Event], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What became of an execution of an earlier agent: its report, or the shim that still watches over it; neither when
    the system did not
    let us look."""

    key: Key
    report: Report | None = None
    shim: ShimRef | None = None


class Forks(Protocol):
    """What is needed of agent.shim.client.ForkServer."""

    async def spawn(self, directory: Path) -> ShimRef: ...


class Runner:
    """submit: how the engine is told. nursery: lives as long as the agent; leaving it leaves the shims running."""

    def __init__(self, spool: Spool, forks: Forks, nursery: trio.Nursery, submit: Submit, log: Log) -> None:
        self._spool, self._forks, self._nursery, self._submit, self._log = spool, forks, nursery, submit, log
        self._refs: dict[Key, ShimRef] = {}
        self.starting = 0
        self.before_end: Callable[[Key], None] = lambda key: None
        """Called when a command is over and all of its output is on disk, before the engine is told."""

    def spawn(self, key: Key, order: Order) -> None:
        self.starting += 1
        self._nursery.start_soon(self._run, key, order)

    def adopt(self, key: Key, ref: ShimRef) -> None:
        """Wait for a shim that was there before this agent."""
        self._refs[key] = ref
        self._nursery.start_soon(self._watch, key, ref)

    def look_again(self, key: Key, look: Callable[[], Found], resume: Callable[[Found], None]) -> None:
        """What became of it could not be told at the start of this agent. resume: called once it can."""
        self._nursery.start_soon(self._look_again, key, look, resume)

    def stop(self, key: Key, reason: str) -> None:
        self._nursery.start_soon(self._stop, key, reason)

    def remove(self, key: Key) -> None:
        self._nursery.start_soon(self._remove, key)

    # --- one execution
    # --------------------------------------------------------------------------------------------------

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
        """None: it did not start, and that has been told."""
        directory = self._spool.path(key)
        try:
            self._spool.make(key, order)
            return await self._forks.spawn(directory)
        except client.ForkServerLost as error:
            reason = str(error)
        except OSError as error:
            # of the directory, or of a first request that made no shim
            self._not_started(key, limits.explain(error))
            return None
        except RecordError as error:
            reason = str(error)
        claim = await self._insist(key, lambda: close_to_shims(directory))
        if isinstance(claim, Claim):
            return ShimRef(claim.pid, claim.starttime, claim.boot_id)
        if isinstance(claim, RecordError) or not await self._insist(key, lambda: closed(directory)):
            self._submit(
                ev.ShimExited(
                    key, lost_report("shim_died", TAKEN_AWAY if claim is None else f"its claim cannot be read: {claim}")
                )
            )
        else:
            self._not_started(key, reason)
        return None

    def _not_started(self, key: Key, reason: str) -> None:
        self._log.error("not started", command_id=key[0], attempt=key[1], error=reason)
        self._submit(ev.ShimExited(key, not_started(reason)))

    async def _watch(self, key: Key, ref: ShimRef) -> None:
        directory = self._spool.path(key)
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._announce, key, directory)
                await client.wait_shim(ref, lambda error: self._cannot_look(key, error))
                nursery.cancel_scope.cancel()
            # a quick one may be over before it was announced
            self._tell_started(key, directory)
            report = await self._report(key, directory)
            if report is not None:
                break
        self._refs.pop(key, None)
        self.before_end(key)
        self._submit(ev.ShimExited(key, report))

    async def _look_again(self, key: Key, look: Callable[[], Found], resume: Callable[[Found], None]) -> None:
        found = await self._insist(key, look, in_thread=True)
        if not isinstance(found, Found):
            found = Found(key, lost_report("shim_died", f"its report cannot be read: {found}"))
        resume(found)

    async def _announce(self, key: Key, directory: Path) -> None:
        """The shim writes started.json within milliseconds, or ends; nothing else tells when."""
        pause = FIRST_LOOK
        while not self._tell_started(key, directory):
            await trio.sleep(pause)
            pause = min(2 * pause, LAST_LOOK)

    def _tell_started(self, key: Key, directory: Path) -> bool:
        """False: it is not known to run, or that cannot be told."""
        try:
            started = records.read_started(directory)
        except RecordError as error:
            self._log.warning("started.json cannot be read", command_id=key[0], attempt=key[1], error=str(error))
            return True
        except OSError:
            return False
        if started is None:
            return False
        self._submit(ev.ProcessStarted(key, started.child_pid, started.started_at_ms))
        return True

    async def _report(self, key: Key, directory: Path) -> Report | None:
        """How it ended, now that its shim is gone. None: the shim is there after all."""
        found = await self._insist(key, lambda: self._spool.report(key))
        if isinstance(found, Report):
            return found
        claim = (
            found
            if isinstance(found, RecordError | OSError)
            else await self._insist(key, lambda: close_to_shims(directory))
        )
        if isinstance(claim, RecordError | OSError):
            return lost_report("shim_died", f"its report cannot be read: {claim}")
        if claim is None:
            # on a full disk a shim cannot even say that the directory is its own
            never = await self._insist(key, lambda: closed(directory))
            return (
                not_started("its shim ended before it took it; is the disk full?")
                if never is True
                else lost_report("shim_died", TAKEN_AWAY)
            )
        ended = await self._insist(key, lambda: end_orphans(directory), in_thread=True)
        if isinstance(ended, ShimAlive):
            return None
        return ended if isinstance(ended, Report) else lost_report("shim_died", f"what it left may still run: {ended}")

    async def _insist(
        self, key: Key, look: Callable[[], T], *, in_thread: bool = False
    ) -> T | OSError | RecordError | ShimAlive:
        """What `look` finds. While the system does not let it look (OSError, no thread) it looks again: that says
        nothing about what is there.
        An OSError only when the disk fails for MEDIA_SECONDS."""
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
        self._log.error(
            "cannot be looked at; looking again", command_id=key[0], attempt=key[1], error=limits.explain(error)
        )

    async def _stop(self, key: Key, reason: str) -> None:
        directory, wanted = self._spool.path(key), STOP_REASONS.get(reason, "canceled")
        while ref := self._refs.get(key):  # none: it is over, and its report is on the way
            try:
                await trio.to_thread.run_sync(client.request_stop, ref, directory, wanted)
                return
            except (OSError, RecordError, RuntimeError) as error:
                self._log.error("cannot be stopped yet", command_id=key[0], attempt=key[1], error=str(error))
                await trio.sleep(STOP_AGAIN)

    async def _remove(self, key: Key) -> None:
        tries = 0
        while True:
            try:
                await trio.to_thread.run_sync(self._spool.remove, key)
                return
            except (OSError, RuntimeError) as error:
                self._log.error("its directory cannot be removed", command_id=key[0], attempt=key[1], error=str(error))
            tries += 1
            if tries == REMOVE_TRIES:
                return  # the next start of the agent tries again
            await trio.sleep(STOP_AGAIN)


def not_started(reason: str) -> Report:
    return Report(Outcome.FAILED, error_code="spawn_failed", error_message=f"no process could be made for it: {reason}")


def close_to_shims(directory: Path) -> Claim | None:
    """See to it that no shim will start anything in this directory any more. The claim of one that may have, or None:
    it never started,
    which is the answer for ever after. Raises OSError, RecordError.

    A shim claims the directory before it reads what to run, so one whose claim is not there once that file has gone
    finds none. Taking a
    name away needs no room: this holds on a full disk.
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


def closed(directory: Path) -> bool:
    """Whether `close_to_shims` has found it unclaimed and whole: nothing ran. Without its files nobody can say so."""
    return (directory / records.CLOSED).exists()


def end_orphans(directory: Path) -> Report:
    """The shim is gone and has not reported: end what it left, and say so. Blocks, at most about 10 s. Raises ShimAlive
    when the shim is
    there after all, and OSError when that cannot be told."""
    message = "the process that watched over it was killed"
    try:
        ended = sweep(directory)
    except (RecordError, TimeoutError) as error:
        return lost_report("shim_died", f"{message}; what it left may still run: {error}")
    return lost_report("shim_died", f"{message}; {ended} processes that it left were ended" if ended else message)
