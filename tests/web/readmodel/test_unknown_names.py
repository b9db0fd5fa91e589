"""The error about names of no host costs as much as what it shows, however many names are wrong."""

from __future__ import annotations

import pytest

from server.web.readmodel import unknown_names
from server.web.readmodel.unknown_names import DETAILED, refused
from tests.web.world import World


@pytest.mark.parametrize("name", ["a*", "web", "-", "x y"])
async def test_only_the_names_that_are_shown_are_examined(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    examined = 0
    real = unknown_names.fault

    def fault(text: str) -> str | None:
        nonlocal examined
        examined += 1
        return real(text)

    monkeypatch.setattr(unknown_names, "fault", fault)
    error = refused(world.fleet, "targets", [f"{name}{number}" for number in range(100_000)], {}, {})
    assert examined == DETAILED
    unknown, malformed = error.details["unknown"], error.details["malformed"]
    assert isinstance(unknown, list) and isinstance(malformed, list)
    assert sorted((len(unknown), len(malformed))) == [0, DETAILED]
    assert "100,000 names belong to no host" in str(error)


async def test_names_that_no_host_can_have_are_told_from_others(world: World) -> None:
    error = refused(world.fleet, "targets", ["web0", "a*b", "db0"], {}, {})
    assert (error.details["unknown"], error.details["malformed"]) == (["web0", "db0"], ["a*b"])
