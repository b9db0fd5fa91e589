"""Reading live output on the host: in order, exact, from any offset, whatever is written and removed at the same
time.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.watching import MAX_WATCHED, PIECES, Watching
from agent.output.reader import OutputReader, Piece
from agent.shim import live
from agent.shim.live import SEGMENT, STDERR, STDOUT, LiveLog, numbers
from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE

HEAD = 4 * SEGMENT


class Command:
    """Writes like a shim."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, LiveLog(directory)
        self.said = {STDOUT: bytearray(), STDERR: bytearray()}
        self.order: list[tuple[int, int]] = []

    def say(self, stream: int, size: int) -> None:
        data = os.urandom(size)
        self.said[stream] += data
        name = "stdout.head" if stream == STDOUT else "stderr.head"
        (self.directory / name).write_bytes(self.said[stream][:HEAD])
        self.log.add(stream, len(self.said[stream]), memoryview(data))
        self.order.append((stream, size))


class Reader:
    def __init__(self, command: Command, follower: OutputReader | None = None) -> None:
        self.command = command
        self.follower = follower or OutputReader(command.directory, 0, 0)
        self.at = {STDOUT: 0, STDERR: 0}
        self.skipped = 0
        self.pieces: list[Piece] = []

    def read(self, limit: int, most: int = 1_000_000) -> None:
        for _ in range(most):
            piece = self.follower.next(limit)
            if piece is None:
                return
            assert 0 < len(piece.data) <= limit
            assert piece.offset >= self.at[piece.stream], "never again"
            self.skipped += piece.offset - self.at[piece.stream]
            self.at[piece.stream] = piece.offset + len(piece.data)
            assert piece.data == self.command.said[piece.stream][piece.offset : self.at[piece.stream]]
            self.pieces.append(piece)

    def again(self) -> None:
        """Restart, as after a kill of the agent."""
        self.follower.close()
        self.follower = OutputReader(self.command.directory, self.at[STDOUT], self.at[STDERR])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([STDOUT, STDERR]), st.sampled_from([1, 7, 500, 40_000, SEGMENT - 30, SEGMENT + 9])),
        st.tuples(st.just("read"), st.sampled_from([1, 3, 60])),
        st.tuples(st.just("again"), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS, limit=st.sampled_from([100, 3_000, OUTPUT_PIECE]))
def test_any_reader_gets_each_byte_once_or_a_skip(steps: list[tuple[int | str, int]], limit: int) -> None:
    with TemporaryDirectory() as folder:
        command = Command(Path(folder))
        reader = Reader(command)
        for what, number in steps:
            if what == "read":
                reader.read(limit, number)
            elif what == "again":
                reader.again()
            else:
                assert isinstance(what, int)
                command.say(what, number)
            assert len(numbers(Path(folder))) <= 2
        reader.read(limit)
        reader.follower.close()
        if sum(map(len, command.said.values())) < SEGMENT:
            assert reader.skipped == 0 and reader.at == {stream: len(said) for stream, said in command.said.items()}
        for stream, said in command.said.items():
            assert reader.at[stream] == len(said), "the newest is always there"


def test_both_streams_keep_their_order_and_adjacent_pieces_are_joined(tmp_path: Path) -> None:
    command = Command(tmp_path)
    for stream, size in ((STDOUT, 3), (STDOUT, 4), (STDERR, 5), (STDOUT, 6), (STDOUT, 100_000)):
        command.say(stream, size)
    reader = Reader(command)
    reader.read(OUTPUT_PIECE)
    reader.follower.close()
    assert [(piece.stream, len(piece.data), piece.order) for piece in reader.pieces][:3] == [
        (STDOUT, 7, 1),
        (STDERR, 5, 3),
        (STDOUT, OUTPUT_PIECE, 4),
    ]
    assert all(piece.at_ms > 0 for piece in reader.pieces)


