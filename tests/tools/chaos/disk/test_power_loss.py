"""After a power failure at any time, everything that was confirmed is still there.

If any one sync is removed, these tests must fail; otherwise they would prove nothing. A kill -9 loses nothing that the
kernel holds, so a test that only kills cannot detect a missing fsync.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.storage.journal import read_journal
from tests.tools.chaos.disk.power import Disk, Step, failures
from tests.tools.chaos.disk.preload import environment

POINTS = 40


def recorded(what: str, folder: Path, broken: str = "") -> Path:
    """Return the log of one run."""
    place, log = folder / "place", folder / "log"
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.tools.chaos.disk.children", what, str(place), broken]
    subprocess.run(
        command,
        env={**os.environ, **environment(place, log=log)},
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[4],
    )
    return log


def lost_by_store(image: Path, claims: list[str]) -> int:
    """Return the number of claimed tasks that are missing or incomplete; -1 for a database that cannot be read."""
    if not claims:
        return 0
    path = image / "c.db"
    if not path.exists():
        return len(claims)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tasks = {row[0] for row in connection.execute("SELECT task_id FROM task")}
        rows = Counter(row[0] for row in connection.execute("SELECT command_id FROM command_host"))
    except (sqlite3.DatabaseError, AssertionError):
        return len(claims)
    finally:
        connection.close()
    named = [line.split() for line in claims if line != "open"]
    assert all(rows[command_id] in (0, 3) for _, command_id in named), "half of a transaction"
    return sum(task_id not in tasks or rows[command_id] != 3 for task_id, command_id in named)


def lost_by_journal(image: Path, claims: list[str]) -> int:
    """Return the number of claimed intents that a start of the agent would not find."""
    if not claims:
        return 0
    path = image / "journal"
    if not path.exists():
        return len(claims)
    header, state, _, _ = read_journal(path)
    number = max((int(line.split()[-1]) for line in claims if line != "open"), default=0)
    return sum((f"c{one}", 1) not in state.executions for one in range(1, number + 1)) + (header is None)


def worst(what: str, folder: Path, broken: str = "") -> tuple[int, int, int]:
    """Return the largest number of lost items, the number of failures checked, and the number of syncs seen."""
    log = recorded(what, folder, broken)
    judge = lost_by_store if what == "store" else lost_by_journal
    most, looked = 0, 0
    disk = Disk()
    for disk, rng in failures(log, POINTS, seed=7):
        image = folder / f"image{looked}"
        image.mkdir()
        most = max(most, judge(image, disk.fail(str(folder / "place"), image, rng)))
        looked += 1
        shutil.rmtree(image)
        if most and broken:
            break
    return most, looked, disk.syncs


@pytest.mark.capability("Q6", "F4")
@pytest.mark.parametrize("what", ["store", "journal"])
def test_confirmed_records_survive_a_power_failure_at_any_time(what: str, tmp_path: Path) -> None:
    lost, looked, syncs = worst(what, tmp_path)
    assert lost == 0 and looked == 2 * POINTS and syncs > 20


@pytest.mark.capability("F4")
@pytest.mark.parametrize(
    ("what", "broken"),
    [("store", "OFF"), ("store", "NORMAL"), ("journal", "no sync"), ("journal", "no sync of the directory")],
)
def test_a_missing_sync_is_detected(what: str, broken: str, tmp_path: Path) -> None:
    lost, _, _ = worst(what, tmp_path, broken)
    assert lost > 0


# --- the model itself
# --------------------------------------------------------------------------------------------------------


def left(*steps: Step, rng: random.Random | None = None, folder: Path) -> dict[str, bytes]:
    disk = Disk()
    for step in steps:
        disk.take(step)
    disk.fail("/d", folder, rng)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(path: str, data: bytes, offset: int = 0) -> Step:
    return Step("w", path, offset, data)


def sync(path: str) -> Step:
    return Step("s", path, 0, b"")


def test_unsynced_bytes_and_names_are_lost(tmp_path: Path) -> None:
    a, b = "/d/a", "/d/b"
    cases: list[tuple[list[Step], dict[str, bytes]]] = [
        ([write(a, b"x")], {}),
        ([write(a, b"x"), sync(a)], {}),
        ([write(a, b"x"), sync("/d")], {"a": b""}),
        ([write(a, b"x"), sync(a), sync("/d")], {"a": b"x"}),
        ([write(a, b"x"), sync(a), sync("/d"), write(a, b"yz")], {"a": b"x"}),
        ([write(a, b"x"), sync(a), sync("/d"), Step("r", a, 0, b.encode())], {"a": b"x"}),
        ([write(a, b"x"), sync(a), sync("/d"), Step("r", a, 0, b.encode()), sync("/d")], {"b": b"x"}),
        ([write(a, b"x"), sync(a), sync("/d"), Step("u", a, 0, b"")], {"a": b"x"}),
        ([write(a, b"x"), sync(a), Step("t", a, 3, b""), sync(a), sync("/d")], {"a": b"x\0\0"}),
    ]
    for number, (steps, expected) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert left(*steps, folder=folder) == expected, number


def test_a_random_failure_keeps_any_sectors_of_unsynced_data(tmp_path: Path) -> None:
    seen = set()
    for seed in range(200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = left(write("/d/a", b"x" * 1024), sync("/d"), rng=random.Random(seed), folder=folder)
        seen.add(found["a"])
    assert seen == {b"", b"x" * 512, b"x" * 1024}
