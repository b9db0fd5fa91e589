"""Shows the contents of a state directory. It only reads, so it may be used while the agent runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent import identity
from agent.core.model import Stage
from agent.errors import NoState, StateUnusable
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
        header, folded, end, damage = read_journal(journal)
        host = state / identity.NAME
        running = held(state)
        return {
            "state": str(state),
            "host_id": host.read_text().strip() if host.exists() else None,
            "agent_running": running,
            "agent_pid": holder(state) if running else None,
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


def text(found: dict[str, Any]) -> str:
    """Format the result of `status` for people."""
    running = f"running, pid {found['agent_pid']}" if found["agent_running"] else "not running"
    lines = [
        f"host      {found['host_id'] or '(none yet)'}",
        f"agent     {running}",
        f"journal   {found['journal_id'] or '(header lost)'}, {found['journal_bytes']} bytes",
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
