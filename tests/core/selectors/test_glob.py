"""Patterns: what they match and how long that takes."""

from __future__ import annotations

import fnmatch
import re

from hypothesis import example, given
from hypothesis import strategies as st

from server.core.selectors.glob import Glob


@given(st.text("ab*?.", max_size=9), st.text("ab.", max_size=9))
@example("*a*b*", "xaxbx")
def test_patterns_match_like_those_of_the_shell(pattern: str, text: str) -> None:
    wanted = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert Glob(pattern).matches(text) is wanted
    assert Glob(pattern).matcher()(text) is wanted
    assert Glob(pattern, literal=True).matches(text) is (pattern == text)
    assert not wanted or text.startswith(Glob(pattern).prefix)


def test_a_pathological_pattern_takes_linear_time() -> None:
    assert not Glob("a*" * 500 + "b").matches("a" * 250 + "c")
