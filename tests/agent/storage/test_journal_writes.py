"""Writing the journal: group commit, compaction, growth, and disk errors."""

from __future__ import annotations

import errno
import os
import queue
import threading
from pathlib import Path

import pytest

from agent.core.effects import Append, Rewrite
from agent.core.events import JournalDurable, JournalFailed
from agent.core.journal import Intent, Record
from agent.core.state import State
from agent.errors import StateInUse, StateUnusable
from agent.storage.disk import Disk
from agent.storage.journal import Sizes, open_journal, read_journal
from agent.storage.lock import held, hold

SIZES = Sizes(capacity=8_192, reserve=4_096)


class CountingDisk(Disk):
    """Counts syncs, can delay them, and fails on request."""

    def __init__(self) -> None:
        self.syncs = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail_sync: OSError | None = None
        self.fail_write: OSError | None = None
        self.full_while: Path | None = None

    def sync(self, fd: int) -> None:
        self.entered.set()
        self.gate.wait(10)
        self.syncs += 1
        if self.fail_sync:
            raise self.fail_sync
        super().sync(fd)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if self.fail_write:
            raise self.fail_write
        super().write(fd, data, offset)

    def allocate(self, fd: int, size: int) -> None:
        if self.full_while and self.full_while.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        super().allocate(fd, size)


class Rig:
    def __init__(self, path: Path) -> None:
        self.path, self.disk, self.warnings = path, CountingDisk(), list[str]()
        self.journal, self.state = open_journal(
            path, new_id="j1", now_ms=1, warn=self.warnings.append, sizes=SIZES, disk=self.disk
        )
        self.events: queue.Queue[JournalDurable | JournalFailed] = queue.Queue()
        self.journal.start(self.events.put)
        self.disk.syncs = 0
        self.disk.entered.clear()

    def append(self, position: int, *records: Record) -> None:
        self.journal.put(Append(position, records))

    def next(self) -> JournalDurable | JournalFailed:
        return self.events.get(timeout=10)

    def on_disk(self) -> State:
        header, state, _, damage = read_journal(self.path)
        assert header and header.journal_id == "j1" and not damage
        return state


def intent(number: int) -> Intent:
    return Intent(f"c{number}", 1, number, "boot", b"d" * 32, 10, number)


@pytest.fixture
def rig(tmp_path: Path):
    rig = Rig(tmp_path / "journal")
    yield rig
    rig.disk.gate.set()
    rig.journal.close()


def test_one_sync_covers_all_waiting_records(rig: Rig) -> None:
    rig.disk.gate.clear()
    rig.append(1, intent(1))
    assert rig.disk.entered.wait(10)
    for number in range(2, 102):
        rig.append(number, intent(number))
    rig.disk.gate.set()
    assert rig.next() == JournalDurable(1)
    assert rig.next() == JournalDurable(101)
    assert rig.disk.syncs == 2
    assert len(rig.on_disk().executions) == 101


def test_no_record_is_durable_before_its_sync_returns(rig: Rig) -> None:
    rig.disk.gate.clear()
    rig.append(1, intent(1))
    assert rig.disk.entered.wait(10)
    assert rig.events.empty()
    rig.disk.gate.set()
    assert rig.next() == JournalDurable(1)


def test_a_full_file_grows_before_it_is_written(rig: Rig) -> None:
    for number in range(1, 301):
        rig.append(number, intent(number))
    while rig.next() != JournalDurable(300):
        pass
    assert rig.path.stat().st_size > SIZES.capacity
    assert len(rig.on_disk().executions) == 300


@pytest.mark.parametrize("which", ["fail_sync", "fail_write"])
def test_after_a_failure_no_record_is_accepted_until_the_journal_is_rewritten(rig: Rig, which: str) -> None:
    setattr(rig.disk, which, OSError(errno.EIO, "Input/output error"))
    rig.append(1, intent(1))
    failed = rig.next()
    assert isinstance(failed, JournalFailed) and "Input/output error" in failed.message
    setattr(rig.disk, which, None)
    syncs = rig.disk.syncs
    rig.append(2, intent(2))  # taken before the engine knew; it must not be written behind a lost one
    rig.journal.put(Rewrite(3, [intent(3)]))
    assert rig.next() == JournalDurable(3)
    assert rig.disk.syncs == syncs + 1, "the failed sync was tried again"
    rig.append(4, intent(4))
    assert rig.next() == JournalDurable(4)
    assert set(rig.on_disk().executions) == {("c3", 1), ("c4", 1)}


