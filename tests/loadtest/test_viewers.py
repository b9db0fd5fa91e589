"""Viewers of a task's page, and groups on the command line, against a real server."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtest.api import Refused, Unreachable
from loadtest.conduct import GOOD
from loadtest.measure.viewer import ViewerResult
from loadtest.scenarios.viewers import Turn, _sample, judge
from loadtest.verify import Findings
from tests.loadtest.test_harness import harness


@pytest.mark.capability("G2")
@pytest.mark.system
def test_every_viewer_gets_the_end_and_all_results_at_the_promised_rate(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    scenarios = [
        "--scenario",
        "answers",
        "--scenario",
        "viewers",
        "--viewers",
        "6",
        "--viewer-pairs",
        "2",
        "--viewed-seconds",
        "3",
    ]
    done = harness("--agents", "60", "--seed", "60", "--report", str(report), *scenarios)
    assert done.returncode == GOOD, done.stdout + done.stderr
    figures = json.loads(report.with_suffix(".details.json").read_text())["scenarios"]
    watched = figures["viewers"]
    # Five a second, and in these three seconds one more at the beginning and two at the end, where groups and the
    # task's end are told as well.
    assert watched["viewers"] == 6 and 1 < watched["updates_per_second_and_viewer"] <= 5 + 3 / 3
    assert watched["requests_per_viewer"] == 3 and watched["one_host_ms_with_p50"] > 0
    assert (
        len(watched["viewers_own_cpu_percent"]) == len(watched["stand_in_cpu_percent"]) == 2
        and min(watched["stand_in_cpu_percent"]) > 0
    )
    assert figures["answers"]["groups"] == 3 and figures["answers"]["clarion_seconds"] > 0


def seen(**different: Any) -> ViewerResult:
    good = {"status": "completed", "version": 9, "total": 5, "ended": 5, "groups": 2, "answered": 5}
    return ViewerResult(**(good | different))


@pytest.mark.parametrize(
    "different",
    [
        {},
        {"version": 8},
        {"status": "running"},
        {"groups": 1},
        {"answered": 4},
        {"ended": 4},
        {"failures": ["bye: 'closing'"]},
    ],
    ids=lambda different: ",".join(different) or "nothing",
)
def test_a_viewer_that_misses_the_end_is_detected(different: dict[str, Any]) -> None:
    findings = Findings()
    judge(findings, 0, seen(**different), {"status": "completed", "version": 9}, groups=2, hosts=5)
    assert findings.wrong == (1 if different else 0), findings.examples


class Sampled:
    """The part of a run that `_sample` needs; each entry is the result of one sample, and the last one stops it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: list[float] | Exception) -> None:
        self.options = SimpleNamespace(seed=1)
        self.target = SimpleNamespace(api=nullcontext)
        self.unfinished: list[str] = []
        self.stop, self._left = threading.Event(), list(outcomes)
        monkeypatch.setitem(_sample.__globals__, "samples", self._one)
        monkeypatch.setitem(_sample.__globals__, "EVERY", 0.0)

    def _one(self, *ignored: object) -> list[float]:
        outcome = self._left.pop(0)
        if not self._left:
            self.stop.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_requests_to_an_overloaded_server_are_repeated_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, turn = Sampled(monkeypatch, Refused(503, "overloaded"), [12.0]), Turn()
    _sample(cast(Any, run), turn, float("-inf"), run.stop)
    assert (turn.refused, turn.one_host_ms, run.unfinished) == (1, [12.0], [])


@pytest.mark.parametrize(
    "error", [Refused(401, "who are you"), Unreachable("nobody there")], ids=["refused", "unreachable"]
)
def test_sampling_that_ends_early_is_reported(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    run = Sampled(monkeypatch, error, [12.0])
    _sample(cast(Any, run), Turn(), 0.0, run.stop)
    assert run.unfinished == [f"commands on one host during viewing: {error}"]
