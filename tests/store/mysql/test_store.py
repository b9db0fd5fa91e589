"""The store on MariaDB does what every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.core.effects import SaveExecution
from server.core.model import Execution
from server.core.states import ExecutionStatus as E
from server.store.base import StoreRefused
from server.store.mysql import store as mysql
from server.store.mysql import text_queries
from server.store.mysql.store import MySQLStore
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.store.any_store import AnyStore
from tests.store.conformance.answers import AnswerConformance
from tests.store.conformance.heals import HealConformance
from tests.store.conformance.joins import JoinConformance
from tests.store.conformance.leases import LeaseConformance, Open
from tests.store.conformance.lists import ListConformance
from tests.store.conformance.orphans import OrphanConformance
from tests.store.conformance.plans import PlanConformance
from tests.store.conformance.suite import StoreConformance
from tests.store.conformance.tables import TableConformance
from tests.store.histories import HistoryConformance
from tests.store.make import create, hosts


@pytest.fixture
def another(mariadb: MariaDB) -> Open:
    """Opens a store on this test's database."""
    database = mariadb.new_database()

    async def opened() -> MySQLStore:
        store = MySQLStore(user=USER, password=PASSWORD, database=database, socket=str(mariadb.socket))
        await store.open()
        return store

    return opened


@pytest.fixture
async def store(another: Open) -> AsyncIterator[AnyStore]:
    store = await another()
    yield store
    await store.aclose()


class TestMySQL(
    StoreConformance,
    TableConformance,
    LeaseConformance,
    AnswerConformance,
    ListConformance,
    JoinConformance,
    PlanConformance,
    HealConformance,
    OrphanConformance,
    HistoryConformance,
):
    @pytest.mark.parametrize("part", [1, 4, 9, 10])
    async def test_a_tasks_rows_come_as_texts_of_any_number_of_lines(
        self, store: AnyStore, monkeypatch: pytest.MonkeyPatch, part: int
    ) -> None:
        monkeypatch.setattr(text_queries, "PART", part)
        made = create(hosts(9))
        failed = Execution(
            made.command.command_id,
            made.task.targets[4],
            status=E.FAILED,
            version=3,
            exit_code=-7,
            error_code="nö\tcode\n" * 40,
            finished_at=7,
        )
        silent = Execution(
            made.command.command_id,
            made.task.targets[5],
            status=E.FAILED,
            version=3,
            error_code="",
            stdout_id=bytes(32),
        )
        await store.write([made, SaveExecution(failed), SaveExecution(silent)])
        by_hosts = {one.host_ids: one for one in await store.answers(made.command.command_id)}
        rest = tuple(host for host in made.task.targets if host not in (failed.host_id, silent.host_id))
        assert set(by_hosts) == {(failed.host_id,), (silent.host_id,), rest}
        assert (
            by_hosts[failed.host_id,].exit_code,
            by_hosts[failed.host_id,].error_code,
            by_hosts[failed.host_id,].first_at,
        ) == (-7, ("nö\tcode\n" * 40)[:200], 7)
        assert (by_hosts[silent.host_id,].error_code, by_hosts[silent.host_id,].stdout_id) == ("", bytes(32))
        assert [line[4:] for line in await store.states(made.command.command_id)] == sorted(made.task.targets)

    async def test_a_text_that_the_database_cuts_is_refused_and_not_believed(
        self, another: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mysql, "_CONCAT_BYTES", 300)
        store = await another()
        made = create(hosts(9))
        await store.write([made])
        for read in (store.answers, store.states):
            with pytest.raises(StoreRefused, match="max_allowed_packet"):
                await read(made.command.command_id)
        await store.aclose()
