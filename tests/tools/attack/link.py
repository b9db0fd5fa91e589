"""One hostile connection: it connects, may do the handshake, may become a session, and then sends what it is given."""

from __future__ import annotations

import random
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from agent.enrolment import credentials
from loadtest.swarm.loop import PATH, host_id_of
from loadtest.swarm.protocol.h2 import Call, request_block
from proto.messages import CommandMessage, Entry, Facts, Hello, Outcome, Stage
from tests.tools.attack.plays import CLAIMS, claimed_id

HEADER, DATA, GOAWAY, WINDOW_UPDATE = 9, 0, 7, 8
CHUNK = 65_536
PATIENCE = 10.0
"""Seconds for what the server must do at once: accept a connection, answer a Hello."""
IDENTITIES = 20
"""Hosts of the attacker, used in turn: two connections of one host at the same time are a copy and quarantined."""
ATTACKERS = 666
"""Seed of their host ids without TLS."""
NOBODY, STRANGER, GUEST, AGENT = "nobody", "stranger", "guest", "agent"
"""Kinds of attackers: a bare socket; a peer without credentials; a host with a call but without Hello; a host with
Hello.
"""


@dataclass(frozen=True, slots=True)
class Aim:
    """Target of a connection.

    Attributes:
        address: Address of the agent port.
        source: Source address.
        tls: True if the port uses TLS.
        states: Folder with a folder for each identity.
        number: Number of the identity.
        token: Token for the plaintext port.
        slots: Slots in the Hello.
        window: HTTP/2 window that the agent grants.
    """

    address: tuple[str, int]
    source: str
    tls: bool
    who: str
    states: str = ""
    number: int = 0
    token: str = ""
    slots: int = 16
    window: int | None = None
    receive_buffer: int | None = None
    claims: bool = False
    facts: bool = False


class Cut(Exception):
    """The server has ended the connection; the text states how."""


class Link:
    """One connection: `open`, then `send` and `read` until one raises Cut.

    Attributes:
        sent: Sent bytes.
        ready: True if it is open and authenticated.
    """

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.sent = 0
        self.goaway = ""
        self._held = b""
        self.sock = self._dial()

    def _dial(self) -> socket.socket:
        aim = self.aim
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if aim.receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, aim.receive_buffer)
            sock.settimeout(PATIENCE)
            sock.bind((aim.source, 0))
            sock.connect(aim.address)
            if aim.tls and aim.who != NOBODY:
                sock = _context(aim).wrap_socket(sock, server_hostname="localhost")
        except OSError as error:
            sock.close()
            raise Cut(_words(error)) from error
        return sock

    def open(self) -> None:
        """Open the connection; become a session if the attacker is an agent."""
        try:
            if self.aim.who == AGENT:
                self._hello()
        except OSError as error:
            self.close()
            raise Cut(_words(error)) from error
        self.sock.setblocking(False)

    def _hello(self) -> None:
        aim = self.aim
        call = Call(request_block(f"localhost:{aim.address[1]}", PATH, "" if aim.tls else aim.token, tls=aim.tls))
        if aim.window is not None:
            # the last value counts (RFC 9113 section 6.5.3)
            call.out[24:24] = b"\0\0\x06\x04\0\0\0\0\0\0\x04" + (1 << 20).to_bytes(4, "big")
        host_id = credentials.joined(state_of(aim)).host_id if aim.tls else host_id_of(ATTACKERS, aim.number)
        hello = Hello(
            host_id=host_id, journal_id="attack-journal", boot_id="attack-boot", slots=aim.slots, facts=_facts(aim)
        )
        if aim.claims:
            hello.entries = [
                Entry(claimed_id(number), 1, 1 + number % 256, Stage.DONE, Outcome.COMPLETED)
                for number in range(CLAIMS)
            ]
            hello.max_seq = 256
        call.send(bytes(CommandMessage(hello=hello)))
        self.sock.sendall(call.out)
        call.out.clear()
        while not call.receive(data := self.sock.recv(CHUNK)):
            if not data or call.ended:
                self.close()
                raise Cut(call.ended or "closed")
            self.sock.sendall(call.out)
            call.out.clear()
        if aim.window is not None:
            self.sock.sendall(b"\0\0\x06\x04\0\0\0\0\0\0\x04" + aim.window.to_bytes(4, "big"))

    def send(self, data: bytes) -> int:
        """Return the number of accepted bytes, 0 if none.

        Raises:
            Cut: The server has ended the connection.
        """
        try:
            count = self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            self._last_words(error)
        self.sent += count
        return count

    def read(self) -> None:
        """Read received data.

        Raises:
            Cut: The server has ended the connection.
        """
        for _ in range(16):
            try:
                data = self.sock.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                raise Cut(self.goaway or _words(error)) from error
            if not data:
                raise Cut(self.goaway or "closed")
            self._understand(data)

    def _last_words(self, error: OSError) -> None:
        """Return the reason in the data received before the end."""
        self.read()
        raise Cut(self.goaway or _words(error)) from error

    def _understand(self, data: bytes) -> None:
        data = self._held + data
        at = 0
        while len(data) - at >= HEADER:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at - HEADER < size:
                break
            if data[at + 3] == GOAWAY and size >= 8:
                body = data[at + HEADER : at + HEADER + size]
                self.goaway = f"GOAWAY {int.from_bytes(body[4:8], 'big')} {body[8:].decode(errors='replace')}".rstrip()
            at += HEADER + size
        self._held = data[at : at + CHUNK]

    def close(self) -> None:
        self.sock.close()


def _facts(aim: Aim) -> Facts:
    if not aim.facts:
        return Facts(hostname="attacker")
    rng = random.Random()
    labels = {f"label{number}": rng.randbytes(100).hex() for number in range(64)}
    return Facts(hostname=f"attacker-{rng.randrange(10**9)}", os=rng.randbytes(100).hex(), labels=labels)


_CONTEXTS: dict[tuple[Path, str], ssl.SSLContext] = {}


def state_of(aim: Aim) -> Path:
    return Path(aim.states) / f"attacker-{aim.number}"


def _context(aim: Aim) -> ssl.SSLContext:
    key = (state := state_of(aim), aim.who)
    if key not in _CONTEXTS:
        _CONTEXTS[key] = (
            credentials.client_context(state)
            if aim.who in (GUEST, AGENT)
            else credentials.trusting_context((state / credentials.ROOT).read_text())
        )
    return _CONTEXTS[key]


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    return str(error)
