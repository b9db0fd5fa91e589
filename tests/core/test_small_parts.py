"""Ids, outputs, deadlines and other small parts."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.ids import is_id, uuid7
from server.core.effects import Effects
from server.core.model import HostIdentity, Output
from server.core.results.outputs import InconsistentOutput, build_output, output_id_of
from server.core.timing.deadlines import Deadlines
from tests.core.shadow import task


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=16))
def test_an_id_is_a_version_7_uuid_with_its_time_in_front(now_ms: int, entropy: bytes) -> None:
    made = uuid7(now_ms, entropy)
    assert is_id(made) and made[14] == "7" and made[19] in "89ab"
    assert int(made.replace("-", "")[:12], 16) == now_ms


def test_ids_sort_by_time() -> None:
    assert uuid7(1, b"\xff" * 10) < uuid7(2, b"\x00" * 10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0190163D-8694-739B-AEA5-966C26F8AD91",
        "0190163d8694739baea5966c26f8ad91",
        "0190163d-8694-739b-aea5-966c26f8ad91\n",
    ],
)
def test_other_texts_are_not_ids(text: str) -> None:
    assert not is_id(text)


def test_the_id_of_a_whole_output_is_its_digest() -> None:
    digest = sha256(b"hello").digest()
    output = build_output(b"hello", b"", 5, digest)
    assert output == Output(digest, b"hello", b"", 5, digest) and not output.truncated


def test_a_cut_output_keeps_the_agents_digest_but_not_as_its_id() -> None:
    digest = sha256(b"everything").digest()
    output = build_output(b"ev", b"ng", 10, digest)
    assert output is not None and output.truncated and output.sha256 == digest
    assert output.output_id == output_id_of(b"ev", b"ng", 10, digest) != digest
    assert output_id_of(b"e", b"vng", 10, digest) != output.output_id


def test_an_empty_stream_has_no_output() -> None:
    assert build_output(b"", b"", 0, b"") is None


@pytest.mark.capability("I18")
@pytest.mark.parametrize(
    ("head", "tail", "total", "digest", "words"),
    [
        (b"abc", b"", 2, b"", "3 bytes kept of 2"),
        (b"abc", b"", 3, b"short", "32 bytes, not 5"),
        (b"abc", b"", 3, sha256(b"other").digest(), "not that of the bytes"),
    ],
)
def test_an_output_that_contradicts_itself_is_refused(
    head: bytes, tail: bytes, total: int, digest: bytes, words: str
) -> None:
    with pytest.raises(InconsistentOutput, match=words):
        build_output(head, tail, total, digest)


@dataclass(eq=False)
class Item:
    name: str
    ticket: int = 0


def test_deadlines_are_due_in_order_and_the_last_one_set_counts() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a, b, c = Item("a"), Item("b"), Item("c")
    deadlines.set(a, 5)
    deadlines.set(b, 3)
    deadlines.set(a, 1)
    deadlines.set(c, 2)
    deadlines.clear(c)
    deadlines.clear(c)
    assert len(deadlines) == 2
    assert deadlines.next() == 1
    assert deadlines.due(0.5) == []
    assert deadlines.due(10) == [a, b]
    assert deadlines.next() is None and len(deadlines) == 0


def test_next_skips_cleared_deadlines() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    a, b = Item("a"), Item("b")
    deadlines.set(a, 1)
    deadlines.set(b, 2)
    deadlines.clear(a)
    assert deadlines.next() == 2


def test_renewed_deadlines_do_not_grow_the_heap() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    items = [Item(str(n)) for n in range(10)]
    for when in range(10_000):
        deadlines.set(items[when % 10], when)
    assert len(deadlines) == 10 and len(deadlines._heap) < 200
    assert [item.name for item in deadlines.due(10_000)] == [str(n) for n in range(10)]


@pytest.mark.capability("T4")
@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 50)))), st.integers(0, 60))
def test_deadlines_equal_a_dictionary_sorted_by_time(steps: list[tuple[int, int | None]], now: int) -> None:
    deadlines: Deadlines[Item] = Deadlines()
    items = [Item(str(n)) for n in range(6)]
    oracle: dict[int, tuple[int, int]] = {}
    for number, (index, when) in enumerate(steps):
        if when is None:
            deadlines.clear(items[index])
            oracle.pop(index, None)
        else:
            deadlines.set(items[index], when)
            oracle[index] = (when, number)
    expected = sorted((when, number, index) for index, (when, number) in oracle.items() if when <= now)
    assert deadlines.due(now) == [items[index] for _, _, index in expected]


def test_no_effects_are_false() -> None:
    assert not Effects()


@pytest.mark.capability("Z3", "S4")
def test_a_task_is_partial_if_only_some_hosts_completed() -> None:
    made = task("t", ("a", "b"))
    assert not made.partial
    made.counts = (0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert made.partial and made.completed_hosts == 1 and made.failed_hosts == 1 and made.total_hosts == 2


@pytest.mark.parametrize(("facts", "state"), [
    ({}, "enrolled"),
    ({"quarantined_at": 1}, "quarantined"),
    ({"quarantined_at": 1, "revoked_at": 1}, "revoked"),
    ({"revoked_at": 1, "released_at": 2}, "released"),
])  # fmt: skip
def test_an_identity_is_in_one_state(facts: dict[str, int], state: str) -> None:
    assert HostIdentity("h", 1, 1, "ab", 5, 1, "token", **facts).state == state  # type: ignore[arg-type]
