"""The fold from records to state: everything the agent remembers is what its journal's records, in order, make of
nothing."""

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
    """acked: acknowledged executions told of in a Hello; older ones become tombstones. tombs, tomb_ms: how many
    tombstones are
    kept, and for how long."""

    acked: int = 32
    tombs: int = 10_000
    tomb_ms: int = 30 * 24 * 3600 * 1000


@dataclass(slots=True)
class State:
    """executions and tombs are in the order in which they came. newest: highest attempt known of each command."""

    limits: Limits = field(default_factory=Limits)
    executions: dict[Key, Execution] = field(default_factory=dict)
    tombs: dict[Key, Tombstone] = field(default_factory=dict)
    low: int = 0
    low_wall_ms: int = 0
    max_seq: int = 0
    max_epoch: int = 0
    newest: dict[str, int] = field(default_factory=dict)
    _attempts: dict[str, list[int]] = field(default_factory=dict)
    """Of commands of which more than one attempt is known, ascending."""
    _acked: dict[Key, None] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Take in one record. Raises IllegalStep for one that cannot follow those before it."""
        if isinstance(record, Low):
            self._lower(record)
        elif isinstance(record, Seen):
            self.max_seq = max(self.max_seq, record.max_seq)
            self.max_epoch = max(self.max_epoch, record.max_epoch)
        elif isinstance(record, Tombstone):
            execution = self.executions.get(record.key)
            if record.key in self.tombs:
                raise IllegalStep(f"execution {record.key}: has a tombstone")
            step(record.key, execution.stage if execution else None, Tombstone)
            self.add_tombstone(record)
            self._trim(record.wall_ms)
        elif isinstance(record, Intent):
            if record.key in self.executions or record.key in self.tombs:
                raise IllegalStep(f"execution {record.key}: a second Intent")
            self.executions[record.key] = Execution(record.key, Stage.INTENT, record)
            self._meet(record.key, record.seq)
        else:
            execution = self.executions.get(record.key)
            if execution is None:
                raise IllegalStep(f"execution {record.key}: {type(record).__name__} before Intent")
            execution.take(record)
            if isinstance(record, Acked):
                self._acked_one(execution)

    def discard(self, key: Key) -> None:
        """Forget an Intent that never became durable, so that nothing was started for it."""
        del self.executions[key]
        self._unmeet(key)

    def records(self) -> list[Record]:
        """The shortest list of records whose fold is this state."""
        out: list[Record] = [Low(self.low, self.low_wall_ms), Seen(self.max_seq, self.max_epoch), *self.tombs.values()]
        for execution in self.executions.values():
            out.extend(execution.records())
        return out

    @property
    def size(self) -> int:
        """About how many records `records()` gives, without making them."""
        return len(self.tombs) + 4 * len(self.executions) + 2

    def _meet(self, key: Key, seq: int) -> None:
        self.max_seq = max(self.max_seq, seq)
        command_id, attempt = key
        newest = self.newest.setdefault(command_id, attempt)
        if newest != attempt:
            attempts = self._attempts.setdefault(command_id, [newest])
            if attempt not in attempts:
                insort(attempts, attempt)
            self.newest[command_id] = attempts[-1]

    def _unmeet(self, key: Key) -> None:
        """Its key is in neither dict any more. Costs no more than the command has attempts: with ten thousand
        tombstones each new one is paid
        for with one of these."""
        command_id, attempt = key
        attempts = self._attempts.get(command_id)
        if attempts is None:
            del self.newest[command_id]
            return
        attempts.remove(attempt)
        self.newest[command_id] = attempts[-1]
        if len(attempts) == 1:
            del self._attempts[command_id]

    def _lower(self, record: Low) -> None:
        self.low, self.low_wall_ms = max(self.low, record.seq), max(self.low_wall_ms, record.wall_ms)
        self._trim(record.wall_ms)
        oldest = record.wall_ms - self.limits.tomb_ms
        # one above `low` is the only thing that keeps a late dispatch of it from starting: it must not go by age
        for tomb in [tomb for tomb in self.tombs.values() if tomb.wall_ms < oldest and tomb.seq <= self.low]:
            self.drop_tombstone(tomb)

    def _acked_one(self, execution: Execution) -> None:
        self._acked[execution.key] = None
        for key in list(islice(self._acked, max(0, len(self._acked) - self.limits.acked))):
            self.add_tombstone(self.executions[key].tomb(execution.acked_wall_ms))
        self._trim(execution.acked_wall_ms)

    def add_tombstone(self, tomb: Tombstone) -> None:
        self.executions.pop(tomb.key, None)
        self._acked.pop(tomb.key, None)
        self.tombs[tomb.key] = tomb
        self._meet(tomb.key, tomb.seq)

    def _trim(self, wall_ms: int) -> None:
        while True:
            for key in [key for key in self._acked if self.executions[key].seq <= self.low]:
                self.add_tombstone(self.executions[key].tomb(wall_ms))
            if len(self.tombs) <= self.limits.tombs:
                return
            eldest = next(iter(self.tombs.values()))
            self.drop_tombstone(eldest)
            # its id is gone, so its number must answer for it: whatever is not above `low` is never started
            self.low = max(self.low, eldest.seq)

    def drop_tombstone(self, tomb: Tombstone) -> None:
        del self.tombs[tomb.key]
        self._unmeet(tomb.key)


def fold(records: Iterable[Record], limits: Limits | None = None) -> State:
    """The state after these records. Raises IllegalStep when they do not follow from each other."""
    state = State(limits or Limits())
    for record in records:
        state.apply(record)
    return state


def salvage(records: Iterable[Record], limits: Limits | None = None) -> tuple[State, int]:
    """(state, records that did not fit): as `fold`, for a journal in which some records could not be read.

    An id that is met in any record is kept, so that it can never start again: what its missing records said is made up
    in the
    direction of "it may have run". So an Intent loses its boot id: nobody may conclude from it that nothing came after
    it.
    """
    state, misfits = State(limits or Limits()), 0
    for record in records:
        if (
            isinstance(record, (Started, KillIntent, Exit, Acked))
            and record.key not in state.executions
            and record.key not in state.tombs
        ):
            boot_id = record.boot_id if isinstance(record, Started) else ""
            state.apply(Intent(*record.key, 0, boot_id, b"", 0, record.wall_ms))
        try:
            state.apply(replace(record, boot_id="") if isinstance(record, Intent) else record)
        except IllegalStep:
            misfits += 1
            if isinstance(record, Acked) and record.key in state.executions:
                state.add_tombstone(state.executions[record.key].tomb(record.wall_ms))
    return state, misfits
