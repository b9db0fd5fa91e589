"""A thread that computes TLS handshakes with an epoll set of its own.

The event loop hears of ended handshakes in batches, not of each step of each handshake.
"""

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
"""Ended handshakes that are reported to the event loop at a time, at most."""
CHECK_INTERVAL = 0.1
"""Seconds between two checks for handshakes that exceed their timeout."""
MAX_OWN_DELAY = 1.0
"""Seconds. If the server kept a peer waiting longer than this, an aborted or late handshake is not counted against its
address.
"""
CLOSED = frozenset({7, 8})
"""TCP_CLOSE and TCP_CLOSE_WAIT (net/tcp_states.h): the peer reset or ended the connection."""
_tcp_state = Struct("B43xI").unpack
_tcp_received = Struct("128xQ").unpack
"""Fields of struct tcp_info (linux/tcp.h, since Linux 4.1).

The first reads tcpi_state and tcpi_last_data_sent, which counts milliseconds from the connection's beginning until
something is sent. The second reads tcpi_bytes_received.
"""
_int = Struct("i").unpack


def bytes_read(sock: socket) -> int:
    """Bytes that were read from a TCP socket, by Python or by OpenSSL."""
    (received,) = _tcp_received(sock.getsockopt(IPPROTO_TCP, TCP_INFO, 136))
    (unread,) = _int(
        ioctl(sock, FIONREAD, bytes(4))
    )  # asked second, so that bytes that arrive in between do not count as read
    return max(0, int(received) - int(unread))


class HandshakeSlot:
    """One handshake, and who waited how long for whom: the peer for the server, or the server for the peer.

    Attributes:
        started_at: when the slot was taken.
        peer_waiting_since: since when the server waits for the peer; None while it does not.
        earlier_peer_delay: seconds that the server waited for the peer before that.
        our_delay: seconds that the peer waited for the server.
        drop_requested: the slot is needed for another handshake.
        interest: epoll events that the handshake waits for.
        error: why the handshake failed; None if it has not ended or succeeded.
        sock: an ssl.SSLSocket once the handshake succeeded.
        certificate: the peer's certificate (DER) once the handshake succeeded.
    """

    __slots__ = (
        "certificate",
        "drop_requested",
        "earlier_peer_delay",
        "error",
        "interest",
        "our_delay",
        "peer_waiting_since",
        "peername",
        "sock",
        "started_at",
        "worker",
    )

    def __init__(self, sock: socket, peername: tuple[str, int], started_at: float) -> None:
        self.sock = sock
        self.peername = peername
        self.started_at = started_at
        self.peer_waiting_since: float | None = None
        self.drop_requested = False
        self.earlier_peer_delay = self.our_delay = 0.0
        self.interest = select.EPOLLIN  # the peer speaks first (RFC 8446 section 2)
        self.certificate: bytes | None = None
        self.error: Exception | None = None
        self.worker: TlsWorker | None = None

    def peer_delay(self, now: float) -> float:
        """Seconds for which the server has waited for the peer; 0 while it does not wait."""
        peer_waiting_since = self.peer_waiting_since
        return 0.0 if peer_waiting_since is None else self.earlier_peer_delay + now - peer_waiting_since

    def is_peers_fault(self) -> bool:
        """True if the peer caused the failure.

        False when the server was slow and the peer therefore gave up or ran out of time.
        """
        return self.error is not None and (
            self.our_delay <= MAX_OWN_DELAY or reason_of(self.error) not in ("handshake_timeout", "handshake_cut_off")
        )


