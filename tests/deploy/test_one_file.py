"""The agent in one file: unpacks itself once, refuses what is damaged or foreign, and keeps the folders of others."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from deploy.packages import one_file
from deploy.packages.layout import AGENT, ARCHITECTURES, PREFIX
from deploy.packages.runtime import native


def make(tmp_path: Path, version: str = "1.2.3", says: str = "ran", arch: str | None = None) -> Path:
    """Build the file from a stand-in for the interpreter that prints its arguments."""
    runtime, agent = tmp_path / f"runtime-{version}-{says}", tmp_path / f"agent-{version}-{says}"
    program = runtime / (PREFIX / "runtime").relative_to("/") / "bin" / "python3"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "{says} $*"\n')
    program.chmod(0o755)
    home = agent / AGENT.home.relative_to("/")
    home.mkdir(parents=True)
    (home / "__main__.py").write_text("# the agent\n")
    return one_file.build(runtime, agent, version, arch or native(), tmp_path / "out")


def start(file: Path, root: Path | str, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "CLARION_AGENT_ROOT": str(root)}
    return subprocess.run([str(file), *words], capture_output=True, text=True, env=environment, check=False)


def test_it_unpacks_once_and_passes_its_arguments_on(tmp_path: Path) -> None:
    file, root = make(tmp_path), tmp_path / "root"
    first = start(file, root, "run", "--label", "a b=c")
    assert first.returncode == 0, first.stderr
    (folder,) = root.iterdir()
    assert folder.name.startswith("1.2.3-")
    assert first.stdout == f"ran -I -S -X utf8 {folder}/agent run --label a b=c\n"
    assert folder.stat().st_mode & 0o777 == 0o755
    before = (folder / ".complete").stat()
    assert start(file, root, "status").stdout.endswith("/agent status\n")
    assert (folder / ".complete").stat().st_ino == before.st_ino


def test_another_version_gets_its_own_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for version, says in (("1.2.3", "old"), ("1.2.4", "new"), ("1.2.4", "rebuilt")):
        assert start(make(tmp_path, version, says), root).stdout.startswith(says)
    assert len(list(root.iterdir())) == 3


@pytest.mark.parametrize("cut", ["end", "middle"])
def test_a_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path, cut: str) -> None:
    file, root = make(tmp_path), tmp_path / "root"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10] if cut == "end" else whole[:-40] + b"\0\0\0\0" + whole[-36:])
    done = start(file, root)
    assert done.returncode == 65
    assert "damaged" in done.stderr
    assert "what to do: download it again" in done.stderr
    assert list(root.iterdir()) == []


def test_a_file_for_another_architecture_says_so(tmp_path: Path) -> None:
    foreign = next(arch for arch in ARCHITECTURES if arch != native())
    done = start(make(tmp_path, arch=foreign), tmp_path / "root")
    assert done.returncode == 78
    assert f"this file is for {ARCHITECTURES[foreign]}, and this host is {platform.machine()}" in done.stderr
    assert not (tmp_path / "root").exists()


def test_a_relative_root_is_refused(tmp_path: Path) -> None:
    done = start(make(tmp_path), "relative")
    assert (done.returncode, "absolute path" in done.stderr) == (78, True)


def test_a_root_that_cannot_be_made_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = start(make(tmp_path), tmp_path / "file" / "root")
    assert done.returncode == 73
    assert "CLARION_AGENT_ROOT" in done.stderr


def test_a_half_unpacked_folder_is_replaced(tmp_path: Path) -> None:
    """The file system of a host that lost power may contain the folder without its last file."""
    file, root = make(tmp_path), tmp_path / "root"
    start(file, root)
    (folder,) = root.iterdir()
    (folder / ".complete").unlink()
    (folder / "runtime" / "bin" / "python3").write_text("damaged")
    assert start(file, root).stdout.startswith("ran ")
    assert [path.name for path in root.iterdir()] == [folder.name]


def test_many_first_starts_at_the_same_time(tmp_path: Path) -> None:
    file, root = make(tmp_path), tmp_path / "root"
    environment = {"PATH": os.environ["PATH"], "CLARION_AGENT_ROOT": str(root)}
    started = [
        subprocess.Popen([str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(8)
    ]
    results = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 8, results
    assert len(list(root.iterdir())) == 1


def test_equal_sources_give_equal_files(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    assert make(tmp_path / "a").read_bytes() == make(tmp_path / "b").read_bytes()
