"""The store on MariaDB does what every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.store.mysql import MySQLStore
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.store.answers import AnswerConformance
from tests.store.any_store import AnyStore
from tests.store.conformance import StoreConformance
from tests.store.histories import HistoryConformance
from tests.store.joins import JoinConformance
from tests.store.leases import LeaseConformance, Open
from tests.store.lists import ListConformance
from tests.store.plans import PlanConformance


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


class TestMySQL(StoreConformance, LeaseConformance, AnswerConformance, ListConformance, JoinConformance, PlanConformance, HistoryConformance):
    pass
