"""Shows the contents of a state directory. It only reads, so it may be used while the agent runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent import __version__, identity
from agent.core.model import Stage
from agent.core.state import State
from agent.enrolment import credentials
from agent.errors import NoState, StateUnusable
from agent.shim.system import linux
from agent.status import connection as connection_record
from agent.status.connection import address_text
from agent.storage.journal import read_journal
from agent.storage.lock import held, holder
from proto.common import file_errors


def status(state: Path) -> dict[str, Any]:
    """Return the contents of a state directory as JSON values.

    Raises:
        NoState: The directory contains no journal.
        StateUnusable: A file cannot be read.
    """
    journal = state / "journal"
    try:
        try:
            header, folded, end, damage = read_journal(journal)
        except FileNotFoundError:
            if not credentials.has_joined(state):
                raise
            header, folded, end, damage = None, State(), 0, ""  # joined, and not started yet
        host = state / identity.NAME
        running = held(state)
        joined = credentials.joined(state) if credentials.has_joined(state) else None
        pid = holder(state) if running else None
        return {
            "state": str(state),
            "version": __version__,
            "host_id": joined.host_id if joined else host.read_text().strip() if host.exists() else None,
            "joined_server": address_text((joined.host, joined.port)) if joined else None,
            "certificate": _certificate(state) if joined else None,
            "connection": _connection(state, pid),
            "agent_running": running,
            "agent_pid": pid,
            "journal_id": header.journal_id if header else None,
            "journal_bytes": end,
            "journal_damage": damage or None,
            "max_seq": folded.max_seq,
            "low": folded.low,
            "max_epoch": folded.max_epoch,
            "tombstones": len(folded.tombstones),
            "executions": [
                {
                    "command_id": execution.key[0],
                    "attempt": execution.key[1],
                    "seq": execution.seq,
                    "stage": execution.stage.name.lower(),
                    "outcome": execution.report.outcome.name.lower() if execution.report else None,
                    "reason": (execution.report.error_code or None) if execution.report else None,
                    "exit_code": execution.report.exit_code if execution.report else None,
                }
                for execution in folded.executions.values()
            ],
        }
    except FileNotFoundError:
        raise NoState(
            f"state directory {state}: it contains no agent journal",
            "name the directory that the agent was started with",
        ) from None
    except OSError as error:
        raise StateUnusable(f"state directory {state}: {error.strerror}", file_errors.remedy(error)) from error


def _certificate(state: Path) -> dict[str, Any]:
    """Return the end of the certificate on the server's clock, and its remaining seconds on this machine's."""
    validity = credentials.validity(state)
    boot_ms = linux.boottime_ns() // 1_000_000
    held_now = credentials.held_certificate(state, linux.boot_id(), boot_ms)
    left = None if held_now.received_ms is None else (held_now.received_ms + held_now.life_ms - boot_ms) // 1000
    return {"generation": validity.generation, "ends_ms": validity.not_after, "seconds_left": left}


def _connection(state: Path, pid: int | None) -> dict[str, Any] | None:
    """Return what the running agent says about its connection; None if none runs or it has not said anything."""
    found = connection_record.read(state)
    if found is None or found.pid != pid:
        return None
    same_boot = found.boot_id == linux.boot_id()
    elapsed = linux.boottime_ns() // 1_000_000 - found.since_boot_ms
    return {
        **msgspec.to_builtins(found),
        "seconds": elapsed // 1000 if same_boot and elapsed >= 0 else None,
    }


def text(found: dict[str, Any]) -> str:
    """Format the result of `status` for people."""
    running = f"running, pid {found['agent_pid']}" if found["agent_running"] else "not running"
    missing = "(header lost)" if found["journal_bytes"] else "(none yet)"
    lines = [
        f"host      {found['host_id'] or '(none yet)'}",
        f"agent     {running}, {_version(found)}",
        *_connection_lines(found),
        f"journal   {found['journal_id'] or missing}, {found['journal_bytes']} bytes",
    ]
    if found["journal_damage"]:
        lines.append(f"damage    {found['journal_damage']}")
    lines.append(
        f"numbers   highest dispatch {found['max_seq']}, all ended up to {found['low']}, server epoch "
        f"{found['max_epoch']}"
    )
    counts = {stage.name.lower(): 0 for stage in Stage if stage is not Stage.TOMB}
    for execution in found["executions"]:
        counts[execution["stage"]] += 1
    lines.append(
        "holds     "
        + ", ".join(f"{count} {stage}" for stage, count in counts.items())
        + f", {found['tombstones']} tombstones"
    )
    for execution in found["executions"]:
        if execution["stage"] != "acked":
            ended = f"  {execution['outcome']} {execution['reason'] or ''}".rstrip() if execution["outcome"] else ""
            lines.append(f"  {execution['command_id']}.{execution['attempt']}  {execution['stage']}{ended}")
    return "\n".join(lines)


def _version(found: dict[str, Any]) -> str:
    connection = found["connection"]
    if connection is None or connection["version"] == found["version"]:
        return f"version {found['version']}"
    return f"version {connection['version']} ({found['version']} is installed and used from the next start)"


def _connection_lines(found: dict[str, Any]) -> list[str]:
    lines = []
    connection, certificate = found["connection"], found["certificate"]
    if connection is not None:
        since = f"{_time(connection['since_ms'])}{_ago(connection['seconds'])}"
        why = f": {connection['why']}" if connection["why"] else ""
        lines.append(f"server    {connection['server']}, {connection['state']} since {since}{why}")
        rules = connection["policy"]
        users = "any user" if rules["run_as"] is None else f"users {', '.join(rules['run_as']) or '(none)'}"
        shell = "shell allowed" if rules["shell"] else "argv only"
        lines.append(
            f"policy    {connection['policy_file'] or '(no file)'}: {users}, {shell}; {connection['slots']} slots"
        )
    else:
        lines.append(f"server    {found['joined_server'] or '(not joined)'}, not connected")
    if certificate is not None:
        left = certificate["seconds_left"]
        rest = "" if left is None else f" (in {_span(left)})" if left > 0 else " (it has ended)"
        ends = _time(certificate["ends_ms"])
        lines.append(f"identity  certificate {certificate['generation']}, ends {ends} on the server's clock{rest}")
    return lines


def _time(wall_ms: int) -> str:
    try:
        return datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{wall_ms} ms"


def _ago(seconds: int | None) -> str:
    return "" if seconds is None else f" ({_span(seconds)} ago)"


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
