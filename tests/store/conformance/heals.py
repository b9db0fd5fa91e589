"""What every store must do for a start on numbers that no server can have written: replace them, say so, and read
everything."""

from __future__ import annotations

import pytest
from trio_mysql import err

from server.core.effects import (
    CreateJoinToken,
    SaveExecution,
    SaveHost,
    SaveIdentity,
    SaveJoinRequest,
    SaveMeta,
    SaveRecord,
    SaveSeen,
    SaveSeq,
    SaveTask,
)
from server.core.inputs.bounds import EPOCH_HEALED, EPOCH_MAX, EPOCH_SAFE
from server.core.model import Execution, Host, HostIdentity, JoinRequest, JoinToken
from server.core.nouns.host_set import HostSet
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import StoreRefused
from server.store.heal import read_open, read_whole
from server.store.lease import LENGTH_MAX_MS, Holder, LeaseHeld
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from server.store.tables.registry import TABLES
from server.store.tables.task import COUNTERS
from tests.changed import replace
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, new_id

REFUSED = (StoreRefused, err.MySQLError)
OURS = Holder("", "here", 1)
POISON = (-(2**63), -1, 2**31, 2**53 + 1, 2**62, 2**63 - 1)
ALWAYS, OPEN = read_whole(TABLES), read_open(TABLES)
CASES = [(table, column) for tables in (ALWAYS, OPEN) for table, columns in tables.items() for column in columns]


async def put(store: AnyStore, sql: str, **parameters: object) -> None:
    """A hand in the database, past everything that a server checks. Raises what the database's driver raises."""
    if isinstance(store, SqliteStore):
        await store._transaction(lambda connection: connection.execute(sql, parameters))
    else:
        assert isinstance(store, MySQLStore)
        async with store._writing.lend() as connection:
            await connection.select(sql, parameters)


async def filled(store: AnyStore) -> str:
    """A row of everything that a start reads, with a number in every column that may be empty; the host's id."""
    (host,) = hosts(1)
    made = create([host])
    row = Execution(
        made.command.command_id, host, status=ExecutionStatus.RUNNING, version=2, seq=3, journal_id="j", cancel_requested_at=4, dispatched_at=5, accepted_at=6,  # noqa: E501
        started_at=7, finished_at=8, agent_started_at=9, agent_finished_at=10, execution_ms=11, exit_code=12, signal=13, retry_at=14,  # noqa: E501
    )  # fmt: skip
    task = replace(
        made.task, status=TaskStatus.RUNNING, version=2, counts=(0, 0, 1, *[0] * 6), targets=(), timeout_ms=1, concurrency=2, cancel_requested_at=3, started_at=4, finished_at=5, wait_ms=6, spent_ms=7,  # noqa: E501
    )  # fmt: skip
    identity = HostIdentity(host, 3, 2, "ab", 4, 5, "tok", "cd", 6, 7, "x", 8, "y", 9)
    request = JoinRequest(new_id().replace("-", ""), "tok", b"csr", "h", "", "::1", 1, 2, 3, "x", True)
    await store.write(
        [
            SaveHost(Host(host, "h", first_seen_at=1, last_seen_at=2, last_heartbeat_at=3)), SaveSeq(host, 5, 6), SaveSeen(host, 4), made, SaveTask(task), SaveExecution(row),  # noqa: E501
            SaveIdentity(identity), SaveJoinRequest(request),
            SaveRecord(HostSet("web", "all", (), "", 1, "x", 1)), CreateJoinToken(JoinToken("tok", bytes(32), 1, 2, {}, "x", 3)),  # noqa: E501
        ]
    )  # fmt: skip
    return host


async def read_all(store: AnyStore) -> None:
    """What a start reads."""
    await store.hosts()
    await store.identities()
    await store.join_requests()
    await store.join_tokens(after=None, limit=10)
    await store.count_tasks()
    await store.sum_executions()
    await store.open_tasks()


