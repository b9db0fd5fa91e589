"""A full disk under the execution's directory: output may be late or incomplete, but a result is never wrong."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent.shim import durable, records
from agent.shim.live import LiveLog
from agent.shim.spool import Spool

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
DATA = bytes(range(256)) * 800


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "clarion-test", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        try:
            while True:
                os.write(fd, bytes(size))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    os.close(fd)
    return filler


async def started_on(shims: Any, disk: Path, wait_until: Any, **spec: Any) -> tuple[Path, Any, Path]:
    """Start a command on the small disk that waits for a file elsewhere."""
    gate = shims.root / "gate"
    gate.unlink(missing_ok=True)
    command = f"while ! test -e {gate}; do sleep 0.02; done; cat; exit 3"
    shims.root, before = disk, shims.root
    directory = shims.directory(command=command, stdin=DATA, **spec)
    shims.root = before
    ref = await shims.forks.spawn(directory)
    await wait_until(lambda: records.read_started(directory), "it runs")
    return directory, ref, gate


async def test_space_freed_in_time_loses_no_output(shims: Any, disk: Path, wait_until: Any) -> None:
    directory, ref, gate = await started_on(shims, disk, wait_until)
    filler = fill(disk)
    main = records.read_started(directory).child_pid
    gate.touch()
    await wait_until(lambda: not Path(f"/proc/{main}").exists(), "the command has ended")
    filler.unlink()
    ended = await shims.end(directory, ref)
    gate.unlink()
    assert (ended.exit.exit_code, ended.stdout) == (3, DATA)


@pytest.mark.capability("F15")
async def test_on_a_full_disk_the_result_is_correct_and_names_the_missing_output(
    shims: Any, disk: Path, wait_until: Any
) -> None:
    directory, ref, gate = await started_on(shims, disk, wait_until)
    fill(disk)
    gate.touch()
    ended = await shims.end(directory, ref)
    gate.unlink()
    assert (ended.exit.outcome, ended.exit.exit_code, ended.exit.error_code) == ("failed", 3, "exit_nonzero")
    assert (ended.exit.stdout.total_bytes, ended.exit.stdout.sha256) == (len(DATA), sha256(DATA).hexdigest())
    assert ended.exit.stdout.head_bytes < len(DATA)
    assert DATA.startswith(ended.stdout)
    assert "No space left on device" in ended.exit.error_message


async def test_a_timeout_on_a_full_disk_is_kept_and_noted_durably(shims: Any, disk: Path, wait_until: Any) -> None:
    directory, ref, _ = await started_on(shims, disk, wait_until, timeout_ms=700)
    fill(disk)
    ended = await shims.end(directory, ref)
    assert (ended.exit.outcome, ended.exit.kill.tree_empty) == ("timeout", True)
    assert records.read_kill(directory).reason == "timeout"


async def test_without_space_for_the_report_nothing_is_started(shims: Any, disk: Path) -> None:
    proof = shims.root / "proof"
    before = shims.root
    shims.root = disk
    directory = shims.directory(command=f"touch {proof}")
    shims.root = before
    filler = fill(disk)
    # Room for the claim and for a small report, not for the reserve.
    os.truncate(filler, filler.stat().st_size - 16_384)
    final = (await shims.end(directory, await shims.forks.spawn(directory))).exit
    assert (final.outcome, final.error_code) == ("failed", "spawn_failed")
    assert "cannot keep" in final.error_message
    assert not proof.exists()
    assert records.read_started(directory) is None


def test_after_a_failed_fsync_everything_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "stdout", 100, 100, LiveLog(tmp_path))
    os.write(spool.write_fd, b"x" * 150)
    import mmap

    spool.pull(mmap.mmap(-1, 4096))
    real, calls = os.fsync, []

    def broken(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 1:
            # What the kernel does with dirty pages after a failed write-back: they are dropped.
            os.ftruncate(fd, 0)
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", broken)
    report, problem = spool.store(deadline=float("inf"))
    assert problem == ""
    assert ((tmp_path / "stdout.head").read_bytes(), (tmp_path / "stdout.tail").read_bytes()) == (b"x" * 100, b"x" * 50)
    assert (report.head_bytes, report.tail_bytes, report.total_bytes) == (100, 50, 150)
    spool.close()
    os.close(spool.write_fd)


def test_only_the_first_of_two_claims_wins(tmp_path: Path) -> None:
    first = records.Claim(pid=1, starttime=2, boot_id="b")
    assert durable.claim(tmp_path, records.CLAIM, first)
    assert not durable.claim(tmp_path, records.CLAIM, records.Claim(pid=3, starttime=4, boot_id="b"))
    assert records.read_claim(tmp_path) == first
    assert os.listdir(tmp_path) == [records.CLAIM]
