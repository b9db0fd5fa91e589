"""The content of the packages: the programs, their parts of the source tree, and where they are installed.

Each program has its own folder with its libraries, so that its import names (`server`, `agent`, `proto`) never meet
those of other software. All programs share one interpreter, the package clarion-runtime.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
UNITS = ROOT / "deploy" / "systemd"
PREFIX = Path("/usr/lib/clarion")
PYTHON = PREFIX / "runtime" / "bin" / "python3"
MAINTAINER = "Clarion maintainers <maintainers@clarion.example>"
HOMEPAGE = "https://clarion.example"
LICENCE = "Apache-2.0"
RELEASE = "1"
"""Revision of the packages of one version."""
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name → that of the kernel, of rpm and of wheels."""
AGENT_UNITS = "split"
"""Folder of deploy/systemd whose agent units the packages install: `split` or `one-tree`."""


@dataclass(frozen=True)
class Program:
    """A program and its package.

    Attributes:
        package: Name of its package.
        command: Its command in /usr/bin.
        folder: Its folder in PREFIX.
        entry: Module and function that run it.
        group: Module and object of its click command, for the manual page and the completions.
        keep: Folders and modules of the source tree that it needs.
        extras: Extras of pyproject.toml whose requirements it needs in addition to `needs`.
        needs: Names of requirements of pyproject.toml; None for all of its `dependencies`.
        compiled: Whether it uses the compiled modules of _speedups.
    """

    package: str
    command: str
    folder: str
    entry: str
    group: str
    keep: tuple[str, ...]
    extras: tuple[str, ...] = ()
    needs: tuple[str, ...] | None = None
    compiled: bool = False

    @property
    def home(self) -> Path:
        """Where its modules are installed."""
        return PREFIX / self.folder


AGENT = Program(
    package="clarion-agent",
    command="clarion-agent",
    folder="agent",
    entry="agent.main:main",
    group="agent.main:cli",
    keep=("agent", "proto"),
)
SERVER = Program(
    package="clarion-server",
    command="clarion-server",
    folder="server",
    entry="server.admin.entry:main",
    group="server.admin.main:cli",
    keep=("server", "proto", "_speedups"),
    extras=("server", "cluster"),
    compiled=True,
)
CLI = Program(
    package="clarion",
    command="clarion",
    folder="cli",
    entry="server.cli.main:main",
    group="server.cli.main:cli",
    keep=("server/__init__.py", "server/cli", "server/errors", "server/core", "proto", "_speedups"),
    extras=("cli",),
    needs=("click", "orjson", "msgspec"),
)
PROGRAMS = (AGENT, SERVER, CLI)
RUNTIME_PACKAGE = "clarion-runtime"
PACKAGES = (RUNTIME_PACKAGE, *(program.package for program in PROGRAMS))

NAME = re.compile(r"[A-Za-z0-9._-]+")


def project() -> dict[str, object]:
    """Return the table [project] of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def version() -> str:
    """Return the version of the source tree."""
    return str(project()["version"])


def requirements(program: Program) -> list[str]:
    """Return the requirements of a program as pyproject.toml states them, so that versions are said in one place."""
    table = project()
    base = _strings(table["dependencies"])
    extras = table["optional-dependencies"]
    assert isinstance(extras, dict)
    if program.needs is not None:
        named = {_name(line): line for line in base}
        base = [named[name] for name in program.needs]
    wanted = base + [line for extra in program.extras for line in _strings(extras[extra])]
    # An extra may name another extra of Clarion. pip must never look the name up: the program is a package of its own,
    # and an index may hold a foreign project of the same name.
    return [line for line in wanted if _name(line) != table["name"]]


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found is not None
    return found.group()
