"""Everything here starts real servers and agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.rig import Rig


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/system/" in item.nodeid:
            item.add_marker(pytest.mark.system)
            # for machines that do other things at the same time; each wait has a shorter limit of its own
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """A factory of rigs; all of their processes are gone at the end. On failure the logs are printed."""
    rigs: list[Rig] = []

    def make(*settings: str) -> Rig:
        folder = tmp_path / f"rig{len(rigs)}"
        folder.mkdir()
        rigs.append(Rig(folder, settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        print(rig.log())
        rig.stop()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A server on SQLite, running."""
    made = make_rig()
    made.start_server()
    return made
