"""The command line while a task runs: answers as hosts end, every line of many hosts, and ends that lose no answer and
repeat no command."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from loadtest.files import limit, split
from loadtest.options import ExistingServer
from loadtest.site.fleet import Fleet
from loadtest.site.target import ExistingTarget
from tests.system.rig import BIN, INSECURE, Rig, until

NAMES = ("node1", "node2", "node3")
HOSTS = 300


class Session:
    """A call of the CLI that goes on while the test looks at what it has written so far."""

    def __init__(self, rig: Rig, *arguments: str) -> None:
        self._files: list[IO[bytes]] = [(rig.folder / f"cli.{name}").open("w+b") for name in ("out", "err")]
        self.process = subprocess.Popen(
            [str(BIN / "clarion"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            env=rig.cli_env(),
            # A shell that runs the tests in the background has them ignore the signal, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    @property
    def out(self) -> str:
        return Path(self._files[0].name).read_text()

    @property
    def err(self) -> str:
        return Path(self._files[1].name).read_text()

    def end(self, within: float = 60.0) -> int:
        try:
            return self.process.wait(within)
        finally:
            for file in self._files:
                file.close()


@contextmanager
def session(rig: Rig, *arguments: str) -> Iterator[Session]:
    one = Session(rig, *arguments)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.end()


def turns(folder: Path) -> str:
    """Shell text with which each host takes a number, and ends when the file of this number is there."""
    return (
        f"cd {folder}; for n in 1 2 3; do mkdir slot$n 2>/dev/null && break; done; echo begun; while [ ! -e go$n "
        f"]; do sleep 0.05; done; echo turn $n"
    )


@pytest.fixture
def rig3(rig: Rig) -> Rig:
    rig.start_agents(*NAMES)
    return rig


@pytest.mark.parametrize("form", ["human", "jsonl"])
def test_each_host_is_shown_as_it_ends(rig3: Rig, form: str) -> None:
    with session(rig3, "run", "all", "-o", form, "--shell", turns(rig3.folder)) as cli:
        until("all have begun", lambda: (rig3.folder / "slot3").exists())
        assert cli.out == ""
        for number in (2, 3, 1):
            (rig3.folder / f"go{number}").touch()
            until(f"turn {number} is shown", lambda number=number: f"turn {number}" in cli.out, within=20)
            assert (cli.process.poll() is None) or number == 1
        assert cli.end() == 0
        out, err = cli.out, cli.err
    if form == "human":
        heads = [line for line in out.splitlines() if not line.startswith(" ")]
        assert sorted(heads) == [f"{name}: completed, exit code 0" for name in NAMES], "each host once"
        assert [line for line in out.splitlines() if "turn" in line] == ["  turn 2", "  turn 3", "  turn 1"]
    else:
        assert sorted(json.loads(line)["hostname"] for line in out.splitlines()) == list(NAMES)
    task_id = rig3.json("GET", "/tasks")["items"][0]["task_id"]
    assert f"http://127.0.0.1:{rig3.http_port}/tasks/{task_id}" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("options", [(), ("--stream",), ("--jsonl",), ("--json",)])
def test_an_interrupted_cli_shows_its_results_and_the_task_continues(
    rig3: Rig, options: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with session(rig3, "run", "all", *options, "--shell", turns(rig3.folder)) as cli:
        until("all have begun", lambda: (rig3.folder / "slot3").exists())
        (rig3.folder / "go2").touch()
        task_id = rig3.json("GET", "/tasks")["items"][0]["task_id"]
        until("one has ended", lambda: rig3.json("GET", f"/tasks/{task_id}")["completed_hosts"] == 1)
        cli.process.send_signal(number)
        assert cli.end() == code
        assert "turn 2" in cli.out and "turn 1" not in cli.out
        assert "2 of 3 hosts have not ended. The task goes on: attach to it with" in cli.err and task_id in cli.err
        if "--json" in options:
            assert json.loads(cli.out)["task"]["status"] == "running"
    for number in (1, 3):
        (rig3.folder / f"go{number}").touch()
    attached = rig3.clarion("attach", task_id)
    assert attached.returncode == 0 and all(f"turn {number}" in attached.stdout for number in (1, 2, 3))


def test_lines_of_real_hosts_are_shown_while_they_are_written(rig3: Rig) -> None:
    with session(rig3, "run", "all", "--stream", "--shell", turns(rig3.folder)) as cli:
        until(
            "all have said that they begin, and none has ended",
            lambda: sorted(cli.out.splitlines()) == [f"{name}: begun" for name in NAMES],
            within=30,
        )
        for number in (1, 2, 3):
            (rig3.folder / f"go{number}").touch()
        assert cli.end() == 0
        lines = cli.out.splitlines()
    assert len(lines) == 6
    assert sorted(line.split(": ")[1] for line in lines[3:]) == ["turn 1", "turn 2", "turn 3"]


def test_more_hosts_than_can_be_followed_lose_no_line(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig("limits.live_output_executions=1")
    rig.start_server()
    rig.start_agents(*NAMES)
    text = (
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; echo bad $i >&2; sleep 0.01; done; printf 'no new "
        "line'"
    )
    done = rig.clarion("run", "all", "--stream", "--shell", text)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        ours = [line.removeprefix(f"{name}: ") for line in done.stdout.splitlines() if line.startswith(f"{name}: ")]
        assert ours == [*(f"line {number}" for number in range(1, 201)), "no new line"]
        assert [line for line in done.stderr.splitlines() if line.startswith(f"{name}: ")] == [
            f"{name}: bad {number}" for number in range(1, 201)
        ]


def test_three_hundred_hosts_lose_no_line(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(INSECURE)
    files = limit()
    rig.start_server()
    where = ExistingServer(
        f"http://127.0.0.1:{rig.http_port}",
        rig.data / "admin.token",
        "127.0.0.1",
        rig.agent_port,
        rig.data / "join.token",
    )
    fleet = Fleet(ExistingTarget(where), split(HOSTS, files, None), seed=1, folder=rig.folder)
    try:
        fleet.dial()
        until(f"{HOSTS} simulated hosts are connected", lambda: fleet.connected == HOSTS, within=120)
        spread = rig.clarion("run", "all", "--stream", "--", "among", "7", "4")
        assert spread.returncode == 0, spread.stderr
        seen = Counter(line.split(": ")[0] for line in spread.stdout.splitlines())
        assert len(seen) == HOSTS and set(seen.values()) == {1}
        long = rig.clarion("run", "all", "--stream", "-q", "--", "output", "20000")
        assert (long.returncode, long.stderr) == (0, "")
        task_id = rig.json("GET", "/tasks")["items"][0]["task_id"]
        by_host: dict[str, list[str]] = {}
        for line in long.stdout.splitlines():
            name, _, text = line.partition(": ")
            by_host.setdefault(name, []).append(text)
        rows = rig.rows(task_id)
        assert len(rows) == len(by_host) == HOSTS
        for row in rows:
            assert by_host[row["hostname"]] == rig.output(task_id, row["host_id"]).decode().splitlines(), row[
                "hostname"
            ]
    finally:
        fleet.close()


def test_raw_prints_the_exact_bytes_and_can_pass_on_the_exit_code(rig3: Rig) -> None:
    every = (
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 3); "
        "sys.stderr.buffer.write(b'\\x1b[31mred\\x00'); sys.exit(7)"
    )
    for option in (("--raw",), ("-o", "text")):
        done = subprocess.run(
            [str(BIN / "clarion"), "run", "node1", *option, "-S", "--", "python3", "-c", every],
            capture_output=True,
            timeout=60,
            env=rig3.cli_env(),
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stdout, done.stderr) == (7, bytes(range(256)) * 3, b"\x1b[31mred\x00")
    assert rig3.clarion("run", "node1", "-S", "--shell", "kill -9 $$").returncode == 137
    assert rig3.clarion("run", "node1", "-S", "--", "/no/such/program").returncode == 255
    tasks = len(rig3.json("GET", "/tasks")["items"])
    for option in ("--raw", "--exit-code"):
        refused = rig3.clarion("run", "all", option, "--", "true")
        assert refused.returncode == 64 and "is for one host, and these are 3" in refused.stderr
    assert len(rig3.json("GET", "/tasks")["items"]) == tasks, "nothing has run"


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        (">&-", 74, "standard output cannot be written: it is closed"),
        (">/dev/full", 74, "standard output cannot be written: No space left on device"),
        (">&- 2>&-", 74, None),
        (">/dev/full 2>&-", 74, None),
        ("2>&-", 0, None),
        ("2>/dev/full", 0, None),
        ("<&-", 0, None),
        ("<&- >&- 2>&-", 74, None),
        ("--stream >&-", 74, "standard output cannot be written: it is closed"),
        ("--json >/dev/full", 74, "No space left on device"),
        ("--raw >&-", 74, "standard output cannot be written: it is closed"),
        ("-q >/dev/full", 74, "No space left on device"),
    ],
)
def test_a_lost_output_is_reported_with_the_task_and_suggests_no_repeat(
    rig: Rig, how: str, code: int, said: str | None
) -> None:
    rig.start_agents("node1")
    options = " ".join(word for word in how.split() if word.startswith("-"))
    streams = " ".join(word for word in how.split() if not word.startswith("-"))
    done = subprocess.run(
        ["sh", "-c", f"'{BIN / 'clarion'}' run node1 {options} --shell 'echo hi' {streams}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=rig.cli_env(),
    )
    task_id = rig.json("GET", "/tasks")["items"][0]["task_id"]
    assert rig.wait_final(task_id)["status"] == "completed"
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr + done.stdout and "internal error" not in done.stderr + done.stdout
    if said is not None:
        sentence = done.stderr.splitlines()[-1]
        assert said in sentence and task_id in sentence
    elif "2>&-" not in how:
        assert done.stdout == "node1: completed, exit code 0\n  hi\n"


def test_a_closed_pipe_ends_the_cli_which_names_the_task(rig: Rig) -> None:
    rig.start_agents("node1")
    done = subprocess.run(
        [
            "bash",
            "-c",
            (
                f"'{BIN / 'clarion'}' run node1 --stream --shell 'yes | head -n 200000' | head -n 1; exit "
                f"${{PIPESTATUS[0]}}"
            ),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=rig.cli_env(),
    )
    task_id = rig.json("GET", "/tasks")["items"][0]["task_id"]
    assert (done.returncode, done.stdout) == (141, "node1: y\n")
    assert task_id in done.stderr.splitlines()[-1]
    listed = subprocess.run(
        ["bash", "-c", f"'{BIN / 'clarion'}' tasks list --no-headers | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=rig.cli_env(),
    )
    assert listed.returncode in (0, 141) and listed.stderr == ""


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"TERM": "dumb", "COLUMNS": "10"},
    ],
)
def test_a_narrow_terminal_or_encoding_loses_no_result(rig: Rig, env: dict[str, str]) -> None:
    rig.start_agents("node1")
    done = subprocess.run(
        [str(BIN / "clarion"), "run", "node1", "--", "echo", "漢字 → é"],
        capture_output=True,
        timeout=60,
        env={**rig.cli_env(), **env},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    encoding = env.get("PYTHONIOENCODING", "ascii" if "LANG" in env else "utf-8")
    text = done.stdout.decode(encoding)
    assert text.startswith("node1: completed, exit code 0\n  ")
    assert ("漢字" if encoding == "utf-8" else "\\u6f22\\u5b57") in text
    assert "Traceback" not in done.stderr.decode(encoding)