def test_bytes_dropped_from_the_live_log_are_read_from_the_kept_heads(tmp_path: Path) -> None:
    command = Command(tmp_path)
    for _ in range(12):
        command.say(STDERR, 20_000)
        command.say(STDOUT, SEGMENT // 2)
    assert numbers(tmp_path)[0] > 0
    reader = Reader(command)
    reader.read(OUTPUT_PIECE)
    reader.follower.close()
    assert reader.pieces[0].order == 0
    assert reader.skipped == len(command.said[STDOUT]) - HEAD - sum(
        len(piece.data) for piece in reader.pieces if piece.stream == STDOUT and piece.offset >= HEAD
    )


def test_a_reader_waits_for_a_missing_directory(tmp_path: Path) -> None:
    follower = OutputReader(tmp_path / "new", 0, 0)
    assert follower.next(OUTPUT_PIECE) is None
    (tmp_path / "new").mkdir()
    command = Command(tmp_path / "new")
    assert follower.next(OUTPUT_PIECE) is None
    command.say(STDOUT, 10)
    piece = follower.next(OUTPUT_PIECE)
    assert piece is not None and piece.data == command.said[STDOUT]
    follower.close()


def test_a_reader_keeps_its_open_files_after_their_removal(tmp_path: Path) -> None:
    command = Command(tmp_path)
    command.say(STDOUT, 1_000)
    reader = Reader(command)
    reader.read(10, 1)
    live.remove(tmp_path)
    assert numbers(tmp_path) == []
    reader.read(OUTPUT_PIECE)
    reader.follower.close()
    assert reader.at[STDOUT] == 1_000 and reader.skipped == 0


def test_a_failing_disk_ends_only_the_live_log(tmp_path: Path) -> None:
    log = LiveLog(tmp_path / "gone")
    log.add(STDOUT, 3, memoryview(b"abc"))
    (tmp_path / "gone").mkdir()
    log.add(STDOUT, 6, memoryview(b"def"))
    assert numbers(tmp_path / "gone") == []


# --- whose turn it is
# ---------------------------------------------------------------------------------------------------------


def say(watching: Watching, has: dict[tuple[str, int], int]) -> list[tuple[str, int]]:
    """One look; `has`: bytes that each has to say."""
    turns = []
    for key in watching.turns():
        size = min(has[key], watching.room)
        if size:
            has[key] -= size
            watching.spend(size)
            turns.append((key[0], size))
    return turns


A, B, C = ("a", 1), ("b", 1), ("c", 1)


def test_watched_executions_take_turns_within_the_credit() -> None:
    watching = Watching()
    for key in (A, B, C):
        assert watching.watch(key) is None
    assert say(watching, {A: 10, B: 10, C: 10}) == [], "nothing without credit"
    watching.grant(5 * (OUTPUT_PIECE + OUTPUT_OVERHEAD) + OUTPUT_OVERHEAD + 7)
    has = {A: 10 * OUTPUT_PIECE, B: 5, C: 10 * OUTPUT_PIECE}
    first = say(watching, has)
    assert [name for name, _ in first] == ["a", "b", "c", "a", "c", "a"]
    assert (
        sum(size + OUTPUT_OVERHEAD for _, size in first) <= 5 * (OUTPUT_PIECE + OUTPUT_OVERHEAD) + OUTPUT_OVERHEAD + 7
    )
    assert watching.room == 0
    watching.grant(2 * (OUTPUT_PIECE + OUTPUT_OVERHEAD))
    assert sorted(name for name, _ in say(watching, has)) == ["a", "c"], (
        "who had the last turn does not get the next two"
    )


def test_small_pieces_end_a_reading_turn() -> None:
    watching = Watching()
    watching.watch(A)
    watching.grant(1 << 30)
    count = 0
    for _ in watching.turns():
        watching.spend(1)
        count += 1
    assert count == PIECES


def test_the_end_of_a_session_drops_its_credit_and_watches() -> None:
    watching = Watching()
    watching.watch(A)
    watching.grant(1_000)
    watching.clear()
    assert not watching and A not in watching and watching.room == 0
    watching.watch(B)
    watching.stop(B)
    assert not watching


def test_too_many_watches_drop_the_oldest() -> None:
    watching = Watching()
    dropped = [watching.watch((str(number), 1)) for number in range(MAX_WATCHED + 2)]
    assert [key for key in dropped if key] == [("0", 1), ("1", 1)]


@pytest.mark.parametrize(
    "credit",
    [
        0,
        OUTPUT_OVERHEAD,
        OUTPUT_OVERHEAD + 1,
        OUTPUT_OVERHEAD + OUTPUT_PIECE,
        10 * OUTPUT_PIECE,
    ],
)
def test_a_piece_is_limited_by_the_remaining_credit(credit: int) -> None:
    watching = Watching()
    watching.grant(credit)
    assert watching.room == max(0, min(OUTPUT_PIECE, credit - OUTPUT_OVERHEAD))
