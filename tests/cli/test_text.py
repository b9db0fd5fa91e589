"""Text for people is harmless and aligned."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli.text import harmless, lasted, one_line, pad, width

STEERING = st.text(st.sampled_from("\x1b\x9b\x9d[]()PX^_0123;mKHJ\\\x07\x9c\r\n\t \x00ab é漢\u202e"))


@given(st.one_of(STEERING, st.text()))
def test_no_control_character_but_tab_and_new_line_survives(text: str) -> None:
    shown = harmless(text)
    assert not [char for char in shown if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160 or char in "\u202e\u2066"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cf"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[38;5;196mred\x1b[m", "red"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1b(Bx\x1b7\x1bM", "x"),
        ("\x9b31mx\x9d0;t\x9cy", "xy"),
        ("a\rb\r\nc", "a\nb\nc"),
        ("\x1b]0;never closed\nthe rest", "]0;never closed\nthe rest"),
        ("a\x08b\x7f", "ab"),
    ],
)
def test_escape_sequences_go_whole_and_unfinished_ones_hide_nothing(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize("hostile", ["\x1b]" * 100_000, "\x1b[" * 100_000, "\x1b[" + "0" * 200_000, "\x9d" * 200_000])
def test_hostile_text_takes_time_in_proportion_to_its_length(hostile: str) -> None:
    started = time.process_time()
    harmless(hostile)
    assert time.process_time() - started < 5, "not linear: quadratic work would take minutes"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\tb\x1b[2J\r\nc ") == "a b c"


def test_wide_characters_take_two_columns() -> None:
    assert (width("漢字a"), pad("漢", 4)) == (5, "漢  ")


@pytest.mark.parametrize(("ms", "text"), [(None, "-"), (12, "12 ms"), (999.4, "999 ms"), (1500, "1.5 s"), (61_000, "1 min 01 s"), (7_260_000, "2 h 01 min")])
def test_durations_are_readable(ms: float | None, text: str) -> None:
    assert lasted(ms) == text
