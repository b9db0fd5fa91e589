"""Scripts and users."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.shim import records, script
from agent.shim.client import wait_shim
from agent.shim.system.tree import sweep
from agent.storage.spool import Spool as Store

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run commands as another user")


async def test_a_script_is_run_by_the_interpreter_in_its_first_line(shims: Any) -> None:
    ended = await shims.run(script="#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\n", args=["a b", "c"])
    assert ended.stdout == b"['a b', 'c']\n"


async def test_the_first_line_gives_at_most_one_argument_as_the_kernel_does(shims: Any) -> None:
    ended = await shims.run(script="#! /bin/echo one two  \n")
    assert ended.stdout.decode().startswith("one two /")


async def test_a_script_without_an_interpreter_line_is_run_by_sh(shims: Any) -> None:
    assert (await shims.run(script='echo "$1" $#', args=["a b"])).stdout == b"a b 1\n"


async def test_an_interpreter_with_options_is_split_as_a_shell_would(shims: Any) -> None:
    ended = await shims.run(
        script="import sys; print(sys.argv[1:], sys._xoptions)", interpreter="python3 -u -X 'a b=c'", args=["x"]
    )
    assert ended.stdout == b"['x'] {'a b': 'c'}\n"


async def test_a_script_is_not_readable_by_other_users(shims: Any) -> None:
    assert (await shims.run(script="#!/bin/sh\nstat -c %a $0\n")).stdout == b"700\n"


async def test_run_as_the_own_user_changes_nothing(shims: Any) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert (await shims.run(argv=["id", "-un"], run_as=name)).stdout.decode().strip() == name


@needs_root
async def test_run_as_sets_user_groups_and_home(shims: Any) -> None:
    ended = await shims.run(command="id -u; id -g; id -G; echo $HOME $USER; grep -c . /etc/shadow", run_as="nobody")
    entry = pwd.getpwnam("nobody")
    groups = " ".join(map(str, os.getgrouplist("nobody", entry.pw_gid)))
    assert ended.stdout.decode() == f"{entry.pw_uid}\n{entry.pw_gid}\n{groups}\n{entry.pw_dir} nobody\n"
    assert b"Permission denied" in ended.stderr


@needs_root
async def test_another_user_can_read_script_and_stdin_from_a_closed_directory(shims: Any) -> None:
    ended = await shims.run(
        script="#!/bin/sh\nid -un; cat; ls $P_dir",
        stdin=b"input\n",
        run_as="nobody",
        parameters={"dir": str(shims.root)},
    )
    assert ended.stdout == b"nobody\ninput\n"
    assert b"Permission denied" in ended.stderr
    assert (
        await shims.run(script="import os; print(os.getuid() != 0)", interpreter="python3", run_as="nobody")
    ).stdout == b"True\n"


@needs_root
async def test_a_directory_or_program_closed_to_the_user_is_named(shims: Any) -> None:
    assert (
        await shims.run(argv=["true"], run_as="nobody", cwd="/root")
    ).exit.error_message == "cwd: '/root': Permission denied"
    private = shims.root / "private"
    private.mkdir(mode=0o700)
    (private / "tool").symlink_to("/bin/true")
    ended = await shims.run(argv=[str(private / "tool")], run_as="nobody")
    assert ended.exit.error_message == f"program: {private / 'tool'} is not executable for this user"


@needs_root
async def test_processes_of_another_user_are_ended(shims: Any) -> None:
    final = (await shims.run(command=f"{shims.sleep} & {shims.sleep}", run_as="nobody", timeout_ms=200)).exit
    assert (final.outcome, final.kill.tree_empty) == ("timeout", True)


OTHERS = [
    pytest.param(
        (
            "#!/usr/bin/env python3\nimport os, sys\nprint(os.path.realpath(__file__) == __file__, sys.path[0] == "
            "os.path.dirname(__file__), open(__file__).readline())\n"
        ),
        "True True #!/usr/bin/env python3\n",
        id="python",
    ),
    pytest.param(
        '#!/bin/bash\n[ "$(readlink -f "$0")" = "$0" ] && ls "$(dirname "$0")" && head -n 1 "$BASH_SOURCE"\n',
        "script\n#!/bin/bash\n",
        id="bash",
    ),
    pytest.param(
        (
            "#!/usr/bin/env perl\nuse FindBin; use Cwd 'abs_path';\nprint abs_path($0) eq $0 ? 'same' : \"$0\", ' "
            "', -r \"$FindBin::Bin/script\" ? 'found' : 'not', \"\\n\";\n"
        ),
        "same found\n",
        id="perl",
    ),
    pytest.param(
        '#!/bin/sh\ncase $1 in again) echo again as $(id -un) "$2";; *) exec "$0" again \'a b\';; esac\n',
        "again as nobody a b\n",
        id="exec itself",
    ),
    pytest.param(
        '#!/bin/sh\ncd "$(dirname "$0")" && touch beside && ls\n', "beside\nscript\n", id="writes beside itself"
    ),
    pytest.param('#!/bin/sh\nstat -c \'%a %U\' "$0" "$(dirname "$0")"\n', "700 nobody\n700 nobody\n", id="private"),
]


@needs_root
@pytest.mark.parametrize(("text", "printed"), OTHERS)
async def test_a_script_of_another_user_is_found_by_its_real_path(shims: Any, text: str, printed: str) -> None:
    ended = await shims.run(script=text, run_as="nobody")
    assert (ended.stdout.decode().rstrip("\n"), ended.stderr) == (printed.rstrip("\n"), b"")
    assert not places()


def places() -> list[Path]:
    return [path for base in ("/var/tmp", "/tmp", "/run", "/dev/shm") for path in Path(base).glob(f"{script.PREFIX}*")]


@needs_root
async def test_an_interpreter_that_resolves_the_path_finds_the_script(shims: Any) -> None:
    """Like node, which opens the real path of its argument."""
    program = "import os, sys; exec(open(os.path.realpath(sys.argv[1])).read())"
    ended = await shims.run(
        script="import os; print('ran as', os.getuid() != 0)", interpreter=f'python3 -c "{program}"', run_as="nobody"
    )
    assert (ended.stdout, ended.stderr) == (b"ran as True\n", b"")


@needs_root
async def test_file_modes_are_correct_under_a_restrictive_umask(shims: Any) -> None:
    before = os.umask(0o077)
    try:
        await shims.forks.aclose()
        await shims.forks.start()
    finally:
        os.umask(before)
    ended = await shims.run(
        script="#!/usr/bin/env python3\nimport os\nprint(open(__file__).readline()[:2], oct(os.umask(0)))\n",
        run_as="nobody",
    )
    assert (ended.stdout, ended.stderr) == (b"#! 0o22\n", b"")


@needs_root
async def test_a_copied_script_is_private_and_removed_after_a_killed_shim(shims: Any, wait_until: Any) -> None:
    directory, ref = await shims.start(script=f"#!/bin/sh\n{shims.sleep}\n", run_as="nobody")
    await wait_until(lambda: records.read_started(directory), "it runs")
    (place,) = places()
    assert (place.stat().st_mode & 0o777, place.stat().st_uid) == (0o711, 0)
    assert ((place / "run").stat().st_mode & 0o777, (place / "run").stat().st_uid) == (
        0o700,
        pwd.getpwnam("nobody").pw_uid,
    )
    os.kill(ref.pid, signal.SIGKILL)
    await wait_shim(ref)
    sweep(directory)
    command_id, _, attempt = directory.name.rpartition(".")
    assert places() == [place]
    Store(shims.root).remove((command_id, int(attempt)))
    assert not places() and not directory.exists()


@needs_root
def test_a_script_is_copied_to_a_directory_where_its_user_can_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "state" / "commands" / "x.1"
    directory.mkdir(parents=True)
    noexec = {"/var/tmp": True, "/tmp": False}
    monkeypatch.setattr(script, "_noexec", lambda path: noexec.get(str(path), False))
    monkeypatch.setattr(script, "_open_to_all", lambda path: str(path) in ("/var/tmp", "/tmp"))
    nobody = pwd.getpwnam("nobody")
    first = script.write(directory, "true", nobody)
    assert first.parts[:2] == ("/", "tmp")
    script.remove(directory)
    noexec["/tmp"] = True
    assert script.write(directory, "true", nobody).is_relative_to("/var/tmp"), "it runs there too, only not by itself"
    script.remove(directory)
    monkeypatch.setattr(script, "_open_to_all", lambda path: False)
    with pytest.raises(OSError, match="the user can reach no directory"):
        script.write(directory, "true", nobody)
    assert not places() and not (directory / script.PLACE).exists()


@needs_root
def test_a_script_runs_as_another_user_from_a_state_directory_closed_to_him(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(f"/srv/clarion-test-{os.getpid()}")
    directory = base / "agent" / "commands" / "x.1"
    directory.mkdir(parents=True)
    try:
        path = script.write(directory, "true", pwd.getpwnam("nobody"))
        assert path.parents[2] == base / "agent-scripts" and path.parents[2].stat().st_mode & 0o777 == 0o711
        script.remove(directory)
        assert list((base / "agent-scripts").iterdir()) == []
        base.chmod(0o777)
        assert script._scripts_directory(base / "other") is None, "others could put something there first"
    finally:
        shutil.rmtree(base)


@pytest.fixture
def noexec(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "noexec"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "clarion-test", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)
    disk.rmdir()


@needs_root
async def test_a_script_can_run_itself_from_a_state_directory_mounted_noexec(shims: Any, noexec: Path) -> None:
    shims.root, before = noexec, shims.root
    ended = await shims.run(script='#!/bin/sh\n[ "$1" ] && echo again || exec "$0" again\n')
    shims.root = before
    assert (ended.stdout, ended.stderr) == (b"again\n", b"")
