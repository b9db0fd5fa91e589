"""Which twin runs: the compiled one where it was built, the plain one on request or where it was not."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = "import _speedups.tally as t; print(t.IMPLEMENTATION, t.Tally.__module__)"
HIDE = "import sys; sys.modules['_speedups.tally_c'] = None\n"


def ask(program: str = ASK, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "CLARION_PURE"}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_the_environment_can_force_the_plain_one() -> None:
    assert ask(CLARION_PURE="1") == "py _speedups.tally_py"


@pytest.mark.parametrize("value", ["", "0"])
def test_any_other_value_leaves_the_choice_to_what_was_built(value: str) -> None:
    built = find_spec("_speedups.tally_c") is not None
    assert ask(CLARION_PURE=value) == ("c _speedups.tally_c" if built else "py _speedups.tally_py")


def test_without_the_compiled_module_the_plain_one_runs() -> None:
    assert ask(HIDE + ASK) == "py _speedups.tally_py"


def test_a_compiled_module_that_cannot_be_loaded_is_an_error_and_not_a_slow_start() -> None:
    broken = (
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == '_speedups.tally_c': raise ImportError('undefined symbol')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        ask(broken + ASK)
    assert "undefined symbol" in caught.value.stderr
