"""MariaDB when it is killed, when others hold locks, when tasks are cancelled, when a commit's answer never comes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import trio
from trio_mysql import err

from server.core.effects import SaveExecution, SaveMeta, SaveTask
from server.core.model import Execution
from server.core.states import ExecutionStatus as E
from server.store import migrate
from server.store.base import StoreRefused, StoreUnavailable
from server.store.lease import Holder, LeaseHeld, StoreFenced
from server.store.mysql.connection import Connection, literal
from server.store.mysql.store import MySQLStore
from server.store.water import WriterLimits
from server.store.writer import Writer
from tests.mariadb import PASSWORD, USER, MariaDB, running
from tests.store.conformance.suite import NASTY
from tests.store.fakes import TrioClock, half
from tests.store.histories import World
from tests.store.make import create, hosts, moved


def on(server: MariaDB, database: str, **settings: object) -> MySQLStore:
    usual = {"user": USER, "password": PASSWORD, "database": database, "socket": str(server.socket)}
    return MySQLStore(**usual | settings)  # type: ignore[arg-type]


@pytest.fixture
async def store(mariadb: MariaDB) -> AsyncIterator[MySQLStore]:
    store = on(mariadb, mariadb.new_database(), lock_timeout=1)
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
def mortal() -> Iterator[MariaDB]:
    with running() as server:
        yield server


def test_literals_cannot_be_ended_from_within() -> None:
    assert literal(NASTY) == f"_utf8mb4 x'{NASTY.encode().hex()}'"
    assert literal("plain") == "'plain'"
    with pytest.raises(KeyError):
        literal(1.5)


async def test_a_server_stopped_within_a_transaction_holds_the_lease_no_longer_than_its_lease_lasts(
    mariadb: MariaDB,
) -> None:
    database = mariadb.new_database()
    stopped, other = on(mariadb, database, stopped_after=1), on(mariadb, database, lock_timeout=1, replays=0)
    await stopped.open()
    await other.open()
    await stopped.take_lease(Holder("", "stopped", 1), 0.5)
    async with stopped._writing.lend() as connection:
        await connection.run("BEGIN")
        await stopped._check_epoch(connection)
        with trio.fail_after(20):
            while True:
                try:
                    assert await other.take_lease(Holder("", "other", 2), 60) == 2
                    break
                except (StoreUnavailable, LeaseHeld):
                    await trio.sleep(0.05)
        with pytest.raises(err.MySQLError):
            await connection.run("COMMIT")
    with pytest.raises(StoreFenced):
        await stopped.write([SaveMeta("who", "stopped")])
    await stopped.aclose()
    await other.aclose()


@pytest.mark.capability("D9", "F12")
async def test_a_lock_held_too_long_repeats_the_whole_batch(store: MySQLStore) -> None:
    made = create(hosts(3))
    await store.write([made])
    async with store._reading.lend() as other:
        await other.run("BEGIN")
        await other.run(f"UPDATE command_host SET seq = 1 WHERE host_id = {literal(made.task.targets[2])}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.write, [SaveMeta("a", "1"), *moved(made, [E.RUNNING] * 3, version=1)])
            with trio.fail_after(20):
                while not store.statistics().replays:  # noqa: ASYNC110 - statistics have no event
                    await trio.sleep(0.01)
            await other.run("ROLLBACK")
    assert (await store.task(made.task.task_id)) == replace(moved(made, [E.RUNNING] * 3, version=1)[0].task, targets=())  # type: ignore[union-attr]
    assert await store.meta("a") == "1"


@pytest.mark.capability("F12")
async def test_a_lock_that_is_never_released_is_unavailable_and_nothing_is_written(
    mariadb: MariaDB, store: MySQLStore
) -> None:
    impatient = on(mariadb, store._make().db, lock_timeout=1, replays=1)
    made = create(hosts(1))
    await store.write([made])
    async with store._reading.lend() as other:
        await other.run("BEGIN")
        await other.run("UPDATE command_host SET seq = 1")
        with pytest.raises(StoreUnavailable, match="1205"):
            await impatient.write([SaveMeta("a", "1"), *moved(made, [E.RUNNING], version=1)])
        await other.run("ROLLBACK")
    assert await store.meta("a") is None
    await impatient.aclose()


@pytest.mark.capability("F12")
async def test_a_deadlock_repeats_the_whole_batch(mariadb: MariaDB, store: MySQLStore) -> None:
    task = create(hosts(1))
    await store.write([task, SaveMeta("m", "0")])
    saves = [SaveTask(replace(task.task, version=1, name="moved", targets=())), SaveMeta("m", "1")]
    async with store._reading.lend() as other:
        # the other session has done more, so that InnoDB chooses the store's transaction as the victim
        await other.run("BEGIN")
        await other.run("INSERT INTO meta VALUES " + ",".join(f"('x{number}', '')" for number in range(500)))
        await other.run("UPDATE meta SET value = 'other' WHERE name = 'm'")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.write, saves)
            await _blocked(mariadb)
            await other.run(f"UPDATE task SET description = 'other' WHERE task_id = {literal(task.task.task_id)}")
            await other.run("COMMIT")
    assert store.statistics().replays >= 1
    assert await store.meta("m") == "1"
    found = await store.task(task.task.task_id)
    assert found is not None and (found.version, found.name) == (1, "moved")


async def _blocked(server: MariaDB) -> None:
    """Wait until a session waits for a lock. Only root may ask."""
    asked = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
    with trio.fail_after(10):
        while int(await trio.to_thread.run_sync(server.sql, asked)) == 0:
            pass


@pytest.mark.capability("Q6", "F13")
async def test_a_commit_whose_answer_never_came_is_harmless_to_repeat(
    store: MySQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(7)
    run = Connection.run
    unknown = 0

    async def cut(self: Connection, sql: str) -> object:
        nonlocal unknown
        answer = await run(self, sql)
        if sql == "COMMIT" and world.rng.random() < 0.5:
            unknown += 1
            self._force_close()
            raise err.OperationalError(2013, "Lost connection to MySQL server during query")
        return answer

    monkeypatch.setattr(Connection, "run", cut)
    writer = Writer(
        store, clock=TrioClock(), entropy=half, limits=WriterLimits(max_rows=20, retry_min=0.001, retry_max=0.01)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        for _ in range(150):
            writer.put(world.unit())
        await writer.aclose()
    assert unknown > 5
    for (command_id, host_id), row in world.rows.items():
        view = await store.execution(command_id, host_id)
        assert view is not None and view.execution == row
    for task_id, made in world.tasks.items():
        assert await store.task(task_id) == replace(made.task, targets=())


@pytest.mark.capability("Q6", "Q13")
async def test_every_confirmed_unit_survives_kill_9_under_load(mortal: MariaDB) -> None:
    store = on(mortal, mortal.new_database())
    await store.open()
    confirmed: list[str] = []
    writer = Writer(
        store,
        clock=TrioClock(),
        entropy=half,
        limits=WriterLimits(max_rows=50, high_water=2000, low_water=1000, retry_min=0.01, retry_max=0.2),
    )
    feeding = True
    fed: list[str] = []

    async def feed() -> None:
        while feeding:
            made = create(hosts(2))
            fed.append(made.task.task_id)
            units = [made, *moved(made, [E.COMPLETED, E.FAILED], version=1)]
            writer.put(units, lambda task_id=made.task.task_id: confirmed.append(task_id))
            await writer.wait_room()
            await trio.sleep(0.0005)

    async with trio.open_nursery() as nursery:
        await nursery.start(writer.run)
        nursery.start_soon(feed)
        for _ in range(3):
            await trio.sleep(0.4)
            mortal.kill()
            await trio.sleep(0.1)
            durable = list(confirmed)
            await trio.to_thread.run_sync(mortal.start)
            found = {row[0] for row in await store.fetch("SELECT task_id FROM task", {})}
            assert durable and set(durable) <= found
        feeding = False
        await writer.aclose()
    assert confirmed == fed and writer.statistics().retries > 0
    ((tasks, rows, counted),) = await store.fetch(
        (
            "SELECT COUNT(*), (SELECT COUNT(*) FROM command_host WHERE status >= 3 AND version = 1), "
            "SUM(count_completed + count_failed) FROM task"
        ),
        {},
    )
    assert (tasks, rows, int(counted)) == (len(fed), 2 * len(fed), 2 * len(fed))
    await store.aclose()


@pytest.mark.capability("D9")
async def test_after_a_restart_of_the_server_the_next_read_succeeds(mortal: MariaDB) -> None:
    store = on(mortal, mortal.new_database())
    await store.open()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(store.fetch, "SELECT SLEEP(0.1)", {})
    mortal.kill()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    with pytest.raises(StoreUnavailable):
        await store.write([SaveMeta("a", "1")])
    mortal.start()
    await store.ping()
    await store.write([SaveMeta("a", "1")])
    await store.aclose()


@pytest.mark.capability("O5")
async def test_a_storm_of_cancellations_leaves_no_damage(store: MySQLStore) -> None:
    rng = random.Random(5)
    made = [create(hosts(2)) for _ in range(100)]
    confirmed: set[int] = set()
    wrong: list[object] = []

    async def reader(number: int) -> None:
        for _ in range(20):
            with trio.move_on_after(rng.random() * 0.01):
                answer = await store.fetch(
                    "SELECT :number, :text", {"number": number, "text": "x" * rng.randrange(100_000)}
                )
                if answer[0][0] != number:
                    wrong.append(answer)

    async def writer() -> None:
        for number, one in enumerate(made):
            with trio.move_on_after(rng.random() * 0.02):
                await store.write([one])
                confirmed.add(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer)
        for number in range(20):
            nursery.start_soon(reader, number)
    assert not wrong
    await store.write([SaveMeta("after", "1")])
    for number, one in enumerate(made):
        rows = await store.executions(one.command.command_id, after=None, limit=9)
        assert len(rows) == (2 if await store.task(one.task.task_id) else 0)
        assert rows or number not in confirmed
    with trio.move_on_after(
        0.2
    ):  # on a busy machine none of the others may have been cut off in the middle of an answer
        await store.fetch("SELECT SLEEP(:seconds)", {"seconds": 5})
    statistics = store.statistics()
    assert (statistics.reading.lent, statistics.writing.lent) == (0, 0)
    assert statistics.reading.idle <= 4 and statistics.reading.dropped > 0 and statistics.reading.waits > 0


@pytest.mark.capability("O5")
async def test_connections_rest_age_and_are_replaced(mariadb: MariaDB) -> None:
    store = on(mariadb, mariadb.new_database(), pool_size=1, idle_check=0)
    await store.open()
    await store.ping()
    ((session,),) = await store.fetch("SELECT CONNECTION_ID()", {})
    assert await store.fetch("SELECT CONNECTION_ID()", {}) == ((session,),)
    mariadb.sql(f"KILL {session}")
    ((other,),) = await store.fetch("SELECT CONNECTION_ID()", {})
    assert other != session and store.statistics().reading.dropped == 1
    store._reading._max_age = 0
    assert await store.fetch("SELECT CONNECTION_ID()", {}) != ((other,),)
    await store.aclose()


async def test_a_row_larger_than_the_servers_packet_is_refused_before_it_cuts_the_connection(store: MySQLStore) -> None:
    with pytest.raises(StoreRefused, match="max_allowed_packet"):
        await store.write([SaveMeta("a", "x" * (17 << 20))])
    await store.write([SaveMeta("a", "1")])


async def test_a_schema_of_a_later_release_is_refused(mariadb: MariaDB, store: MySQLStore) -> None:
    newest = migrate.migrations("mysql")[-1].version
    mariadb.sql(f"INSERT INTO {store._make().db}.schema_version VALUES ({newest + 1}, 1)")
    with pytest.raises(StoreRefused, match=f"schema {newest + 1}"):
        await store.open()


@pytest.mark.capability("Q6")
@pytest.mark.parametrize("when", ["before the step", "after the step", "after its record"])
async def test_a_migration_killed_between_any_two_steps_goes_on(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    steps = sum(len(migration.statements) for migration in migrate.migrations("mysql"))
    for fatal in range(steps):
        store = on(mariadb, mariadb.new_database())
        with monkeypatch.context() as patch:
            _die_at(patch, fatal, when)
            with pytest.raises(StoreUnavailable, match="killed"):
                await store.open()
        await store.open()
        await store.open()
        await store.write([create(hosts(1))])
        await store.aclose()


def _die_at(patch: pytest.MonkeyPatch, fatal: int, when: str) -> None:
    done = 0
    step, select = MySQLStore._step, Connection.select

    async def dying_step(self: MySQLStore, connection: Connection, statement: str) -> None:
        if done == fatal and when == "before the step":
            raise StoreUnavailable("killed")
        await step(self, connection, statement)
        if done == fatal and when == "after the step":
            raise StoreUnavailable("killed")

    async def dying_record(self: Connection, sql: str, parameters: dict[str, object]) -> object:
        nonlocal done
        answer = await select(self, sql, parameters)
        done += 1
        if done == fatal + 1 and when == "after its record":
            raise StoreUnavailable("killed")
        return answer

    patch.setattr(MySQLStore, "_step", dying_step)
    patch.setattr(Connection, "select", dying_record)


async def test_ghosts_and_stale_rows_in_one_batch_with_good_ones(store: MySQLStore) -> None:
    made = create(hosts(3))
    command_id, (one, two, three) = made.command.command_id, made.task.targets
    await store.write([made, SaveExecution(Execution(command_id, two, status=E.LOST, version=1))])
    await store.write(
        [
            SaveExecution(Execution(command_id, host, status=E.RUNNING, version=2))
            for host in (one, two, three, hosts(1)[0])
        ]
    )
    rows = await store.executions(command_id, after=None, limit=9)
    assert [(view.execution.host_id, view.execution.status) for view in rows] == [
        (one, E.RUNNING),
        (two, E.LOST),
        (three, E.RUNNING),
    ]
