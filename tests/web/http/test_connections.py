"""The connection that is dropped at the limit, and the client behind a proxy."""

from __future__ import annotations

import pytest

from server.security.connection_slots import ConnectionSlot, ConnectionSlots, NoFreeSlot
from server.settings.networks import networks
from server.web.http.proxies import TrustedProxies


class Opened:
    def __init__(self, places: ConnectionSlots) -> None:
        self.places, self.closed = places, list[ConnectionSlot]()

    def __call__(self, address: str) -> ConnectionSlot:
        place: ConnectionSlot = ConnectionSlot(address, lambda: self.closed.append(place))
        self.places.enter(place)
        return place


def test_at_an_addresss_limit_its_connection_that_waits_longest_is_dropped() -> None:
    opened = Opened(ConnectionSlots(10, 2))
    first, second, other = opened("a"), opened("a"), opened("b")
    opened.places.works(first)
    opened("a")
    assert opened.closed == [second]
    opened.places.waits(first)
    opened("a")
    assert len(opened.closed) == 2 and first not in opened.closed
    opened("a")
    assert opened.closed[2] is first and other not in opened.closed
    assert opened.places.count == 3


def test_at_the_total_limit_the_address_with_most_connections_loses_one() -> None:
    opened = Opened(ConnectionSlots(4, 100))
    alone, first, *_ = opened("a"), opened("b"), opened("b"), opened("b")
    opened("c")
    assert opened.closed == [first]
    opened("c")
    assert alone not in opened.closed and opened.places.count == 4


def test_no_connection_is_dropped_if_all_are_busy() -> None:
    opened = Opened(ConnectionSlots(3, 2))
    mine = [opened("a"), opened("a")]
    for place in mine:
        opened.places.works(place)
    with pytest.raises(NoFreeSlot, match=r"^too_many_from_address$"):
        opened("a")
    opened.places.works(opened("b"))
    with pytest.raises(NoFreeSlot, match=r"^too_many$"):
        opened("b")
    assert not opened.closed and opened.places.count == 3


def test_leaving_a_dropped_slot_has_no_effect() -> None:
    opened = Opened(ConnectionSlots(1, 1))
    first = opened("a")
    second = opened("a")
    opened.places.waits(first)  # its task has not noticed the close yet
    opened.places.leave(first)
    assert opened.places.count == 1 and opened.places.all() == [second]
    opened.places.leave(second)
    opened.places.leave(second)
    assert opened.places.count == 0 and not opened.places.all()


def test_an_address_without_a_limit_counts_towards_the_total() -> None:
    opened = Opened(ConnectionSlots(3, 1))
    for _ in range(3):
        opened("")
    opened("a")
    assert len(opened.closed) == 1


PEER = ("10.0.0.1", 5)


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        (PEER, {"x-forwarded-for": "1.2.3.4"}, ("1.2.3.4", False)),
        (PEER, {"x-forwarded-for": "6.6.6.6, 1.2.3.4"}, ("1.2.3.4", False)),
        (PEER, {"x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.7"}, ("1.2.3.4", False)),
        (PEER, {"x-forwarded-for": "10.0.0.9,10.0.0.7"}, ("10.0.0.9", False)),
        (PEER, {"x-forwarded-for": "1.2.3.4:567", "x-forwarded-proto": "https"}, ("1.2.3.4", True)),
        (PEER, {"x-forwarded-for": "[2001:db8::1]:567"}, ("2001:db8::1", False)),
        (PEER, {"x-forwarded-for": "2001:db8::1"}, ("2001:db8::1", False)),
        (PEER, {"x-forwarded-for": "1.2.3.4, nonsense, 10.0.0.7"}, ("10.0.0.7", False)),
        (PEER, {"x-forwarded-for": "", "x-forwarded-proto": "http"}, ("10.0.0.1", False)),
        (PEER, {"x-forwarded-proto": "https, http"}, ("10.0.0.1", False)),
        (PEER, {}, ("10.0.0.1", False)),
        (("::ffff:10.0.0.1", 5), {"x-forwarded-for": "::ffff:1.2.3.4"}, ("1.2.3.4", False)),
        (("192.0.2.1", 5), {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https"}, ("192.0.2.1", False)),
        (("not an address", 5), {"x-forwarded-for": "1.2.3.4"}, ("not an address", False)),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(
    peer: tuple[str, int], headers: dict[str, str], client: tuple[str, bool]
) -> None:
    proxies = TrustedProxies(networks("10.0.0.0/24, ::1"))
    found, secure = proxies.client(peer, [(name.encode(), value.encode()) for name, value in headers.items()])
    assert found is not None and (found[0], secure) == client


def test_without_trusted_proxies_headers_are_ignored() -> None:
    assert TrustedProxies().client(PEER, [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-proto", b"https")]) == (
        PEER,
        False,
    )
    assert TrustedProxies(networks("10.0.0.0/8")).client(None, []) == (None, False)


def test_a_bad_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0\.0/40' is neither"):
        networks("127.0.0.1, 10.0.0.0/40")
