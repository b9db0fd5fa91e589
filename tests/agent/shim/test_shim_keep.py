"""The kept part of a stream does not depend on how it was cut into pieces."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.shim.keep import Keeper


@pytest.mark.capability("I18")
@settings(deadline=None)
@given(chunks=st.lists(st.binary(max_size=40), max_size=30), head=st.integers(0, 50), tail=st.integers(0, 50))
def test_any_chunking_gives_the_same_head_tail_count_and_hash(chunks: list[bytes], head: int, tail: int) -> None:
    keeper = Keeper(head, tail)
    for chunk in chunks:
        keeper.feed(memoryview(chunk))
    whole = b"".join(chunks)
    rest = whole[head:]
    assert bytes(keeper.head) == whole[:head]
    assert keeper.tail == (rest[-tail:] if tail else b"")
    assert keeper.total_bytes == len(whole)
    assert keeper.sha256 == sha256(whole).hexdigest()


@pytest.mark.capability("O8")
@settings(deadline=None)
@given(length=st.integers(0, 20_000), piece=st.integers(20, 5_000), head=st.integers(0, 700), tail=st.integers(0, 700))
def test_long_streams_are_kept_in_bounded_memory(length: int, piece: int, head: int, tail: int) -> None:
    keeper = Keeper(head, tail)
    fed = 0
    while fed < length:
        size = min(piece, length - fed)
        keeper.feed(memoryview(bytes(size)))
        fed += size
        assert len(keeper.head) <= head
        assert len(keeper.tail) <= tail
    assert keeper.total_bytes == length
    assert len(keeper.head) + len(keeper.tail) == min(length, head + tail)
