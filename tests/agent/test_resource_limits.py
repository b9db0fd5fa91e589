"""Resource limits: the agent raises its own, passes the original ones to commands, and works with few descriptors."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.shim.system.limits import OriginalLimits, explain, needed_files, raise_for
from proto.messages import Outcome as WireOutcome
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent


def in_child(code: str, files: tuple[int, int]) -> str:
    """Return the output of a program started with these limits of open files (soft, hard)."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files),
    )
    return done.stdout


RAISE = (
    "import resource; from agent.shim.system.limits import raise_for; short = raise_for(16); "
    "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], [one.limit for one in short])"
)


@pytest.mark.parametrize(
    ("files", "printed"), [((24, 4096), f"{needed_files(16)} []"), ((24, 100), "100 [100]"), ((3000, 4096), "3000 []")]
)
def test_the_soft_limit_is_raised_to_the_need_of_the_slots_within_the_hard_limit(
    files: tuple[int, int], printed: str
) -> None:
    assert in_child(RAISE, files).strip() == printed


def test_the_original_limits_reach_the_shims() -> None:
    original = OriginalLimits((1024, 4096), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert OriginalLimits.parse(original.text()) == original
    assert raise_for(1) == [] or os.getuid() != 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EMFILE, "LimitNOFILE"),
        (errno.ENFILE, "fs.file-max"),
        (errno.EAGAIN, "TasksMax"),
        (errno.ENOMEM, "MemoryMax"),
    ],
)
def test_an_error_names_the_limit_and_the_remedy(number: int, words: str) -> None:
    text = explain(OSError(number, os.strerror(number), "/some/path"))
    assert words in text and "/some/path" in text and os.strerror(number) in text
    assert explain(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"


@pytest.mark.parametrize("files", [(24, 20_000), (24, 24), (40, 40)])
async def test_an_agent_restarted_with_few_descriptors_loses_no_command(tmp_path: Path, files: tuple[int, int]) -> None:
    """Fourteen commands run; the next agent may have fewer open files than commands to watch."""
    command = f"while [ ! -e {tmp_path}/gate ]; do sleep 0.05; done; echo real; exit 7"
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        commands = [await server.dispatch(command=command) for _ in range(14)]
        for one in commands:
            await server.get("started", one)
        await process.kill()
        await server.gone()
        await process.start(files=files)
        await server.welcomed(2)
        with trio.move_on_after(1.5):
            await server.until(lambda: any(kind == "command_result" for _, kind, _ in server.messages))
        assert [kind for _, kind, _ in server.messages if kind == "command_result"] == [], "none has ended"
        (tmp_path / "gate").touch()
        for one in commands:
            result = await server.result(one)
            assert (result.outcome, result.exit_code, result.stdout.head) == (WireOutcome.FAILED, 7, b"real\n"), (
                result.error_message
            )
        log = process.log_path.read_text()
        assert ("limit_too_low" in log) == (files[1] < needed_files(16))
        assert "RLIMIT_NOFILE" in log or files[1] > 40
