"""A thread that computes TLS handshakes, with an epoll set of its own: in a storm the loop hears of them a batch at a
time, not of each of their steps."""

from __future__ import annotations

import os
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from fcntl import ioctl
from socket import IPPROTO_TCP, TCP_INFO, socket
from struct import Struct
from termios import FIONREAD

from server.security.tls import HandshakeRefused, reason_of

BATCH = 16
"""Ended handshakes that the loop is told of at a time, at most."""
LOOK_EVERY = 0.1
"""Seconds between two looks for handshakes that are late."""
PATIENCE = 1.0
"""Seconds that we may keep a peer waiting and still blame it for leaving, or for not being done in time."""
CLOSED = frozenset({7, 8})
"""TCP_CLOSE and TCP_CLOSE_WAIT (net/tcp_states.h): reset, or ended by the peer."""
_state = Struct("B43xI").unpack
_received = Struct("128xQ").unpack
"""tcpi_state and tcpi_last_data_sent, which counts from the connection's beginning until something is sent;
tcpi_bytes_received. Of struct
tcp_info (linux/tcp.h, since Linux 4.1)."""
_waits = Struct("i").unpack


def taken(sock: socket) -> int:
    """Bytes that were read from a TCP socket, by whoever did."""
    (received,) = _received(sock.getsockopt(IPPROTO_TCP, TCP_INFO, 136))
    (unread,) = _waits(
        ioctl(sock, FIONREAD, bytes(4))
    )  # after the other, so that what comes in between is not taken for read
    return max(0, int(received) - int(unread))


class HandshakeSlot:
    """Of a handshake. began: when. since: when it began to wait for its peer, None while it does not. own: seconds that
    it had done so before.
    crowded: it has to make room. kept: seconds that its peer has waited for us.

    Once it has ended: error, or, without one, sock is an ssl.SSLSocket and certificate what it has shown (DER)."""

    __slots__ = (
        "began",
        "certificate",
        "crowded",
        "error",
        "interest",
        "kept",
        "own",
        "peername",
        "shaker",
        "since",
        "sock",
    )

    def __init__(self, sock: socket, peername: tuple[str, int], began: float) -> None:
        self.sock, self.peername, self.began = sock, peername, began
        self.since: float | None = None
        self.crowded = False
        self.own = self.kept = 0.0
        self.interest = select.EPOLLIN  # the peer speaks first (RFC 8446 section 2)
        self.certificate: bytes | None = None
        self.error: Exception | None = None
        self.shaker: TlsWorker | None = None

    def waited(self, now: float) -> float:
        """Seconds for which its peer has kept us waiting; 0 while it does not."""
        since = self.since
        return 0.0 if since is None else self.own + now - since

    def blamed(self) -> bool:
        """Whether it is the peer's fault that its handshake came to this."""
        return self.error is not None and (
            self.kept <= PATIENCE or reason_of(self.error) not in ("handshake_timeout", "handshake_cut_off")
        )


