"""One execution on this host: its stages, and as data the records that lead from one stage to the next."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.journal import Acked, ExecutionRecord, Exit, Intent, KillIntent, Started, Tombstone
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
"""Final stages have no way back, and RUNNING reaches a tombstone only through an Exit."""


class IllegalStep(Exception):
    """The stage of an execution does not allow this record."""


@dataclass(slots=True)
class Execution:
    """One execution as the journal knows it."""

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
        """Dispatch number; 0 if the Intent was lost with a damaged record."""
        return self.intent.seq

    @property
    def open(self) -> bool:
        """True if the execution may still be running; it then uses a slot."""
        return self.stage in (Stage.INTENT, Stage.RUNNING)

    @property
    def spool_bytes(self) -> int:
        """Bytes that the execution takes up in the spool or may need there."""
        if self.open:
            return self.intent.size
        return self.report.kept_bytes if self.stage is Stage.DONE and self.report else 0

    def apply(self, record: ExecutionRecord) -> None:
        """Apply one record.

        Raises:
            IllegalStep: The stage does not allow this record.
        """
        self.stage = step(self.key, self.stage, type(record))
        if isinstance(record, Started):
            self.started = record
        elif isinstance(record, KillIntent):
            self.kill = record
        elif isinstance(record, Exit):
            self.report, self.exit_wall_ms = record.report, record.wall_ms
        elif isinstance(record, Acked):
            self.acked_wall_ms = record.wall_ms

    def tombstone(self, wall_ms: int) -> Tombstone:
        """Return the tombstone that replaces this execution."""
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

    def records(self) -> list[ExecutionRecord]:
        """Return the shortest list of records that rebuilds this execution."""
        out: list[ExecutionRecord] = [self.intent]
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
    """Return the stage after a record of this type.

    Raises:
        IllegalStep: The stage does not allow it.
    """
    try:
        return STEPS[stage, record]
    except KeyError:
        at = stage.name if stage else "nothing"
        raise IllegalStep(f"execution {key[0]}.{key[1]}: no step {record.__name__} from {at}") from None
