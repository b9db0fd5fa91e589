"""Interprets the words of a command for a simulated host. Nothing is executed.

| words | what happens |
|---|---|
| `echo TEXT…` | prints TEXT; `{host}` becomes the host's name |
| `sleep S` | ends after S seconds |
| `exit N` | ends at once with this exit code |
| `output N` | prints N bytes that depend on host and command |
| `among N S` | prints one of N lines, after up to S seconds; both depend on the host's name |
| `mixed S` | ends within S seconds, each host at a different time; every 7th host prints `odd one out` and exits with 3, of the others every 50th prints `rare`, the rest `common` |
| anything else | prints its words |

The result depends only on host and command, so the harness knows the expected results.
"""  # noqa: E501

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from loadtest.swarm.protocol.encode import digest

KEPT_HEAD = KEPT_TAIL = 256 * 1024
"""Bytes that an agent keeps of the beginning and of the end of a stream."""
MAX_OUTPUT = 64 * 1024 * 1024
MAX_SLEEP = 86_400.0
MAX_ANSWERS = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """The behaviour of a host for one command.

    Attributes:
        kind: echo, sleep, exit, output, among or mixed.
        seconds: Duration; for among and mixed the maximum.
        size: Bytes of an output, or number of answers of among.
        shared: OutputDigest of an answer that is the same on all hosts.
    """

    kind: str
    text: str = ""
    seconds: float = 0.0
    exit_code: int = 0
    size: int = 0
    shared: bytes | None = None

    def on(self, index: int) -> Plan:
        """Return the plan of the host with this number: its part of `mixed`, otherwise the same plan."""
        if self.kind != "mixed":
            return self
        text, code = ("odd one out\n", 3) if index % 7 == 0 else ("rare\n" if index % 50 == 0 else "common\n", 0)
        return Plan(
            "echo", text, self.seconds * (index * 7919 % 1000 + 1) / 1000, code, shared=digest_of(text.encode())
        )

    def pause(self, hostname: str) -> float:
        """Return the seconds until the command ends."""
        if self.kind != "among":
            return self.seconds
        return self.seconds * int.from_bytes(sha256(hostname.encode()).digest()[:4], "big") / 2**32

    def stdout(self, host_id: str, hostname: str, command_id: str) -> bytes:
        if self.kind == "output":
            line = sha256(f"{host_id} {command_id}".encode()).hexdigest().encode() + b"\n"
            return (line * (self.size // len(line) + 1))[: self.size]
        if self.kind == "among":
            return f"answer {sha256(hostname.encode()).digest()[4] % self.size + 1} of {self.size}\n".encode()
        return self.text.replace("{host}", hostname).encode()

    def digest(self, host_id: str, hostname: str, command_id: str) -> bytes:
        """Return the OutputDigest of the output."""
        return self.shared if self.shared is not None else digest_of(self.stdout(host_id, hostname, command_id))


def digest_of(output: bytes) -> bytes:
    if not output:
        return b""
    head, tail = kept(output)
    return digest(head, tail, len(output), sha256(output).digest())


def kept(output: bytes) -> tuple[bytes, bytes]:
    """Return head and tail. The tail starts after the head; if the output is longer than both, the middle
    is missing.
    """
    head, rest = output[:KEPT_HEAD], output[KEPT_HEAD:]
    return head, rest[-KEPT_TAIL:]


def words_of(command: str, argv: Sequence[str], script: str = "", args: Sequence[str] = ()) -> list[str]:
    """Return the words of a command. Shell text is only split into words, as a shell does."""
    if argv:
        return list(argv)
    line = command or script
    try:
        return [*shlex.split(line), *args]
    except ValueError:
        return [*line.split(), *args]


def plan(words: Sequence[str]) -> Plan:
    """Return the plan for these words. Words that are not a valid command of the table are printed."""
    if len(words) == 2:
        try:
            if words[0] == "sleep" and 0 <= float(words[1]) <= MAX_SLEEP:
                return Plan("sleep", seconds=float(words[1]), shared=b"")
            if words[0] == "mixed" and 0 <= float(words[1]) <= MAX_SLEEP:
                return Plan("mixed", seconds=float(words[1]))
            if words[0] == "exit" and 0 <= int(words[1]) <= 255:
                return Plan("exit", exit_code=int(words[1]), shared=b"")
            if words[0] == "output" and 0 <= int(words[1]) <= MAX_OUTPUT:
                return Plan("output", size=int(words[1]))
        except ValueError:
            pass
    if len(words) == 3 and words[0] == "among":
        try:
            if 1 <= int(words[1]) <= MAX_ANSWERS and 0 <= float(words[2]) <= MAX_SLEEP:
                return Plan("among", seconds=float(words[2]), size=int(words[1]))
        except ValueError:
            pass
    said = " ".join(words[1:] if words and words[0] == "echo" else words) + "\n"
    return Plan("echo", text=said, shared=None if "{host}" in said else digest_of(said.encode()))
