"""A non-blocking socket, plain or with TLS, with the same methods."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Protocol

CHUNK = 65_536
IP_BIND_ADDRESS_NO_PORT = 24
"""Constant of linux/in.h."""


class Transport(Protocol):
    """A connection. All methods raise OSError (also ssl.SSLError) when the connection is broken."""

    def handshake(self) -> int:
        """Continue the handshake; 0 when done, otherwise the epoll events to wait for."""

    def recv(self, size: int = CHUNK) -> bytes | None:
        """Return bytes; b"" at the end; None if there is nothing to read now."""

    def send(self, data: bytes | bytearray) -> int:
        """Return the number of accepted bytes; 0 if none are accepted now."""

    def pending(self) -> bool:
        """Return True if bytes are buffered that epoll does not report."""

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
    """Connection with TLS; requests HTTP/2 by ALPN."""

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
    """Start to connect a socket; return it and whether it is connected already.

    Args:
        source: Source address, or None.

    Raises:
        OSError: The connection failed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            # the kernel chooses the port at connect, so that each address can use all ports (ip(7))
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
        # lingering for 0 s makes the kernel send RST, as after a machine lost its state (socket(7))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
