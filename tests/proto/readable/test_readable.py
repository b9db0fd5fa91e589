"""Output and names become readable as in cases.json, however the bytes are cut. The page's tests use the same file."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.readable import HIDDEN_RANGES, STRING, WINDOW, Readable, escaped, hidden, look, readable, visible

CORPUS: dict[str, Any] = json.loads((Path(__file__).parent / "cases.json").read_text())
STEERING = st.binary(max_size=40) | st.lists(
    st.sampled_from(
        [
            b"\r",
            b"\n",
            b"\b",
            b"\t",
            b"\0",
            b"\x1b",
            b"\x1b[K",
            b"\x1b[2K",
            b"\x1b[3G",
            b"\x1b[D",
            b"\x1b[C",
            b"[",
            b"]0;",
            b"\x07",
            b"\xc2",
            b"\x9b",
            b"ab",
            "é".encode(),
            "\u202e".encode(),
        ]
    ),
    max_size=30,
).map(b"".join)


def cut(data: bytes, *places: int) -> str:
    """Read pieces that end at these positions."""
    screen = Readable()
    ends = [*sorted(places), len(data)]
    text = "".join(screen.add(data[start:end]) for start, end in zip([0, *ends], ends, strict=False))
    return text + screen.end()


@pytest.mark.parametrize("case", CORPUS["output"], ids=[case["name"] for case in CORPUS["output"]])
def test_output_is_shown_as_in_the_corpus_in_any_pieces(case: dict[str, str]) -> None:
    data = b64decode(case["base64"])
    assert readable(data) == case["text"]
    near = [*range(min(len(data), 200)), *range(max(0, len(data) - 20), len(data))]
    assert {cut(data, at) for at in near} <= {case["text"]}
    if len(data) < 10_000:
        assert cut(data, *range(len(data))) == case["text"], "a byte at a time"


@pytest.mark.parametrize("case", CORPUS["names"], ids=[case["name"] for case in CORPUS["names"]])
def test_names_are_shown_as_in_the_corpus(case: dict[str, str]) -> None:
    assert escaped(case["text"]) == case["escaped"]
    assert (hidden(case["text"]) is None) == (case["text"] == case["escaped"])


def test_the_corpus_and_the_module_have_the_same_limits_and_hidden_characters() -> None:
    assert [[f"{first:04X}", f"{last:04X}"] for first, last in HIDDEN_RANGES] == CORPUS["hidden"]
    assert (CORPUS["window"], CORPUS["string"]) == (WINDOW, STRING)


@given(STEERING, st.lists(st.integers(0, 120), max_size=6))
def test_chunking_does_not_change_the_shown_text(data: bytes, places: list[int]) -> None:
    assert cut(data, *(min(at, len(data)) for at in places)) == readable(data)


@given(STEERING)
def test_no_control_or_invisible_character_is_left(data: bytes) -> None:
    shown = readable(data)
    assert hidden(shown.replace("\n", "").replace("\t", "").replace("\ufe0f", "")) is None
    assert readable(shown) == shown, "readable text is readable"


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"])).filter(lambda text: hidden(text) is None))
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert readable(text) == text and escaped(text) == text


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_different_bytes_are_shown_differently_in_exact_mode(one: bytes, other: bytes) -> None:
    assert (visible(one) == visible(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"same\r", b"same"),
        (b"a ", b"a"),
        (b"a\tb", b"a b"),
        (b"a\xc2\xa0b", b"a b"),
        ("é".encode(), "e\u0301".encode()),
        (b"\xff", b"\xfe"),
        (b"1\r2", b"2"),
        (b"\x1b[1ma", b"a"),
        ("a\ufe0f".encode(), b"a"),
    ],
)
def test_texts_that_look_the_same_are_made_distinguishable(one: bytes, other: bytes) -> None:
    assert look(readable(one)) == look(readable(other))
    shown = visible(one), visible(other)
    assert shown[0] != shown[1] and all(look(text) == text for text in shown), "nothing of it is lost in the looking"


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b]" * 300_000,
        b"\x1b[" * 300_000,
        b"\x1b[" + b"0" * 500_000,
        b"\x1b]" + b"0" * 500_000,
        b"\xc2\x9d" * 300_000,
        b"x\b" * 300_000,
        b"a" * 60_000 + b"\x1b[2Kx" * 100_000,
        b"a" * 60_000 + b"\rb\x1b[K" * 100_000,
        b"a\x1b[9999G" * 100_000,
        b"\0" * 500_000,
    ],
)
def test_hostile_output_takes_time_in_proportion_to_its_length(hostile: bytes) -> None:
    started = time.process_time()
    readable(hostile)
    assert time.process_time() - started < 10, "not linear: quadratic work would take minutes"


def test_an_unfinished_line_is_shown_as_it_is() -> None:
    screen = Readable()
    assert screen.add(b"one\n10%") == "one\n" and screen.line == "10%"
    assert screen.add(b"\r20%\x1b[3") == "" and screen.line == "20%", "of a sequence that is not complete, nothing"
    assert screen.add(b"1m!\n") == "20%!\n" and screen.line == ""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a" * WINDOW + b"\rX\n", "a" * WINDOW + "X\n"),
        (b"a" * (WINDOW - 1) + b"\rX\n", "X" + "a" * (WINDOW - 2) + "\n"),
        (b"a" * WINDOW + b"bc\b\b\b\bX\n", "a" * WINDOW + "Xc\n"),
        (b"a" * (2 * WINDOW + 1), "a" * (2 * WINDOW + 1)),
    ],
)
def test_an_endless_line_uses_bounded_memory(data: bytes, text: str) -> None:
    assert readable(data) == text
    assert cut(data, WINDOW - 1, WINDOW, WINDOW + 1) == text
    screen = Readable()
    screen.add(data)
    assert len(screen.line) < WINDOW