class TlsWorker:
    """Computes handshakes until `stop`. `add`, `drop_if_waiting` and `stop` may be called from any thread.

    Args:
        tls: context of the agent port.
        timeout: seconds for each handshake.
        share: seconds of waiting for its peer after which a handshake may be dropped.
        max_bytes: bytes that a peer may send for its handshake.
        ended: called in this thread with the handshakes that ended.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        timeout: float,
        share: float,
        max_bytes: int,
        ended: Callable[[list[HandshakeSlot]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tls = tls
        self._timeout = timeout
        self._share = share
        self._max_bytes = max_bytes
        self._ended = ended
        self._clock = clock
        self._epoll = select.epoll()
        self._wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup_fd, select.EPOLLIN)
        self._new: deque[HandshakeSlot] = deque()
        self._to_drop: deque[HandshakeSlot] = deque()
        self._slots: dict[int, HandshakeSlot] = {}
        self._done: list[HandshakeSlot] = []
        self._stopped = threading.Event()
        self._checked_at = self._last_poll = clock()

    def __len__(self) -> int:
        return len(self._new) + len(self._slots)

    def add(self, slot: HandshakeSlot) -> None:
        """Start the slot's handshake."""
        self._new.append(slot)
        os.eventfd_write(self._wakeup_fd, 1)

    def drop_if_waiting(self, slot: HandshakeSlot) -> None:
        """Drop the slot's handshake, unless the peer's data arrived meanwhile."""
        self._to_drop.append(slot)
        os.eventfd_write(self._wakeup_fd, 1)

    def stop(self) -> None:
        """Make `run` end soon and close the handshakes that are not done."""
        self._stopped.set()
        os.eventfd_write(self._wakeup_fd, 1)

    def run(self) -> None:
        """Compute handshakes until `stop`. This is the thread's main function."""
        try:
            while not self._stopped.is_set():
                self.step(CHECK_INTERVAL if self._slots else None)
        finally:
            for slot in (*self._new, *self._slots.values(), *self._done):
                slot.sock.close()
            self._epoll.close()
            os.close(self._wakeup_fd)

    def step(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds for something to do, and do it."""
        events = self._epoll.poll(0)
        arrived_at = self._last_poll
        if not events:
            events = self._epoll.poll(timeout)
            arrived_at = self._clock()
        self._last_poll = self._clock()
        waiting = [self._slots[fd] for fd, _ in events if fd in self._slots]
        for slot in waiting:
            self._on_input(slot, arrived_at)
        if len(waiting) < len(events):
            os.eventfd_read(self._wakeup_fd)
        for slot in waiting:
            self._compute(slot, arrived_at)
        while self._new:
            self._begin(self._new.popleft())
        while self._to_drop:
            self._drop_waiting(self._to_drop.popleft())
        if self._clock() >= self._checked_at + CHECK_INTERVAL:
            self._drop_late()
        self._report()

    def _begin(self, slot: HandshakeSlot) -> None:
        try:
            (state, milliseconds) = _tcp_state(slot.sock.getsockopt(IPPROTO_TCP, TCP_INFO, 48))
            slot.our_delay = milliseconds / 1000
            if state in CLOSED:
                raise ConnectionResetError(f"the peer left before its turn, which came after {slot.our_delay:.1f} s")
            slot.sock = self._tls.wrap_socket(
                slot.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
            self._epoll.register(slot.sock, slot.interest)
        except OSError as error:
            self._end(slot, error)
        else:
            self._slots[slot.sock.fileno()] = slot
            slot.peer_waiting_since = self._clock()

    def _on_input(self, slot: HandshakeSlot, arrived_at: float) -> None:
        """Stop counting the wait for the peer. arrived_at: earliest time at which its data can have arrived."""
        assert slot.peer_waiting_since is not None
        slot.earlier_peer_delay += max(0.0, arrived_at - slot.peer_waiting_since)
        slot.peer_waiting_since = None

    def _compute(self, slot: HandshakeSlot, arrived_at: float) -> None:
        """Continue the handshake. arrived_at: as in `_on_input`."""
        secure = slot.sock
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
                slot.certificate = secure.getpeercert(binary_form=True)
                self._end(slot)
                return
            finally:
                slot.our_delay += self._clock() - arrived_at
            if (count := bytes_read(secure)) > self._max_bytes:
                raise HandshakeRefused(
                    "handshake_too_large", f"{count} bytes and no end of the handshake, the limit is {self._max_bytes}"
                )
        except (OSError, HandshakeRefused) as error:  # ssl.SSLError is an OSError
            self._end(slot, error)
            return
        slot.peer_waiting_since = self._clock()
        if interest != slot.interest:
            slot.interest = interest
            self._epoll.modify(secure, interest)

    def _drop_waiting(self, slot: HandshakeSlot) -> None:
        slot.drop_requested = False
        if self._slots.get(slot.sock.fileno()) is slot and slot.peer_delay(self._clock()) >= self._share:
            self._end(
                slot,
                HandshakeRefused(
                    "handshake_crowded_out", "too many handshakes are under way, and this one waits for its peer"
                ),
            )

    def _drop_late(self) -> None:
        self._checked_at = now = self._clock()
        late = []
        for slot in self._slots.values():  # the oldest first
            if slot.started_at + self._timeout > now:
                break
            late.append(slot)
        for slot in late:
            self._end(slot, TimeoutError(f"no TLS handshake within {self._timeout:g} s"))

    def _end(self, slot: HandshakeSlot, error: Exception | None = None) -> None:
        slot.error = error
        slot.peer_waiting_since = None
        if self._slots.pop(slot.sock.fileno(), None) is not None:
            self._epoll.unregister(slot.sock)
        self._done.append(slot)
        if len(self._done) == BATCH:
            self._report()

    def _report(self) -> None:
        if self._done:
            done = self._done
            self._done = []
            self._ended(done)