class TlsWorker:
    """timeout: seconds for each handshake. share: of those, after which one may be made to give up its place. largest:
    bytes that a peer may need for it. ended: told of those that did, in the shaker's thread.

    `add`, `crowd` and `stop` may be called from any thread; `run` is the thread.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        timeout: float,
        share: float,
        largest: int,
        ended: Callable[[list[HandshakeSlot]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tls, self._timeout, self._share, self._largest, self._ended, self._clock = (
            tls,
            timeout,
            share,
            largest,
            ended,
            clock,
        )
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._new: deque[HandshakeSlot] = deque()
        self._crowded: deque[HandshakeSlot] = deque()
        self._places: dict[int, HandshakeSlot] = {}
        self._done: list[HandshakeSlot] = []
        self._stopped = threading.Event()
        self._looked = self._seen = clock()

    def __len__(self) -> int:
        return len(self._new) + len(self._places)

    def add(self, place: HandshakeSlot) -> None:
        """Begin its handshake."""
        self._new.append(place)
        os.eventfd_write(self._alarm, 1)

    def crowd(self, place: HandshakeSlot) -> None:
        """End its handshake, unless what it was waiting for has come meanwhile."""
        self._crowded.append(place)
        os.eventfd_write(self._alarm, 1)

    def stop(self) -> None:
        """`run` ends soon, and gives up what is not done."""
        self._stopped.set()
        os.eventfd_write(self._alarm, 1)

    def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopped.is_set():
                self.step(LOOK_EVERY if self._places else None)
        finally:
            for place in (*self._new, *self._places.values(), *self._done):
                place.sock.close()
            self._epoll.close()
            os.close(self._alarm)

    def step(self, most: float | None) -> None:
        """Wait for something to do, no longer than `most` seconds, and do it."""
        events, came = self._epoll.poll(0), self._seen
        if not events:
            events, came = self._epoll.poll(most), self._clock()
        self._seen = self._clock()
        waiting = [self._places[fd] for fd, _ in events if fd in self._places]
        for place in waiting:
            self._hears(place, came)
        if len(waiting) < len(events):
            os.eventfd_read(self._alarm)
        for place in waiting:
            self._compute(place, came)
        while self._new:
            self._begin(self._new.popleft())
        while self._crowded:
            self._make_room(self._crowded.popleft())
        if self._clock() >= self._looked + LOOK_EVERY:
            self._look()
        self._tell()

    def _begin(self, place: HandshakeSlot) -> None:
        try:
            (state, milliseconds) = _state(place.sock.getsockopt(IPPROTO_TCP, TCP_INFO, 48))
            place.kept = milliseconds / 1000
            if state in CLOSED:
                raise ConnectionResetError(f"it left before its turn, which came after {place.kept:.1f} s")
            place.sock = self._tls.wrap_socket(
                place.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
            self._epoll.register(place.sock, place.interest)
        except OSError as error:
            self._end(place, error)
        else:
            self._places[place.sock.fileno()] = place
            place.since = self._clock()

    def _hears(self, place: HandshakeSlot, came: float) -> None:
        """came: since when what the peer has sent has waited here, at the earliest."""
        assert place.since is not None
        place.own += max(0.0, came - place.since)
        place.since = None

    def _compute(self, place: HandshakeSlot, came: float) -> None:
        """came: see `_hears`."""
        secure = place.sock
        assert isinstance(secure, ssl.SSLSocket)
        interest = select.EPOLLIN
        try:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLWantWriteError:
                interest = select.EPOLLOUT
            else:
                place.certificate = secure.getpeercert(binary_form=True)
                self._end(place)
                return
            finally:
                place.kept += self._clock() - came
            if (count := taken(secure)) > self._largest:
                raise HandshakeRefused(
                    "handshake_too_large", f"{count} bytes and no end of the handshake, the limit is {self._largest}"
                )
        except (OSError, HandshakeRefused) as error:  # ssl.SSLError is of the first kind
            self._end(place, error)
            return
        place.since = self._clock()
        if interest != place.interest:
            place.interest = interest
            self._epoll.modify(secure, interest)

    def _make_room(self, place: HandshakeSlot) -> None:
        place.crowded = False
        if self._places.get(place.sock.fileno()) is place and place.waited(self._clock()) >= self._share:
            self._end(
                place,
                HandshakeRefused(
                    "handshake_crowded_out", "too many handshakes are under way, and this one keeps us waiting"
                ),
            )

    def _look(self) -> None:
        self._looked = now = self._clock()
        late = []
        for place in self._places.values():  # the oldest first
            if place.began + self._timeout > now:
                break
            late.append(place)
        for place in late:
            self._end(place, TimeoutError(f"no TLS handshake within {self._timeout:g} s"))

    def _end(self, place: HandshakeSlot, error: Exception | None = None) -> None:
        place.error, place.since = error, None
        if self._places.pop(place.sock.fileno(), None) is not None:
            self._epoll.unregister(place.sock)
        self._done.append(place)
        if len(self._done) == BATCH:
            self._tell()

    def _tell(self) -> None:
        if self._done:
            done, self._done = self._done, []
            self._ended(done)
