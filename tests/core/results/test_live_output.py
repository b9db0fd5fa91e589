"""Live output: a viewer gets each byte at most once and is told of every gap, in any order of arrival."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE
from server.core.results.live_output import (
    STDERR,
    STDOUT,
    STREAMS,
    Gap,
    OutputRing,
    Piece,
    SessionCredit,
    ViewerPosition,
    credit_share,
    remaining,
)

TRUTH = {STDOUT: bytes(range(256)) * 8, STDERR: bytes(range(255, -1, -1)) * 8}
PIECES = st.tuples(st.sampled_from(STREAMS), st.integers(0, 2_000), st.integers(1, 48)).map(
    lambda given: Piece(given[0], given[1], TRUTH[given[0]][given[1] : given[1] + given[2]])
)
STEPS = st.lists(st.one_of(PIECES, st.sampled_from(["look", "look", "join", "again"])), max_size=60)
NOWHERE = dict.fromkeys(STREAMS, 0)


class Assembled:
    """The output as a viewer assembles it by the rules of the stream."""

    def __init__(self) -> None:
        self.position = ViewerPosition()
        self.bytes = {stream: bytearray() for stream in STREAMS}
        self.missing = {stream: set[int]() for stream in STREAMS}

    def take(self, news: Iterable[Piece | Gap]) -> None:
        for one in news:
            have = self.bytes[one.stream]
            assert one.offset == len(have) and one.end > one.offset, "neither twice nor out of order nor untold"
            if isinstance(one, Gap):
                self.missing[one.stream].update(range(one.offset, one.end))
                have += bytes(one.end - one.offset)
            else:
                have += one.data

    def true(self) -> None:
        for stream in STREAMS:
            for at, value in enumerate(self.bytes[stream]):
                assert at in self.missing[stream] or value == TRUTH[stream][at]


@given(limit=st.integers(200, 2_000), steps=STEPS)
def test_no_history_repeats_or_changes_a_byte_or_hides_a_gap(limit: int, steps: list[Piece | str]) -> None:
    ring = OutputRing(limit, NOWHERE)
    viewers = [Assembled()]
    for step in steps:
        if isinstance(step, Piece):
            before = ring.ends[step.stream]
            assert ring.add(step) == (step.end > before)
            assert ring.ends[step.stream] == max(before, step.end)
        elif step == "look":
            for viewer in viewers:
                viewer.take(ring.news(viewer.position))
                assert ring.news(viewer.position) == []
        elif step == "join":
            viewers.append(Assembled())
        else:
            ring.restart({stream: min(viewer.position.offsets[stream] for viewer in viewers) for stream in STREAMS})
        assert len(ring) <= limit
    for viewer in viewers:
        viewer.take(ring.news(viewer.position))
        viewer.true()


@given(
    cuts=st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(1, 40)), max_size=40),
    resumes=st.lists(st.integers(0, 40), max_size=5),
)
def test_output_within_the_ring_is_complete_and_in_order_for_every_viewer(
    cuts: list[tuple[int, int]], resumes: list[int]
) -> None:
    ring, at = OutputRing(1 << 20, NOWHERE), dict(NOWHERE)
    viewer, order = Assembled(), []
    for number, (stream, size) in enumerate(cuts):
        ring.add(Piece(stream, at[stream], TRUTH[stream][at[stream] : at[stream] + size], number + 1))
        at[stream] += size
        if number in resumes:
            viewer.position = ViewerPosition(dict(viewer.position.offsets))
            news = ring.news(viewer.position)
            order += [piece.order for piece in news if isinstance(piece, Piece)]
            viewer.take(news)
    assert ring.reaches(ViewerPosition())
    news = ring.news(viewer.position)
    order += [piece.order for piece in news if isinstance(piece, Piece)]
    viewer.take(news)
    assert order == list(range(1, len(cuts) + 1))
    assert all(not viewer.missing[stream] and len(viewer.bytes[stream]) == at[stream] for stream in STREAMS)
    viewer.true()


@given(seen=st.integers(0, 120), head=st.integers(0, 50), tail=st.integers(0, 50), total=st.integers(0, 120))
def test_the_result_gives_the_remaining_bytes_and_names_the_gap(seen: int, head: int, tail: int, total: int) -> None:
    head, seen = min(head, total), min(seen, total)
    tail = min(tail, total - head)
    truth = TRUTH[STDOUT][:total]
    viewer = Assembled()
    viewer.position.offsets[STDOUT] = seen
    viewer.bytes[STDOUT] += truth[:seen]
    viewer.take(remaining(viewer.position, STDOUT, truth[:head], truth[total - tail :], total))
    assert len(viewer.bytes[STDOUT]) == total
    assert viewer.missing[STDOUT] == {at for at in range(seen, total) if head <= at < total - tail}
    viewer.true()


def test_the_remaining_output_is_split_into_pieces() -> None:
    position = ViewerPosition()
    sizes = [
        len(one.data)
        for one in remaining(position, STDERR, bytes(2 * OUTPUT_PIECE + 1), b"", 2 * OUTPUT_PIECE + 1)
        if isinstance(one, Piece)
    ]
    assert sizes == [OUTPUT_PIECE, OUTPUT_PIECE, 1]


def test_a_ring_that_dropped_bytes_does_not_reach_a_new_viewer() -> None:
    ring = OutputRing(3 * (OUTPUT_OVERHEAD + 10), NOWHERE)
    for number in range(4):
        ring.add(Piece(STDOUT, 10 * number, bytes(10)))
    assert not ring.reaches(ViewerPosition())
    assert ring.reaches(ViewerPosition({STDOUT: 10, STDERR: 0}))
    newcomer = ViewerPosition()
    assert ring.news(newcomer)[0] == Gap(STDOUT, 0, 10)


@given(
    window=st.integers(OUTPUT_PIECE + OUTPUT_OVERHEAD, 10 * OUTPUT_PIECE),
    takes=st.lists(st.integers(1, OUTPUT_PIECE), max_size=30),
)
def test_never_more_than_a_window_is_outstanding(window: int, takes: list[int]) -> None:
    credit, agent = SessionCredit(), 0
    for size in takes:
        agent += credit.grant(window)
        assert credit.outstanding == agent <= window
        if agent >= size + OUTPUT_OVERHEAD:
            agent -= size + OUTPUT_OVERHEAD
            assert credit.take(size)
        else:
            assert not credit.take(size)
            return


def test_nothing_is_granted_while_half_a_window_is_left() -> None:
    credit = SessionCredit()
    assert credit.grant(10 * OUTPUT_OVERHEAD) == 10 * OUTPUT_OVERHEAD
    assert credit.take(3 * OUTPUT_OVERHEAD)
    assert credit.grant(10 * OUTPUT_OVERHEAD) == 0
    assert credit.take(OUTPUT_OVERHEAD)
    assert credit.grant(10 * OUTPUT_OVERHEAD) == 6 * OUTPUT_OVERHEAD


@pytest.mark.parametrize(
    ("sessions", "each"), [(0, 100_000), (1, 100_000), (10, 50_000), (1_000, OUTPUT_PIECE + OUTPUT_OVERHEAD)]
)
def test_agents_share_the_total_and_each_gets_at_least_a_piece(sessions: int, each: int) -> None:
    assert credit_share(100_000, 500_000, sessions) == each


def test_a_viewer_gets_only_the_new_part_of_a_piece() -> None:
    ring = OutputRing(10_000, NOWHERE)
    ring.add(Piece(STDOUT, 0, b"abcdef"))
    ring.add(Piece(STDOUT, 6, b"ghi"))
    assert [
        (one.offset, one.data) for one in ring.news(ViewerPosition({STDOUT: 4, STDERR: 0})) if isinstance(one, Piece)
    ] == [(4, b"ef"), (6, b"ghi")]
    assert ring.news(ViewerPosition({STDOUT: 9, STDERR: 0})) == []
