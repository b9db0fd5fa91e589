"""TLS handshakes on the agent port, and what somebody who does not finish his may cost: time, bytes, and a place among so many."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from fcntl import ioctl
from socket import IPPROTO_TCP, TCP_INFO, socket
from struct import Struct
from termios import FIONREAD

import trio

from server.security.tls import HandshakeRefused, reason_of

SHARE = 4
"""When all places are taken, a handshake that waits for its peer has this part of its time."""
LOOK_EVERY = 0.1
"""Seconds between two looks for one to be cut off, while no place is free."""
PATIENCE = 1.0
"""Seconds that we may keep a peer waiting and still blame it for leaving, or for not being done in time."""
CLOSED = frozenset({7, 8})
"""TCP_CLOSE and TCP_CLOSE_WAIT (net/tcp_states.h): reset, or ended by the peer."""
_state = Struct("B43xI").unpack
_received = Struct("128xQ").unpack
"""tcpi_state and tcpi_last_data_sent, which counts from the connection's beginning until something is sent; tcpi_bytes_received. Of struct
tcp_info (linux/tcp.h, since Linux 4.1)."""
_waits = Struct("i").unpack


def taken(sock: socket) -> int:
    """Bytes that were read from a TCP socket, by whoever did."""
    (received,) = _received(sock.getsockopt(IPPROTO_TCP, TCP_INFO, 136))
    (unread,) = _waits(ioctl(sock, FIONREAD, bytes(4)))  # after the other, so that what comes in between is not taken for read
    return max(0, int(received) - int(unread))


class Place:
    """Of a handshake. began: when. waits: for its peer, not for us. crowded: it has to make room. kept: seconds that its peer has waited for us."""

    __slots__ = ("began", "crowded", "kept", "scope", "waits")

    def __init__(self, timeout: float) -> None:
        self.began = trio.current_time()
        self.scope = trio.move_on_after(timeout)
        self.waits = self.crowded = False
        self.kept = 0.0

    def blames(self, error: BaseException) -> bool:
        """Whether it is the peer's fault that its handshake came to this."""
        return self.kept <= PATIENCE or reason_of(error) not in ("handshake_timeout", "handshake_cut_off")


class Handshakes:
    """most: at once. timeout: seconds for each. largest: bytes that a peer may need for it. threads: on which TLS is computed, so that
    the loop stays free during a storm."""

    def __init__(self, most: int, timeout: float, largest: int, threads: int) -> None:
        self._most, self._timeout, self._largest = most, timeout, largest
        self._threads = trio.CapacityLimiter(threads)
        self._open: dict[Place, None] = {}
        self._left = trio.Event()

    def __len__(self) -> int:
        return len(self._open)

    async def room(self) -> None:
        """Return once there is a place. Whoever has kept us waiting for a share of its time gives up its own, the oldest first."""
        while len(self._open) >= self._most:
            before = trio.current_time() - self._timeout / SHARE
            late = next((place for place in self._open if place.waits and not place.crowded and place.began <= before), None)
            if late is not None:
                late.crowded = True
                late.scope.cancel()
            with trio.move_on_after(LOOK_EVERY):
                await self._left.wait()

    def begin(self) -> Place:
        """Take a place; `end` must follow."""
        place = Place(self._timeout)
        self._open[place] = None
        return place

    def wrap(self, place: Place, sock: socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """For `shake`. Raises OSError, also when the peer did not wait for its turn."""
        (state, milliseconds) = _state(sock.getsockopt(IPPROTO_TCP, TCP_INFO, 48))
        place.kept = milliseconds / 1000
        if state in CLOSED:
            raise ConnectionResetError(f"it left before its turn, which came after {place.kept:.1f} s")
        return tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True)

    async def shake(self, place: Place, secure: ssl.SSLSocket) -> None:
        """To its end. Raises TimeoutError, HandshakeRefused, and OSError, which ssl.SSLError is too."""
        with place.scope:
            await self._hear(place, secure)  # the peer speaks first (RFC 8446 section 2), so that no step before would get anywhere
            while not await self._step(place, secure):
                pass
        if place.crowded and place.scope.cancelled_caught:
            raise HandshakeRefused("handshake_crowded_out", f"{self._most} handshakes are under way, and this one keeps us waiting")
        if place.scope.cancelled_caught:
            raise TimeoutError(f"no TLS handshake within {self._timeout:g} s")

    def end(self, place: Place) -> None:
        """Give it back."""
        self._open.pop(place, None)
        self._left.set()
        self._left = trio.Event()

    async def _step(self, place: Place, secure: ssl.SSLSocket) -> bool:
        begun = trio.current_time()
        try:
            await trio.to_thread.run_sync(secure.do_handshake, limiter=self._threads)
            return True
        except ssl.SSLWantReadError:
            wait = trio.lowlevel.wait_readable
        except ssl.SSLWantWriteError:
            wait = trio.lowlevel.wait_writable
        finally:
            place.kept += trio.current_time() - begun
        if (count := taken(secure)) > self._largest:
            raise HandshakeRefused("handshake_too_large", f"{count} bytes and no end of the handshake, the limit is {self._largest}")
        await self._hear(place, secure, wait)
        return False

    async def _hear(self, place: Place, secure: ssl.SSLSocket, wait: Callable[[ssl.SSLSocket], Awaitable[None]] = trio.lowlevel.wait_readable) -> None:
        place.waits = True
        await wait(secure)
        place.waits = False
