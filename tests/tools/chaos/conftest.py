"""Marks the tests that start real servers and agents."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/tools/chaos/test_real_" in item.nodeid:
            item.add_marker(pytest.mark.system)
            # for machines that do other things at the same time; each wait has a shorter limit of its own
            item.add_marker(pytest.mark.timeout(400))
