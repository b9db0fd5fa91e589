"""Rebuilds agent state by folding journal records."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from agent.core.executions import Execution, IllegalStep, step
from agent.core.journal import Acked, Exit, Intent, KillIntent, Low, Record, Seen, Started, Tombstone
from agent.core.model import Key, Stage


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the state keeps of ended executions.

    Attributes:
        acked: Acknowledged executions that are listed in a Hello. Older ones become tombstones.
        tombs: Number of tombstones kept.
        tomb_ms: Milliseconds for which a tombstone is kept.
    """

    acked: int = 32
    tombstones: int = 10_000
    tombstone_ms: int = 30 * 24 * 3600 * 1000


@dataclass(slots=True)
class State:
    """Everything that the agent's journal says.

    Attributes:
        executions: Executions in order of arrival.
        tombs: Tombstones in order of arrival.
        low: Every dispatch number up to and including this one has ended and is committed by the server.
        newest: The highest known attempt of each command.
    """

    limits: Limits = field(default_factory=Limits)
    executions: dict[Key, Execution] = field(default_factory=dict)
    tombstones: dict[Key, Tombstone] = field(default_factory=dict)
    low: int = 0
    low_wall_ms: int = 0
    max_seq: int = 0
    max_epoch: int = 0
    newest: dict[str, int] = field(default_factory=dict)
    _attempts: dict[str, list[int]] = field(default_factory=dict)
    """Attempts in ascending order, only for commands with more than one known attempt."""
    _acked: dict[Key, None] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Apply one record.

        Raises:
            IllegalStep: The record cannot follow the records before it.
        """
        if isinstance(record, Low):
            self._apply_low(record)
        elif isinstance(record, Seen):
            self.max_seq = max(self.max_seq, record.max_seq)
            self.max_epoch = max(self.max_epoch, record.max_epoch)
        elif isinstance(record, Tombstone):
            execution = self.executions.get(record.key)
            if record.key in self.tombstones:
                raise IllegalStep(f"execution {record.key}: has a tombstone")
            step(record.key, execution.stage if execution else None, Tombstone)
            self.add_tombstone(record)
            self._trim(record.wall_ms)
        elif isinstance(record, Intent):
            if record.key in self.executions or record.key in self.tombstones:
                raise IllegalStep(f"execution {record.key}: a second Intent")
            self.executions[record.key] = Execution(record.key, Stage.INTENT, record)
            self._index(record.key, record.seq)
        else:
            execution = self.executions.get(record.key)
            if execution is None:
                raise IllegalStep(f"execution {record.key}: {type(record).__name__} before Intent")
            execution.apply(record)
            if isinstance(record, Acked):
                self._note_acked(execution)

    def discard(self, key: Key) -> None:
        """Remove an Intent that never became durable; nothing was started for it."""
        del self.executions[key]
        self._unindex(key)

    def records(self) -> list[Record]:
        """Return the shortest list of records whose fold is this state."""
        out: list[Record] = [
            Low(self.low, self.low_wall_ms),
            Seen(self.max_seq, self.max_epoch),
            *self.tombstones.values(),
        ]
        for execution in self.executions.values():
            out.extend(execution.records())
        return out

    @property
    def size(self) -> int:
        """Approximate length of `records()`, without building the list."""
        return len(self.tombstones) + 4 * len(self.executions) + 2

    def _index(self, key: Key, seq: int) -> None:
        self.max_seq = max(self.max_seq, seq)
        command_id, attempt = key
        newest = self.newest.setdefault(command_id, attempt)
        if newest != attempt:
            attempts = self._attempts.setdefault(command_id, [newest])
            if attempt not in attempts:
                insort(attempts, attempt)
            self.newest[command_id] = attempts[-1]

    def _unindex(self, key: Key) -> None:
        """Remove a key that is in neither dict any more.

        The cost is bounded by the number of attempts of the command. With ten thousand tombstones, each new tombstone
        causes
        one such call.
        """
        command_id, attempt = key
        attempts = self._attempts.get(command_id)
        if attempts is None:
            del self.newest[command_id]
            return
        attempts.remove(attempt)
        self.newest[command_id] = attempts[-1]
        if len(attempts) == 1:
            del self._attempts[command_id]

    def _apply_low(self, record: Low) -> None:
        self.low, self.low_wall_ms = max(self.low, record.seq), max(self.low_wall_ms, record.wall_ms)
        self._trim(record.wall_ms)
        oldest = record.wall_ms - self.limits.tombstone_ms
        # above `low`, only the tombstone prevents a late dispatch from starting: age must not remove it
        for tombstone in [
            tombstone
            for tombstone in self.tombstones.values()
            if tombstone.wall_ms < oldest and tombstone.seq <= self.low
        ]:
            self.drop_tombstone(tombstone)

    def _note_acked(self, execution: Execution) -> None:
        self._acked[execution.key] = None
        for key in list(islice(self._acked, max(0, len(self._acked) - self.limits.acked))):
            self.add_tombstone(self.executions[key].tombstone(execution.acked_wall_ms))
        self._trim(execution.acked_wall_ms)

    def add_tombstone(self, tombstone: Tombstone) -> None:
        """Replace the execution, if it is known, by a tombstone."""
        self.executions.pop(tombstone.key, None)
        self._acked.pop(tombstone.key, None)
        self.tombstones[tombstone.key] = tombstone
        self._index(tombstone.key, tombstone.seq)

    def _trim(self, wall_ms: int) -> None:
        while True:
            for key in [key for key in self._acked if self.executions[key].seq <= self.low]:
                self.add_tombstone(self.executions[key].tombstone(wall_ms))
            if len(self.tombstones) <= self.limits.tombstones:
                return
            eldest = next(iter(self.tombstones.values()))
            self.drop_tombstone(eldest)
            # the id is forgotten, so the number must cover it: a dispatch number up to `low` is never started
            self.low = max(self.low, eldest.seq)

    def drop_tombstone(self, tombstone: Tombstone) -> None:
        """Forget a tombstone."""
        del self.tombstones[tombstone.key]
        self._unindex(tombstone.key)


def fold(records: Iterable[Record], limits: Limits | None = None) -> State:
    """Return the state after these records.

    Raises:
        IllegalStep: The records do not follow from each other.
    """
    state = State(limits or Limits())
    for record in records:
        state.apply(record)
    return state


def salvage(records: Iterable[Record], limits: Limits | None = None) -> tuple[State, int]:
    """Fold a journal in which some records could not be read.

    Every id that appears in any record is kept, so that it can never start again. Missing records are replaced by the
    assumption that the command may have run. For that reason an Intent loses its boot id: its presence must not prove
    that no later record existed.

    Returns:
        The state, and the number of records that did not fit.
    """
    state, misfits = State(limits or Limits()), 0
    for record in records:
        if (
            isinstance(record, (Started, KillIntent, Exit, Acked))
            and record.key not in state.executions
            and record.key not in state.tombstones
        ):
            boot_id = record.boot_id if isinstance(record, Started) else ""
            state.apply(Intent(*record.key, 0, boot_id, b"", 0, record.wall_ms))
        try:
            state.apply(replace(record, boot_id="") if isinstance(record, Intent) else record)
        except IllegalStep:
            misfits += 1
            if isinstance(record, Acked) and record.key in state.executions:
                state.add_tombstone(state.executions[record.key].tombstone(record.wall_ms))
    return state, misfits
