"""The reader batches many small reads and reads rare ones at once."""

from __future__ import annotations

import pytest

from server.rpc.session.read_batching import ACTIVE_FOR, BATCH_DELAY, SMALL_SLICE, ReadBatcher


def slices(
    batcher: ReadBatcher, number: int, apart: float, rows: int = 2, heartbeats: bool = False, begin: float = 100.0
) -> list[float]:
    """The rests before each of so many slices."""
    rests, now = [], begin
    for _ in range(number):
        rests.append(batcher.delay(now))
        now += rests[-1]
        batcher.record_read(rows, heartbeats, now)
        now += apart
    return rests


def test_many_small_reads_in_a_row_are_batched() -> None:
    rests = slices(ReadBatcher(), 1_000, 0.0007)
    assert rests[:15] == [0.0] * 15 and set(rests[20:]) == {BATCH_DELAY}


@pytest.mark.parametrize("apart", [0.02, 0.1, 1.0])
def test_a_few_commands_are_read_at_once(apart: float) -> None:
    assert set(slices(ReadBatcher(), 500, apart)) == {0.0}


def test_a_burst_is_read_at_once() -> None:
    batcher = ReadBatcher()
    assert set(slices(batcher, 100, 0.0, rows=SMALL_SLICE)) == {0.0}
    slices(batcher, 100, 0.0)
    assert batcher.delay(100.0)
    batcher.record_read(SMALL_SLICE, False, 100.5)
    assert not batcher.delay(100.5)


def test_heartbeats_alone_do_not_start_batching() -> None:
    assert set(slices(ReadBatcher(), 1_000, 0.001, rows=1, heartbeats=True)) == {0.0}


def test_a_message_after_a_pause_is_read_at_once() -> None:
    batcher = ReadBatcher()
    slices(batcher, 100, 0.0)
    assert batcher.delay(101.0) == 0.0


def test_a_reader_is_idle_after_a_while_with_only_heartbeats() -> None:
    batcher = ReadBatcher()
    assert batcher.is_idle(100.0)
    batcher.record_read(1, False, 100.0)
    batcher.record_read(1, True, 100.5)
    assert not batcher.is_idle(100.0 + ACTIVE_FOR - 0.01) and batcher.is_idle(100.0 + ACTIVE_FOR)
    batcher.record_sent(200.0)
    assert not batcher.is_idle(200.5) and batcher.is_idle(200.0 + ACTIVE_FOR)
