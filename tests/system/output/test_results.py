"""From an operator's command to the result of a host, through every part, as processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from tests.system.rig import Rig


@pytest.mark.capability("Z10", "P5", "Q5", "V3")
def test_a_command_runs_on_a_host_and_its_result_is_shown(rig: Rig) -> None:
    rig.start_agents("web01")
    done = rig.clarion("run", "--hosts", "all", "--", "uname", "-a")
    assert done.returncode == 0 and "Linux" in done.stdout and "web01" in done.stdout, done


@pytest.mark.capability("C10")
def test_a_failure_is_explained_and_results_survive_a_restart(rig: Rig) -> None:
    rig.start_agents("web01")
    assert rig.clarion("run", "--hosts", "all", "--", "true").returncode == 0
    failed = rig.clarion("run", "--hosts", "all", "--", "sh", "-c", "exit 3")
    assert failed.returncode == 2 and failed.stdout == "web01: failed, exit code 3\n", failed
    assert rig.server is not None and rig.server.terminate() == 0
    rig.start_server()
    listed = json.loads(rig.clarion("tasks", "list", "--json").stdout)
    assert [task["status"] for task in listed["items"]] == ["failed", "completed"]


@pytest.mark.capability("I18", "F19")
def test_output_bytes_are_returned_unchanged(rig: Rig) -> None:
    rig.start_agents("web01")
    every = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 3); sys.stderr.buffer.write(b'\\x1b[31mred\\x00')"
    task_id = rig.run(argv=["python3", "-c", every])
    assert rig.wait_final(task_id)["status"] == "completed"
    (row,) = rig.rows(task_id)
    assert rig.output(task_id, row["host_id"]) == bytes(range(256)) * 3
    assert rig.output(task_id, row["host_id"], "stderr") == b"\x1b[31mred\x00"


@pytest.mark.capability("P4")
def test_a_long_output_is_cut_in_the_middle_and_marked(rig: Rig) -> None:
    rig.start_agents("web01")
    task_id = rig.run(command="head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    rig.wait_final(task_id)
    (row,) = rig.rows(task_id)
    answer = rig.json(
        "GET", f"/tasks/{task_id}/hosts/{row['host_id']}/output", params={"stream": "stdout", "part": "tail"}
    )
    assert answer["truncated"] and answer["total_bytes"] == 3_000_004 and answer["text"].endswith("xend\n")
    assert answer["sha256"] == hashlib.sha256(b"x" * 3_000_000 + b"end\n").hexdigest()


@pytest.mark.capability("P3")
def test_parameters_are_passed_as_environment_and_never_as_shell_text(rig: Rig) -> None:
    rig.start_agents("web01")
    task_id = rig.run(
        command='printf %s "$P_name" "$1"', parameters={"name": "$(touch /tmp/pwned); `id`"}, args=["a b;c"]
    )
    rig.wait_final(task_id)
    (row,) = rig.rows(task_id)
    assert rig.output(task_id, row["host_id"]) == b"$(touch /tmp/pwned); `id`a b;c"


@pytest.mark.capability("P3")
def test_a_script_runs_with_interpreter_stdin_and_directory(rig: Rig) -> None:
    rig.start_agents("web01")
    script = "import os, sys\nprint(os.getcwd(), sys.argv[1:], sys.stdin.read(), os.environ['COLOUR'])"
    task_id = rig.run(
        script=script, interpreter="python3", args=["x y"], stdin="from stdin", cwd="/usr", env={"COLOUR": "blue"}
    )
    assert rig.wait_final(task_id)["status"] == "completed"
    (row,) = rig.rows(task_id)
    assert rig.output(task_id, row["host_id"]) == b"/usr ['x y'] from stdin blue\n"


@pytest.mark.capability("H3", "E1")
def test_offline_hosts_are_reported_as_not_started(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("liveness.start_grace=2")
    rig.start_server()
    rig.start_agents("web01", "web02")
    rig.agents["web02"].terminate()
    rig.wait_connected(1)
    done = rig.clarion("run", "--hosts", "all", "--", "true")
    assert done.returncode == 3 and "offline" in done.stdout + done.stderr, done


def test_a_stop_is_clean_and_quick_while_commands_run(rig: Rig) -> None:
    rig.start_agents("web01")
    task_id = rig.run(command="sleep 4; echo done")
    rig.json("GET", f"/tasks/{task_id}", params={"wait": 2, "since": 1})
    assert rig.server is not None and rig.server.terminate(within=10) == 0
    rig.start_server()
    assert rig.wait_final(task_id)["status"] == "completed"
    (row,) = rig.rows(task_id)
    assert rig.output(task_id, row["host_id"]) == b"done\n"
