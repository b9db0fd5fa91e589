"""Programs that were installed without an extra name it and the command that installs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from proto.common.missing_package import EXTRAS, missing_package

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(',')))\nfrom {module} import main\nmain()"


def normal(name: str) -> str:
    """The normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(extra: str) -> set[str]:
    """The distributions that an extra installs, extras of our own resolved, as their names are written in metadata."""
    found = set()
    for text in PROJECT["optional-dependencies"][extra]:
        ours = re.fullmatch(r"clarion\[(.+)\]", text)
        if ours is None:
            found.add(normal(re.split(r"[\[<>=]", text)[0]))
        else:
            found |= {name for inner in ours[1].split(",") for name in packages(inner)}
    return found


def run(module: str, missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter in which these modules are not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module), missing, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_package_of_an_extra_is_known_with_its_extra() -> None:
    modules = {
        module: normal(name) for module, names in packages_distributions().items() for name in names if module[0] != "_"
    }
    for extra in ("cli", "server"):
        wanted = {module for module, name in modules.items() if name in packages(extra)}
        for module in wanted:
            assert EXTRAS[module] in (extra, "cli"), module
        assert wanted >= {module for module, one in EXTRAS.items() if one == extra}


def test_the_servers_extra_brings_the_command_line() -> None:
    assert packages("server") > packages("cli")


@pytest.mark.parametrize("name", ["httpx", "structlog", "google.protobuf", "quart.wrappers"])
def test_a_package_of_an_extra_is_explained(name: str) -> None:
    found = missing_package(ModuleNotFoundError(f"No module named {name!r}", name=name))
    assert found is not None
    message, remedy = found
    assert f"'{name.partition('.')[0]}'" in message and "pip install 'clarion[" in remedy


@pytest.mark.parametrize("name", [None, "server.nowhere", "trio", "httpx_of_another_kind"])
def test_another_module_is_a_fault_of_the_program(name: str | None) -> None:
    assert missing_package(ModuleNotFoundError("No module", name=name)) is None


@pytest.mark.parametrize(
    ("module", "missing", "extra", "code", "arguments"),
    [
        ("server.cli.main", "httpx,rich,yaml", "cli", 70, ("hosts", "list")),
        ("server.cli.main", "httpx", "cli", 70, ("tasks", "list")),
        ("server.admin.entry", "structlog,quart,hypercorn", "server", 78, ("restore", "--data", "DATA")),
        ("server.admin.entry", "quart_trio", "server", 78, ("run", "--init", "--data", "DATA")),
        ("server.admin.entry", "trio_mysql", "server", 78, ("run", "--init", "--data", "DATA")),
    ],
)
def test_the_programs_name_the_extra(
    tmp_path: Path, module: str, missing: str, extra: str, code: int, arguments: tuple[str, ...]
) -> None:
    done = run(module, missing, *(str(tmp_path) if word == "DATA" else word for word in arguments))
    assert done.returncode == code, done.stderr
    assert f"belongs to the extra '{extra}'" in done.stderr and f"pip install 'clarion[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr


@pytest.mark.parametrize("module", ["server.cli.main", "agent.main"])
def test_help_needs_no_extra(module: str) -> None:
    done = run(module, ",".join(EXTRAS), "--help")
    assert done.returncode == 0 and "Commands" in done.stdout, done.stderr


def test_the_agent_needs_no_extra(tmp_path: Path) -> None:
    done = run("agent.main", ",".join(EXTRAS), "run", "--state", str(tmp_path / "state"))
    assert done.returncode == 77 and "has not joined" in done.stderr
