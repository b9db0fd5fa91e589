"""Scripts and users."""

from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run commands as another user")


async def test_a_script_is_run_by_what_its_first_line_names(shims: Any) -> None:
    ended = await shims.run(script="#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\n", args=["a b", "c"])
    assert ended.stdout == b"['a b', 'c']\n"


async def test_the_first_line_gives_at_most_one_argument_as_the_kernel_does(shims: Any) -> None:
    ended = await shims.run(script="#! /bin/echo one two  \n")
    assert ended.stdout.decode().startswith("one two /")


async def test_a_script_without_a_first_line_of_that_kind_is_run_by_sh(shims: Any) -> None:
    assert (await shims.run(script='echo "$1" $#', args=["a b"])).stdout == b"a b 1\n"


async def test_an_interpreter_with_options_is_split_as_a_shell_would(shims: Any) -> None:
    ended = await shims.run(script="import sys; print(sys.argv[1:], sys._xoptions)", interpreter="python3 -u -X 'a b=c'", args=["x"])
    assert ended.stdout == b"['x'] {'a b': 'c'}\n"


async def test_a_script_is_nobody_elses_to_read(shims: Any) -> None:
    assert (await shims.run(script="#!/bin/sh\nstat -c %a $0\n")).stdout == b"700\n"


async def test_naming_the_own_user_changes_nothing(shims: Any) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert (await shims.run(argv=["id", "-un"], run_as=name)).stdout.decode().strip() == name


@needs_root
async def test_run_as_takes_user_groups_and_home_of_the_other(shims: Any) -> None:
    ended = await shims.run(command="id -u; id -g; id -G; echo $HOME $USER; grep -c . /etc/shadow", run_as="nobody")
    entry = pwd.getpwnam("nobody")
    groups = " ".join(map(str, os.getgrouplist("nobody", entry.pw_gid)))
    assert ended.stdout.decode() == f"{entry.pw_uid}\n{entry.pw_gid}\n{groups}\n{entry.pw_dir} nobody\n"
    assert b"Permission denied" in ended.stderr


@needs_root
async def test_another_user_gets_script_and_stdin_out_of_a_directory_closed_to_him(shims: Any) -> None:
    ended = await shims.run(script="#!/bin/sh\nid -un; cat; ls $P_dir", stdin=b"input\n", run_as="nobody", parameters={"dir": str(shims.root)})
    assert ended.stdout == b"nobody\ninput\n"
    assert b"Permission denied" in ended.stderr
    assert (await shims.run(script="import os; print(os.getuid() != 0)", interpreter="python3", run_as="nobody")).stdout == b"True\n"


@needs_root
async def test_a_place_or_program_closed_to_the_other_user_is_named(shims: Any) -> None:
    assert (await shims.run(argv=["true"], run_as="nobody", cwd="/root")).exit.error_message == "cwd: '/root': Permission denied"
    private = shims.root / "private"
    private.mkdir(mode=0o700)
    (private / "tool").symlink_to("/bin/true")
    ended = await shims.run(argv=[str(private / "tool")], run_as="nobody")
    assert ended.exit.error_message == f"program: {private / 'tool'} is not executable for this user"


@needs_root
async def test_another_users_processes_are_ended_too(shims: Any) -> None:
    final = (await shims.run(command=f"{shims.sleep} & {shims.sleep}", run_as="nobody", timeout_ms=200)).exit
    assert (final.outcome, final.kill.tree_empty) == ("timeout", True)
