"""A program that cannot be started: the report names the cause, and nothing is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.shim import records


def failure(ended: Any) -> str:
    final = ended.exit
    assert (final.outcome, final.error_code, final.exit_code, final.signal, final.kill) == (
        "failed",
        "spawn_failed",
        None,
        None,
        None,
    )
    assert records.read_started(ended.directory) is None
    assert (ended.stdout, ended.stderr) == (b"", b"")
    return str(final.error_message)


@pytest.mark.capability("H5")
async def test_a_missing_program_is_named(shims: Any) -> None:
    assert failure(await shims.run(argv=["no-such-program"])).startswith(
        "program: there is no 'no-such-program' in PATH (/usr/local/sbin"
    )
    assert failure(await shims.run(argv=["/no/such"])) == "program: there is no '/no/such'"


async def test_the_program_is_searched_in_the_commands_own_path(shims: Any) -> None:
    assert (
        failure(await shims.run(argv=["ls"], env={"PATH": "/nowhere"}))
        == "program: there is no 'ls' in PATH (/nowhere)"
    )


async def test_a_file_that_is_not_executable_is_named(shims: Any, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = tmp_path / "plain" / "file"
    file.write_text("#!/bin/sh\n")
    assert failure(await shims.run(argv=[str(file)])) == f"program: {file} is not executable for this user"
    assert "is not executable" in failure(await shims.run(argv=["file"], env={"PATH": str(file.parent)}))


async def test_a_file_that_is_not_a_program_is_named(shims: Any, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = tmp_path / "plain" / "file"
    file.write_text("just text\n")
    file.chmod(0o755)
    assert failure(await shims.run(argv=[str(file)])) == f"program: {file}: Exec format error"


async def test_a_program_with_a_missing_interpreter_is_explained(shims: Any, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = tmp_path / "plain" / "file"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    text = failure(await shims.run(argv=[str(file)]))
    assert text.startswith(f"interpreter: {file} exists, but the program named in its first line")


@pytest.mark.parametrize("interpreter", ["no-such-interpreter -u", "/no/such"])
async def test_a_missing_interpreter_is_named(shims: Any, interpreter: str) -> None:
    text = failure(await shims.run(script="x", interpreter=interpreter))
    assert text.startswith(f"interpreter: there is no {interpreter.split()[0]!r}")
    assert failure(await shims.run(script=f"#!/no/such {interpreter}\n")) == "interpreter: there is no '/no/such'"


@pytest.mark.parametrize("interpreter", ["", "'unbalanced"])
async def test_an_unreadable_interpreter_is_named(shims: Any, interpreter: str) -> None:
    assert failure(await shims.run(script="x", interpreter=interpreter)).startswith("interpreter: ")


async def test_a_missing_cwd_is_named(shims: Any) -> None:
    assert (
        failure(await shims.run(argv=["true"], cwd="/no/such/place"))
        == "cwd: '/no/such/place': No such file or directory"
    )


async def test_an_unknown_user_is_named(shims: Any) -> None:
    assert (
        failure(await shims.run(argv=["true"], run_as="nobody-knows"))
        == "run_as: there is no user 'nobody-knows' on this host"
    )


async def test_a_missing_stdin_file_is_named(shims: Any) -> None:
    assert failure(await shims.run(argv=["true"], stdin_file="stdin")).startswith("stdin_file: ")


@pytest.mark.parametrize(
    ("spec", "thing"), [({"env": {"A=B": "1"}}, "env"), ({"parameters": {"a": "x\0y"}}, "parameters")]
)
async def test_an_invalid_environment_variable_is_named(shims: Any, spec: dict[str, Any], thing: str) -> None:
    assert failure(await shims.run(argv=["true"], **spec)).startswith(f"{thing}: ")


async def test_arguments_that_the_kernel_refuses_are_reported(shims: Any) -> None:
    assert failure(await shims.run(argv=["true", "x" * 3_000_000])) == "program: /usr/bin/true: Argument list too long"
    assert failure(await shims.run(argv=["true", "a\0b"])) == "program: an argument contains a NUL character"


async def test_a_failed_start_leaves_no_reserve_file(shims: Any) -> None:
    ended = await shims.run(argv=["no-such-program"])
    assert {name for name in os.listdir(ended.directory) if name.endswith(".json")} == {
        "claim.json",
        "spec.json",
        "exit.json",
    }
