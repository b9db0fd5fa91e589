"""Two servers never run on one data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.security.lock import InUse, locked

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom server.security.lock import locked\nwith "
    "locked(Path(sys.argv[1])):\n print('held', flush=True)\n time.sleep(60)"
)


def test_the_error_for_a_second_server_names_the_first(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(InUse, match=rf"another server uses this data directory \(process {os.getpid()}\)"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InUse, match=str(process.pid)), locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locked(tmp_path):
        assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"


def test_a_refused_server_does_not_change_the_lock_file(tmp_path: Path) -> None:
    with locked(tmp_path):
        for _ in range(2):
            with pytest.raises(InUse), locked(tmp_path):
                pass
        assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"
