"""The store on MariaDB does what every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.store.mysql import MySQLStore
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.store.answers import AnswerConformance
from tests.store.conformance import StoreConformance
from tests.store.histories import HistoryConformance
from tests.store.joins import JoinConformance
from tests.store.lists import ListConformance
from tests.store.plans import PlanConformance


@pytest.fixture
async def store(mariadb: MariaDB) -> AsyncIterator[MySQLStore]:
    store = MySQLStore(user=USER, password=PASSWORD, database=mariadb.new_database(), socket=str(mariadb.socket))
    await store.open()
    yield store
    await store.aclose()


class TestMySQL(StoreConformance, AnswerConformance, ListConformance, JoinConformance, PlanConformance, HistoryConformance):
    pass
