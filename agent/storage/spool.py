"""Directories of the executions: created before the start, read for the result, removed once the server has committed
it.

A directory is named "<command_id>.<attempt>", from ids whose form has been checked. No other text of a peer becomes a
file name.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.core.model import Digest, Key, Kill, Outcome, Report, Usage
from agent.shim import records, script
from agent.shim.live import KEPT_BYTES
from agent.shim.records import Spec
from proto.ids import is_id
from proto.messages import Observed

STDIN = "stdin"
FILES = {"stdout": (records.STDOUT_HEAD, records.STDOUT_TAIL), "stderr": (records.STDERR_HEAD, records.STDERR_TAIL)}
LIMIT_SIGNALS = (signal.SIGXCPU, signal.SIGXFSZ)
_OUTCOMES = {
    "completed": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "timeout": Outcome.TIMEOUT,
    "canceled": Outcome.CANCELED,
}


@dataclass(frozen=True, slots=True)
class Order:
    """The command of one execution.

    Attributes:
        spec: The command and its options.
        stdin: Bytes for its standard input; empty for none.
    """

    spec: Spec
    stdin: bytes = b""

    @property
    def size(self) -> int:
        """Largest number of bytes that the execution may need in the spool."""
        return (
            2 * (self.spec.head_bytes + self.spec.tail_bytes)
            + KEPT_BYTES
            + len(self.stdin)
            + len(self.spec.script or "")
        )


class Spool:
    """Directory `commands` of the state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: Key) -> Path:
        """Return the directory of an execution."""
        return self.root / f"{key[0]}.{key[1]}"

    def make(self, key: Key, order: Order) -> Path:
        """Create the directory with all files that the shim needs.

        Raises:
            FileExistsError: The directory exists already.
            OSError: The directory cannot be created.
        """
        directory = self.path(key)
        self.root.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
        if order.stdin:
            _write(directory / STDIN, order.stdin)
        _write(directory / records.SPEC, msgspec.json.encode(order.spec))
        return directory

    def report(self, key: Key) -> Report | None:
        """Return the shim's report, or None if there is none.

        Raises:
            RecordError: The report is damaged.
            OSError: The report cannot be read.
        """
        found = records.read_exit(self.path(key))
        return None if found is None else translate(found)

    def output(self, key: Key, stream: str, digest: Digest) -> tuple[bytes, bytes]:
        """Return head and tail of "stdout" or "stderr".

        Raises:
            OSError: A file cannot be read.
        """
        head, tail = (
            _read(self.path(key) / name, size)
            for name, size in zip(FILES[stream], (digest.head_bytes, digest.tail_bytes), strict=True)
        )
        return head, tail

    def remove(self, key: Key) -> None:
        """Delete the directory of an execution, if it exists.

        Raises:
            OSError: A file cannot be deleted.
        """
        script.remove(self.path(key))
        try:
            shutil.rmtree(self.path(key))
        except FileNotFoundError:
            return

    def held(self) -> Iterator[Key]:
        """Yield the executions that have a directory."""
        if not self.root.exists():
            return
        for entry in sorted(os.listdir(self.root)):
            command_id, _, attempt = entry.rpartition(".")
            if is_id(command_id) and attempt.isascii() and attempt.isdigit():
                yield command_id, int(attempt)


def translate(found: records.Exit) -> Report:
    """Convert the shim's report to the journal's form."""
    usage = Usage(found.usage.user_us, found.usage.system_us, found.usage.max_rss_kb)
    given = found.kill
    kill = Kill(given.reason, given.term_at_ms or 0, given.kill_at_ms or 0, given.tree_empty) if given else None
    return Report(
        outcome=_OUTCOMES[found.outcome],
        exit_code=found.exit_code,
        signal=found.signal or 0,
        error_code=found.error_code,
        error_message=found.error_message,
        started_at_ms=found.started_at_ms,
        finished_at_ms=found.finished_at_ms,
        duration_us=found.duration_us,
        stdout=_digest(found.stdout),
        stderr=_digest(found.stderr),
        usage=usage,
        kill=kill,
        pipe_held=found.pipe_held,
        leftovers_killed=found.leftovers_killed,
        left_running=found.left_running,
        observed=_observed(found),
    )


def _observed(found: records.Exit) -> int:
    """Return the observations as bits of the protocol's `Observed`."""
    bits = (
        (found.oom_killed, Observed.OOM_KILLED),
        (found.output_missing, Observed.OUTPUT_MISSING),
        (found.error_code == "signaled" and found.signal in LIMIT_SIGNALS, Observed.LIMIT_HIT),
        (bool(found.inherited), Observed.INHERITED_PRIORITY),
    )
    return sum(bit for seen, bit in bits if seen)


def _digest(stream: records.StreamReport) -> Digest:
    return Digest(stream.total_bytes, stream.head_bytes, stream.tail_bytes, bytes.fromhex(stream.sha256))


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)


def _read(path: Path, size: int) -> bytes:
    if not size:
        return b""
    with path.open("rb") as file:
        return file.read(size)
