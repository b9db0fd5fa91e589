"""Short version of `make fuzz-lane`; it also proves that a fault would be found."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.speedups.http2.kit import MODULES
from tests.tools.fuzz import lane_fuzz, lane_run
from tests.tools.fuzz.cases import keep, kept, make
from tests.tools.fuzz.lane_fuzz import Failed

WORKER = """#!/bin/sh
# Replaces the interpreter: dies of a bad read at case 107, as a broken fast path would.
while [ $# -gt 0 ]; do
    case $1 in --mark) mark=$2 ;; --seed) seed=$2 ;; --cases) cases=$2 ;; esac
    shift
done
if [ "$seed" -le 107 ]; then
    printf '\\0\\0\\0\\0\\0\\0\\0\\153' >"$mark"
    kill -SEGV $$
fi
echo '{"cases": '"$cases"', "grown_mib": 0.5, "message": '"$cases"'}'
"""


@pytest.mark.capability("Q2")
def test_two_thousand_cases_find_nothing_in_the_fast_path(tmp_path: Path) -> None:
    found = lane_run.fuzz(2_000, 50_000, tmp_path, impl=next(iter(MODULES)))
    assert found.clean and found.done == 2_000 and set(found.kinds) == {"message", "frames", "session"}
    assert not list(tmp_path.iterdir())


def test_a_crash_is_counted_and_the_other_cases_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = tmp_path / "python"
    worker.write_text(WORKER)
    worker.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(worker))
    found = lane_run.fuzz(1_000, 1, tmp_path / "failures")
    assert (found.crashes, found.exceptions, found.done, found.clean) == (1, 0, 1_000, False)
    assert found.kinds["message"] == 893
    path = tmp_path / "failures/case-107.json"
    assert kept(path) == make(107)
    assert f'"why": "the process ended with {-signal.SIGSEGV}"' in path.read_text()
    assert f"make fuzz-lane REPLAY={path}, or SEED=1 CASES=200" in capsys.readouterr().out


def test_growth_is_counted_as_a_leak(tmp_path: Path) -> None:
    found = lane_run.fuzz(200, 1, tmp_path, impl="py", grows=-1_000)
    assert (found.leaks, found.clean) == (1, False)


def test_a_kept_case_equals_the_failing_case(tmp_path: Path) -> None:
    numbers = {make(number).kind: number for number in range(500)}
    assert set(numbers) == {"message", "frames", "session"}
    for number in numbers.values():
        assert kept(keep(tmp_path, number, 0, "it failed")) == make(number)


def test_an_exception_of_a_case_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(impl: object, data: bytes) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(lane_fuzz, "decoded", raises)
    with pytest.raises(Failed, match=r"case \d+ of the lane's fuzzing raised IndexError: out of range") as caught:
        lane_fuzz.run(200, 1_000, ["py"])
    assert make(caught.value.number).kind == "message" and caught.value.begun == 1_000


def test_a_kept_case_can_be_replayed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = keep(tmp_path, next(number for number in range(500) if make(number).kind == "session"), 0, "it failed")
    monkeypatch.setattr(sys, "argv", ["lane_fuzz", "--impl", "py", "--replay", str(path)])
    assert lane_fuzz.main() == 0
    assert "does no harm on py" in capsys.readouterr().out
