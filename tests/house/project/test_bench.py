"""The benches measure what they say: a run that does not end where it should is an error, not a figure."""

from __future__ import annotations

import re

import pytest

from tests.tools.bench.parts import bench_engine, bench_route, bench_selector, bench_tally


@pytest.mark.capability("Q9")
def test_the_engine_bench_takes_a_task_on_every_host_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_engine, "HOSTS", 600)
    lines = list(bench_engine.lines())
    assert len(lines) == len(bench_engine.BATCHES)
    assert all(re.search(r"600 hosts started in +\d+ ms.* [\d,]+ events/s$", line) for line in lines)


def test_the_engine_bench_gives_no_figure_for_a_task_that_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_engine, "HOSTS", 10)
    answers = bench_engine.answers
    monkeypatch.setattr(bench_engine, "answers", lambda dispatches: answers(dispatches)[:-1])
    with pytest.raises(RuntimeError, match="the task has not ended"):
        list(bench_engine.lines())


def test_the_tally_bench_measures_both_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_tally, "SECONDS", 0.001)
    text = "\n".join(bench_tally.lines())
    assert "_speedups.tally.tally_py" in text
    assert "_speedups.tally.tally_c" in text


def test_the_selector_bench_checks_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_selector, "REPEATS", 1)
    monkeypatch.setattr(bench_selector, "HOSTS", 600)
    assert sum(" ms  " in line for line in bench_selector.lines()) == len(bench_selector.SELECTORS)
    monkeypatch.setitem(bench_selector.SELECTORS, "role=db", lambda index: True)
    with pytest.raises(RuntimeError, match="200 hosts instead of 600"):
        list(bench_selector.lines())


def test_the_route_bench_measures_both_twins_and_separate_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_engine, "HOSTS", 50)
    monkeypatch.setattr(bench_route, "SECONDS", 0.001)
    text = "\n".join(bench_route.lines())
    assert all(name in text for name in ("one by one", "_speedups.route.route_py", "_speedups.route.route_c"))
    assert "not built" not in text
