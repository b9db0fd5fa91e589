"""Filters of results, and the difference of two outputs."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.results import diff as module
from server.core.results.diff import unified
from server.core.results.filter import (
    CONDITION,
    DUMPED,
    JSON_BYTES,
    GroupWithOutput,
    cost,
    matches,
    needs_output,
    parse_filter,
)
from server.core.results.groups import ResultGroup
from server.core.selectors.expression import ExpressionError
from server.core.states import ExecutionStatus as E

DOCUMENT = (
    b'{"disk": {"free": 12.5, "name": "sda1", "ok": true}, "list": [1, "two", null], "version": "1.10", "text": "5"}\n'
)
FAILED = GroupWithOutput(
    ResultGroup(E.FAILED, 3, None, "exit_nonzero", b"a", b"b", 1, ("h1", "h2"), 2), DOCUMENT, b"No space left\n"
)
OFFLINE = GroupWithOutput(ResultGroup(E.DISPATCH_FAILED, None, None, "offline", None, None, 1, ("h3",), 1))


@pytest.mark.parametrize(
    ("text", "failed", "offline"),
    [
        ("status=failed", True, False),
        ("status!=completed", True, True),
        ("status in (dispatch_failed, lost)", False, True),
        ("status not in (dispatch_failed, lost)", True, False),
        ("reason=offline", False, True),
        ("exit_code=3", True, False),
        ("exit_code!=0", True, False),
        ("not exit_code=3", False, True),
        ("exit_code>=3 and exit_code<4", True, False),
        ("exit_code>3 or exit_code<=2", False, False),
        ("signal=9", False, False),
        ("hosts=2", True, False),
        ("group in (1, 7)", False, True),
        ("text contains 'No space'", True, False),
        ("stdout contains 'No space'", False, False),
        ("stderr contains space", True, False),
        ("stderr='No space left'", True, False),
        ("stderr!='No space left'", False, True),
        ("stdout=''", False, True),
        ("text in ('No space left', x)", True, False),
        ("json.disk.free<20", True, False),
        ("json.disk.free<2", False, False),
        ("json.disk.free=12.5", True, False),
        ("json.disk.name=sda1", True, False),
        ("json.disk.name<5", False, False),
        ("json.disk.ok=true", True, False),
        ("json.disk.ok=1", False, False),
        ("json.list[0]=1", True, False),
        ("json.list[1]=two", True, False),
        ("json.list[2]=null", True, False),
        ("json.list[2]!=null", False, False),
        ("json.list[3]", False, False),
        ("json.list[2]", True, False),
        ("json.list.x", False, False),
        ("json.list contains two", True, False),
        ("json.disk[0]", False, False),
        ("json.version=1.10", True, False),
        ('json.version="1.1"', False, False),
        ("json.text=5", True, False),
        ("json.text='5'", True, False),
        ("json.disk.name=5", False, False),
        ("json.disk.name=.x", False, False),
        ("json.nothing!=1", False, False),
        ("json.list[0] in (1, 2)", True, False),
        ("not (status=failed and json.disk.ok=true)", False, True),
    ],
)
def test_a_filter_matches_these_results(text: str, failed: bool, offline: bool) -> None:
    tree = parse_filter(text)
    assert (matches(tree, FAILED), matches(tree, OFFLINE)) == (failed, offline)


def test_only_a_filter_over_outputs_needs_them() -> None:
    assert needs_output(parse_filter("not (status=failed or text contains x)"))
    assert needs_output(parse_filter("json.a"))
    assert not needs_output(parse_filter("status=failed and not exit_code=1"))


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'"' + b"x" * JSON_BYTES + b'"', b"\xff", b"1" * 5000])
def test_invalid_or_too_long_json_has_no_fields(data: bytes) -> None:
    assert not matches(parse_filter("json.a"), GroupWithOutput(OFFLINE.answer, data))


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a field"),
        ("colour=red", 1, "a field"),
        ("'status'=failed", 1, "a field"),
        ("status", 7, "a comparison or in"),
        ("text", 5, "contains, ="),
        ("text<3", 5, "= or !="),
        ("status contains x", 8, "a comparison"),
        ("text contains", 14, "a value"),
        ("status=broken", 8, "one of waiting"),
        ("reason=broken", 8, "the code of a reason"),
        ("exit_code=x", 11, "a number"),
        ("exit_code='3'", 11, "a number"),
        ("exit_code=nan", 11, "a number"),
        ("exit_code in 3", 14, "( and a list"),
        ("exit_code in (3 4)", 17, "a comma or a closing"),
        ("exit_code not 3", 11, "a comparison or in"),
        ("json.a..b=1", 7, ".name or [number]"),
        ("json.a[x]=1", 7, ".name or [number]"),
        ("exit_code=1,exit_code=2", 12, "and, or, or the end"),
    ],
)
def test_a_filter_error_names_the_column(text: str, column: int, expected: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_filter(text)
    assert (caught.value.column, expected in caught.value.expected) == (column, True), str(caught.value)


LINES = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12)


@given(LINES, LINES, st.integers(0, 4))
def test_a_difference_equals_that_of_difflib(old: list[str], new: list[str], context: int) -> None:
    found = unified(("\n".join(old) + "\n").encode(), ("\n".join(new) + "\n").encode(), context)
    assert found.complete
    assert (found.text == "") is (old == new or (old or [""]) == (new or [""]))
    patched, at = [], 0
    before = ("\n".join(old) + "\n").splitlines()
    for line in found.text.splitlines():
        if line.startswith("@@"):
            start, _, count = line.split()[1].removeprefix("-").partition(",")
            first = int(start) - (count != "0")
            patched += before[at:first]
            at = first
        elif line[0] == "+":
            patched.append(line[1:])
        else:
            assert before[at] == line[1:]
            patched += [line[1:]] if line[0] == " " else []
            at += 1
    assert patched + before[at:] == ("\n".join(new) + "\n").splitlines()


def test_a_difference_has_the_format_of_diff() -> None:
    old, new = [f"line {number}" for number in range(30)], [f"line {number}" for number in range(30)]
    new[10] = "other"
    wanted = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    found = unified("\n".join(old).encode(), "\n".join(new).encode(), 3)
    assert (found.text.splitlines(), found.removed, found.added, found.complete) == (wanted, 1, 1, True)


def test_a_too_long_difference_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 5)
    long = b"".join(b"x%d\n" % number for number in range(50))
    found = unified(b"a\n", long, 1)
    assert (found.complete, found.added) == (False, 7)
    assert unified(b"same\n" * 100 + b"a", b"same\n" * 100 + b"b", 1).complete
    monkeypatch.setattr(module, "MAX_CHARS", 10)
    assert (unified(b"a", b"b" * 20, 0).complete, len(unified(b"a", b"b" * 20, 0).text)) == (False, 10)


def test_an_output_is_decoded_once() -> None:
    reply = GroupWithOutput(FAILED.answer, b"[[1], [2], [3], [4], [5], [6]]")
    first = [reply.at((index,))[0] for index in range(6)]
    assert first == ["[1]", "[2]", "[3]", "[4]", "[5]", "[6]"]
    assert reply.at((5,))[0] is first[5] and reply.at((0,))[0] is not first[0], f"the last {DUMPED} are kept"
    assert reply.at((5, 0)) == [6] and reply.at((7,)) == []
    assert reply.text("stdout") is reply.text("stdout")


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'"' + b"a" * JSON_BYTES + b'"'])
def test_a_text_that_is_not_json_has_no_values(data: bytes) -> None:
    reply = GroupWithOutput(FAILED.answer, data)
    assert reply.at(()) == [] and reply.at(("a", 1)) == []


def test_the_cost_of_a_filter() -> None:
    def of(text: str, size: int = 0) -> int:
        return cost(parse_filter(text), size)

    assert of("exit_code=1") == of("exit_code=1", 500) == CONDITION
    assert of("exit_code=1 and not (group=1 or group=2)") == 3 * CONDITION
    assert of(f"exit_code in ({','.join(map(str, range(400)))})") == 101 * CONDITION
    assert of("text contains abc", 500) == of("json.a=1", 500) == of("stdout=x", 500) == CONDITION + 500
    assert of(f"text contains {'a' * 45}", 500) == CONDITION + 1_500
