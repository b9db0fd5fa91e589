"""Failed attempts by address and token, in bounded memory."""

from __future__ import annotations

import pytest

from server.security.attempts import KEPT, PER_S, Attempts, source_of


def test_attempts_within_a_minute_are_limited() -> None:
    ours = Attempts(3)
    for now in (0.0, 10.0, 20.0):
        assert ours.wait("a", "x", now) == 0
        ours.failed("a", "x", now)
    assert ours.wait("a", "x", 20.0) == 40.0
    assert ours.wait("a", "y", 20.0) == ours.wait("b", "x", 20.0) == 0
    assert ours.wait("a", "x", PER_S) == 0
    ours.failed("a", "x", PER_S)
    assert ours.wait("a", "x", PER_S) == 10.0
    ours.succeeded("a", "x")
    ours.succeeded("a", "x")
    assert ours.wait("a", "x", PER_S) == 0


def test_the_number_of_remembered_sources_is_limited() -> None:
    ours = Attempts(1)
    for number in range(KEPT + 1):
        ours.failed(str(number), "", 0.0)
    assert ours.wait("0", "", 0.0) == 0 and ours.wait("1", "", 0.0) > 0 and len(ours._failed) == KEPT


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8:0:0:ffff::9", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_an_ipv6_network_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source
