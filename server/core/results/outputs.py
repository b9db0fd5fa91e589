"""Outputs of streams, identified by their content, so that equal outputs of many hosts are stored once."""

from __future__ import annotations

from hashlib import sha256

from server.core.model import Output


class InconsistentOutput(ValueError):
    """The counts or the digest that an agent reports contradict the bytes that it sent."""


def output_id_of(head: bytes, tail: bytes, total_bytes: int, digest: bytes) -> bytes:
    """Return the id of an output, 32 bytes.

    If the whole stream is stored, the id is its SHA-256. If the middle was dropped, nothing can verify the agent's
    digest, so the id covers all that was received: a host cannot give its own text the id of another host's output.

    Args:
        head: The first bytes of the stream, or all of them.
        tail: The last bytes, after a dropped middle.
        total_bytes: Length of the whole stream.
        digest: SHA-256 of the whole stream, as the agent reports it.
    """
    if total_bytes == len(head) + len(tail):
        return sha256(head + tail).digest()
    frame = b"%d %d %d " % (len(head), len(tail), total_bytes)
    return sha256(frame + digest + head + tail).digest()


def build_output(head: bytes, tail: bytes, total_bytes: int, digest: bytes) -> Output | None:
    """Return the output that an agent reported, or None for an empty stream.

    Args:
        head: The first bytes of the stream, or all of them.
        tail: The last bytes, after a dropped middle.
        total_bytes: Length of the whole stream.
        digest: SHA-256 of the whole stream, as the agent reports it.

    Raises:
        InconsistentOutput: The values contradict each other.
    """
    kept = len(head) + len(tail)
    if total_bytes < kept:
        raise InconsistentOutput(f"{kept} bytes kept of {total_bytes}")
    if total_bytes == 0:
        return None
    if len(digest) != 32:
        raise InconsistentOutput(f"a SHA-256 has 32 bytes, not {len(digest)}")
    output_id = output_id_of(head, tail, total_bytes, digest)
    if total_bytes == kept and output_id != digest:
        raise InconsistentOutput("the digest is not that of the bytes")
    return Output(output_id, head, tail, total_bytes, digest)
