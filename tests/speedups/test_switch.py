"""The choice of a twin: compiled if it was built, plain on request or otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = {
    "tally": "import _speedups.tally as t; print(t.IMPLEMENTATION, t.Tally.__module__)",
    # A compiled function does not say where it is from.
    "route": (
        "import sys, _speedups.route as t; f = t.route; print(t.IMPLEMENTATION, [n for n in sys.modules if "
        "getattr(sys.modules[n], 'route', 0) is f and n != t.__name__][0])"
    ),
}


def hide(name: str) -> str:
    return f"import sys; sys.modules['_speedups.{name}.{name}_c'] = None\n"


def ask(program: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "CLARION_PURE"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


both = pytest.mark.parametrize("name", list(ASK))


@both
def test_the_environment_can_force_the_plain_module(name: str) -> None:
    assert ask(ASK[name], CLARION_PURE="1") == f"py _speedups.{name}.{name}_py"


@both
@pytest.mark.parametrize("value", ["", "0"])
def test_any_other_value_selects_the_built_module(name: str, value: str) -> None:
    built = find_spec(f"_speedups.{name}.{name}_c") is not None
    assert ask(ASK[name], CLARION_PURE=value) == (
        f"c _speedups.{name}.{name}_c" if built else f"py _speedups.{name}.{name}_py"
    )


@both
def test_without_the_compiled_module_the_plain_module_runs(name: str) -> None:
    assert ask(hide(name) + ASK[name]) == f"py _speedups.{name}.{name}_py"


@both
def test_a_compiled_module_that_cannot_be_loaded_is_an_error(name: str) -> None:
    broken = (
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == '_speedups.WANTED': raise ImportError('undefined symbol')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        ask(broken.replace("WANTED", f"{name}.{name}_c") + ASK[name])
    assert "undefined symbol" in caught.value.stderr
