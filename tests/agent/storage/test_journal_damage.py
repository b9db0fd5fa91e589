"""A journal torn or changed at any byte of its last three records: it opens, keeps every readable id, and reports
damage.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from agent.core.journal import Seen, Tombstone
from agent.core.model import Outcome
from agent.core.state import fold
from agent.storage.journal import Sizes, open_journal
from agent.storage.journal_file import BLOCK, MAGIC, Header, content, frame, scan
from tests.agent.conftest import a_record_of_each_kind

CAPACITY = 4_096
SIZES = Sizes(capacity=CAPACITY, reserve=0)
HEADER = Header("journal-1", CAPACITY, 1)
RECORDS = a_record_of_each_kind()
WHOLE = content(HEADER, RECORDS).ljust(CAPACITY, b"\0")
END = len(content(HEADER, RECORDS))
LAST_THREE = END - sum(len(frame(record)) for record in RECORDS[-3:])


def reopen(path: Path, data: bytes) -> tuple[str, set[tuple[str, int]], list[str]]:
    path.write_bytes(data)
    warnings: list[str] = []
    journal, state = open_journal(path, new_id="journal-2", now_ms=2, warn=warnings.append, sizes=SIZES)
    journal.start(lambda event: None)
    journal.close()
    again, same = open_journal(path, new_id="journal-3", now_ms=3, warn=warnings.append, sizes=SIZES)
    again.start(lambda event: None)
    again.close()
    assert same == state and again.header.journal_id == journal.header.journal_id, "what was salvaged must be on disk"
    return journal.header.journal_id, set(state.executions) | set(state.tombstones), warnings


def ids_before(limit: int) -> set[tuple[str, int]]:
    """Return the ids of the records that end before this byte."""
    found, end = set(), len(MAGIC) + len(frame(HEADER))
    for record in RECORDS:
        end += len(frame(record))
        if end <= limit and hasattr(record, "key"):
            found.add(record.key)
    return found


def test_an_undamaged_journal_keeps_its_id_and_content(tmp_path: Path) -> None:
    journal_id, ids, warnings = reopen(tmp_path / "journal", WHOLE)
    assert (journal_id, warnings) == ("journal-1", [])
    assert ids == {("a", 1), ("b", 1), ("c", 2)}
    assert scan(WHOLE, CAPACITY).records == RECORDS


@pytest.mark.capability("I1", "F16")
@pytest.mark.parametrize("cut", range(LAST_THREE, END))
def test_a_file_cut_at_any_byte_of_its_last_three_records_gets_a_new_id(tmp_path: Path, cut: int) -> None:
    journal_id, ids, warnings = reopen(tmp_path / "journal", WHOLE[:cut])
    assert journal_id == "journal-2" and len(warnings) == 1
    assert ids >= ids_before(cut)


@pytest.mark.parametrize("cut", range(LAST_THREE, END))
def test_a_write_torn_at_any_byte_keeps_the_records_before_it(tmp_path: Path, cut: int) -> None:
    journal_id, ids, warnings = reopen(tmp_path / "journal", WHOLE[:cut].ljust(CAPACITY, b"\0"))
    borders, end = [], len(MAGIC) + len(frame(HEADER))
    for record in RECORDS:
        borders.append(end)
        end += len(frame(record))
    between = cut in borders or not WHOLE[max(b for b in borders if b <= cut) : cut].strip(b"\0")
    assert (journal_id, len(warnings)) == (("journal-1", 0) if between else ("journal-2", 1))
    assert ids >= ids_before(cut)


@pytest.mark.capability("F16")
@pytest.mark.parametrize("byte", range(LAST_THREE, END))
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_costs_one_record_and_the_id_of_the_journal(tmp_path: Path, byte: int, mask: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[byte] ^= mask
    journal_id, ids, warnings = reopen(tmp_path / "journal", bytes(damaged))
    assert journal_id == "journal-2" and len(warnings) == 1
    start, hit = len(MAGIC) + len(frame(HEADER)), None
    for record in RECORDS:
        if start <= byte < start + len(frame(record)):
            hit = record
        start += len(frame(record))
    others = {record.key for record in RECORDS if record is not hit and hasattr(record, "key")}
    assert ids >= others, "an id that can be read must be kept"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 20])
def test_an_unreadable_file_becomes_a_new_journal(tmp_path: Path, size: int) -> None:
    journal_id, ids, warnings = reopen(tmp_path / "journal", WHOLE[:size])
    assert (journal_id, ids, len(warnings)) == ("journal-2", set(), 1)


def test_records_that_contradict_each_other_are_damage(tmp_path: Path) -> None:
    twice = content(HEADER, [*RECORDS, RECORDS[-2]]).ljust(CAPACITY, b"\0")
    journal_id, ids, warnings = reopen(tmp_path / "journal", twice)
    assert journal_id == "journal-2" and ("c", 2) in ids and "contradict" in warnings[0]


def test_a_missing_journal_is_a_new_one(tmp_path: Path) -> None:
    journal, state = open_journal(tmp_path / "journal", new_id="journal-9", now_ms=1, warn=pytest.fail, sizes=SIZES)
    journal.start(lambda event: None)
    journal.close()
    assert journal.header.journal_id == "journal-9"
    assert state == fold([]) and (tmp_path / "journal").stat().st_size == CAPACITY


def test_a_record_that_ends_with_zeros_is_told_from_padding(tmp_path: Path) -> None:
    records = [*RECORDS, Seen(0, 0)]
    assert content(HEADER, records).endswith(b"\0\0")
    journal_id, ids, warnings = reopen(tmp_path / "journal", content(HEADER, records).ljust(CAPACITY, b"\0"))
    assert (journal_id, warnings) == ("journal-1", []) and ids == {("a", 1), ("b", 1), ("c", 2)}


def test_content_after_a_long_run_of_zeros_is_found(tmp_path: Path) -> None:
    far = content(HEADER, RECORDS).ljust(3 * BLOCK, b"\0") + frame(
        Tombstone("d", 1, 8, Outcome.NEVER, "expired", 1_009)
    )
    journal_id, ids, warnings = reopen(tmp_path / "journal", far.ljust(4 * BLOCK, b"\0"))
    assert journal_id == "journal-2" and len(warnings) == 1 and ("d", 1) in ids


def test_the_empty_part_of_a_journal_takes_no_memory(tmp_path: Path) -> None:
    warnings: list[str] = []
    tracemalloc.start()
    try:
        for _ in range(2):  # made and read back, then read
            journal, _ = open_journal(
                tmp_path / "journal",
                new_id="j",
                now_ms=1,
                warn=warnings.append,
                sizes=Sizes(capacity=16 << 20, reserve=0),
            )
            journal.start(lambda event: None)
            journal.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not warnings and peak < 2 << 20
