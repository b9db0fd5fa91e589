"""Every shell block of the README, the tutorial and the guides runs on a real server and agents, and a console block
shows what its commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.house.blocks import PAGES, Block, Step, blocks, comparable, machine, steps
from tests.system.rig import Rig

DONE = "clarion-block-done"
HOSTS = {"docs/reference/api.md": ("web01", "db01"), "docs/guide/selectors.md": ("web01", "web02", "db01")}
"""The hosts that a page speaks of. Other pages have one host, `vm`, as `make run` starts it."""
LOOP = f"""
set -o pipefail; shopt -s expand_aliases; exec 2>&1
while IFS= read -r -d '' -u "$1" command; do
    eval "$command" </dev/null
    printf '\\n{DONE} %d\\n' $?
done
"""
"""Aliases as on a terminal, one stream for output and errors. Commands do not come from the
standard input, which `clarion run` would see."""
RUN = [page for page in PAGES if any(not block.why_not for block in blocks(page))]


class Shell:
    """One bash that runs the commands of a page one after the other, in the folder of a rig."""

    def __init__(self, rig: Rig, environment: dict[str, str]) -> None:
        self._rig = rig
        reader, self._commands = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", LOOP, "bash", str(reader)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            cwd=rig.folder,
            env=environment,
            pass_fds=[reader],
            start_new_session=True,
        )
        os.close(reader)

    def run(self, command: str) -> tuple[list[str], int]:
        """Returns the lines that the command printed, and its exit code."""
        assert self._bash.stdout is not None
        os.write(self._commands, self._here(command).encode() + b"\0")
        printed: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(DONE):
                return printed, int(line.split()[1])
            printed.append(line.rstrip("\n"))
        raise AssertionError(f"the shell has ended after {command!r}: {printed}")

    def end(self) -> None:
        self._bash.kill()
        self._bash.communicate()
        os.close(self._commands)

    def _here(self, command: str) -> str:
        """The command with the ports of this rig instead of the defaults."""
        command = re.sub(r"(agent join --server 127\.0\.0\.1)(?!:)", rf"\1:{self._rig.enrol_port}", command)
        return command.replace("127.0.0.1:8440", f"127.0.0.1:{self._rig.http_port}")


@contextmanager
def shell_of(rig: Rig) -> Iterator[Shell]:
    (rig.folder / ".venv").symlink_to(Path(sys.prefix))
    environment = {name: value for name, value in rig.cli_env().items() if not name.startswith("PYTEST_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "LC_ALL": "C.UTF-8"}
    shell = Shell(rig, environment)
    try:
        yield shell
    finally:
        shell.end()


def check(shell: Shell, block: Block, step: Step) -> None:
    printed, code = shell.run(step.command)
    where = f"{block.page}:{block.line}: {step.command}\n" + "\n".join(printed)
    if block.language == "console":
        words = machine()
        assert comparable(printed, words) == comparable(step.shown, words), where
    else:
        assert code == 0, where


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_run_and_print_the_shown_output(make_rig: Callable[..., Rig], page: str) -> None:
    rig = make_rig()
    rig.start_server()
    hosts = HOSTS.get(page, ("vm",))
    rig.start_agents(*hosts)
    connected = len(hosts)
    with shell_of(rig) as shell:
        for block in blocks(page):
            for step in steps(block) if not block.why_not else ():
                check(shell, block, step)
                if "clarion-agent run" in step.command:
                    connected += 1
                    rig.wait_connected(connected)


def test_a_block_without_a_test_names_the_reason() -> None:
    silent = [
        f"{page}:{block.line}" for page in PAGES for block in blocks(page) if block.why_not == "" and page not in RUN
    ]
    assert silent == []
    assert {"README.md", "docs/tutorial/first-ten-minutes.md"} <= set(RUN)


def test_a_wrong_console_block_is_detected() -> None:
    words = machine()
    assert comparable(["running: 0 of 1 host ended", "vm: completed, exit code 0"], words) == [
        "vm: completed, exit code 0"
    ]
    assert comparable(["vm: failed, exit code 3"], words) != comparable(["vm: failed, exit code 4"], words)
    assert comparable(["task 01a22721-eb6f-7475-a522-f6b2c726f100 completed"], words) == ["task ID completed"]
