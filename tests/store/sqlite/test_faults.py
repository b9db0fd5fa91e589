"""SQLite when the file, the disk or another process is in the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio

from server.core.effects import SaveMeta, SaveOutput
from server.store import migrate
from server.store.base import StoreRefused, StoreUnavailable
from server.store.sqlite.store import SqliteStore
from server.store.sqlite.threads import SqliteThreads
from server.store.writer import Writer
from tests.store.fakes import TrioClock, half
from tests.store.make import create, hosts, output


async def opened(path: Path, **settings: object) -> SqliteStore:
    store = SqliteStore(path, **settings)  # type: ignore[arg-type]
    await store.open()
    return store


async def test_the_file_is_nobody_elses_to_read(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db")
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    await store.aclose()


@pytest.mark.parametrize("path", ["missing/c.db", "."], ids=["no such directory", "a directory"])
async def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreRefused, match="directory must exist and be writable"):
        await opened(tmp_path / path)


async def test_a_directory_without_write_permission_is_refused(tmp_path: Path) -> None:
    # /proc refuses new files to root as well
    with pytest.raises(StoreRefused, match="directory must exist and be writable"):
        await opened(Path("/proc/self/c.db"))


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"hello, this is a letter\n" * 1000)
    with pytest.raises(StoreRefused, match="not an SQLite database"):
        await opened(path)
    assert path.read_bytes() == b"hello, this is a letter\n" * 1000


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.close()
    with pytest.raises(StoreRefused, match="another program's"):
        await opened(path)


async def test_a_full_database_is_unavailable_and_takes_writes_again_when_there_is_room(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db", max_bytes=1 << 20)
    await store.write([SaveMeta("before", "1")])
    big = output(os.urandom(2 << 20))
    with pytest.raises(StoreUnavailable, match="out of disk space"):
        await store.write([SaveMeta("during", "1"), SaveOutput(big)])
    assert await store.meta("before") == "1" and await store.meta("during") is None
    await store.write([SaveMeta("after", "1")])
    await store.aclose()
    store = await opened(tmp_path / "c.db", max_bytes=8 << 20)
    await store.write([SaveOutput(big)])
    assert await store.output(big.output_id) == big
    await store.aclose()


async def test_a_lock_of_another_process_is_waited_for_then_unavailable_and_the_writer_gets_through(
    tmp_path: Path,
) -> None:
    store = await opened(tmp_path / "c.db", busy_seconds=0.1)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await store.write([SaveMeta("a", "1")])
    assert await store.meta("a") is None
    writer = Writer(store, clock=TrioClock(), entropy=half)
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        writer.put([SaveMeta("a", "2")])
        with trio.fail_after(10):
            while writer.statistics().retries < 2:  # noqa: ASYNC110 - statistics have no event
                await trio.sleep(0.01)
        other.execute("ROLLBACK")
        await writer.aclose()
    other.close()
    assert await store.meta("a") == "2"
    await store.aclose()


async def test_a_failing_disk_is_unavailable_and_the_store_recovers() -> None:
    # the limit on file sizes fails every write of the whole process, hence a process of its own
    program = """
        import resource, sys, tempfile, trio
        from pathlib import Path
        from server.core.effects import SaveMeta, SaveOutput
        from server.store.base import StoreUnavailable
        from server.store.sqlite.store import SqliteStore
        from tests.store.make import output

        async def main():
            store = SqliteStore(Path(tempfile.mkdtemp()) / "c.db")
            await store.open()
            await store.write([SaveMeta("before", "1")])
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
            big = output(bytes(range(256)) * 8192)
            for _ in range(3):
                try:
                    await store.write([SaveOutput(big)])
                except StoreUnavailable:
                    continue
                sys.exit("written beyond the limit")
            assert await store.meta("before") == "1"
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await store.write([SaveOutput(big)])
            assert await store.output(big.output_id) == big
            await store.aclose()

        trio.run(main)
    """
    done = await trio.run_process([sys.executable, "-c", textwrap.dedent(program)], capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def test_the_loop_goes_on_while_the_database_works(tmp_path: Path) -> None:
    """Another process holds the lock, so that the write certainly takes longer than a thousand turns of the loop."""
    store = await opened(tmp_path / "c.db", busy_seconds=30)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.write, [SaveMeta("a", "1")])
        for _ in range(1000):
            await trio.lowlevel.checkpoint()
        other.execute("COMMIT")
    other.close()
    assert await store.meta("a") == "1"
    await store.aclose()


async def test_reads_run_beside_a_write(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db", busy_seconds=0)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO meta VALUES ('a', 'b')")
    assert await store.meta("a") is None
    other.execute("COMMIT")
    assert await store.meta("a") == "b"
    other.close()
    await store.aclose()


async def test_cancelled_writes_are_wholly_there_or_not_at_all_and_the_store_goes_on(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db")
    made = [create(hosts(20)) for _ in range(200)]
    finished: set[str] = set()

    async with trio.open_nursery() as nursery:

        async def write(number: int) -> None:
            with trio.move_on_after(number * 0.0005):
                await store.write([made[number]])
                finished.add(made[number].task.task_id)

        for number in range(200):
            nursery.start_soon(write, number)
    for one in made:
        rows = await store.executions(one.command.command_id, after=None, limit=100)
        there = await store.task(one.task.task_id) is not None
        assert len(rows) == (20 if there else 0)
        assert there or one.task.task_id not in finished
    await store.write([SaveMeta("after", "1")])
    assert await store.meta("after") == "1"
    await store.aclose()


async def test_after_closing_nothing_runs_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db")
    await store.write([SaveMeta("a", "1")])
    await store.aclose()
    await store.aclose()
    assert os.listdir(tmp_path) == ["c.db"]
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.write([])
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()


async def test_a_thread_reports_whatever_its_job_raises(tmp_path: Path) -> None:
    def fails(_: sqlite3.Connection) -> None:
        raise KeyboardInterrupt("from a job")

    threads = SqliteThreads("test", 1, lambda: sqlite3.connect(":memory:"))
    with pytest.raises(KeyboardInterrupt, match="from a job"):
        await threads.run(fails)
    assert await threads.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    await threads.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await threads.run(fails)


async def test_a_schema_of_a_later_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = await opened(tmp_path / "c.db")
    await store.aclose()
    later = sqlite3.connect(store.path, isolation_level=None)
    newest = migrate.migrations("sqlite")[-1].version
    later.execute("INSERT INTO schema_version VALUES (?, 1)", (newest + 1,))
    later.close()
    with pytest.raises(StoreRefused, match=f"schema {newest + 1}, this release knows schemas up to {newest}"):
        await opened(store.path)


async def test_a_migration_that_is_killed_anywhere_leaves_nothing_and_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, *_) = migrate.migrations("sqlite")
    for steps in range(len(first.statements)):
        path = tmp_path / f"{steps}.db"
        broken = migrate.Migration(1, "start", (*first.statements[:steps], "CREATE nonsense"))
        with monkeypatch.context() as patch:
            patch.setattr(migrate, "migrations", lambda dialect, folders, broken=broken: (broken,))
            with pytest.raises(StoreRefused, match="syntax error"):
                await opened(path)
        store = await opened(path)
        await store.write([create(hosts(1))])
        await store.aclose()


CHILD = """
    import sys, trio
    from server.store.sqlite.store import SqliteStore
    from server.store.water import WriterLimits
    from server.store.writer import Writer
    from tests.store.fakes import TrioClock, half
    from tests.store.make import create, hosts

    async def main():
        store = SqliteStore(sys.argv[1])
        await store.open()
        writer = Writer(store, clock=TrioClock(), entropy=half, limits=WriterLimits(max_rows=40))
        async with trio.open_nursery() as nursery:
            await nursery.start(writer.run)
            while True:
                made = create(hosts(3))
                line = f"{made.task.task_id} {made.command.command_id}"
                writer.put([made], lambda line=line: print(line, flush=True))
                await writer.wait_room()
                await trio.sleep(0)

    trio.run(main)
"""


@pytest.mark.capability("C10", "Q6", "I3")
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.5])
async def test_what_a_killed_process_had_confirmed_is_there_and_whole(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "c.db"
    child = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    first = await trio.to_thread.run_sync(child.stdout.readline)
    await trio.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = await trio.to_thread.run_sync(child.stdout.read)
    child.wait()
    child.stdout.close()
    confirmed = [line.split() for line in (first + rest).splitlines() if len(line) == 73]
    assert confirmed
    store = await opened(path)
    for task_id, command_id in confirmed:
        assert await store.task(task_id) is not None
        assert len(await store.executions(command_id, after=None, limit=10)) == 3
    for task in await store.open_tasks():
        assert len(await store.executions(task.command.command_id, after=None, limit=10)) == 3
    await store.aclose()
