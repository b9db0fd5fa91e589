"""The command as a process against the real REST API: store, engine and app are real, agents are played by events."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from server.web.app import serve
from server.web.http.limits import Limits
from tests.web.world import ADMIN, HOSTS, World, open_world


@dataclass
class Site:
    """A server that listens, and where its token is."""

    world: World
    folder: Path
    address: str

    async def clarion(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "CLARION_SERVER": self.address,
        }
        command = [sys.executable, "-m", "server.cli.main", *args]
        with trio.fail_after(60):
            return await trio.run_process(
                command, cwd=self.folder, env=environment, capture_stdout=True, capture_stderr=True, check=False
            )

    async def running(self) -> dict[str, Any]:
        """The one task that runs, once it does."""
        with trio.fail_after(30):
            while True:
                items = (await self.world.get("/api/v1/tasks?status=running")).json["items"]
                if items:
                    found: dict[str, Any] = (await self.world.get(f"/api/v1/tasks/{items[0]['task_id']}")).json
                    return found
                await trio.sleep(0.01)


@pytest.fixture
async def site(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Site]:
    world = await open_world(tmp_path, nursery)
    await world.know(*HOSTS)
    world.connect("web-1", "web-2")
    start = partial(serve, world.app, "127.0.0.1", 0, shutdown=world.shutdown, live=world.live, limits=Limits())
    host, port = await nursery.start(start)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "admin.token").write_text(f"{ADMIN.text}\n")
    yield Site(world, tmp_path, f"http://{host}:{port}")
    world.shutdown.set()
    await world.store.aclose()


async def test_run_waits_for_the_results_and_prints_them(site: Site, nursery: trio.Nursery) -> None:
    async def agents() -> None:
        task = await site.running()
        assert task["command"]["argv"] == ["uname", "-a"]
        for name in ("web-1", "web-2"):
            site.world.begin(task, name)
            site.world.report(task, name, stdout=b"Linux \x1b[1mhere\x1b[0m\n")

    nursery.start_soon(agents)
    done = await site.clarion("run", "--hosts", "web-1,web-2", "--", "uname", "-a")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"web-[1-2] (2 hosts): completed, exit code 0\n  Linux here\n"
    assert b"completed: 2 hosts: 2 completed" in done.stderr


async def test_a_failed_and_an_offline_host_give_exit_code_2_with_reasons(site: Site, nursery: trio.Nursery) -> None:
    async def agents() -> None:
        task = await site.running()
        for name, code in (("web-1", 0), ("web-2", 3)):
            site.world.begin(task, name)
            site.world.report(task, name, code, stdout=bytes(range(256)), stderr=b"no\n")

    nursery.start_soon(agents)
    done = await site.clarion("run", "--hosts", "all", "--json", "--", "sh", "-c", "exit 3")
    assert done.returncode == 2, done.stderr
    document = json.loads(done.stdout)
    rows = {row["hostname"]: row for row in document["hosts"]}
    assert document["task"]["status"] == "failed"
    assert {name: row["status"] for name, row in rows.items()} == {
        "web-1": "completed",
        "web-2": "failed",
        "db-1": "dispatch_failed",
    }
    assert rows["web-2"]["error"]["code"] == "exit_nonzero"
    assert b64decode(rows["web-2"]["stdout"]["base64"]) == bytes(range(256))
    shown = await site.clarion("tasks", "output", document["task"]["task_id"], "web-2", "--raw")
    assert shown.stdout == bytes(range(256))


async def test_offline_hosts_give_exit_code_3(site: Site) -> None:
    done = await site.clarion("run", "--hosts", "db-1", "--", "true")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith(b"db-1: not started: ")
    assert b"  hint: " in done.stdout


async def test_a_task_is_created_started_canceled_listed_and_deleted(site: Site) -> None:
    created = await site.clarion(
        "tasks",
        "create",
        "--hosts",
        "web-1",
        "--name",
        "nightly",
        "-t",
        "5m",
        "--param",
        "a=b",
        "--umask",
        "027",
        "--shell",
        "sleep $P_a",
    )
    task_id = created.stdout.decode().strip()
    assert created.returncode == 0, created.stderr
    first = await site.clarion("tasks", "list", "--status", "pending")
    assert task_id[-12:].encode() in first.stdout
    assert b"nightly" in first.stdout
    shown = json.loads((await site.clarion("tasks", "show", task_id, "--json")).stdout)
    assert (shown["command"]["timeout_ms"], shown["command"]["umask"], shown["parameters"]) == (
        300_000,
        "027",
        {"a": "b"},
    )
    assert (await site.clarion("tasks", "start", task_id)).stdout == f"task {task_id} running\n".encode()
    again = await site.clarion("tasks", "start", task_id)
    assert (again.returncode, again.stderr) == (
        64,
        b"clarion: the task has already been started; create a new task to run it again\n",
    )
    refused = await site.clarion("tasks", "delete", task_id)
    assert (refused.returncode, refused.stdout) == (64, b"")
    canceled = await site.clarion("tasks", "cancel", task_id)
    assert canceled.stdout == f"task {task_id} is being canceled\n".encode()
    progress = json.loads((await site.clarion("tasks", "progress", task_id, "--json")).stdout)
    assert progress["total"] == 1
    hosts = await site.clarion("tasks", "hosts", task_id, "--jsonl")
    assert [json.loads(line)["hostname"] for line in hosts.stdout.splitlines()] == ["web-1"]


async def test_hosts_are_listed_labelled_and_shown(site: Site) -> None:
    labelled = await site.clarion("hosts", "label", "web-1", "env=prod", "note=x y")
    assert labelled.stdout == b"web-1: env=prod,note=x y\n"
    assert (await site.clarion("hosts", "label", "web-1", "note-")).stdout == b"web-1: env=prod\n"
    lines = (await site.clarion("hosts", "list")).stdout.decode().splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["db-1", "never"], ["web-1", "online"], ["web-2", "online"]]
    assert json.loads((await site.clarion("hosts", "show", "web-1", "--json")).stdout)["labels"] == {"env": "prod"}
    assert b"hosts online" in (await site.clarion("stats")).stdout


async def test_unknown_hosts_tasks_and_states_are_named(site: Site) -> None:
    done = await site.clarion("run", "--hosts", "web-1,web-8,web-9", "--", "true")
    assert done.returncode == 64
    assert b"clarion: 2 names belong to no host: 'web-8', 'web-9'." in done.stderr
    assert (await site.clarion("tasks", "show", "nonsense")).returncode == 64
    assert b"did you mean running?" in (await site.clarion("tasks", "list", "--status", "runing")).stderr
    assert (await site.clarion("hosts", "show", "web-8")).returncode == 64


async def test_the_same_key_creates_one_task(site: Site) -> None:
    ids = {
        (await site.clarion("tasks", "create", "--idempotency-key", "k1", "--hosts", "all", "--", "true")).stdout
        for _ in range(2)
    }
    assert len(ids) == 1
    other = await site.clarion("tasks", "create", "--idempotency-key", "k1", "--hosts", "all", "--", "false")
    assert other.returncode == 64
    assert b"Idempotency-Key was used for a different request" in other.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_leaves_the_task_running_and_the_cli_prints_how_to_attach(
    site: Site, number: signal.Signals, code: int
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(site.folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "CLARION_SERVER": site.address,
    }
    command = [sys.executable, "-m", "server.cli.main", "run", "--hosts", "web-1", "--", "sleep", "60"]
    # A shell that runs the tests in the background has them ignore the signal, and children inherit that.
    process = await trio.lowlevel.open_process(
        command,
        cwd=site.folder,
        env=environment,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    said = b""
    with trio.fail_after(60):
        while b"host ended" not in said:
            said += await process.stderr.receive_some()
        process.send_signal(number)
        while piece := await process.stderr.receive_some():
            said += piece
        assert await process.wait() == code
    await process.stderr.aclose()
    task = await site.running()
    sentence = f"The task goes on: attach to it with 'clarion attach {task['task_id']}', end it with"
    assert sentence.encode() in said and f"clarion tasks cancel {task['task_id']}".encode() in said
    assert b"Traceback" not in said


async def test_a_wrong_token_exits_77(site: Site) -> None:
    (site.folder / "data" / "admin.token").write_text("cl_wrong\n")
    done = await site.clarion("stats")
    assert done.returncode == 77
    assert done.stderr.count(b"\n") == 1
