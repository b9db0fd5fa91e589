"""The command starts quickly: nothing is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "rich",
    "httpx",
    "quart",
    "structlog",
    "trio_mysql",
    "trio",
    "asyncio",
    "msgspec",
    "betterproto",
    "grpclib",
    "server.settings.schema",
)


def loaded_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(out.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["tasks", "--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"from server.cli.main import cli\ntry: cli.main({arguments!r})\nexcept SystemExit: pass"
    assert not loaded_by(code) & set(HEAVY)


def test_no_verb_imports_the_server() -> None:
    code = (
        "from server.cli.client import api; from server.cli.follow import task as follow; from server.cli.render "
        "import report; from server.cli.commands import run; from server.cli.render import progress as meter\nfrom "
        "server.cli.main import cli, tasks, hosts\n"
    )
    code += "[group.get_command(None, name) for group in (cli, tasks, hosts) for name in group.list_commands(None)]"
    assert not loaded_by(code) & {
        "quart",
        "structlog",
        "trio_mysql",
        "hypercorn",
        "grpclib",
        "betterproto",
        "server.settings.schema",
        "server.web",
    }


def test_rich_is_imported_only_on_a_terminal() -> None:
    code = (
        "from server.cli.main import cli\ntry: cli.main(['stats', '--server', 'http://127.0.0.1:1', "
        "'--token-file', '/dev/stdin'])\nexcept SystemExit: pass"
    )
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        input="cl_x",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no server answers" in out.stderr
    assert {"httpx"} <= set(out.stdout.split())
    assert not {"rich", "pygments"} & set(out.stdout.split())


def test_every_verb_can_be_imported_and_has_its_own_help() -> None:
    from server.cli.main import cli, hosts, tasks

    for group in (cli, tasks, hosts):
        for name in group.list_commands(None):  # type: ignore[arg-type]
            command = group.get_command(None, name)  # type: ignore[arg-type]
            assert command is not None
            assert command.name == name
            assert command.help
