"""Connections of a port: how many there are, from where, and which one makes room for a new one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class ConnectionSlot:
    """One open connection. address: of its peer; "" for one whose number is not limited, such as a trusted proxy.
    close: ends it at once."""

    __slots__ = ("address", "close")

    def __init__(self, address: str, close: Callable[[], None]) -> None:
        self.address, self.close = address, close


class ConnectionSlots:
    """At most `most` connections, and at most `per_address` of one address.

    A connection that waits for a request makes room for a new one: of the address that has too many, or of the one that
    has most, the
    connection that waits longest. So connections that are only held open keep no one out. If all have requests, the new
    one is refused.
    """

    def __init__(self, most: int, per_address: int) -> None:
        self._most, self._per_address = most, per_address
        self._open: dict[str, set[ConnectionSlot]] = {}
        self._idle: dict[str, OrderedDict[ConnectionSlot, None]] = {}
        self.count = 0

    def enter(self, place: ConnectionSlot) -> str | None:
        """Take it in, as one that waits for its first request.

        Returns:
            None, or why this took room from another connection: `crowded_out`.

        Raises:
            NoRoom: The connection must be closed.
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
        """It waits for a request from now on."""
        if place in self._open.get(place.address, ()):
            self._idle.setdefault(place.address, OrderedDict())[place] = None

    def works(self, place: ConnectionSlot) -> None:
        """It has a request."""
        self._forget(self._idle, place)

    def leave(self, place: ConnectionSlot) -> None:
        """It is closed. Of no effect when it was dropped."""
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
    """str: `too_many` or `too_many_from_address`."""
