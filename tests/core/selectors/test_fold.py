"""Folding and unfolding of host names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.selectors.fold import Folded, FoldError, fold, quoted, unfold
from server.core.selectors.parser import Names, parse

NAMES = st.one_of(
    st.from_regex(r"(web|db-)[0-9]{1,4}(\.dc[0-9]{1,2})?", fullmatch=True),
    st.text("ab09-._", min_size=1, max_size=8),
    st.text(min_size=1, max_size=6),
    st.sampled_from(["all", "and", "task:x", "a b", 'a"b', "a\\b", "0", "00", "9" * 20]),
)


def named_by(text: str) -> set[str]:
    """Return the names that the selector grammar reads from a text of names."""
    tree = parse(text)
    parts = getattr(tree, "parts", (tree,))
    assert all(isinstance(part, Names) for part in parts)
    return {name for part in parts for name in part.names}


@given(st.lists(NAMES, min_size=1, max_size=60))
def test_folded_names_unfold_to_the_same_names(names: list[str]) -> None:
    folded = fold(names)
    assert folded.more == 0
    assert named_by(folded.text) == set(names)


@given(st.lists(NAMES, min_size=1, max_size=60), st.integers(0, 80))
def test_names_that_do_not_fit_are_counted(names: list[str], room: int) -> None:
    folded = fold(names, room)
    shown = named_by(folded.text) if folded.text else set()
    assert shown <= set(names) and len(shown) + folded.more == len(set(names))
    assert len(folded.text) <= room + 12


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([f"web{number:03}" for number in [*range(1, 481), 512]], "web[001-480,512]"),
        (["web8", "web9", "web10", "web11"], "web[8-11]"),
        (["web08", "web09", "web10", "web8"], "web[8,08-10]"),
        (["n9", "n010"], "n[9,010]"),
        (["r1-n1", "r1-n2", "r1-n3", "r2-n1"], "r1-n[1-3],r2-n1"),
        (["web-1.dc1.example", "web-2.dc1.example", "db"], "db,web-[1-2].dc1.example"),
        (["b", "a", "a"], "a,b"),
        (["online", "x y"], '"online","x y"'),
        ([], ""),
        (["1" * 16 + "a", "1" * 15 + "2a"], "1111111111111111a,1111111111111112a"),
    ],
)
def test_folding_has_the_usual_form(names: list[str], text: str) -> None:
    assert fold(names).text == text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web", ["web"]),
        ("web[8-10]", ["web8", "web9", "web10"]),
        ("web[008-010,7]x", ["web008x", "web009x", "web010x", "web7x"]),
        ("r[1-2]n[1,3]*", ["r1n1*", "r1n3*", "r2n1*", "r2n3*"]),
    ],
)
def test_unfolding(text: str, names: list[str]) -> None:
    assert list(unfold(text, 10)) == names


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("web[1-3", 3, "a ] to close"),
        ("web1]", 4, "a [ before"),
        ("a[1]b]", 5, "a [ before"),
        ("web[]", 4, "numbers such as"),
        ("web[1,x]", 6, "numbers such as"),
        ("web[3-1]", 4, "goes up"),
        ("web[1-010]", 4, "keeps its zeros"),
        ("web[1-11]", 4, "at most 10 names"),
        ("web[1-6,7-12]", 8, "at most 10 names"),
        ("a[1-9]b[1-2]", 7, "at most 10 names"),
        ("web[1-999999999999999]", 4, "at most 10 names"),
        ("web[1-9999999999999999]", 4, "numbers such as"),
    ],
)
def test_an_error_in_brackets_names_its_place(text: str, at: int, expected: str) -> None:
    with pytest.raises(FoldError) as caught:
        list(unfold(text, 10))
    assert caught.value.at == at and expected in caught.value.expected


def test_a_piece_that_is_too_long_is_cut_between_its_ranges() -> None:
    names = ["a", *(f"web{number}" for number in range(0, 20, 2)), "zz"]
    assert [fold(names, room) for room in (0, 9, 12, 40)] == [
        Folded("", 12),
        Folded("a,web[0]", 10),
        Folded("a,web[0,2,4]", 8),
        Folded("a,web[0,2,4,6,8,10,12,14,16,18],zz", 0),
    ]


def test_only_ambiguous_names_are_quoted() -> None:
    assert [quoted(name) for name in ("web-1.a_b", "NOT", "é", 'a"\\')] == ["web-1.a_b", '"NOT"', '"é"', '"a\\"\\\\"']
