"""Both twins under the same tests: `impl` is the module, compiled (c) or plain (py).

Under CLARION_PURE=1 (`make test-pure`) there is only the plain one. Otherwise a compiled one that is missing is an
error.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest

PURE = os.environ.get("CLARION_PURE", "") == "1"
TWINS = ["py"] if PURE else ["c", "py"]


@pytest.fixture(params=TWINS)
def impl(request: pytest.FixtureRequest) -> ModuleType:
    return _twin("tally", request.param)


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    """Of the routing."""
    return _twin("route", request.param)


def _twin(name: str, which: str) -> ModuleType:
    try:
        return importlib.import_module(f"_speedups.{name}.{name}_{which}")
    except ModuleNotFoundError:
        pytest.fail(
            (
                f"_speedups.{name}.{name}_{which} is not compiled: run 'make build', or 'make test-pure' to test "
                f"without it"
            ),
            pytrace=False,
        )
