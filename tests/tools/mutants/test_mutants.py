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
def test_a_mutant_names_existing_tests_besides_the_simulator(mutant: Mutant) -> None:
    assert [test for test in mutant.tests if not test.startswith("tests/tools/simulate/")]
    for test in mutant.tests:
        file, *names = test.split("::")
        assert (ROOT / file).is_file(), file
        if names:
            name = names[-1].partition("[")[0]
            assert any(
                f"def {name}(" in path.read_text() for path in (ROOT / "tests" / file.split("/")[1]).rglob("*.py")
            ), f"{file}: no {name}"


def test_the_mutants_have_the_requested_number_and_are_distinct() -> None:
    assert len(MUTANTS) >= 26 and len({(mutant.file, mutant.right, mutant.wrong) for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.promise for mutant in MUTANTS}) == len(MUTANTS)


def test_a_mutant_whose_line_has_changed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\na = 1\n")
    with pytest.raises(ValueError, match="stands there 2 times"):
        text_of(Mutant("p", "x.py", "a = 1", "a = 2", ()), tmp_path)
    with pytest.raises(ValueError, match="stands there 0 times"):
        text_of(Mutant("p", "x.py", "b = 1", "a = 2", ()), tmp_path)


def test_a_mutant_leaves_the_tree_unchanged(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("a = 1\n")
    with applied(Mutant("p", "x.py", "a = 1", "a = 2", ()), tmp_path):
        assert (tmp_path / "x.py").read_text() == "a = 2\n"
    assert (tmp_path / "x.py").read_text() == "a = 1\n"
