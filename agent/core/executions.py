"""One execution on this host: its stages, and the only records that lead from one to the next, as data."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.journal import Acked, Exit, Intent, KillIntent, OfExecution, Started, Tombstone
from agent.core.model import Key, Outcome, Report, Stage

STEPS: dict[tuple[Stage | None, type], Stage] = {
    (None, Intent): Stage.INTENT,
    (Stage.INTENT, Started): Stage.RUNNING,
    (Stage.INTENT, KillIntent): Stage.INTENT,
    (Stage.RUNNING, KillIntent): Stage.RUNNING,
    (Stage.INTENT, Exit): Stage.DONE,
    (Stage.RUNNING, Exit): Stage.DONE,
    (Stage.DONE, Acked): Stage.ACKED,
    (None, Tombstone): Stage.TOMB,
    (Stage.INTENT, Tombstone): Stage.TOMB,
    (Stage.DONE, Tombstone): Stage.TOMB,
    (Stage.ACKED, Tombstone): Stage.TOMB,
}
"""No way leads back from an end, and none from RUNNING to a tombstone without an Exit."""


class IllegalStep(Exception):
    """A record that its execution's stage does not allow."""


@dataclass(slots=True)
class Execution:
    """What the journal says of one execution. seq 0: its Intent was lost with a damaged record."""

    key: Key
    stage: Stage
    intent: Intent
    started: Started | None = None
    kill: KillIntent | None = None
    report: Report | None = None
    exit_wall_ms: int = 0
    acked_wall_ms: int = 0

    @property
    def seq(self) -> int:
        return self.intent.seq

    @property
    def open(self) -> bool:
        """It may still be running: it takes a slot."""
        return self.stage in (Stage.INTENT, Stage.RUNNING)

    @property
    def spool_bytes(self) -> int:
        """Room that it takes in the spool, or may come to take."""
        if self.open:
            return self.intent.size
        return self.report.kept_bytes if self.stage is Stage.DONE and self.report else 0

    def take(self, record: OfExecution) -> None:
        """Go where the record leads. Raises IllegalStep."""
        self.stage = step(self.key, self.stage, type(record))
        if isinstance(record, Started):
            self.started = record
        elif isinstance(record, KillIntent):
            self.kill = record
        elif isinstance(record, Exit):
            self.report, self.exit_wall_ms = record.report, record.wall_ms
        elif isinstance(record, Acked):
            self.acked_wall_ms = record.wall_ms

    def tomb(self, wall_ms: int) -> Tombstone:
        """What stays of it when all else may go."""
        report = self.report or Report(Outcome.LOST, error_code="journal_lost")
        return Tombstone(
            *self.key,
            self.seq,
            report.outcome,
            report.error_code,
            wall_ms,
            report.exit_code,
            report.signal,
            report.error_message,
        )

    def records(self) -> list[OfExecution]:
        """The shortest list of records that makes it again."""
        out: list[OfExecution] = [self.intent]
        if self.started:
            out.append(self.started)
        if self.kill:
            out.append(self.kill)
        if self.report:
            out.append(Exit(*self.key, self.report, self.exit_wall_ms))
        if self.stage is Stage.ACKED:
            out.append(Acked(*self.key, self.acked_wall_ms))
        return out


def step(key: Key, stage: Stage | None, record: type) -> Stage:
    """The stage after such a record. Raises IllegalStep."""
    try:
        return STEPS[stage, record]
    except KeyError:
        at = stage.name if stage else "nothing"
        raise IllegalStep(f"execution {key[0]}.{key[1]}: no step {record.__name__} from {at}") from None
