"""Those who watch a task's page, and the command line's groups, against a real server: what was seen is what is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.conduct import GOOD
from loadtest.scenarios.viewers import judge
from loadtest.verify import Findings
from loadtest.viewer import Seen
from tests.loadtest.test_harness import harness


@pytest.mark.system
def test_every_viewer_is_told_of_the_end_and_of_all_answers_and_not_more_often_than_promised(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    scenarios = ["--scenario", "answers", "--scenario", "viewers", "--viewers", "6", "--viewer-pairs", "2", "--viewed-seconds", "3"]
    done = harness("--agents", "60", "--seed", "60", "--report", str(report), *scenarios)
    assert done.returncode == GOOD, done.stdout + done.stderr
    figures = json.loads(report.with_suffix(".details.json").read_text())["scenarios"]
    watched = figures["viewers"]
    # Five a second, and in these three seconds one more at the beginning and two at the end, where groups and the task's end are told as well.
    assert watched["viewers"] == 6 and 1 < watched["updates_per_second_and_viewer"] <= 5 + 3 / 3
    assert watched["requests_per_viewer"] == 3 and watched["one_host_ms_with_p50"] > 0
    assert len(watched["viewers_own_cpu_percent"]) == len(watched["stand_in_cpu_percent"]) == 2 and min(watched["stand_in_cpu_percent"]) > 0
    assert figures["answers"]["groups"] == 3 and figures["answers"]["clarion_seconds"] > 0


def seen(**different: Any) -> Seen:
    good = {"status": "completed", "version": 9, "total": 5, "ended": 5, "groups": 2, "answered": 5}
    return Seen(**(good | different))


@pytest.mark.parametrize(
    "different",
    [{}, {"version": 8}, {"status": "running"}, {"groups": 1}, {"answered": 4}, {"ended": 4}, {"failures": ["bye: 'closing'"]}],
    ids=lambda different: ",".join(different) or "nothing",
)
def test_a_viewer_who_saw_anything_else_than_the_end_is_found_out(different: dict[str, Any]) -> None:
    findings = Findings()
    judge(findings, 0, seen(**different), {"status": "completed", "version": 9}, groups=2, hosts=5)
    assert findings.wrong == (1 if different else 0), findings.examples
