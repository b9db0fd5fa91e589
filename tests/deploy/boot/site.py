"""An installed Clarion on a booted machine, and commands that run while something is done to it."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.boot.machine import Machine

REPOSITORY = "/srv/clarion"
SOURCES = f"deb [signed-by=/etc/apt/keyrings/clarion.asc] file:{REPOSITORY} stable main\n"
CLI = "clarion --token-file /var/lib/clarion/admin.token"
EXIT_CODE = 7
"""Exit code of every command. It is not 0, because a program that lost the real one might report 0."""
numbers = itertools.count(1)


@dataclass(frozen=True)
class Offer:
    """A signed repository.

    Attributes:
        first: The repository as it was before the later release.
        folder: The repository with both versions.
        this: Version of the packages as they were built.
        newer: Version of the same packages as a later release.
        portable: Whether they contain their own interpreter.
        dist: Folder of the packages as they were built.
    """

    first: Path
    folder: Path
    this: str
    newer: str
    portable: bool
    dist: Path


@dataclass(frozen=True)
class Command:
    """A command on a host that runs until it is released.

    Attributes:
        machine: The machine on which it runs.
        task: Id of its task.
        name: Name of its files.
    """

    machine: Machine
    task: str
    name: str

    def release(self) -> None:
        """Let it end."""
        self.machine.write(f"{self.name}.go", "")


def offer_to(machine: Machine, offer: Offer) -> None:
    """Make the repository the machine's only one."""
    machine.run("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; mkdir -p /etc/apt/keyrings")
    shutil.copytree(offer.folder, machine.root / REPOSITORY.lstrip("/"))
    machine.run(f"cp {REPOSITORY}/clarion.asc /etc/apt/keyrings/")
    machine.write("etc/apt/sources.list.d/clarion.list", SOURCES)
    machine.run("apt-get -q update")


def join(server: Machine, host: Machine) -> None:
    """Let a machine join the server and start its agent."""
    ask_to_join(server, host, "clarion-agent", "")
    host.run("systemctl start clarion-agent")


def ask_to_join(server: Machine, host: Machine, program: str, options: str) -> None:
    """Create a join token on the server and use it on a host."""
    token = server.run(f"{CLI} join-token create")
    pin = server.run("cat /var/lib/clarion/ca.pin").strip()
    host.run(f"{program} join --server 127.0.0.1 --token-file - --ca-pin {pin} {options}", stdin=token)


class Site:
    """A server and the command line on one machine; agents there or on other machines."""

    def __init__(self, machine: Machine, offer: Offer) -> None:
        self.machine, self.offer = machine, offer

    def cli(self, words: str) -> str:
        """Run the program clarion as the administrator."""
        return self.machine.run(f"{CLI} {words}")

    def online(self, host: str) -> None:
        """Wait until a host is online."""
        self.machine.wait_until(f"{CLI} run -q --raw {host} -- true")

    def start(self, machine: Machine) -> Command:
        """Start a command on a machine and wait until it runs."""
        name = f"/var/tmp/command-{next(numbers)}"
        text = f"echo $$ >> {name}.started; until test -e {name}.go; do sleep 0.05; done; echo {name}; exit {EXIT_CODE}"
        task = self.cli(f"run --detach -t 600 {machine.hostname} --shell {shlex.quote(text)}").split()[-1]
        machine.wait_until(f"test -s {name}.started")
        return Command(machine, task, name)

    def check(self, command: Command) -> None:
        """Require that a command has ended with its own result, and was started once."""
        self.machine.attempt(f"{CLI} wait -q -t 60 {command.task}")
        row = json.loads(self.cli(f"tasks hosts --jsonl {command.task}"))
        assert (row["status"], row["exit_code"]) == ("failed", EXIT_CODE), row
        assert self.cli(f"tasks output {command.task} {command.machine.hostname}").strip() == command.name
        assert len(command.machine.run(f"cat {command.name}.started").split()) == 1

    def version(self, package: str) -> str:
        """Version of an installed package."""
        return self.machine.run(f"dpkg-query --show --showformat='${{Version}}' {package}")
