"""Inheritance of a command from the agent: its limits, and no setting that tunes the agent's own process."""

from __future__ import annotations

import builtins
import errno
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.shim import records
from agent.shim.client import ForkServer
from agent.shim.system import environment
from agent.shim.system.limits import OriginalLimits
from tests.agent.shim.conftest import Shims

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
"""A Python that another user can run too."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lower an OOM score again and set priorities")

LOOK = """
import ctypes, json, os, resource, signal
libc = ctypes.CDLL(None, use_errno=True)
status = {name: rest.strip() for name, _, rest in (line.partition(":") for line in open("/proc/self/status"))}
print(json.dumps({
    "oom": int(open("/proc/self/oom_score_adj").read()), "nice": os.getpriority(os.PRIO_PROCESS, 0), "policy": os.sched_getscheduler(0),
    "io": libc.syscall(252, 1, 0) >> 13 if os.uname().machine == "x86_64" else 0, "slack": libc.prctl(30, 0, 0, 0, 0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "blocked": status["SigBlk"], "ignored": status["SigIgn"], "umask": status["Umask"], "cpus": sorted(os.sched_getaffinity(0)),
    "session": os.getsid(0) == os.getpid(), "cwd": os.getcwd(), "env": sorted(os.environ), "fds": sorted(map(int, os.listdir("/proc/self/fd")))[:3],
    "more_fds": len(os.listdir("/proc/self/fd")) - 4, "subreaper": (lambda v: (libc.prctl(37, ctypes.byref(v), 0, 0, 0), v.value)[1])(ctypes.c_int(9)),
}))
"""  # noqa: E501
TUNED = """
import os, sys
libc = __import__("ctypes").CDLL(None)
open("/proc/self/oom_score_adj", "w").write("500")
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
os.setpriority(os.PRIO_PROCESS, 0, 7)
libc.syscall(251, 1, 0, 3 << 13) if os.uname().machine == "x86_64" else None
libc.prctl(29, 9_000_000, 0, 0, 0)
os.umask(0o077)
import signal; signal.signal(signal.SIGPIPE, signal.SIG_IGN); signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
os.environ["LEAKED"] = "1"; os.chdir("/tmp")
%s
os.execv(sys.executable, [sys.executable, "-P", "-X", "utf8", "-m", "agent.shim", *sys.argv[1:]])
"""


@asynccontextmanager
async def tuned(root: Path, more: str = "pass", original: OriginalLimits | None = None) -> AsyncIterator[Shims]:
    """Shims below an agent with every kind of tuning."""
    forks = ForkServer(argv=[sys.executable, "-c", TUNED % more], original=original)
    await forks.start()
    try:
        yield Shims(root, forks)
    finally:
        await forks.aclose()


LIBRARY = 1 << 31 | 1 << 32
"""Signals 32 and 33 are the C library's own: it ignores them in a program that it started with posix_spawn, as make and
systemd do, and lets nobody set them."""


async def seen(shims: Any, **spec: Any) -> dict[str, Any]:
    ended = await shims.run(argv=[PYTHON, "-c", LOOK], **spec)
    assert (ended.exit.outcome, ended.stderr) == ("completed", b""), ended.exit
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@needs_root
@pytest.mark.parametrize("user", [None, "nobody"])
async def test_no_tuning_of_the_agent_reaches_a_command(tmp_path: Path, user: str | None) -> None:
    async with tuned(tmp_path) as shims:
        found = await seen(shims, run_as=user)
    clean = {
        "oom": 0,
        "nice": 0,
        "policy": os.SCHED_OTHER,
        "io": 0,
        "slack": 50_000,
        "umask": "0022",
        "session": True,
        "cwd": "/",
        "fds": [0, 1, 2],
        "more_fds": 0,
    }
    assert {name: found[name] for name in clean} == clean
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25)
    assert int(found["blocked"], 16) == 0 and int(found["ignored"], 16) & ~(1 << 12 | 1 << 24 | LIBRARY) == 0
    assert found["subreaper"] == 0 and "LEAKED" not in found["env"]


async def test_no_signal_is_ignored_or_blocked_in_a_program_that_sets_none_itself(shims: Any) -> None:
    lines = (await shims.run(argv=["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"])).stdout.decode().split()
    assert int(lines[1], 16) == 0 and int(lines[3], 16) & ~LIBRARY == 0


async def test_a_command_has_the_limits_that_the_agent_was_started_with(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    original = OriginalLimits((37, hard), resource.getrlimit(resource.RLIMIT_NPROC))
    more = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (500, {hard})); "
        f"resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    )
    async with tuned(tmp_path, more, original) as shims:
        found = await seen(shims)
        assert (found["files"], found["core"]) == ([37, hard], [0, 0])
        assert (await shims.run(script="#!/bin/sh\nulimit -n\n")).stdout == b"37\n"


@needs_root
async def test_settings_that_cannot_be_restored_are_noted_and_the_command_runs(tmp_path: Path) -> None:
    """Without CAP_SYS_NICE a nice value stays."""
    drop = (
        'os.execvp("setpriv", ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-all", sys.executable, "-P", '
        '"-X", "utf8", "-m", "agent.shim", *sys.argv[1:]])'
    )
    async with tuned(tmp_path, drop) as shims:
        ended = await shims.run(argv=[PYTHON, "-c", LOOK])
        assert json.loads(ended.stdout)["nice"] == 7 and ended.exit.outcome == "completed"
        assert ended.exit.inherited == ["nice value"]
        assert "nice value" in (ended.directory / records.LOG).read_text()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT])
def test_each_setting_that_cannot_be_restored_is_named(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    assert environment.names(environment.clean()) == [], "this process is clean"
    monkeypatch.setattr(builtins, "open", refuse)
    assert environment.names(environment.clean()) == ["OOM score"]
    monkeypatch.setattr(os, "sched_getscheduler", lambda pid: os.SCHED_FIFO)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert environment.names(environment.clean()) == ["OOM score", "scheduling policy"]


async def test_an_agent_with_default_settings_gives_no_note(shims: Any) -> None:
    assert (await shims.run(argv=["true"])).exit.inherited == []
