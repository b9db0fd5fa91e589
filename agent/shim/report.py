"""Translates what the shim observed into the outcome, codes and texts of the report."""

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
    """Outcome of an execution. `error_code` is a code of proto/reasons.py; empty when the command completed."""

    outcome: Outcome
    error_code: str
    error_message: str
    exit_code: int | None
    signal: int | None


def ending(spec: Spec, kill: KillReason | None, status: int | None, spawn_error: str, written: int = 0) -> Ending:
    """Return the outcome of a command.

    A command that wrote more than `max_output` fails whether or not that was noticed in time to end it, so that the
    same command always gets the same result.

    Args:
        spec: What was run.
        kill: The reason that was durable before the main process's exit was seen.
        status: Wait status of the main process; None if it was never reaped.
        spawn_error: Why the program could not be started, or an empty text.
        written: Bytes read from both streams.
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
    """Return the outcome for an exit code."""
    if exit_code in (success_codes or (0,)):
        return Ending("completed", "", "", exit_code, None)
    return Ending("failed", "exit_nonzero", f"exit code {exit_code}", exit_code, None)


def never_started(reason: KillReason) -> Ending:
    """Return the outcome of a command that was stopped before its start.

    It is never a timeout, whatever the reason of the request, because a timeout means that the command ran.
    """
    return Ending(
        "canceled", "canceled_before_start", f"a stop request ({reason}) arrived before the start", None, None
    )


def signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def _why_killed(spec: Spec, kill: KillReason) -> str:
    if kill == "timeout":
        return (
            f"it exceeded its timeout of {spec.timeout_ms / 1000:g} s"
            if spec.timeout_ms
            else "the server reported that it exceeded its timeout"
        )
    if kill == "expired":
        return "the time limit of its task was reached"
    if kill == "output_limit":
        return f"it wrote more than {spec.max_output} bytes"
    return "canceled on request"


def without_start(ending: Ending, started_ms: int, started_ns: int, kill: Kill | None) -> Exit:
    """Return the report of an execution whose program never ran.

    Args:
        ending: The outcome.
        started_ms: Wall-clock time of the shim's start.
        started_ns: CLOCK_BOOTTIME at the shim's start.
        kill: How it was ended, if it was.
    """
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
