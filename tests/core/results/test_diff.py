"""Different outputs have a visible difference, also where a terminal shows the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.results.diff import NO_NEW_LINE, unified

PIECES = st.lists(
    st.sampled_from(
        [b"a", b"b", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\x1b[1m", b"\x00", b"\xff", "\u200b".encode(), b"\\", b"\\r"]
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.parametrize(
    ("old", "new", "lines", "kind"),
    [
        (b"same\n", b"same\r\n", ["-same", "+same\\r"], "the ends of lines: \\r\\n or \\n"),
        (b"a\nb\n", b"a\r\nb\r\n", ["-a", "-b", "+a\\r", "+b\\r"], "the ends of lines: \\r\\n or \\n"),
        (b"same\n", b"same", ["-same", "+same", NO_NEW_LINE], "the new line at the end"),
        (b"same", b"same\n", ["-same", NO_NEW_LINE, "+same"], "the new line at the end"),
        (b"same\n", b"same\n\n", [" same", "+"], "the new line at the end"),
        (b"a b\n", b"a\tb\n", ["-a b", "+a\\tb"], "spaces, tabs or ends of lines"),
        (b"a\n", b"a \n", ["-a", "+a\\x20"], "spaces, tabs or ends of lines"),
        (b"red\n", b"\x1b[31mred\x1b[m\n", ["-red", "+\\e[31mred\\e[m"], "characters that are not shown"),
        (b"100%\n", b"10%\r100%\n", ["-100%", "+10%\\r100%"], "characters that are not shown"),
        (b"\xff\n", b"\xfe\n", ["-\\xff", "+\\xfe"], "characters that are not shown"),
        ("\u00e9\n".encode(), "e\u0301\n".encode(), ["-\u00e9", "+e\\u0301"], "characters that are not shown"),
        (b"web\n", "web\u200b\n".encode(), ["-web", "+web\\u200b"], None),
        (b"a\x00b\n", b"ab\n", ["-a\\x00b", "+ab"], None),
        (b"\x1b[31mred\n", b"\x1b[31mblue\n", ["-red", "+blue"], None),
        (b"10%\r100% a\n", b"10%\r100% b\n", ["-100% a", "+100% b"], None),
        (b"same\n", b"same\n", [], None),
        (b"", b"", [], None),
        (b"", b"a", ["+a", NO_NEW_LINE], None),
        (b"", b"\r", ["+", NO_NEW_LINE], "spaces, tabs or ends of lines"),
    ],
)
def test_differences_are_visible_and_named(old: bytes, new: bytes, lines: list[str], kind: str | None) -> None:
    found = unified(old, new, 3)
    assert ([line for line in found.text.splitlines() if not line.startswith("@@")], found.kind) == (lines, kind)


def test_only_lines_that_look_alike_show_every_byte() -> None:
    found = unified(
        b"\x1b[1mhead\x1b[m\none\nx\ny\nz\nlast\n", b"\x1b[1mhead\x1b[m\none\r\nx\ny\nz\n\x1b[1mend\x1b[m\n", 1
    )
    assert found.text.splitlines() == [
        "@@ -1,3 +1,3 @@",
        " head",
        "-one",
        "+one\\r",
        " x",
        "@@ -5,2 +5,2 @@",
        " z",
        "-last",
        "+end",
    ]
    assert found.exact and (found.removed, found.added) == (2, 2)


@given(PIECES, PIECES)
def test_the_diff_of_different_outputs_never_looks_empty_or_equal(old: bytes, new: bytes) -> None:
    found = unified(old, new, 3)
    assert (found.text == "") is (old == new)
    lines = found.text.splitlines()
    sides = [
        [
            line[1:] if line != NO_NEW_LINE else line
            for at, line in enumerate(lines)
            if line[0] == mark or (line == NO_NEW_LINE and lines[at - 1][0] == mark)
        ]
        for mark in "-+"
    ]
    assert old == new or sides[0] != sides[1]
