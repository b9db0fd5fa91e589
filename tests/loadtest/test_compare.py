"""Comparison of two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.conduct import BAD, GOOD, UNFINISHED, Outcome
from loadtest.options import CannotRun, Options
from loadtest.reports import compare
from loadtest.reports.compare import side_by_side, table, worse
from loadtest.reports.progress import Console
from loadtest.reports.report import KEYS
from loadtest.site.target import StartedTarget, compiled


def report(scale: float, pure: bool = False) -> dict[str, Any]:
    figures: dict[str, Any] = {key: 10 * scale for key in KEYS}
    figures |= {"pure": pure, "reconnect_seconds": None, "single_host_latency_ms": {"p50": 2 * scale, "p99": 4 * scale}}
    figures["rounds"] = [
        {"wall_seconds": wall * scale, "server_cpu_us_per_agent": 30 * scale, "create_start_seconds": None}
        for wall in (3, 1, 2)
    ]
    return figures


@pytest.mark.capability("Q9")
def test_every_figure_is_shown_for_both_runs_with_its_ratio_and_rounds_as_medians() -> None:
    found = {
        one["what"]: (one["compiled"], one["pure"], one["pure_to_compiled"])
        for one in side_by_side(report(1), report(3))
    }
    assert found["connect, all"] == (10, 30, 3)
    assert found["echo round, median"] == (2, 6, 3)
    assert found["create and start, median"] == (None, None, None)
    assert found["one host, p99"] == (4, 12, 3)
    assert found["reconnect, all"] == (None, None, None)


def test_figures_that_were_not_measured_are_marked() -> None:
    lines = table(side_by_side(report(1), report(3))).splitlines()
    assert lines[0].split() == ["compiled", "pure", "pure", "/", "compiled"]
    assert next(line for line in lines if "reconnect, all" in line).split()[-3:] == ["-", "-", "-"]
    assert next(line for line in lines if "one host, p50" in line).split()[-3:] == ["2", "6", "3"]


def test_both_kinds_run_with_equal_options_and_the_worse_exit_code_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Options] = []

    def conduct(options: Options, show: Console) -> Outcome:
        asked.append(options)
        return Outcome(UNFINISHED if options.pure else GOOD, report(2 if options.pure else 1, options.pure))

    monkeypatch.setattr(compare, "conduct", conduct)
    monkeypatch.setattr(compare, "compiled", lambda: True)
    options = Options(agents=7, seed=3, report=tmp_path / "out.json", keep=tmp_path / "keep")
    assert compare.compare(options, Console()) == UNFINISHED
    assert [(one.pure, one.seed, one.agents) for one in asked] == [(False, 3, 7), (True, 3, 7)]
    assert [one.report.name for one in asked] == ["out.json", "out.pure.json"]
    assert len({one.keep for one in asked}) == 2
    written = json.loads((tmp_path / "out.compare.json").read_text())
    assert (written["compiled"]["pure"], written["pure"]["pure"]) == (False, True)
    assert written["side_by_side"][0] == {
        "what": "connect, all",
        "unit": "s",
        "compiled": 10,
        "pure": 20,
        "pure_to_compiled": 2,
    }


def test_without_compiled_modules_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "compiled", lambda: False)
    with pytest.raises(CannotRun, match="make build"):
        compare.compare(Options(), Console())


@pytest.mark.parametrize(
    ("codes", "code"),
    [((GOOD, GOOD), GOOD), ((GOOD, BAD), BAD), ((UNFINISHED, BAD), BAD), ((UNFINISHED, GOOD), UNFINISHED)],
)
def test_bad_results_weigh_more_than_an_unfinished_run(codes: tuple[int, int], code: int) -> None:
    assert worse(*(Outcome(one, {}) for one in codes)) == code


@pytest.mark.system
@pytest.mark.parametrize("pure", [True, False])
def test_a_pure_server_loads_no_compiled_module(tmp_path: Path, pure: bool) -> None:
    target = StartedTarget(tmp_path, Options(agents=1, pure=pure))
    try:
        target.start()
        loaded = {
            line.rpartition("/")[2]
            for line in Path(f"/proc/{target.pid}/maps").read_text().splitlines()
            if "/_speedups/" in line
        }
    finally:
        target.close()
    assert bool(loaded) == (not pure and compiled())
    assert target.pure is (not loaded)
