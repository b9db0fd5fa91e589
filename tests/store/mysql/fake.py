"""A server that speaks only MySQL's login with caching_sha2_password, which MariaDB does not have.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
"""

from __future__ import annotations

import hashlib
import struct

import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SALT = b"abcdefghijklmnopqrst"
OK = b"\0\0\0\2\0\0\0"
# LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH,
# PLUGIN_AUTH_LENENC_CLIENT_DATA
CAPABILITIES = 1 | 1 << 3 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19 | 1 << 21


class FakeMySQL:
    """cached: the server knows the password's hash, so that the scramble is enough; else it wants the password
    itself."""

    def __init__(self, password: str, *, cached: bool) -> None:
        self._password = password.encode()
        self._cached = cached
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.logins = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self._stream, self._number = stream, 0
        greeting = b"\x0a9.7.4\0" + struct.pack("<I", 7) + SALT[:8] + b"\0" + struct.pack("<H", CAPABILITIES & 0xFFFF)
        greeting += (
            b"\xff"
            + struct.pack("<HHB", 2, CAPABILITIES >> 16, 21)
            + bytes(10)
            + SALT[8:]
            + b"\0caching_sha2_password\0"
        )
        await self._send(greeting)
        await self._receive()
        await self._send(b"\xfecaching_sha2_password\0" + SALT + b"\0")
        if await self._receive() != self._scramble():
            return await self._refuse()
        if self._cached:
            await self._send(b"\x01\x03")
        else:
            await self._send(b"\x01\x04")
            assert await self._receive() == b"\x02"
            public = self._key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            await self._send(b"\x01" + public)
            oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
            masked = self._key.decrypt(await self._receive(), oaep)
            if bytes(byte ^ SALT[at % 20] for at, byte in enumerate(masked)) != self._password + b"\0":
                return await self._refuse()
        self.logins += 1
        await self._send(OK)
        while True:
            self._number = 0
            await self._receive()
            await self._send(OK)

    async def _refuse(self) -> None:
        await self._send(b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied")

    def _scramble(self) -> bytes:
        once = hashlib.sha256(self._password).digest()
        salted = hashlib.sha256(hashlib.sha256(once).digest() + SALT).digest()
        return bytes(left ^ right for left, right in zip(once, salted, strict=True))

    async def _send(self, payload: bytes) -> None:
        await self._stream.send_all(struct.pack("<I", len(payload))[:3] + bytes([self._number]) + payload)
        self._number += 1

    async def _receive(self) -> bytes:
        header = await self._exactly(4)
        self._number = header[3] + 1
        return await self._exactly(int.from_bytes(header[:3], "little"))

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self._stream.receive_some(count - len(data))
            if not more:
                raise trio.EndOfChannel
            data += more
        return data
