"""What a stream said, identified by its content so that ten thousand equal answers are stored once."""

from __future__ import annotations

from hashlib import sha256

from server.core.model import Output


class InconsistentOutput(ValueError):
    """An agent's counts or digest contradict the bytes it sent."""


def output_id_of(head: bytes, tail: bytes, total_bytes: int, digest: bytes) -> bytes:
    """The output's id, 32 bytes.

    Of a stream kept whole it is the stream's own SHA-256. With the middle dropped nobody can verify the agent's digest,
    so
    the id covers all that was received: a host cannot give its own text the id of another host's.
    """
    if total_bytes == len(head) + len(tail):
        return sha256(head + tail).digest()
    frame = b"%d %d %d " % (len(head), len(tail), total_bytes)
    return sha256(frame + digest + head + tail).digest()


def build_output(head: bytes, tail: bytes, total_bytes: int, digest: bytes) -> Output | None:
    """The Output of what an agent reported; None for a silent stream. Raises DishonestOutput."""
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
