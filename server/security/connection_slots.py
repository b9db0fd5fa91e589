"""Limits the connections of a port, in total and per address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class ConnectionSlot:
    """One open connection.

    Attributes:
        address: Address of the peer; empty if the address has no limit, as for a trusted proxy.
        close: Closes the connection at once.
    """

    __slots__ = ("address", "close")

    def __init__(self, address: str, close: Callable[[], None]) -> None:
        self.address = address
        self.close = close


class ConnectionSlots:
    """All open connections.

    When a limit is reached, the server closes the connection that has waited longest for a request: of the address that
    has too many, or of the address with the most connections. Idle connections therefore cannot block new clients. If
    all connections have requests, the new one is refused.

    Args:
        most: Maximum number of connections.
        per_address: Maximum number of connections from one address.
    """

    def __init__(self, most: int, per_address: int) -> None:
        self._most = most
        self._per_address = per_address
        self._open: dict[str, set[ConnectionSlot]] = {}
        self._idle: dict[str, OrderedDict[ConnectionSlot, None]] = {}
        self.count = 0

    def enter(self, place: ConnectionSlot) -> str | None:
        """Add a connection that waits for its first request.

        Returns:
            `crowded_out` if another connection was closed for it, otherwise None.

        Raises:
            NoFreeSlot: The new connection must be closed.
        """
        there = self._open.get(place.address, ())
        made_room = False
        if place.address and len(there) >= self._per_address:
            if not self._drop_oldest(place.address):
                raise NoFreeSlot("too_many_from_address")
            made_room = True
        elif self.count >= self._most:
            fullest = max(self._idle, key=lambda address: len(self._open[address]), default=None)
            if fullest is None or not self._drop_oldest(fullest):
                raise NoFreeSlot("too_many")
            made_room = True
        self.count += 1
        self._open.setdefault(place.address, set()).add(place)
        self.waits(place)
        return "crowded_out" if made_room else None

    def waits(self, place: ConnectionSlot) -> None:
        """Mark a connection as waiting for a request."""
        if place in self._open.get(place.address, ()):
            self._idle.setdefault(place.address, OrderedDict())[place] = None

    def works(self, place: ConnectionSlot) -> None:
        """Mark a connection as having a request."""
        self._forget(self._idle, place)

    def leave(self, place: ConnectionSlot) -> None:
        """Remove a closed connection. Has no effect if the server closed it."""
        self.works(place)
        there = self._open.get(place.address)
        if there is not None and place in there:
            there.discard(place)
            self.count -= 1
            if not there:
                del self._open[place.address]

    def all(self) -> list[ConnectionSlot]:
        return [place for there in self._open.values() for place in there]

    def _drop_oldest(self, address: str) -> bool:
        waiting = self._idle.get(address)
        if not waiting:
            return False
        place = next(iter(waiting))
        self.leave(place)
        place.close()
        return True

    @staticmethod
    def _forget(idle: dict[str, OrderedDict[ConnectionSlot, None]], place: ConnectionSlot) -> None:
        waiting = idle.get(place.address)
        if waiting is not None and place in waiting:
            del waiting[place]
            if not waiting:
                del idle[place.address]


class NoFreeSlot(Exception):
    """No connection can be closed for the new one. The text is `too_many` or `too_many_from_address`."""
