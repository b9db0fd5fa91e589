"""Formats the results of many runs as text."""

from __future__ import annotations

from tests.tools.simulate.run import Outcome
from tests.tools.simulate.swarm import FAULTS

STATUSES = ("pending", "dispatched", "accepted", "running", "unreachable", "final")
"""Status of an execution when a fault struck. accepted: dispatched, and known to be in the agent's journal.
unreachable: whatever its status.
"""


def table(outcome: Outcome) -> list[str]:
    """Format how many executions each fault affected, by status."""
    lines = [f"{'fault':<15}{'times':>9}" + "".join(f"{status:>13}" for status in STATUSES)]
    for name in FAULTS:
        counts = "".join(f"{outcome.covered[status, name]:>13,}" for status in STATUSES)
        lines.append(f"{name:<15}{outcome.faults[name]:>9,}{counts}")
    return lines


def summary(outcome: Outcome, wall: float, processes: int) -> list[str]:
    """Format the results; wall: seconds that they took."""
    faults, per_minute = sum(outcome.faults.values()), outcome.runs / wall * 60
    met = sum(outcome.covered[status, name] > 0 for status in STATUSES for name in FAULTS)
    return [
        *table(outcome),
        "",
        "named places at which something struck: "
        + ", ".join(f"{name} {count:,}" for name, count in sorted(outcome.places.items())),
        "how executions ended: " + ", ".join(f"{name} {count:,}" for name, count in outcome.ends.most_common()),
        "",
        f"{outcome.runs:,} schedules, {faults:,} faults, {outcome.starts:,} starts, {outcome.steps:,} "
        f"happenings, {outcome.checks:,} checks, "
        f"{outcome.seconds / 3600:,.0f} simulated hours",
        (
            f"{per_minute:,.0f} schedules per minute on {processes} processes; {met} of "
            f"{len(STATUSES) * len(FAULTS)} pairs of status and fault met"
        ),
        f"{len(outcome.failures)} violations",
    ]


def replay(seed: int, without: list[str] | None = None) -> str:
    """Return the command that plays the seed again."""
    return f"python -m tests.tools.simulate --seed {seed} --trace" + (
        f" --without {','.join(without)}" if without else ""
    )
