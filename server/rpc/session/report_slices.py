"""A slice of reports, taken apart while much waits to be written: what is said of commands of which little is said need
not wait for the rest."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.events import Report

FEW, GROUPS = 8, 8
"""Reports on one command, and commands, at most: each costs a call of the engine and a unit for the writer."""


def apart(reports: Sequence[Report]) -> list[Sequence[Report]]:
    """Those on each command on which there are few, then the others. Reports on one command stay together, and in their
    order."""
    by_command: dict[str, list[Report]] = {}
    for report in reports:
        by_command.setdefault(report.command_id, []).append(report)
    if len(by_command) == 1:
        return [reports]
    few = sorted((some for some in by_command.values() if len(some) <= FEW), key=len)[:GROUPS]
    taken = {some[0].command_id for some in few}
    rest = [report for report in reports if report.command_id not in taken]
    return [*few, rest] if rest else [*few]
