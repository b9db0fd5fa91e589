"""How an execution ended, from what was observed to the words and codes of the report."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass

from agent.shim.records import Exit, Kill, KillReason, Outcome, Spec, StreamReport, Usage
from agent.shim.system import linux

_NO_OUTPUT = StreamReport(total_bytes=0, sha256=hashlib.sha256().hexdigest(), head_bytes=0, tail_bytes=0)

_OUTCOMES: dict[KillReason, tuple[Outcome, str]] = {
    "timeout": ("timeout", "timed_out"),
    "expired": ("timeout", "timed_out"),
    "canceled": ("canceled", "canceled"),
    "output_limit": ("failed", "output_limit"),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """error_code: one of proto/reasons.py, empty when completed."""

    outcome: Outcome
    error_code: str
    error_message: str
    exit_code: int | None
    signal: int | None


def ending(spec: Spec, kill: KillReason | None, status: int | None, spawn_error: str, written: int = 0) -> Ending:
    """kill: the reason that was durable before the main process's exit was seen. status: its wait status; None: it was
    never reaped.

    written: bytes of both streams, all that was read. More than `max_output` is too much whether or not it was noticed
    in time to end the
    command: the same command gets the same verdict each time.
    """
    exit_code = number = None
    if status is not None and not spawn_error:
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
        else:
            exit_code = os.waitstatus_to_exitcode(status)
    if kill is not None:
        outcome, code = _OUTCOMES[kill]
        return Ending(outcome, code, _why_killed(spec, kill), exit_code, number)
    if spec.max_output and written > spec.max_output:
        return Ending("failed", "output_limit", _why_killed(spec, "output_limit"), exit_code, number)
    if spawn_error:
        return Ending("failed", "spawn_failed", spawn_error, None, None)
    if number is not None:
        return Ending("failed", "signaled", f"ended by {signal_name(number)}", None, number)
    if exit_code is None:
        raise ValueError("the main process neither ended nor was killed")
    return ended_with(exit_code, spec.success_codes)


def ended_with(exit_code: int, success_codes: Collection[int]) -> Ending:
    if exit_code in (success_codes or (0,)):
        return Ending("completed", "", "", exit_code, None)
    return Ending("failed", "exit_nonzero", f"exit code {exit_code}", exit_code, None)


def never_started(reason: KillReason) -> Ending:
    """Stopped on request before the program was started. Never a timeout, whatever the reason: that says that it
    ran."""
    return Ending(
        "canceled", "canceled_before_start", f"the request to stop it ({reason}) came before it was started", None, None
    )


def signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def _why_killed(spec: Spec, kill: KillReason) -> str:
    if kill == "timeout":
        return (
            f"the timeout of {spec.timeout_ms / 1000:g} s was over"
            if spec.timeout_ms
            else "the server said that its timeout was over"
        )
    if kill == "expired":
        return "the time that its task had was over"
    if kill == "output_limit":
        return f"it wrote more than {spec.max_output} bytes"
    return "canceled on request"


def without_start(ending: Ending, started_ms: int, started_ns: int, kill: Kill | None) -> Exit:
    """The report of an execution whose program never ran. started_ns: CLOCK_BOOTTIME."""
    return Exit(
        outcome=ending.outcome,
        exit_code=None,
        signal=None,
        error_code=ending.error_code,
        error_message=ending.error_message,
        started_at_ms=started_ms,
        finished_at_ms=linux.wall_ms(),
        duration_us=(linux.boottime_ns() - started_ns) // 1000,
        stdout=_NO_OUTPUT,
        stderr=_NO_OUTPUT,
        usage=Usage(user_us=0, system_us=0, max_rss_kb=0),
        kill=kill,
    )
