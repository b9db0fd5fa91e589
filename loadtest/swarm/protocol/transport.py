"""A non-blocking socket, in clear or under TLS, behind the same three verbs."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Protocol

CHUNK = 65_536
IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h"""


class Transport(Protocol):
    """All of them raise OSError (ssl.SSLError is one) when the connection has broken."""

    def handshake(self) -> int:
        """0 when it is done, otherwise the epoll events to wait for before the next try."""

    def recv(self, size: int = CHUNK) -> bytes | None:
        """b"" at the end, None when there is nothing to read now."""

    def send(self, data: bytes | bytearray) -> int:
        """Bytes taken; 0 when it takes none now."""

    def pending(self) -> bool:
        """Whether bytes wait that epoll does not know of."""

    def close(self, *, reset: bool = False) -> None: ...


class Plain:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def handshake(self) -> int:
        return 0

    def recv(self, size: int = CHUNK) -> bytes | None:
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    def send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    def pending(self) -> bool:
        return False

    def close(self, *, reset: bool = False) -> None:
        _close(self._sock, reset)


class Tls:
    """HTTP/2 is asked for by ALPN."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        self._sock = context.wrap_socket(
            sock, server_hostname=server_name, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )

    def handshake(self) -> int:
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            return select.EPOLLIN
        except ssl.SSLWantWriteError:
            return select.EPOLLOUT
        if self._sock.selected_alpn_protocol() != "h2":
            raise ssl.SSLError("the server does not speak HTTP/2 on this port")
        return 0

    def recv(self, size: int = CHUNK) -> bytes | None:
        try:
            return self._sock.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def pending(self) -> bool:
        return self._sock.pending() > 0

    def close(self, *, reset: bool = False) -> None:
        _close(self._sock, reset)


def dial(host: str, port: int, source: str | None = None) -> tuple[socket.socket, bool]:
    """A socket that is being connected, and whether it is connected already. source: the address that it comes from.
    Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            # the port is chosen when it connects, so that each address has all of them (ip(7))
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        try:
            sock.connect((host, port))
        except BlockingIOError:
            return sock, False
    except BaseException:
        sock.close()
        raise
    return sock, True


def _close(sock: socket.socket, reset: bool) -> None:
    if reset:
        # lingering for 0 s makes the kernel send RST, as when a machine forgets a connection (socket(7))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
