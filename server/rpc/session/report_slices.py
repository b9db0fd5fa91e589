"""Splits a slice of reports while the writer lags, so that commands with few reports do not wait for the others."""

from __future__ import annotations

from collections.abc import Sequence

from server.core.events import Report

FEW, GROUPS = 8, 8
"""Most reports of a command that counts as small, and most small commands that are split off. Each costs a call of the
engine and a unit for the writer.
"""


def split_by_command(reports: Sequence[Report]) -> list[Sequence[Report]]:
    """Split reports into those of each small command, and then the rest.

    Reports of one command stay together and in order.
    """
    by_command: dict[str, list[Report]] = {}
    for report in reports:
        by_command.setdefault(report.command_id, []).append(report)
    if len(by_command) == 1:
        return [reports]
    few = sorted((some for some in by_command.values() if len(some) <= FEW), key=len)[:GROUPS]
    taken = {some[0].command_id for some in few}
    rest = [report for report in reports if report.command_id not in taken]
    return [*few, rest] if rest else [*few]
