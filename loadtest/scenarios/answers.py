"""All hosts give one of three answers: measures the grouping, and checks the output and exit code of the
command line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from loadtest.api import Api, Unreachable
from loadtest.run import Incomplete, Run, body

THREE, FAILING = "among 3 1", "exit 3"
CLI_SECONDS = 120.0
TASK_SECONDS = 120.0
FAILED = 2
"""Exit code of `clarion` when commands have failed on hosts."""
HEADER = re.compile(r"(\S+?)(?:, … ([0-9,]+) more)? \(([0-9,]+) hosts?\): completed, exit code 0")


def answers(run: Run) -> None:
    with run.target.api() as api:
        task = api.json("POST", "/run", body(THREE, run.all_targets(api)))
        expected = run.expected(THREE)
        task = api.wait_final(task, run.left(TASK_SECONDS))
        kinds = {expected.plan.stdout(host_id, name, "") for host_id, name in expected.hosts.items()}
        grouped, page = _groups(api, task["task_id"])
        again, _ = _groups(api, task["task_id"])
        run.check(api, task, expected)
        sizes = sorted(group["count"] for group in page["items"])
        if len(sizes) != len(kinds) or sum(sizes) != run.fleet.size:
            _wrong(run, f"{len(sizes)} groups of {sum(sizes)} hosts instead of {len(kinds)} of {run.fleet.size}")
        code, out, told = _clarion(run, "attach", task["task_id"])
        headers = [match for line in out.splitlines() if (match := HEADER.fullmatch(line))]
        counted = sorted(int(match[3].replace(",", "")) for match in headers)
        if code != 0 or counted != [size for size in sizes if size > 1]:
            _wrong(run, f"clarion attach ended with {code} and told groups of {counted} hosts instead of {sizes}")
        failed = api.wait_final(api.json("POST", "/run", body(FAILING, run.all_targets(api))), run.left(TASK_SECONDS))
        run.check(api, failed, run.expected(FAILING))
        code, _, _ = _clarion(run, "attach", failed["task_id"])
        if code != FAILED:
            _wrong(run, f"clarion attach ended with {code} where every host failed, instead of {FAILED}")
    run.details["answers"] = {
        "groups": len(sizes),
        "first_read_ms": round(grouped * 1000, 1),
        "read_again_ms": round(again * 1000, 1),
        "clarion_seconds": round(told, 3),
    }


def _groups(api: Api, task_id: str) -> tuple[float, dict[str, Any]]:
    begin = time.monotonic()
    page = api.json("GET", f"/tasks/{task_id}/groups")
    return time.monotonic() - begin, page


def _wrong(run: Run, sentence: str) -> None:
    run.findings.wrong += 1
    run.findings.say(sentence)


def _clarion(run: Run, *arguments: str) -> tuple[int, str, float]:
    """Run the command line; return exit code, standard output and seconds.

    Raises:
        Incomplete: The program does not exist.
        Unreachable: The program did not end in time.
    """
    program = Path(sys.executable).parent / "clarion"
    if not program.exists():
        raise Incomplete(f"{program} does not exist; run 'make build'")
    env = {**os.environ, "CLARION_SERVER": run.target.url, "CLARION_TOKEN_FILE": str(run.target.token_file)}
    begin = time.monotonic()
    try:
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=CLI_SECONDS, env=env)
    except subprocess.TimeoutExpired:
        raise Unreachable(f"clarion {' '.join(arguments)} has not ended within {CLI_SECONDS:g} s") from None
    return done.returncode, done.stdout, time.monotonic() - begin
