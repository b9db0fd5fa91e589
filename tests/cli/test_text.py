"""Text for people is readable and aligned."""

from __future__ import annotations

import pytest

from server.cli.render.text import lasted, one_line, pad, text_lines, width


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\r\nc ") == "a b c"


def test_invisible_characters_of_a_name_are_escaped() -> None:
    assert one_line("web\u202e1\x1b[2J\x85\u200b") == "web\\u202e1\\x1b[2J\\u0085\\u200b"


def test_lines_of_output_equal_those_a_terminal_shows() -> None:
    assert text_lines(b"10%\r100%\nx\x1b[31my\n") == ["100%", "xy"]
    assert text_lines("") == [] and text_lines("\n") == [""]


def test_wide_characters_take_two_columns() -> None:
    assert (width("漢字a"), pad("漢", 4)) == (5, "漢  ")


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "-"), (12, "12 ms"), (999.4, "999 ms"), (1500, "1.5 s"), (61_000, "1 min 01 s"), (7_260_000, "2 h 01 min")],
)
def test_durations_are_readable(ms: float | None, text: str) -> None:
    assert lasted(ms) == text
