"""Every mutant still applies and names existing tests; `make mutants` runs them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tools.mutants.apply import ROOT, applied, text_of
from tests.tools.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_a_mutant_applies_and_is_still_a_program(mutant: Mutant) -> None:
    ast.parse(text_of(mutant), mutant.file)
    assert mutant.right != mutant.wrong


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_its_tests_are_there_and_not_the_simulator_alone(mutant: Mutant) -> None:
    assert [test for test in mutant.tests if not test.startswith("tests/tools/simulate/")]
    for test in mutant.tests:
        file, *names = test.split("::")
        assert (ROOT / file).is_file(), file
        if names:
            name = names[-1].partition("[")[0]
            assert any(
                f"def {name}(" in path.read_text() for path in (ROOT / "tests" / file.split("/")[1]).rglob("*.py")
            ), f"{file}: no {name}"


def test_there_are_as_many_as_were_asked_for_and_each_is_one_of_its_own() -> None:
    assert len(MUTANTS) >= 26 and len({(mutant.file, mutant.right, mutant.wrong) for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.promise for mutant in MUTANTS}) == len(MUTANTS)


def test_a_line_that_is_written_otherwise_is_no_silent_success(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\na = 1\n")
    with pytest.raises(ValueError, match="stands there 2 times"):
        text_of(Mutant("p", "x.py", "a = 1", "a = 2", ()), tmp_path)
    with pytest.raises(ValueError, match="stands there 0 times"):
        text_of(Mutant("p", "x.py", "b = 1", "a = 2", ()), tmp_path)


def test_after_a_mutant_the_tree_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\n")
    with applied(Mutant("p", "x.py", "a = 1", "a = 2", ()), tmp_path):
        assert (tmp_path / "x.py").read_text() == "a = 2\n"
    assert (tmp_path / "x.py").read_text() == "a = 1\n"
