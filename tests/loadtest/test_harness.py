"""The whole harness against a real server: a correct run, and false reports that it must find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtest.conduct import GOOD
from loadtest.measure.watch import ResourceSampler
from loadtest.options import Options
from loadtest.reports.progress import Console
from loadtest.reports.report import KEYS
from loadtest.run import Run, body
from loadtest.site.fleet import Fleet
from loadtest.site.target import StartedTarget
from tests.mariadb import PASSWORD, USER, MariaDB

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def harness(*arguments: str, within: float = 110) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtest", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=within
    )


@pytest.mark.capability("Q7", "Q8", "Q9")
def test_thirty_agents_through_all_scenarios(tmp_path: Path) -> None:
    report = tmp_path / "out/report.json"
    quick = [
        "--samples",
        "5",
        "--idle-seconds",
        "1",
        "--fault-seconds",
        "1",
        "--mixed-tasks",
        "9",
        "--backoff-max",
        "1",
        "--limit",
        "100",
    ]
    settings = ["--set", "liveness.drain_min=0", "--set", "liveness.drain_max=0.5"]
    done = harness(
        "--agents",
        "30",
        "--processes",
        "2",
        "--rounds",
        "2",
        "--seed",
        "30",
        "--report",
        str(report),
        *quick,
        *settings,
    )
    assert done.returncode == GOOD, done.stdout + done.stderr
    assert "Seed 30" in done.stdout
    figures = json.loads(report.read_text())
    more = json.loads(report.with_suffix(".details.json").read_text())
    assert tuple(figures) == KEYS
    assert (figures["agents"], figures["tls"], figures["store"]) == (30, False, "sqlite")
    assert [set(one) for one in figures["rounds"]] == 2 * [
        {"wall_seconds", "server_cpu_us_per_agent", "create_start_seconds", "lost", "doubled"}
    ]
    measured = [
        figures[key]
        for key in KEYS
        if key not in ("wire_cpu_us_per_agent", "idle_cpu_percent", "machine", "tls", "pure")
    ]
    assert all(measured), figures
    assert figures["idle_cpu_percent"] is not None
    # the start of the agents' processes, of about a second, is no part of it
    assert figures["connect_seconds"] < more["scenarios"]["connect"]["p99_ms"] / 1000 + 0.5
    assert 0 < figures["single_host_latency_ms"]["p50"] <= figures["single_host_latency_ms"]["p99"]
    assert more["findings"] == {
        "lost": 0,
        "doubled": 0,
        "wrong": 0,
        "refused": more["findings"]["refused"],
        "outputs": more["findings"]["outputs"],
        "examples": [],
    }
    assert more["findings"]["outputs"] > 100
    assert more["scenarios"]["restart"]["api_requests"] > 0
    page = report.with_suffix(".html").read_text()
    assert page.count("<svg") == 5
    assert "http" not in page.replace("http2", "")
    benched = (ROOT / "tests/tools/bench/wire/wire.py").exists()
    assert (figures["wire_cpu_us_per_agent"] is not None) == benched
    assert ("wire_cpu_us_per_agent is null" in page) != benched
    assert more["scenarios"]["drain"]["reconnect_seconds"] > 0


def test_a_run_that_exceeds_its_time_reports_the_known_figures(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = harness(
        "--agents",
        "5",
        "--scenario",
        "idle",
        "--scenario",
        "echo",
        "--idle-seconds",
        "30",
        "--limit",
        "6",
        "--report",
        str(report),
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "NOT FINISHED" in done.stdout
    figures = json.loads(report.read_text())
    assert figures["connect_seconds"] > 0
    assert figures["rounds"] == []
    assert figures["reconnect_seconds"] is None


def test_a_named_mysql_store_is_used(tmp_path: Path, mariadb: MariaDB) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    database = mariadb.new_database()
    where = {"host": "127.0.0.1", "port": mariadb.port, "user": USER, "password_file": secret, "database": database}
    sets = [flag for name, value in where.items() for flag in ("--set", f"store.{name}={value}")]
    report = tmp_path / "report.json"
    done = harness(
        "--agents", "8", "--rounds", "1", "--scenario", "echo", "--store", "mysql", "--report", str(report), *sets
    )
    assert done.returncode == GOOD, done.stdout + done.stderr
    figures = json.loads(report.read_text())
    assert figures["store"] == "mysql" and figures["rounds"][0]["lost"] == 0
    assert mariadb.sql(f"SELECT count(*) FROM {database}.command_host").strip() == "8"


def test_an_unnamed_mysql_store_starts_a_mariadb(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = harness("--agents", "8", "--rounds", "1", "--scenario", "echo", "--store", "mysql", "--report", str(report))
    assert done.returncode == GOOD, done.stdout + done.stderr
    assert "database started: " in done.stdout and "MariaDB" in done.stdout
    figures = json.loads(report.read_text())
    assert (figures["store"], figures["rounds"][0]["lost"]) == ("mysql", 0)
    sets = json.loads(report.with_suffix(".details.json").read_text())["settings"]
    where = Path(next(one for one in sets if one.startswith("store.socket=")).partition("=")[2])
    assert not where.parent.exists()


def test_wrong_usage_is_explained_in_one_line() -> None:
    for arguments, word in [
        (["--server", "http://127.0.0.1:1"], "--token-file"),
        (["--agents", "0"], "--agents"),
        (["--compare", "--pure"], "--compare"),
        (["--set", "a=b", "--store", "nosql"], "--store"),
    ]:
        done = harness(*arguments)
        assert done.returncode == 64
        assert word in done.stderr and "Traceback" not in done.stderr
    done = harness("--store", "mysql", "--set", "store.user=u")
    assert done.returncode == 69
    assert "store.host or store.socket, store.database" in done.stderr and "Traceback" not in done.stderr
    done = harness("--agents", "1", "--set", "no.such=setting")
    assert done.returncode == 69
    assert "no.such" in done.stderr and "Traceback" not in done.stderr


def test_a_running_server_is_used_without_its_other_hosts(tmp_path: Path) -> None:
    with started(tmp_path, 3) as run, run.target.api() as api:
        other = api.json("POST", "/hosts", {"hostname": "not-simulated"})["host_id"]
        data = tmp_path / "data"
        report = tmp_path / "report.json"
        where = [
            "--server",
            run.target.url,
            "--token-file",
            str(data / "admin.token"),
            "--join-token-file",
            str(data / "join.token"),
        ]
        where += ["--agent-address", f"127.0.0.1:{run.target.agent_port}", "--server-pid", str(run.target.pid)]
        done = harness(
            "--agents",
            "4",
            "--seed",
            "77",
            "--rounds",
            "1",
            "--scenario",
            "echo",
            "--scenario",
            "restart",
            "--report",
            str(report),
            *where,
        )
        assert done.returncode == GOOD, done.stdout + done.stderr
        figures = json.loads(report.read_text())
        assert (figures["store"], figures["pure"], figures["reconnect_seconds"]) == (None, None, None)
        assert figures["rounds"][0]["wall_seconds"] > 0 and figures["connect_cpu_us_per_agent"] is not None
        (task,) = api.json("GET", "/tasks")["items"]
        rows = [row["host_id"] for row in api.rows(task["task_id"])]
        assert len(rows) == 4 and other not in rows
        os.kill(run.target.pid or 0, 0)


@contextmanager
def started(folder: Path, agents: int) -> Iterator[Run]:
    """A server and a connected fleet."""
    options = Options(agents=agents, seed=5, backoff_max=1.0)
    target = StartedTarget(folder, options)
    fleet = None
    try:
        target.start()
        fleet = Fleet(target, [agents], seed=5, folder=folder)
        fleet.dial()
        run = Run(options, target, fleet, ResourceSampler(target, fleet), Console(), time.monotonic() + 90)
        assert run.wait_connected(30), target.tail()
        yield run
    finally:
        if fleet is not None:
            fleet.close()
        target.close()


def result_of(run: Run, command: str) -> tuple[dict[str, Any], tuple[int, int, int]]:
    with run.target.api() as api:
        task = api.json("POST", "/run", body(command, run.all_targets(api)))
        task, found = run.finish(api, task, run.expected(command), 10)
    return task, (found.lost, found.doubled, found.wrong)


@pytest.mark.capability("Q8")
def test_false_reports_of_hosts_are_detected(tmp_path: Path) -> None:
    with started(tmp_path, 10) as run:
        assert result_of(run, "echo {host}")[1] == (0, 0, 0)
        run.fleet.fault("wrong", [0, 1])
        run.fleet.fault("twice", [2, 3, 4])
        task, found = result_of(run, "echo {host}")
        assert task["status"] == "completed"
        assert found == (0, 3, 2)
        run.fleet.fault("", range(10))
        assert result_of(run, "echo {host}")[1] == (0, 0, 0)
        assert not run.findings.clean


def test_results_that_do_not_arrive_in_time_are_lost(tmp_path: Path) -> None:
    with started(tmp_path, 6) as run:
        run.fleet.fault("silent", [0, 1])
        with run.target.api() as api:
            task = api.json("POST", "/run", body("echo x", run.all_targets(api)))
            _, found = run.finish(api, task, run.expected("echo x"), 2)
        assert (found.lost, found.doubled, found.wrong) == (2, 0, 0)
        assert "still running after 2 s" in run.unfinished[0]


def test_results_after_the_end_of_the_run_are_unfinished_and_not_lost(tmp_path: Path) -> None:
    with started(tmp_path, 6) as run, run.target.api() as api:
        task = api.json("POST", "/run", body("sleep 60", run.all_targets(api)))
        run.deadline = time.monotonic() + 1.0
        _, found = run.finish(api, task, run.expected("sleep 60"), 50)
    assert found.clean
    assert len(run.unfinished) == 1


def children_of(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(stat.parent.name))
        except OSError:
            continue  # it has ended since it was listed
    return found


def test_a_stopped_harness_ends_its_processes(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "--agents",
        "6",
        "--processes",
        "2",
        "--scenario",
        "idle",
        "--idle-seconds",
        "60",
        "--report",
        str(tmp_path / "r.json"),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "idle" in line:
                break
        children = children_of(process.pid)
        assert len(children) == 3
        process.terminate()
        assert process.wait(20) == 143
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
