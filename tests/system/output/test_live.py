"""Live output of one host, exact over kills of every part."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.system.rig import Rig, until
from tests.system.viewer import Viewer

ROUNDS = int(os.environ.get("LIVE_ROUNDS", "3"))


@pytest.mark.capability("I18")
@pytest.mark.timeout(400 + 10 * ROUNDS)
def test_live_output_is_exact_over_kills_of_viewer_agent_and_server(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    stop, truth = tmp_path / "stop", tmp_path / "truth"
    loop = f"i=0; while [ ! -e {stop} ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
    task_id = rig.run(command=f"({loop}) | tee {truth}; echo over >&2")
    viewer = Viewer(rig, task_id, "node1")
    viewer.start()
    for number in range(ROUNDS):
        seen = len(viewer.got["stdout"])
        until(
            "the viewer sees more", lambda seen=seen: viewer.wrong or len(viewer.got["stdout"]) > seen + 100, within=60
        )
        assert not viewer.wrong, viewer.wrong
        assert rig.server is not None
        if number % 3 == 0:
            viewer.drop()
        elif number % 3 == 1:
            rig.agents["node1"].kill()
            rig.start_agent("node1")
        else:
            rig.server.kill()
            rig.start_server()
    seen = len(viewer.got["stdout"])
    until(
        "the viewer sees more after the last of it",
        lambda: viewer.wrong or len(viewer.got["stdout"]) > seen + 100,
        within=60,
    )
    stop.touch()
    viewer.join(60)
    assert not viewer.wrong and viewer.end is not None and viewer.end["status"] == "completed", (
        viewer.wrong,
        viewer.end,
    )
    assert viewer.connections > ROUNDS // 3 and viewer.gaps == []
    assert bytes(viewer.got["stdout"]) == truth.read_bytes()
    assert bytes(viewer.got["stderr"]) == b"over\n"
    assert viewer.end["stdout"]["total_bytes"] == len(viewer.got["stdout"])


def test_the_command_line_follows_live_output(rig: Rig) -> None:
    rig.start_agents("node1")
    ran = rig.clarion(
        "run", "-f", "node1", "--shell", r"printf 'one\n\033[31mred\033[0m\n'; echo bad >&2; sleep 1; echo two; exit 3"
    )
    assert ran.returncode == 2 and ran.stdout == "one\nred\ntwo\n"
    assert ran.stderr.splitlines()[-2:] == ["bad", "failed, exit code 3"]
    task_id = rig.json("GET", "/tasks")["items"][0]["task_id"]
    raw = rig.clarion("tasks", "output", "-f", "--raw", task_id, "node1")
    assert raw.stdout == "one\n\x1b[31mred\x1b[0m\ntwo\n" and raw.returncode == 0
    lines = [
        json.loads(line)
        for line in rig.clarion("tasks", "output", "-f", "--jsonl", task_id, "node1").stdout.splitlines()
    ]
    assert [line["event"] for line in lines] == ["attempt", "output", "output", "end"]
    assert rig.clarion("tasks", "output", "-f", "--json", task_id, "node1").returncode == 64
