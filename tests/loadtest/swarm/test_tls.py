"""The harness with mutual TLS against real servers: every agent joins first and gets its own certificate."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.conduct import GOOD
from loadtest.options import Options
from loadtest.reports.report import KEYS
from loadtest.site.target import StartedTarget
from tests.tools.bench.wire.wire import measure

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[3]
FILES = 260
"""A process of simulated agents reserves 200 of these for itself."""


def harness(*arguments: str, files: int | None = None) -> subprocess.CompletedProcess[str]:
    limit = None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        preexec_fn=limit,
    )


@pytest.mark.capability("G4", "K6", "Q8")
def test_five_hundred_agents_with_tls_work_and_reconnect_after_a_kill_of_the_server(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    quick = ["--samples", "5", "--idle-seconds", "1", "--backoff-max", "3", "--limit", "150"]
    scenarios = [flag for name in ("idle", "echo", "latency", "restart") for flag in ("--scenario", name)]
    done = harness(
        "--agents", "500", "--rounds", "1", "--tls", "--seed", "500", "--report", str(report), *quick, *scenarios
    )
    assert done.returncode == GOOD, done.stdout + done.stderr
    figures = json.loads(report.read_text())
    assert tuple(figures) == KEYS
    assert (figures["agents"], figures["tls"]) == (500, True)
    assert [(one["lost"], one["doubled"]) for one in figures["rounds"]] == [(0, 0)]
    needed = (
        "connect_seconds",
        "connect_cpu_us_per_agent",
        "server_rss_kb_per_agent",
        "reconnect_seconds",
        "api_p99_ms_during_reconnect",
    )
    assert all(figures[key] > 0 for key in needed), figures
    more = json.loads(report.with_suffix(".details.json").read_text())
    assert more["scenarios"]["join"]["seconds"] > 0
    assert more["scenarios"]["restart"]["dials"] >= 500
    assert more["findings"]["lost"] == more["findings"]["doubled"] == more["findings"]["wrong"] == 0
    assert more["fleet"]["counts"]["welcomed"] >= 1_000
    assert "connect_seconds" in report.with_suffix(".html").read_text()


def test_agents_of_a_foreign_server_are_split_by_the_limit_of_open_files(tmp_path: Path) -> None:
    target = StartedTarget(tmp_path, Options(agents=200, tls=True))
    report = tmp_path / "report.json"
    where = [
        "--server",
        target.url,
        "--token-file",
        str(tmp_path / "data/admin.token"),
        "--agent-address",
        f"127.0.0.1:{target.agent_port}",
        "--tls",
    ]
    try:
        target.start()
        done = harness(
            "--agents", "100", "--rounds", "1", "--scenario", "echo", "--report", str(report), *where, files=FILES
        )
        assert done.returncode == GOOD, done.stdout + done.stderr
        assert f"100 agents in 2 process(es): a process may open {FILES} files" in done.stdout
        assert json.loads(report.with_suffix(".details.json").read_text())["processes"] == [50, 50]
        with target.api() as api:
            assert api.json("GET", "/statistics")["hosts"]["known"] == 100
    finally:
        target.close()


def test_an_own_server_is_not_started_with_too_few_open_files(tmp_path: Path) -> None:
    done = harness("--agents", "100", "--tls", "--report", str(tmp_path / "report.json"), files=FILES)
    assert done.returncode == 69
    assert "ulimit -n 300" in done.stderr and "Traceback" not in done.stderr


def test_a_foreign_server_with_or_without_tls_is_recognised(tmp_path: Path) -> None:
    target = StartedTarget(tmp_path, Options(agents=1))
    where = [
        "--server",
        target.url,
        "--token-file",
        str(tmp_path / "data/admin.token"),
        "--agent-address",
        f"127.0.0.1:{target.agent_port}",
        "--tls",
    ]
    try:
        target.start()
        done = harness("--agents", "1", "--report", str(tmp_path / "report.json"), *where)
    finally:
        target.close()
    assert done.returncode == 69
    assert "speaks no TLS" in done.stderr and "Traceback" not in done.stderr


def test_the_wire_bench_runs_agents_with_certificates() -> None:
    found = measure(10, 2, tls=True)
    assert found["agents"] == 10 and len(found["rounds"]) == 2 and found["wire_cpu_us_per_agent"] > 0
