"""The choice of the fast path's twin: compiled if it was built, plain on request or otherwise."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.speedups.test_switch import ask

PARTS = "(t.Conn, t.Poller)"
ASK = f"import _speedups.http2 as t; print(t.IMPLEMENTATION, *sorted({{part.__module__ for part in {PARTS}}}))"
HIDE = "import sys; sys.modules['_speedups.http2.connection_c'] = None\n"
PLAIN = "py _speedups.http2.connection_py _speedups.http2.poller_py"
COMPILED = "c _speedups.http2.connection_c _speedups.http2.poller_c"


def test_the_environment_can_force_the_plain_module() -> None:
    assert ask(ASK, CLARION_PURE="1") == PLAIN


@pytest.mark.parametrize("value", ["", "0"])
def test_any_other_value_selects_the_built_module(value: str) -> None:
    built = find_spec("_speedups.http2.connection_c") is not None
    assert ask(ASK, CLARION_PURE=value) == (COMPILED if built else PLAIN)


def test_without_the_compiled_module_the_plain_module_runs() -> None:
    assert ask(HIDE + ASK) == PLAIN


@pytest.mark.parametrize(
    "missing", ["http2.socket_c", "http2.frame_reader_c", "http2.stream_c", "http2.poller_c", "messages.decode_c"]
)
@pytest.mark.skipif(
    find_spec("_speedups.http2.connection_c") is None, reason="nothing is compiled, so no part of it can be missing"
)
def test_a_compiled_fast_path_with_a_missing_part_is_an_error(missing: str) -> None:
    hide = f"import sys; sys.modules['_speedups.{missing}'] = None\n"
    reveal = "try:\n    import _speedups.http2\nexcept ImportError as error:\n    print('error', error.name)\n"
    assert ask(hide + reveal).startswith("error")
