"""A non-blocking socket, plain or TLS, with a queue for what it does not take at once.

This file runs as it is, and is compiled a second time as `_speedups.http2.socket_c` with the types of socket_c.pxd.
"""

from __future__ import annotations

import ssl
from collections import deque
from select import EPOLLIN, EPOLLOUT, epoll
from socket import SHUT_WR, socket

CHUNK = 65_536
"""Bytes given to the socket at a time while there is a queue; small pieces are joined up to this size."""

FULL = "write queue full"
DISCARDED_CHUNKS = 4
"""Chunks that are read and dropped before closing. A kernel that holds unread bytes sends a reset, which can overtake a
GOAWAY.
"""


def error_text(error: OSError) -> str:
    """Short text for a row."""
    if isinstance(error, ssl.SSLError):
        return f"tls: {error.reason or error}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    return error.strerror or str(error)


class BufferedSocket:
    """A socket and its write queue.

    Args:
        sock: non-blocking.
        epoll: the set that `register` puts the socket in.
        limit: bytes queued; more is an error like a failed socket.

    Attributes:
        secure: it is a TLS socket.
        corked: while true, writes only queue.
        reading: input is wanted.
        error: why the socket failed, None while it has not. The socket is then still open.
        queued: bytes in the queue.
        sent: bytes sent.
        sends: number of successful sends.
    """

    __slots__ = (
        "_epoll",
        "_head",
        "_interest",
        "_limit",
        "_offset",
        "_queue",
        "_recv",
        "_send",
        "_tls_retry_length",
        "_wants_write",
        "closed",
        "corked",
        "error",
        "fd",
        "queued",
        "reading",
        "registered",
        "secure",
        "sends",
        "sent",
        "sock",
    )

    def __init__(self, sock: socket, epoll: epoll, limit: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.secure = isinstance(sock, ssl.SSLSocket)
        self.corked = False
        self.closed = False
        self.reading = True
        self.registered = False
        self.error: str | None = None
        self.queued = 0
        self.sends = 0
        self.sent = 0
        self._limit = limit
        self._epoll = epoll
        self._recv = sock.recv
        self._send = sock.send
        self._queue: deque[bytes] = deque()
        self._head = b""
        self._offset = 0
        self._tls_retry_length = 0
        self._wants_write = False
        self._interest = EPOLLIN

    def register(self) -> None:
        if not self.registered:
            self._epoll.register(self.fd, self._interest)
            self.registered = True

    def unregister(self) -> None:
        if self.registered:
            self._epoll.unregister(self.fd)
            self.registered = False

    def read(self, size: int) -> bytes | None:
        """Read at most size bytes; b"" at the end of the stream or on an error; None when there is no input."""
        try:
            return self._recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self._wants_write = True
            self._update_interest()
            return None
        except OSError as error:
            self._fail(error)
            return b""

    def epoll_reports_all(self) -> bool:
        """True if epoll announces all input. TLS may hold bytes that are already decrypted."""
        return not self.secure or not self.sock.pending()  # type: ignore[attr-defined]

    def write(self, data: bytes) -> None:
        """Send now if nothing is queued and the socket takes it, else queue."""
        if self.closed or not data:
            return
        if self.queued == 0 and not self.corked:
            self._head = data
            self._offset = 0
            self.queued = len(data)
            self.flush()
        else:
            self._queue.append(data)
            self.queued += len(data)
            if not self.corked:
                self.flush()
        if self.queued > self._limit and self.error is None:
            self.error = FULL

    def flush(self) -> None:
        """Send what the socket takes of the queue; for the rest, epoll waits until the socket is writable."""
        if self.closed or self.error is not None:
            return
        self._wants_write = False
        while self.queued > 0:
            if self._offset == len(self._head):
                self._next_head()
            left = len(self._head) - self._offset
            try:
                sent = self._send(self._piece(left))
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wants_write = True
                break
            except ssl.SSLWantReadError:
                break
            except OSError as error:
                self._fail(error)
                return
            self.sends += 1
            self.sent += sent
            self._tls_retry_length = 0
            self._offset += sent
            self.queued -= sent
            if sent < left and not self.secure and left <= CHUNK:
                self._wants_write = True
                break
        if self.queued == 0:
            self._head = b""
            self._offset = 0
        self._update_interest()

    def stop_reading(self) -> None:
        """Read no more; only what is queued still matters."""
        self.reading = False
        self._update_interest()

    def close(self, *, gently: bool = False) -> None:
        """Close the socket. gently: so that bytes that were sent may arrive although some input was not read."""
        if self.closed:
            return
        self.unregister()
        self.closed = True
        if gently and self.error is None:
            try:
                if not self.secure:
                    self.sock.shutdown(SHUT_WR)
                for _ in range(DISCARDED_CHUNKS):
                    if not self._recv(CHUNK):
                        break
            except OSError:
                pass  # the socket is closed next in any case
        self.sock.close()
        self._queue.clear()
        self._head = b""
        self.queued = self._offset = 0

    def _piece(self, left: int) -> bytes | memoryview:
        # OpenSSL must be given the same bytes again after it wanted to wait (SSL_write), so a piece keeps its length.
        if left <= CHUNK and self._offset == 0:
            return self._head
        length = self._tls_retry_length = self._tls_retry_length or min(left, CHUNK)
        return memoryview(self._head)[self._offset : self._offset + length]

    def _next_head(self) -> None:
        queue = self._queue
        head = queue.popleft()
        if queue and len(head) < CHUNK:
            pieces = [head]
            size = len(head)
            while queue and size < CHUNK:
                piece = queue.popleft()
                pieces.append(piece)
                size += len(piece)
            head = b"".join(pieces)
        self._head = head
        self._offset = 0

    def _update_interest(self) -> None:
        interest = (EPOLLIN if self.reading else 0) | (EPOLLOUT if self._wants_write else 0)
        if interest != self._interest:
            self._interest = interest
            if self.registered:
                self._epoll.modify(self.fd, interest)

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            self.error = error_text(error)
