"""Both twins under the same tests: `impl` is the module, compiled (c) or plain (py).

Under CLARION_PURE=1 (`make test-pure`) there is only the plain one. Otherwise a compiled one that is missing is an error.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest

PURE = os.environ.get("CLARION_PURE", "") == "1"
MODULES = {"py": "_speedups.tally_py"} if PURE else {"c": "_speedups.tally_c", "py": "_speedups.tally_py"}


@pytest.fixture(params=list(MODULES.values()), ids=list(MODULES))
def impl(request: pytest.FixtureRequest) -> ModuleType:
    try:
        return importlib.import_module(request.param)
    except ModuleNotFoundError:
        pytest.fail(f"{request.param} is not compiled: run 'make build', or 'make test-pure' to test without it", pytrace=False)
