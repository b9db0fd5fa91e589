"""Wall clocks jump by ten years, back, and stand still: nothing ends, starts or expires by that."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.rig import INSECURE, Rig

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
CLOCKS = {
    "ten years on": "+3650d",
    "ten years back": "-3650d",
    "standing still": "2021-03-04 05:06:07",
    "right again": "+0",
}
LIMIT = 1
"""Seconds of the commands that are to run into their timeout."""


def faked(said: Path) -> dict[str, str]:
    """The environment of a process whose clock on the wall is what this file says, whenever it looks; its monotonic
    clocks are the kernel's."""
    assert LIBRARY is not None, "apt-get install libfaketime"
    more = {
        "FAKETIME_TIMESTAMP_FILE": str(said),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    return {"LD_PRELOAD": str(LIBRARY), "TZ": "UTC", **more}


@pytest.mark.capability("F17")
@pytest.mark.parametrize("whose", ["server", "agent"])
def test_changed_clocks_end_nothing_early_or_late(make_rig: Callable[..., Rig], whose: str, tmp_path: Path) -> None:
    # In plaintext: a certificate does end when the clock says so, which is what it is for.
    rig, said = make_rig(INSECURE), tmp_path / "clock"
    said.write_text("+0")
    (rig.server_env if whose == "server" else rig.agent_env).update(faked(said))
    rig.start_server()
    rig.start_agents("node1")
    hold = tmp_path / "hold"
    hold.touch()
    held = rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; echo real", timeout=300, task_timeout=600)
    for clock, text in CLOCKS.items():
        said.write_text(text)
        begun = time.monotonic()
        limited = rig.run(command="sleep 300", timeout=LIMIT)
        quick = rig.wait_final(rig.run(command="echo quick", timeout=30, start_within=30))
        (row,) = rig.rows(quick["task_id"])
        assert (row["status"], row["exit_code"]) == ("completed", 0), (clock, row)
        assert rig.wait_final(limited)["status"] == "failed", clock
        took = time.monotonic() - begun
        (row,) = rig.rows(limited)
        assert row["status"] == "timeout" and LIMIT <= took < LIMIT + 15, (clock, took, row)
        assert rig.json("GET", f"/tasks/{held}")["counts"]["running"] == 1, clock
    hold.unlink()
    assert rig.wait_final(held)["status"] == "completed"
    assert rig.output(held, rig.rows(held)[0]["host_id"]) == b"real\n"
    assert (rig.folder / "server.log").read_text().count("session_opened") == 1, "no heartbeat was missed"
    tasks = [task["created_at"] for task in rig.json("GET", "/tasks")["items"]]
    ends = [
        line["at_ms"]
        for line in map(json.loads, (rig.folder / "node1.log").read_text().splitlines())
        if line["event"] == "command_ended"
    ]
    assert (
        len(
            {
                datetime.datetime.fromtimestamp(at / 1000, datetime.UTC).year
                for at in (tasks if whose == "server" else ends)
            }
        )
        == 4
    ), "the clock was set"
