"""The memory that an agent uses for past commands is limited, and its cost does not grow at the limit."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from agent.core.journal import Acked, Exit, Intent, Low, Record, Started, Tombstone
from agent.core.model import Key, Outcome, Report
from agent.core.state import Limits, State

LIMITS = Limits(acked=8, tombstones=200)


def life(number: int, attempt: int = 1) -> list[Record]:
    """Apply the records of one command from INTENT to acknowledgement; every 64th command raises `low`."""
    command_id = f"c{number}"
    records: list[Record] = [
        Intent(command_id, attempt, number, "boot", bytes(32), 1024, number),
        Started(command_id, attempt, 1, 1, "boot", number),
        Exit(command_id, attempt, Report(Outcome.COMPLETED, 0), number),
        Acked(command_id, attempt, number),
    ]
    return [*records, Low(number - 5, number)] if number % 64 == 0 else records


def kept(state: State) -> tuple[int, ...]:
    return (
        len(state.executions),
        len(state.tombstones),
        len(state.newest),
        len(state._attempts),
        len(state._acked),
        state.size,
    )


@pytest.mark.capability("Q10", "F23")
def test_ten_thousand_commands_keep_no_more_memory_than_one_thousand() -> None:
    state, seen = State(LIMITS), []
    for number in range(1, 10_241):
        for record in life(number):
            state.apply(record)
        if number % 1_024 == 0:
            seen.append(kept(state))
    print(seen)
    assert len(set(seen)) == 1
    executions, tombstones, newest, several, _, _ = seen[-1]
    assert (
        tombstones == LIMITS.tombstones
        and executions <= LIMITS.acked
        and newest == tombstones + executions
        and several == 0
    )


class Unlooked(dict[Key, Tombstone]):
    """Raises an exception if code iterates over all of it."""

    def __iter__(self) -> Iterator[Key]:
        raise AssertionError("all tombstones were looked at")


def test_replacing_a_tombstone_does_not_scan_all_of_them() -> None:
    state = State(LIMITS)
    for number in range(1, 300):
        for record in life(number):
            state.apply(record)
    assert len(state.tombstones) == LIMITS.tombstones
    state.tombstones = Unlooked(state.tombstones.items())
    for number in range(300, 319):
        for record in life(number):
            state.apply(record)
    assert len(state.tombstones) == LIMITS.tombstones and ("c100", 1) not in state.tombstones


def test_the_newest_attempt_is_kept_as_long_as_any() -> None:
    rng = random.Random(7)
    state = State(Limits(acked=3, tombstones=12))
    for number in range(1, 2_000):
        command_id, attempt = f"c{rng.randrange(number // 20 + 1)}", rng.randrange(1, 6)
        key = (command_id, attempt)
        if key in state.executions or key in state.tombstones:
            continue
        state.apply(Intent(command_id, attempt, number, "boot", bytes(32), 1024, number))
        if rng.random() < 0.2:
            state.discard(key)
        elif rng.random() < 0.5:
            state.apply(Tombstone(command_id, attempt, number, Outcome.NEVER, "canceled_before_start", number))
        else:
            state.apply(Started(command_id, attempt, 1, 1, "boot", number))
            state.apply(Exit(command_id, attempt, Report(Outcome.COMPLETED, 0), number))
            state.apply(Acked(command_id, attempt, number))
        known: dict[str, list[int]] = {}
        for one, its in (*state.executions, *state.tombstones):
            known.setdefault(one, []).append(its)
        assert state.newest == {one: max(attempts) for one, attempts in known.items()}
        assert state._attempts == {one: sorted(attempts) for one, attempts in known.items() if len(attempts) > 1}
    assert len(state.newest) <= 15