class HealConformance:
    """The tests; `store` is a fixture of the subclass's module."""

    async def test_what_a_server_wrote_is_left_as_it_is(self, store: AnyStore) -> None:
        assert await store.heal() == []
        await filled(store)
        before = (await store.hosts(), await store.identities(), await store.join_requests(), await store.open_tasks())
        assert await store.heal() == [] and store.unreadable() == []
        assert (
            await store.hosts(),
            await store.identities(),
            await store.join_requests(),
            await store.open_tasks(),
        ) == before

    @pytest.mark.parametrize(("table", "column"), CASES)
    async def test_an_impossible_number_is_replaced_and_named(self, store: AnyStore, table: str, column: str) -> None:
        await filled(store)
        bounds = (ALWAYS.get(table) or OPEN[table])[column]
        for poison in POISON:
            if bounds.low <= poison <= bounds.high:
                continue
            try:
                await put(store, f"UPDATE {table} SET {column} = :poison", poison=poison)
            except REFUSED:
                continue  # the database does not take it in this column
            healed = await store.heal()
            assert [(one.table, one.column, one.rows) for one in healed] == [(table, column, 1)], poison
            ((now,),) = await store.fetch(f"SELECT {column} FROM {table}", {})
            assert now == bounds.instead
            await read_all(store)
            assert await store.heal() == []

    async def test_what_was_decided_about_a_host_stays_so_when_its_numbers_are_healed(self, store: AnyStore) -> None:
        await filled(store)
        for column in ("revoked_at", "quarantined_at", "released_at", "next_not_after"):
            await put(store, f"UPDATE host_identity SET {column} = {-(2**62)}")
        await put(store, "UPDATE command_host SET accepted_at = -1")
        await put(store, "UPDATE host_identity SET generation = -1")
        assert len(await store.heal()) == 6
        (identity,), (opened,) = await store.identities(), await store.open_tasks()
        assert (identity.revoked_at, identity.quarantined_at, identity.released_at) == (
            0,
            0,
            0,
        ) and identity.generation == 2**31
        assert opened.executions[0].accepted_at is not None

    async def test_counters_that_cannot_be_are_counted_again(self, store: AnyStore) -> None:
        await filled(store)
        for counter in (*COUNTERS, "total_hosts", "completed_hosts", "failed_hosts"):
            for poison in (-1, 2**62):
                try:
                    await put(store, f"UPDATE task SET {counter} = :poison", poison=poison)
                except REFUSED:
                    continue
                (healed,) = await store.heal()
                assert (healed.table, healed.rows) == ("task", 1)
                (opened,) = await store.open_tasks()
                assert (
                    opened.task.counts == (0, 0, 1, *[0] * 6)
                    and (await store.sum_executions())[ExecutionStatus.RUNNING] == 1
                )

    async def test_a_text_that_cannot_be_read_is_passed_over_and_named(self, store: AnyStore) -> None:
        host = await filled(store)
        await put(store, "UPDATE host SET labels = '{'")
        await put(store, "UPDATE task_targets SET targets = '[1,'")
        assert await store.hosts() == [] and await store.open_tasks() == []
        named = store.unreadable()
        assert len(named) == 2 and host in named[0] and named[1].startswith("task ")

    @pytest.mark.parametrize("epoch", [-1, EPOCH_SAFE + 1, EPOCH_MAX, 2**32 - 1, 2**32, 2**62, 2**63 - 1])
    @pytest.mark.parametrize("beat", [0, 7, -5, 2**62, 2**63 - 1])
    async def test_a_lease_that_no_server_wrote_keeps_no_server_out(
        self, store: AnyStore, epoch: int, beat: int
    ) -> None:
        await put(store, "UPDATE lease SET epoch = :epoch, beat = :beat", epoch=epoch, beat=beat)
        await store.write([SaveMeta("epoch", str(epoch)), SaveMeta("epoch_seen", str(2**64 - 1))])
        first = await store.take_lease(OURS, 1)
        assert EPOCH_HEALED <= first < EPOCH_HEALED + (1 << 20)
        await store.renew_lease()
        await store.write([SaveMeta("who", "first")])
        await store.give_back_lease()
        assert await store.take_lease(OURS, 1) == first + 1, "and from there on as ever"

    @pytest.mark.parametrize("number", [2**53, 2**62, 2**63 - 1])
    async def test_a_length_that_no_lease_has_runs_out_all_the_same(self, store: AnyStore, number: int) -> None:
        await put(
            store, "UPDATE lease SET epoch = 3, length_ms = :number, until_ms = :number, pid = :number", number=number
        )
        with pytest.raises(LeaseHeld) as held:
            await store.take_lease(OURS, 1)
        assert held.value.lease.left <= LENGTH_MAX_MS / 1000 and "epoch 3" in str(held.value)
        assert await store.take_lease(OURS, 1, dead=held.value.lease) == 4

    @pytest.mark.parametrize(
        ("epoch", "seen", "next_one"),
        [
            ("4", "7", 8),
            ("4", "1000000", 5),
            ("x", "9", 10),
            ("4", "-3", 5),
            ("4", "18446744073709551615", 5),
            ("4", "٣٣", 34),
            ("", "", 1),
        ],
    )
    async def test_a_fact_about_epochs_is_believed_within_a_leap(
        self, store: AnyStore, epoch: str, seen: str, next_one: int
    ) -> None:
        if epoch == "4":
            await put(store, "UPDATE lease SET epoch = 4")
        await store.write([SaveMeta("epoch", epoch), SaveMeta("epoch_seen", seen)])
        assert await store.take_lease(OURS, 1) == next_one
