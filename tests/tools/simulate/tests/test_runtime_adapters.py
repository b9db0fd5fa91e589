"""The trio code of both sides together: no promise is broken, and a seed determines its run completely."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import server.cluster.lease
import server.rpc.session.setup
import server.rpc.session.streams
from agent.session.session import Sessions
from tests.tools.simulate.adapters.agent import QUIET
from tests.tools.simulate.adapters.base import play
from tests.tools.simulate.oracle import Violation

ROOT = Path(__file__).parents[4]
SEEDS = int(os.environ.get("SHELLS_SEEDS", "10"))


def digest(*seeds: int) -> str:
    hashed = hashlib.sha256()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as root:
            hashed.update("\n".join(play(seed, Path(root)).trace).encode())
    return hashed.hexdigest()


@pytest.mark.capability("Q4")
def test_no_schedule_breaks_a_promise_under_trio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (server.rpc.session.streams, server.rpc.session.setup, server.cluster.lease):
        monkeypatch.setattr(module, "log", QUIET)
    faults, ends, starts = Counter[str](), Counter[str](), 0
    for seed in range(SEEDS):
        root = tmp_path / str(seed)
        root.mkdir()
        fleet = play(seed, root)
        faults.update(fleet.faults)
        ends.update(f"{row.status.label} {row.error_code or ''}".strip() for row in fleet.database.tables.rows.values())
        starts += fleet.oracle.starts.total()
    print(f"{SEEDS} runs, {starts} starts, faults: {dict(faults)}, ends: {dict(ends)}")
    assert starts > SEEDS * 10 and all(faults[name] for name in ("cut", "dumb", "kill", "stop", "away", "slow"))


def test_a_connection_that_is_never_closed_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: Sessions, heard: object, limit: float) -> None:
        """In the place of what watches over the silence of the server."""

    monkeypatch.setattr(Sessions, "_limit_silence", never)
    with pytest.raises(Violation, match="I8"):
        for seed in range(10):
            (tmp_path / str(seed)).mkdir()
            play(seed, tmp_path / str(seed))


def test_the_schedule_of_trio_depends_only_on_the_seed() -> None:
    code = "from tests.tools.simulate.tests.test_runtime_adapters import digest; print(digest(1, 2))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        for number in "12"
    }
    assert len(told) == 1
