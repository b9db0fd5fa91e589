"""Two servers for all attacks, one with and one without TLS, each with healthy agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.attack.site import SHORT, Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/tools/attack/" in item.nodeid:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session", params=["plain", "tls"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a site with times of a second where the defaults are longer. On failure the logs are printed."""
    made = Site(tmp_path_factory.mktemp(request.param), 6, tls=request.param == "tls", settings=SHORT)
    try:
        made.start()
        yield made
    finally:
        print(made.rig.log())
        made.close()
