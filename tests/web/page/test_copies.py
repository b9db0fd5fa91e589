"""The commands that a task's page copies to the clipboard create the same task again."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from tests.web.browser import browse, served, sign_in
from tests.web.world import ADMIN, AUTH, World

FULL = {
    **{
        "name": "It's a name",
        "description": 'some "words"',
        "type": "release",
        "concurrency": 2,
        "task_timeout": 900.5,
        "if_offline": "wait",
        "wait_for": 60,
    },
    **{
        "retry": {
            "attempts": 3,
            "codes": ["offline", "exit_nonzero"],
            "backoff": 2.5,
            "backoff_max": 30,
            "idempotent": True,
        },
        "parameters": {"x": "it's $HOME", "y": ""},
    },
    **{
        "env": {"A": "b c"},
        "cwd": "/tmp",
        "run_as": "nobody",
        "umask": "027",
        "timeout": 12.5,
        "grace": 1,
        "start_within": 30,
        "max_output": 1000,
        "detach": True,
        "success_codes": [0, 3],
    },
}
KINDS: tuple[dict[str, Any], ...] = (
    {"command": "echo 'a b' | tr a-z A-Z\necho $P_x"},
    {"command": "uname -a", **FULL},
    {"argv": ["printf", "%s\n", "-x", "it's", ""], **FULL},
    {"script": "#!/bin/sh\nprintf '%s\\n' \"$@\"\n", "args": ["a b", "-c"], "interpreter": "/bin/bash", **FULL},
)


def same(task: dict[str, Any]) -> dict[str, Any]:
    """The fields that equal tasks have in common."""
    kept = (
        "name",
        "description",
        "type",
        "target_text",
        "total_hosts",
        "concurrency",
        "timeout_ms",
        "if_offline",
        "wait_for_ms",
        "retry",
        "parameters",
    )
    return {key: task[key] for key in kept} | {
        "command": {key: value for key, value in task["command"].items() if key != "command_id"}
    }


@pytest.mark.browser
async def test_a_copied_command_creates_the_same_task_again(
    world: World, nursery: trio.Nursery, tmp_path: Path
) -> None:
    address = await served(world, nursery)
    (tmp_path / "admin.token").write_text(ADMIN.text)
    tasks = [(await world.post("/api/v1/run", {"targets": ["web* and online"], **kind})).json for kind in KINDS]
    ended = await world.run("web-1", "web-2", command="true")
    world.report(ended, "web-1")
    world.report(ended, "web-2", code=1)
    await world.conductor.committed()
    repeated = (await world.post(f"/api/v1/tasks/{ended['task_id']}/rerun", {"only": ["failed"]})).json
    with_stdin = await world.run("web-1", command="cat", stdin="four")
    env = {
        **os.environ,
        "CLARION_SERVER": address,
        "CLARION_TOKEN_FILE": str(tmp_path / "admin.token"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def copied(page: Page, task: dict[str, Any], name: str) -> str:
        page.goto(f"/tasks/{task['task_id']}")
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        return str(page.evaluate("navigator.clipboard.readText()"))

    def made(text: str) -> dict[str, Any]:
        """Create a task with a shell, without waiting for its end."""
        line = text.replace("clarion run ", "clarion run --detach --json ")
        ran = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
        answer: dict[str, Any] = orjson.loads(ran.stdout)
        return answer

    def requested(text: str) -> dict[str, Any]:
        """Create a task with the request that curl would send, because curl may be missing."""
        words = shlex.split(text)
        assert words[:3] == ["curl", "-H", "Authorization: Bearer $(cat DATA/admin.token)"] and words[3:5] == [
            "-H",
            "Content-Type: application/json",
        ]
        assert words[5] == "-d" and len(words) == 8
        answer = httpx.post(words[7], content=words[6].encode(), headers={**AUTH, "Content-Type": "application/json"})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def script(page: Page, browser: Browser) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        sign_in(page)
        for task in tasks:
            assert same(made(copied(page, task, "Copy as CLI"))) == same(task)
            assert same(requested(copied(page, task, "Copy as curl"))) == same(task)
        again = made(copied(page, repeated, "Copy as CLI"))
        assert (again["target_text"], again["total_hosts"]) == (f"task:{repeated['task_id']}", 1), (
            "a repeated task is for its own hosts only"
        )
        (tmp_path / "STDIN").write_text("four")
        text = copied(page, with_stdin, "Copy as CLI")
        assert text.startswith("# put its standard input, 4 bytes, into the file STDIN\n")
        assert same(made(text)) == same(with_stdin)
        text = copied(page, with_stdin, "Copy as curl")
        assert same(requested(text.replace("STDIN_IN_BASE64", "Zm91cg==").partition("\n")[2])) == same(with_stdin)

    assert await trio.to_thread.run_sync(browse, script, address) == []
    world.shutdown.set()
