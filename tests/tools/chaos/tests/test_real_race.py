"""Short version of `make race`: commands end while they are canceled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tools.chaos.runs.race import SAID, race, right


def row(
    status: str, code: str = "", exit_code: int | None = None, term_at: int | None = None, size: int = SAID
) -> dict[str, Any]:
    stop = {"term_at": term_at} if code else None
    return {
        "status": status,
        "error": {"code": code} if code else None,
        "exit_code": exit_code,
        "stop": stop,
        "stdout": {"total_bytes": size},
    }


CANCELED = ("canceled", "canceled")


@pytest.mark.parametrize(
    ("one", "started", "ended", "journal", "holds"),
    [
        (row("completed", exit_code=0), True, True, ("completed", ""), True),
        (row("completed", exit_code=0), True, False, ("completed", ""), False),
        (row("completed", exit_code=0, size=0), True, True, ("completed", ""), False),
        (row("completed", exit_code=0), True, True, CANCELED, False),
        (row("completed", exit_code=0), False, False, ("completed", ""), False),
        (row("canceled", "canceled", None, 5), True, False, CANCELED, True),
        (row("canceled", "canceled", 0, 5), True, True, CANCELED, True),
        (row("canceled", "canceled", 0, 5), True, False, CANCELED, False),
        (row("canceled", "canceled", None, 5), False, False, CANCELED, False),
        (row("canceled", "canceled", None, 5), True, False, ("completed", ""), False),
        (row("canceled", "canceled_before_start"), False, False, None, True),
        (row("canceled", "canceled_before_start"), True, False, None, False),
        (row("lost", "shim_died"), True, False, ("lost", "shim_died"), False),
    ],
)
def test_a_row_that_contradicts_the_files_of_its_command_is_found(
    one: dict[str, Any], started: bool, ended: bool, journal: Any, holds: bool
) -> None:
    assert right(one, started, ended, journal) is holds


@pytest.mark.capability("F21")
async def test_commands_that_end_during_their_cancel_have_one_outcome(tmp_path: Path) -> None:
    found = await race(tmp_path / "site", agents=3, commands=12, seed=1)
    print(found.as_json())
    assert found.good, found.as_json()
    assert found.commands >= 12 and set(found.ends) <= {"completed", "canceled", "canceled_before_start"}
