"""The simulated database keeps the contract of every table."""

from __future__ import annotations

from typing import TypeVar

import pytest

from server.core.effects import Save
from server.store.tables.registry import TABLES
from tests.store.conformance.tables import SAMPLES, TableConformance
from tests.tools.simulate.machines.database import Tables

T = TypeVar("T")


class Simulated:
    """The tables alone, without the faults."""

    tables = TABLES

    def __init__(self) -> None:
        self.kept = Tables()

    async def write(self, saves: list[Save]) -> None:
        self.kept.apply(saves)

    async def all_of(self, record: type[T]) -> list[T]:
        return list(self.kept.records[TABLES.by_record[record]].values())


@pytest.fixture
def store() -> Simulated:
    return Simulated()


def test_every_table_has_a_sample() -> None:
    """A table without one would not be tested."""
    assert set(SAMPLES) == set(TABLES.generic)


class TestSimulated(TableConformance):
    pass
