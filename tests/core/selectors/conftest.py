"""The directory of the sample hosts."""

from __future__ import annotations

import pytest

from server.core.selectors.inventory import HostDirectory
from tests.core.selectors.sample import HOSTS


@pytest.fixture
def directory() -> HostDirectory:
    made = HostDirectory()
    for host in HOSTS:
        made.put(host)
    return made
