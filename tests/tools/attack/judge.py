"""Criteria for the server under attack, and the table of its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.tools.attack.attacks import ATTACKS, CUT, DROP, IGNORE, SHUT_OUT
from tests.tools.attack.site import Seen

MOST_MIB = 64
"""Maximum growth of the server."""
MOST_STORED_MIB = 24
"""Maximum growth of the database during an attack that tries to fill it, beyond its normal growth: the orphans of one
host, and SQLite's log, which is as long as its longest transaction.
"""
MOST_MOVED = 0.2
"""Share by which the p99 of the healthy agents may change."""
MOST_STOLEN = 0.03
"""Share of a core taken by the hypervisor; above it, the hypervisor explains changes of p99."""


@dataclass(frozen=True, slots=True)
class Case:
    """Measurements of one attack.

    Attributes:
        outcome: The attacker's result.
        refused: Counters by reason.
        told: Log lines by reason.
        before: The period before, with a sleeping process.
        after: The period after, with a sleeping process.
        busy: A period with a computing process, once per port.
    """

    name: str
    who: str
    port: str
    outcome: dict[str, Any]
    during: Seen
    refused: dict[str, int]
    told: dict[str, int]
    before: Seen
    after: Seen
    busy: Seen
    came_back: int
    all_answer: bool
    failure: str

    @property
    def growth(self) -> float:
        """Growth of the server in MiB."""
        return (self.during.rss_peak - self.during.rss_before) / 1024

    @property
    def stored(self) -> float:
        """Growth of the database in MiB, minus its growth in the same time without the attack."""
        return (self.during.stored - max(0.0, (self.before.stored + self.after.stored) / 2)) / (1 << 20)

    @property
    def calm(self) -> float:
        """p99 in ms without the attack: the mean of before and after."""
        return ((self.before.p99 or 0.0) + (self.after.p99 or 0.0)) / 2

    @property
    def moved(self) -> float:
        """Share by which p99 changed."""
        return (self.during.p99 or float("inf")) / self.calm - 1 if self.calm else float("inf")

    @property
    def disturbed(self) -> bool:
        """True if p99 is meaningless because of the hypervisor."""
        return max(seen.stolen for seen in (self.before, self.during, self.after)) > MOST_STOLEN

    @property
    def calmly(self) -> bool:
        """True if the healthy agents were hardly affected."""
        return self.moved < MOST_MOVED

    def faults(self) -> list[str]:
        """Failed criteria; latency is judged separately."""
        attack, found = ATTACKS[self.name], []
        if self.growth > MOST_MIB:
            found.append(f"the server grew by {self.growth:.0f} MiB")
        if attack.database and self.stored > MOST_STORED_MIB:
            found.append(f"the database grew by {self.stored:.0f} MiB")
        if attack.must == IGNORE and self.outcome["answers"]:
            found.append(f"it was not ignored: {self.outcome['answers']}")
        if attack.must in (CUT, DROP) and self.outcome["left"]:
            found.append(f"{self.outcome['left']} connections were not cut off")
        if attack.must == CUT and not set(self.refused) & attack.reasons:
            found.append(f"no refusal has one of its reasons: {self.refused}")
        if {**self.refused, SHUT_OUT: 0} != {**self.told, SHUT_OUT: 0}:
            found.append(f"counted {self.refused}, told {self.told}")
        if self.came_back:
            found.append(f"healthy agents had to come back {self.came_back} times")
        if not self.all_answer:
            found.append("not all healthy agents answer")
        return [*found, *([self.failure] if self.failure else [])]

    def verdict(self) -> str:
        if faults := self.faults():
            return "FAILED: " + "; ".join(faults)
        if self.disturbed:
            return "good, but for p99, which was disturbed"
        return "good" if self.calmly else f"good, but p99 moved by {self.moved:.0%}"

    def cells(self) -> tuple[str, ...]:
        took, done = sorted(self.outcome["took"]), self.outcome
        reason = max(self.refused, key=lambda one: (one != SHUT_OUT, self.refused[one]), default="none")
        return (
            self.name, f"{self.who}, {self.port}", str(done["connections"]), str(done["frames"]) if done["frames"] else f"{done['bytes']} B", reason,  # noqa: E501
            f"{took[len(took) // 2]:.3g} / {took[-1]:.3g}" if took else "not", f"{self.growth:.1f}", f"{self.stored:.1f}", *(_ms(seen) for seen in (self.before, self.during, self.after)),  # noqa: E501
            " / ".join(f"{seen.stolen:.0%}" for seen in (self.before, self.during, self.after)), self.verdict(),
        )  # fmt: skip


def _ms(seen: Seen) -> str:
    return "none" if seen.p99 is None else f"{seen.p99:.0f}"


COLUMNS = (
    "attack",
    "by",
    "connections",
    "frames taken",
    "answer",
    "cut off after s, median / most",
    "growth MiB",
    "database MiB",
    "p99 ms before",
    "during",
    "after",
    "taken by the hypervisor",
    "verdict",
)


def table(cases: list[Case]) -> str:
    """Format the results as Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(case.cells() for case in cases)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
