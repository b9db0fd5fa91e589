"""One server per test, with three known hosts of which two are connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.web.world import HOSTS, World, open_world


@pytest.fixture
async def world(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[World]:
    made = await open_world(tmp_path, nursery)
    await made.know(*HOSTS)
    made.connect("web-1", "web-2")
    yield made
    await made.aclose()