def test_a_failed_rewrite_is_reported_and_can_be_repeated(rig: Rig) -> None:
    rig.disk.fail_sync = OSError(errno.EIO, "Input/output error")
    rig.append(1, intent(1))
    assert isinstance(rig.next(), JournalFailed)
    rig.journal.put(Rewrite(2, []))
    assert isinstance(rig.next(), JournalFailed)
    rig.disk.fail_sync = None
    rig.journal.put(Rewrite(3, [intent(3)]))
    assert rig.next() == JournalDurable(3)
    assert not rig.path.with_name("journal.new").exists()


def test_a_failed_compaction_keeps_the_old_file_in_use(rig: Rig) -> None:
    rig.append(1, intent(1))
    assert rig.next() == JournalDurable(1)
    rig.disk.fail_sync = OSError(errno.EIO, "Input/output error")
    rig.journal.put(Rewrite(2, [intent(1)]))
    assert rig.next() == JournalDurable(2)
    assert "could not be compacted" in rig.warnings[-1]
    rig.disk.fail_sync = None
    rig.append(3, intent(3))
    assert rig.next() == JournalDurable(3)
    assert len(rig.on_disk().executions) == 2


def test_a_full_disk_uses_the_reserve_and_keeps_the_journal(rig: Rig) -> None:
    reserve = rig.path.with_name("journal.reserve")
    assert reserve.stat().st_size == SIZES.reserve
    rig.disk.full_while = reserve
    rig.journal.put(Rewrite(1, [intent(1)]))
    assert rig.next() == JournalDurable(1)
    assert "reserve was deleted" in rig.warnings[0]
    assert set(rig.on_disk().executions) == {("c1", 1)}


def test_closing_makes_waiting_records_durable(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "journal")
    for number in range(1, 51):
        rig.append(number, intent(number))
    rig.journal.close()
    assert len(rig.on_disk().executions) == 50


def test_a_compacted_file_is_small_again(rig: Rig) -> None:
    for number in range(1, 301):
        rig.append(number, intent(number))
    while rig.next() != JournalDurable(300):
        pass
    rig.journal.put(Rewrite(301, [intent(300)]))
    assert rig.next() == JournalDurable(301)
    assert rig.path.stat().st_size == SIZES.capacity
    assert set(rig.on_disk().executions) == {("c300", 1)}


def test_a_journal_that_cannot_be_created_names_the_remedy(tmp_path: Path) -> None:
    disk = CountingDisk()
    disk.fail_write = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StateUnusable) as caught:
        open_journal(tmp_path / "journal", new_id="j1", now_ms=1, warn=pytest.fail, sizes=Sizes(8_192, 0), disk=disk)
    assert "No space left" in caught.value.message and "free space" in caught.value.hint


def test_two_agents_cannot_share_a_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "agent"
    with hold(state):
        assert held(state)
        with pytest.raises(StateInUse) as caught, hold(state):
            pass
        assert str(os.getpid()) in caught.value.message and "--state" in caught.value.hint
    assert not held(state)
    with hold(state):
        pass


def test_records_read_at_start_are_rewritten_and_synced_before_use(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "journal")
    rig.append(1, intent(1))
    assert rig.next() == JournalDurable(1)
    rig.journal.close()

    class Watching(CountingDisk):
        def __init__(self) -> None:
            super().__init__()
            self.written: list[tuple[bytes, int, int]] = []

        def write(self, fd: int, data: bytes, offset: int) -> None:
            self.written.append((data, offset, self.syncs))
            super().write(fd, data, offset)

    held = rig.path.read_bytes().rstrip(b"\0")
    disk = Watching()
    _, state = open_journal(rig.path, new_id="j2", now_ms=2, warn=rig.warnings.append, sizes=SIZES, disk=disk)
    (again,) = disk.written
    assert again[0].rstrip(b"\0") == held and again[1:] == (0, 0) and disk.syncs == 1
    assert state.executions and not rig.warnings
    disk.fail_sync = OSError(errno.EIO, "input/output error")
    with pytest.raises(StateUnusable):
        open_journal(rig.path, new_id="j2", now_ms=2, warn=rig.warnings.append, sizes=SIZES, disk=disk)
