"""The embedded store does what every store must do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.store.sqlite.store import SqliteStore
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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "clarion.db")
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
def another(tmp_path: Path) -> Open:
    async def opened() -> SqliteStore:
        store = SqliteStore(tmp_path / "clarion.db")
        await store.open()
        return store

    return opened


class TestSqlite(
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
    pass
