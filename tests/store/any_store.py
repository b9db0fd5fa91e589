"""The interface of a store for tests: all of base.Store, and any query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from server.store.base import Store
from server.store.sql import Dialect


class AnyStore(Store, Protocol):
    dialect: Dialect

    async def fetch(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]: ...
