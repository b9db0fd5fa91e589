"""Counts of executions per status for many tasks at once, changed in batches of moves.

This file runs as it is, and is compiled a second time as `_speedups.tally.tally_c` with the types of tally_c.pxd. Both
come from one source, so they cannot differ. Import `Tally` from `_speedups.tally`, which picks.

A *slot* is a small number that stands for one task while it is in memory. Each slot has WIDTH counters, one per status
of an execution in the order of server/core/states.py; the first OPEN of them are the statuses that are not final.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

WIDTH = 9
OPEN = 3
MAX_SLOTS = 1_048_576
MAX_COUNT = 2_147_483_647
"""Bounds memory, and keeps the totals of MAX_SLOTS full slots within 64 bits."""


class Tally:
    """Counters of every live slot, and their totals."""

    def __init__(self) -> None:
        self._capacity = 64
        self._cells = array("q", bytes(8 * WIDTH * self._capacity))
        self._live = array("b", bytes(self._capacity))
        self._totals = array("q", bytes(8 * WIDTH))
        self._size = 0
        self._changed: dict[int, None] = {}

    def __len__(self) -> int:
        """The number of live slots."""
        return self._size

    def add(self, slot: int, counts: Sequence[int]) -> None:
        """Make `slot` live with these WIDTH counts. It does not count as changed.

        Raises:
            ValueError: the slot is live or outside 0 … MAX_SLOTS - 1, or the counts are not WIDTH numbers of
                0 … MAX_COUNT.
        """
        if not 0 <= slot < MAX_SLOTS:
            raise ValueError(f"slot {slot}: outside 0 … {MAX_SLOTS - 1}")
        row = tuple(counts)
        if len(row) != WIDTH:
            raise ValueError(f"slot {slot}: {len(row)} counts instead of {WIDTH}")
        for count in row:
            if not 0 <= count <= MAX_COUNT:
                raise ValueError(f"slot {slot}: count {count} is outside 0 … {MAX_COUNT}")
        if slot < self._capacity and self._live[slot]:
            raise ValueError(f"slot {slot} is in use")
        new = array("q", row)
        if slot >= self._capacity:
            self._grow(slot + 1)
        base = slot * WIDTH
        for state in range(WIDTH):
            self._cells[base + state] = new[state]
            self._totals[state] += new[state]
        self._live[slot] = 1
        self._size += 1

    def apply(self, slots: list[int], olds: list[int], news: list[int]) -> None:
        """Carry out one batch of moves in order: entry i moves an execution of slots[i] from status olds[i] to news[i].

        Raises:
            ValueError: the lists differ in length, a slot is not live, a status is not 0 … WIDTH - 1, or a counter
                would go below zero at any point of the batch. Nothing is changed then.
        """
        count = len(slots)
        if len(olds) != count or len(news) != count:
            raise ValueError(
                f"{count} slots, {len(olds)} old and {len(news)} new statuses: the lists must be equally long"
            )
        cells, totals, live = self._cells, self._totals, self._live
        done = 0
        try:
            while done < count:
                slot, old, new = slots[done], olds[done], news[done]
                if not (0 <= slot < self._capacity and live[slot]):
                    raise ValueError(f"entry {done}: slot {slot} is not live")
                if not (0 <= old < WIDTH and 0 <= new < WIDTH):
                    raise ValueError(f"entry {done}: no such status, {old} to {new}")
                base = slot * WIDTH
                if cells[base + old] == 0:
                    raise ValueError(f"entry {done}: slot {slot} has nothing in status {old}")
                cells[base + old] -= 1
                cells[base + new] += 1
                totals[old] -= 1
                totals[new] += 1
                done += 1
        except Exception as error:
            while done > 0:
                done -= 1
                slot, old, new = slots[done], olds[done], news[done]
                base = slot * WIDTH
                cells[base + old] += 1
                cells[base + new] -= 1
                totals[old] += 1
                totals[new] -= 1
            if isinstance(error, OverflowError):
                raise ValueError("a slot or status is outside what a machine word holds") from error
            raise
        for number in slots:
            self._changed[number] = None

    def counts(self, slot: int) -> tuple[int, ...]:
        """The WIDTH counters of `slot`.

        Raises:
            ValueError: the slot is not live.
        """
        base = self._base(slot)
        return tuple([self._cells[base + state] for state in range(WIDTH)])

    def open(self, slot: int) -> int:
        """The number of executions of `slot` that have not ended.

        Raises:
            ValueError: the slot is not live.
        """
        base = self._base(slot)
        return self._cells[base] + self._cells[base + 1] + self._cells[base + 2]

    def totals(self) -> tuple[int, ...]:
        """The sums over all live slots, in constant time."""
        return tuple([self._totals[state] for state in range(WIDTH)])

    def take_changed(self) -> list[int]:
        """The slots that `apply` changed since the last call, each once, in the order of their first change."""
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def drop(self, slot: int) -> None:
        """Forget `slot`, also as changed; its number may be added again.

        Raises:
            ValueError: the slot is not live.
        """
        base = self._base(slot)
        for state in range(WIDTH):
            self._totals[state] -= self._cells[base + state]
        self._live[slot] = 0
        self._size -= 1
        self._changed.pop(slot, None)

    def _base(self, slot: int) -> int:
        if not (0 <= slot < self._capacity and self._live[slot]):
            raise ValueError(f"slot {slot} is not live")
        return slot * WIDTH

    def _grow(self, needed: int) -> None:
        capacity = self._capacity
        while capacity < needed:
            capacity *= 2
        cells = array("q", bytes(8 * WIDTH * capacity))
        live = array("b", bytes(capacity))
        for index in range(WIDTH * self._capacity):
            cells[index] = self._cells[index]
        for index in range(self._capacity):
            live[index] = self._live[index]
        self._cells, self._live, self._capacity = cells, live, capacity
