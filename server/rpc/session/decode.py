"""Turns rows of the HTTP/2 fast path into events of the engine, and checks every field.

A row is (session, kind, *fields). _speedups/http2/__init__.py lists the kinds and their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proto.ids import is_id
from proto.limits import OUTPUT_PIECE
from proto.messages import MalformedMessage, Observed
from proto.reasons import REASONS
from server.core.events import Accepted, Outcome, Rejected, Report, Result, Started
from server.core.inputs.bounds import (
    ATTEMPTS_MAX,
    DURATION_MAX_MS,
    NUMBER_MAX,
    PROCESSES_MAX,
    SIGNAL_MAX,
    TIME_MAX_MS,
    within,
)
from server.core.model import Output
from server.core.results.live_output import STREAMS, Piece
from server.core.results.outputs import InconsistentOutput, build_output

MAX_TEXT = 1_000
"""Characters of a text that are kept."""
MAX_KEPT = 512 * 1024
"""Bytes of a stream's head and tail together."""
MAX_NUMBER = NUMBER_MAX

RESULT, ACCEPTED, REJECTED, STARTED, OUTPUT = 2, 5, 6, 7, 8


def to_event(host_id: str, row: tuple[Any, ...]) -> Report:
    """Return the event in a row whose kind is in EVENTS.

    Raises:
        MalformedMessage: a field is out of bounds.
    """
    return EVENTS[row[1]](host_id, row)


def to_rejected(host_id: str, command_id: str, attempt: int, reason: str, message: str) -> Report:
    """Return the event of a Rejected, which is rare and therefore decoded by betterproto.

    Raises:
        MalformedMessage: the key cannot name an execution.
    """
    check_key(command_id, attempt)
    return Rejected(host_id, command_id, attempt, reason if reason in REASONS else "unknown", clean_text(message))


def check_key(command_id: str, attempt: int) -> None:
    """Check that the id and the attempt can name an execution.

    Raises:
        MalformedMessage: they cannot.
    """
    if not is_id(command_id) or not 1 <= attempt <= ATTEMPTS_MAX:
        raise MalformedMessage(f"command_id must be a UUID in lower case, attempt 1 to {ATTEMPTS_MAX}")


def clean_text(words: str) -> str:
    """Shorten a text of an agent, and replace characters that are not printable."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words[:MAX_TEXT])


def valid_time(ms: int) -> int | None:
    """Return a time of the agent's clock (ms since the epoch), or None if no calendar has it."""
    return ms if 0 < ms <= TIME_MAX_MS else None


def to_output(row: tuple[Any, ...]) -> tuple[str, int, Piece]:
    """Return (command_id, attempt, piece) of a row of kind OUTPUT.

    Raises:
        MalformedMessage: a field is out of bounds.
    """
    _, _, command_id, attempt, stream, offset, data, order, at_ms = row
    check_key(command_id, attempt)
    if stream not in STREAMS:
        raise MalformedMessage(f"output.stream: no such stream: {stream}")
    if not 0 < len(data) <= OUTPUT_PIECE:
        raise MalformedMessage(f"output.data: 1 to {OUTPUT_PIECE} bytes, not {len(data)}")
    if offset + len(data) > MAX_NUMBER or order > MAX_NUMBER:
        raise MalformedMessage(f"output.offset, output.order: at most {MAX_NUMBER}")
    return command_id, attempt, Piece(stream, offset, data, order, valid_time(at_ms) or 0)


OBSERVED = {
    Observed.OOM_KILLED: "oom_killed",
    Observed.OUTPUT_MISSING: "output_missing",
    Observed.INHERITED_PRIORITY: "inherited_priority",
    Observed.LIMIT_HIT: "limit_hit",
}
"""Bit of CommandResult.observed → key in the report. Unknown bits are ignored."""


def _accepted(host_id: str, row: tuple[Any, ...]) -> Report:
    check_key(row[2], row[3])
    return Accepted(host_id, row[2], row[3])


def _started(host_id: str, row: tuple[Any, ...]) -> Report:
    check_key(row[2], row[3])
    return Started(host_id, row[2], row[3], row[4], valid_time(row[5]) or 0)


def _result(host_id: str, row: tuple[Any, ...]) -> Report:
    _, _, command_id, attempt, outcome, exit_code, signal, code, message, started, finished, duration_us, *rest = row
    stdout, stderr, usage, kill, pipe_held, leftovers, left_running, observed = rest
    check_key(command_id, attempt)
    if not 1 <= outcome <= 5:
        raise MalformedMessage(f"command_result.outcome: no such outcome: {outcome}")
    return Result(
        host_id,
        command_id,
        attempt,
        Outcome(outcome),
        exit_code=exit_code,
        signal=signal if 0 < signal <= SIGNAL_MAX else None,
        error_code=(code if code in REASONS else "unknown") if code else None,
        error_message=clean_text(message) or None,
        agent_started_at=valid_time(started),
        agent_finished_at=valid_time(finished),
        execution_ms=min(duration_us // 1000, DURATION_MAX_MS),
        stdout=_output("stdout", stdout) if stdout is not None else None,
        stderr=_output("stderr", stderr) if stderr is not None else None,
        report=_report(usage, kill, pipe_held, leftovers, left_running, observed),
    )


def _output(name: str, digest: tuple[bytes, bytes, int, bytes]) -> Output | None:
    head, tail, total_bytes, sha256 = digest
    if len(head) + len(tail) > MAX_KEPT:
        raise MalformedMessage(f"command_result.{name}: at most {MAX_KEPT} bytes of a stream are kept")
    if total_bytes > MAX_NUMBER:
        raise MalformedMessage(f"command_result.{name}: at most {MAX_NUMBER} bytes can be counted")
    try:
        return build_output(head, tail, total_bytes, sha256)
    except InconsistentOutput as error:
        raise MalformedMessage(f"command_result.{name}: {error}") from error


def _report(
    usage: tuple[int, int, int] | None,
    kill: tuple[str, int, int, bool] | None,
    pipe_held: bool,
    leftovers: int,
    left_running: int,
    observed: int,
) -> dict[str, object]:
    used = zip(("user_us", "system_us", "max_rss_kb"), usage or (0, 0, 0), strict=True)
    report: dict[str, object] = {name: within(number, NUMBER_MAX) for name, number in used}
    if kill is not None:
        reason, term_at_ms, kill_at_ms, tree_empty = kill
        report["kill"] = {
            "reason": clean_text(reason),
            "term_at_ms": valid_time(term_at_ms),
            "kill_at_ms": valid_time(kill_at_ms),
            "tree_empty": tree_empty,
        }
    if pipe_held:
        report["pipe_held"] = True
    if leftovers:
        report["leftovers_killed"] = within(leftovers, PROCESSES_MAX)
    if left_running:
        report["left_running"] = within(left_running, PROCESSES_MAX)
    for bit, name in OBSERVED.items():
        if observed & bit:
            report[name] = True
    return report


EVENTS: dict[int, Callable[[str, tuple[Any, ...]], Report]] = {RESULT: _result, ACCEPTED: _accepted, STARTED: _started}
