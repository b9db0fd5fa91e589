"""Runs `make mutants`: breaks one line after the other in a copy of the tree and requires that its tests fail.

Exit code 1 if a mutant survives.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.tools.mutants.apply import FAILED, PASSED, applied, copy, tried
from tests.tools.mutants.table import MUTANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutants", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="mutants whose promise or file has this in it")
    asked = parser.parse_args()
    wanted = [mutant for mutant in MUTANTS if asked.only in mutant.promise or asked.only in mutant.file]
    with tempfile.TemporaryDirectory(prefix="clarion-mutants-") as folder:
        root = copy(Path(folder))
        for pure in (False, True):
            tests = list(dict.fromkeys(test for mutant in wanted if mutant.pure == pure for test in mutant.tests))
            if tests and (found := tried(root, tests, pure=pure))[0] != PASSED:
                print(f"the tests do not pass on the tree as it is, so they prove nothing:\n{found[1]}")
                return 1
        survived = []
        for number, mutant in enumerate(wanted, 1):
            with applied(mutant, root):
                code, words = tried(root, mutant.tests, pure=mutant.pure)
            killed = code == FAILED
            print(
                (
                    f"{number:3} {'killed  ' if killed else 'SURVIVED'} {mutant.promise} "
                    f"({mutant.file}){'' if killed else f': pytest exited with {code}: {words}'}"
                ),
                flush=True,
            )
            if not killed:
                survived.append(mutant)
    print(f"{len(wanted)} mutants, {len(survived)} survived")
    return 1 if survived or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
